"""Images and frames of very different brightness fall into groups; alike ones do not."""

import numpy as np
import pytest

from synthetic import smooth
from unnoise.images import levels as module
from unnoise.images.image import Image
from unnoise.images.levels import Level, brightness, distance, frames_of, levels, parts


def exposure(times: float, seed: int = 0, *, offset: float = 100.0, side: int = 64) -> np.ndarray:
    """A scene of photons at so many times the exposure, over the offset of a camera."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    scene = 4 + 3 * np.sin(7 * y) * np.cos(9 * x)
    photons = rng.poisson(times * scene) + rng.normal(0, 1.5, scene.shape)
    return (offset + photons).astype(np.float32)


def images(*arrays: np.ndarray, axes: str | None = None) -> list[Image]:
    return [Image.from_array(a, axes) for a in arrays]


def test_the_moments_are_those_of_the_pixels():
    x = exposure(3.0)
    found = brightness(Image.from_array(x))
    assert found.mean[0] == pytest.approx(x.mean())
    assert found.std[0] == pytest.approx(x.std(), rel=1e-4)
    assert found.has_structure[0]


def test_noise_alone_is_no_picture():
    x = np.random.default_rng(0).normal(100, 2, (128, 128))
    assert not brightness(Image.from_array(x)).has_structure[0]


def test_a_channel_without_a_picture_suits_everything():
    blank = brightness(Image.from_array(np.random.default_rng(0).normal(100, 2, (64, 64))))
    assert distance(blank, np.array([9000.0]), np.array([1000.0])) == 1.0


@pytest.mark.parametrize("order", [(1, 10, 100), (100, 1, 10)])
def test_exposures_of_one_scene_are_groups_in_the_order_of_the_images(order):
    found = levels(images(*(exposure(t) for t in order)))
    means = [level.mean[0] - 100 for level in found]
    assert np.allclose(means, [4 * t for t in order], rtol=0.1)


def test_a_factor_that_statistics_can_bear_makes_no_groups():
    assert levels(images(*(exposure(t, i) for i, t in enumerate((10, 12, 15, 20))))) == ()


def test_an_empty_field_among_full_ones_makes_no_group():
    empty = np.random.default_rng(1).normal(100, 1.5, (64, 64))
    assert levels(images(exposure(50), exposure(55, 1), empty)) == ()


def test_constant_images_make_no_group():
    assert levels(images(exposure(50), np.full((64, 64), 7.0), np.zeros((64, 64)))) == ()


def test_the_same_contrast_over_other_offsets_makes_groups():
    found = levels(images(exposure(4), exposure(4, 1, offset=5000.0)))
    assert [round(level.mean[0], -2) for level in found] == [100, 5000]


def test_there_are_never_more_than_a_few_groups():
    many = images(*(exposure(4, i, offset=2000.0 * i) for i in range(12)))
    assert len(levels(many)) == 6


def test_one_channel_is_enough():
    plain = np.stack([exposure(9), exposure(9, 1)])
    other = np.stack([exposure(9, 2), exposure(900, 3)])
    assert len(levels(images(plain, other, axes="CYX"))) == 2


def test_frames_of_a_movie_are_grouped_and_read_as_they_are():
    movie = np.stack([exposure(t, i) for i, t in enumerate((1, 10, 100, 1, 10))])
    image = Image.from_array(movie, "TYX")
    found = levels([image])
    own = [part for (part,) in parts(image, found)]
    assert [part.frames for part in own] == [(0, 3), (1, 4), (2,)]
    assert own[0].sizes["T"] == 2
    assert np.array_equal(own[0].read()[0, :, 0, 0], movie[[0, 3]])
    assert np.array_equal(own[1].read({"T": 1, "Y": slice(3, 9)})[0, 0, 0, 0], movie[4, 3:9])
    assert own[2].name == "the image (T 3)"


def test_series_are_grouped_with_their_frames():
    x = np.stack([np.stack([exposure(s * t) for t in (1, 1.2, 30)]) for s in (1, 1.1)])
    image = Image.from_array(x, "STYX")
    own = parts(image, levels([image]))
    assert [[(p.s, p.frames) for p in group] for group in own] == [
        [(0, (0, 1)), (1, (0, 1))],
        [(0, (2,)), (1, (2,))],
    ]


def test_without_frames_whole_images_are_grouped():
    movie = Image.from_array(np.stack([exposure(1), exposure(100)]), "TYX")
    assert levels([movie], by_frame=False) == ()
    bright = Image.from_array(np.stack([exposure(3000), exposure(3000)]), "TYX")
    found = levels([movie, bright], by_frame=False)
    assert [[len(group) for group in parts(image, found)] for image in (movie, bright)] == [
        [1, 0],
        [0, 1],
    ]


def test_an_image_of_one_group_stays_itself():
    dim, bright = images(exposure(1), exposure(100))
    assert parts(dim, levels([dim, bright]))[0][0] is dim


def test_selected_frames_are_read_only_by_regions():
    part = frames_of(Image.from_array(np.zeros((3, 16, 16)), "TYX"), 0, [1])
    with pytest.raises(TypeError, match="regions"):
        part.data[0]


def test_a_smooth_scene_is_a_picture():
    assert brightness(Image.from_array(smooth((64, 64)))).has_structure[0]


@pytest.mark.parametrize(
    "values",
    [
        {"mean": [1.0], "std": [1.0, 2.0], "by_frame": True},
        {"mean": [float("nan")], "std": [1.0], "by_frame": True},
    ],
)
def test_damaged_levels_are_refused(values):
    with pytest.raises(ValueError, match=r"do not fit|inhomogeneous"):
        Level.from_dict(values)


def test_of_very_wide_planes_squares_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows from top to bottom would touch all tiles of a file."""
    y, x = np.mgrid[:900, :1000]
    scene = 300 + 100 * np.sin(y / 30) * np.cos(x / 20)
    image = Image.from_array(np.random.default_rng(0).poisson(scene).astype(np.uint16))
    rows = brightness(image)
    monkeypatch.setattr(module, "WIDE", 10_000)
    squares = brightness(image)
    assert squares.has_structure.all()
    np.testing.assert_allclose(squares.mean, rows.mean, rtol=0.05)
    np.testing.assert_allclose(squares.std, rows.std, rtol=0.2)
