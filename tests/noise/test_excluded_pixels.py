"""Laws of finding pixels that are no measurement: padding, nodata, NaN and outliers, no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

import unnoise
from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.noise.excluded_pixels import with_mask

SIDE = 160


def scene(side: int = SIDE) -> np.ndarray:
    """A smooth picture between 100 and 900."""
    picture = np.asarray(data.coins(), np.float64)[:side, :side]
    return 100 + 3.1 * ndimage.gaussian_filter(picture, 1)


def camera(truth: np.ndarray, seed: int = 0) -> np.ndarray:
    """Photons and read noise."""
    rng = np.random.default_rng(seed)
    return rng.poisson(truth / 4) * 4 + rng.normal(0, 8, truth.shape)


def excluded(image: Image) -> np.ndarray:
    """Its excluded pixels in the order of its axes, of images without channels."""
    marks = image.excluded()
    return np.zeros(image.shape, bool) if marks is None else marks.reshape(image.shape)


def padding(kind: str, side: int = SIDE) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return {
        "letterbox": (y < 20) | (y >= side - 20),
        "pillar": x < 30,
        "deskewed": (x - 0.35 * y < 0) | (x - 0.35 * y > 0.65 * side),
        "rotated": np.abs(x - side / 2 + 0.5) + np.abs(y - side / 2 + 0.5) > 0.7 * side,
        "circle": np.hypot(y - side / 2 + 0.5, x - side / 2 + 0.5) > side / 2 - 4,
        "hole": np.hypot(y - 80, x - 70) < 16,
    }[kind]


@pytest.mark.parametrize("kind", ["letterbox", "pillar", "deskewed", "rotated", "circle", "hole"])
@pytest.mark.parametrize(("value", "dtype"), [(0, "u2"), (-2000, "i2"), (0, "f4"), (65535, "u2")])
def test_padding_is_found_to_the_last_pixel(kind: str, value: int, dtype: str) -> None:
    if value == 65535 and kind == "hole":
        pytest.skip("a bright spot of one value in the middle may be saturated")
    gone = padding(kind)
    x = np.where(gone, value, camera(scene()).round()).astype(dtype)
    image = with_mask(x)
    np.testing.assert_array_equal(excluded(image), gone)
    assert image.mask is not None
    assert image.mask.counts["padding"] == gone.sum()
    assert "taken for padding" in image.mask.notes[0]


def test_padding_with_the_mean_is_found_though_it_is_no_end_of_the_histogram() -> None:
    x = camera(scene())
    x[padding("deskewed")] = x.mean()
    np.testing.assert_array_equal(excluded(with_mask(x)), padding("deskewed"))


@pytest.mark.parametrize("value", [0, 4095])
def test_burnt_in_text_and_scale_bars_stay_as_they_are(value: int) -> None:
    x = (camera(scene()).round() + 400).astype(np.uint16)
    text = np.zeros(x.shape, bool)
    text[150:153, 20:70] = True  # a bar
    for i in range(6):  # and letters of strokes one pixel wide
        text[8:17, 100 + 8 * i] = text[8, 100 + 8 * i : 105 + 8 * i] = True
    x[text] = value
    image = with_mask(x)
    np.testing.assert_array_equal(excluded(image), text)
    assert image.mask is not None
    assert "burnt-in text" in image.mask.notes[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mean", [0.003, 0.05, 1.0])
def test_zeros_of_sparse_counts_are_measurements(mean: float, seed: int) -> None:
    x = np.random.default_rng(seed).poisson(mean * scene() / 400).astype(np.uint16)
    assert not excluded(with_mask(x)).any()


@pytest.mark.parametrize("blur", [1, 3])
def test_saturated_places_are_measurements(blur: int) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    spots = sum(np.hypot(y - a, x - b) < 22 for a, b in ((40, 40), (100, 110), (120, 20)))
    truth = 200 + 9000 * ndimage.gaussian_filter(spots.astype(float), blur)
    pixels = np.clip(camera(truth).round(), 0, 4095).astype(np.uint16)
    assert (pixels == 4095).sum() > 1000
    assert not excluded(with_mask(pixels)).any()


def test_clipped_darkness_is_a_measurement() -> None:
    y, _ = np.mgrid[:SIDE, :SIDE]
    dark = np.random.default_rng(0).normal(2.0 * (y - 100), 20)
    assert not excluded(with_mask(np.clip(dark.round(), 0, 255).astype(np.uint8))).any()


def test_rounding_that_hides_the_noise_makes_no_padding() -> None:
    """A smooth sky of 8 bits has large places of one value."""
    y, _ = np.mgrid[:SIDE, :SIDE]
    sky = 100 + y / 40 + np.random.default_rng(0).normal(0, 0.15, y.shape)
    assert not excluded(with_mask(sky.round().astype(np.uint8))).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_missing_pixels_are_excluded_kept_filled_or_refused(bad: float) -> None:
    x = camera(scene()).astype(np.float32)
    gone = np.random.default_rng(1).random(x.shape) < 0.03
    gone[:, :10] = True
    x[gone] = bad
    image = with_mask(x)
    np.testing.assert_array_equal(excluded(image), gone)
    assert image.mask is not None
    assert image.mask.counts["nan"] == gone.sum()
    clean = np.zeros((1, 1, 1, 1, *x.shape))
    kept = image.finished(clean, {}, np.float32)[0, 0, 0, 0]
    np.testing.assert_array_equal(kept, np.where(gone, x, 0))
    filled = with_mask(x, nan="fill").finished(clean, {}, np.float32)
    assert not filled.any()
    with pytest.raises(InputError, match=f"{gone.sum():,} NaN or infinite pixels of {x.size:,}"):
        with_mask(x, nan="refuse")


@pytest.mark.parametrize(("value", "dtype"), [(-9999, "f4"), (0, "u2"), (-3.4028235e38, "f4")])
def test_nodata_is_excluded_wherever_it_is(value: float, dtype: str) -> None:
    x = np.maximum(camera(scene()).round(), 1).astype(dtype)
    gone = np.random.default_rng(2).random(x.shape) < 0.1
    x[gone] = value
    np.testing.assert_array_equal(excluded(with_mask(x, nodata=value)), gone)
    of_file = replace(Image.from_array(x), nodata=float(value))
    np.testing.assert_array_equal(excluded(with_mask(of_file)), gone)


@pytest.mark.parametrize("axes", ["YX", "TYX", "CYX", "YXC"])
def test_masks_are_of_the_image_or_of_its_planes(axes: str) -> None:
    sizes = {"Y": 40, "X": 50, "T": 3, "C": 2}
    shape = tuple(sizes[k] for k in axes)
    x = np.random.default_rng(3).normal(100, 9, shape)
    plane = np.random.default_rng(4).random((40, 50)) < 0.8
    where = np.expand_dims(plane, tuple(i for i, k in enumerate(axes) if k not in "YX"))
    whole = np.broadcast_to(where, shape)
    for mask in (plane, whole, plane.astype(np.uint8) * 255, plane[None], plane[None, ..., None]):
        marks = with_mask(x, mask, axes=axes).excluded()
        assert marks is not None
        assert (~marks.reshape(-1, 40, 50) == plane).all()


@pytest.mark.parametrize(
    ("axes", "shape", "of_mask"),
    [
        ("TCYX", (1, 2, 40, 50), (2, 40, 50)),  # without what has a length of 1
        ("TZYX", (3, 1, 40, 50), (3, 40, 50)),
        ("YX", (1, 50), (1, 50)),
        ("TYX", (2, 50, 1), (50, 1)),
    ],
)
def test_lengths_of_1_may_be_left_out_of_a_mask_or_not(
    axes: str, shape: tuple[int, ...], of_mask: tuple[int, ...]
) -> None:
    x = np.random.default_rng(3).normal(100, 9, shape)
    known = np.random.default_rng(4).random(of_mask) < 0.8
    marks = with_mask(x, known, axes=axes).excluded()
    assert marks is not None
    whole = known.reshape(shape) if known.size == x.size else np.broadcast_to(known, shape)
    np.testing.assert_array_equal(marks, ~ax.to_canonical(whole, axes))


def test_masks_that_do_not_fit_or_leave_nothing_are_refused() -> None:
    x = np.random.default_rng(0).normal(size=(32, 40))
    with pytest.raises(InputError, match=r"mask has shape \(40, 32\)"):
        with_mask(x, np.ones((40, 32)))
    with pytest.raises(InputError, match="no pixel that is a measurement"):
        with_mask(x, np.zeros((32, 40)))
    with pytest.raises(InputError, match="no finite pixel"):
        with_mask(np.full((32, 40), np.nan))
    with pytest.raises(InputError, match="numbers or truth values"):
        with_mask(x, np.full((32, 40), "x"))
    with pytest.raises(InputError, match="drop"):
        with_mask(x, nan="drop")
    few = with_mask(x, np.tile(np.arange(40) < 10, (32, 1)))
    assert few.mask is not None
    assert "nonzero where pixels are measurements" in " ".join(few.mask.notes)


def test_dropped_frames_are_read_as_the_frames_beside_them() -> None:
    rng = np.random.default_rng(5)
    movie = rng.normal(scene(), 20, (6, SIDE, SIDE)).round().astype(np.uint16)
    movie[2], movie[5] = 0, 0
    image = with_mask(movie, axes="TYX")
    np.testing.assert_array_equal(excluded(image).all((1, 2)), [0, 0, 1, 0, 0, 1])
    assert excluded(image).sum() == 2 * SIDE**2
    frames = image.read()[0, :, 0, 0]
    assert any((frames[2] == movie[i]).all() for i in (1, 3))
    np.testing.assert_array_equal(frames[5], movie[4])


def test_empty_frames_of_few_photons_are_measurements() -> None:
    movie = np.random.default_rng(6).poisson(2e-4, (20, 64, 64)).astype(np.uint16)
    assert (movie.max((1, 2)) == 0).any()
    assert not excluded(with_mask(movie, axes="TYX")).any()


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_hot_and_dead_pixels_are_found_and_replaced(dtype: str) -> None:
    rng = np.random.default_rng(7)
    x = camera(scene()).round().clip(1)
    hot = rng.random(x.shape) < 0.0008
    x[hot] += rng.uniform(800, 6000, hot.sum())
    image = with_mask(x.astype(dtype))
    found = excluded(image)
    assert (found & hot).sum() >= 0.95 * hot.sum()
    assert (found & ~hot).sum() <= 1
    clean = np.zeros((1, 1, 1, 1, *x.shape))
    assert not image.finished(clean, {}, dtype).any()
    kept = with_mask(x.astype(dtype), keep_outliers=True).finished(clean, {}, dtype)
    assert (kept[0, 0, 0, 0] == np.where(found, x.astype(dtype), 0)).all()
    assert image.mask is not None
    assert "outliers" in image.mask.notes[-1]


def test_two_hot_pixels_side_by_side_are_found_and_lines_are_not() -> None:
    x = camera(scene())
    line = np.zeros(x.shape, bool)
    line[20:60, 100] = True
    line[np.arange(80, 120), np.arange(20, 60)] = True
    x[line] += 4000
    pairs = np.zeros(x.shape, bool)
    for y, xx, dy, dx in ((30, 30, 0, 1), (60, 70, 1, 0), (130, 90, 1, 1), (140, 140, 1, -1)):
        pairs[y, xx] = pairs[y + dy, xx + dx] = True
    x[pairs] += np.random.default_rng(0).uniform(3000, 6000, pairs.sum())
    found = excluded(with_mask(x))
    assert found[pairs].all()
    assert not found[line].any()


@pytest.mark.parametrize("value", [1e4, 1e20, -3.4e38, 1e300, -1e300])
def test_one_absurd_value_hides_no_other(value: float) -> None:
    x = camera(scene())
    x[30, 40], x[100, 20] = value, 9000
    found = excluded(with_mask(x))
    assert found[30, 40]
    assert found[100, 20]
    assert found.sum() == 2


def test_clean_pictures_have_next_to_no_outliers() -> None:
    """At most one pixel in 100,000 of normal noise and photons of any brightness."""
    found = pixels = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        truth = scene(256) / 900
        for noisy in (
            rng.normal(200 * truth, 10),
            *(rng.poisson(level * truth).astype(np.uint16) for level in (0.3, 3, 30, 3000)),
        ):
            found += int(excluded(with_mask(noisy)).sum())
            pixels += noisy.size
    assert found <= max(1e-5 * pixels, 2), (found, pixels)


@pytest.mark.parametrize("fwhm", [2.0, 3.0])
@pytest.mark.parametrize("electrons", [100, 500, 5000])
def test_point_sources_are_no_outliers(fwhm: float, electrons: float) -> None:
    sigma = fwhm / 2.3548
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:320, :320]
    truth = np.full((320, 320), 10.0)
    for i, j in np.ndindex(14, 14):
        a, b = 20 + 20 * np.array([i, j]) + rng.uniform(-0.5, 0.5, 2)
        part = (slice(12 + 20 * i, 29 + 20 * i), slice(12 + 20 * j, 29 + 20 * j))
        spot = np.exp(-((y[part] - a) ** 2 + (x[part] - b) ** 2) / (2 * sigma**2))
        truth[part] += electrons * spot / (2 * np.pi * sigma**2)
    noisy = rng.poisson(truth) + rng.normal(100, 2, truth.shape)
    assert excluded(with_mask(noisy)).sum() <= 2


def test_the_search_is_not_repeated() -> None:
    image = with_mask(camera(scene()))
    assert with_mask(image) is image


def test_options_count_for_images_that_were_searched_before() -> None:
    x = camera(scene()).round()
    x[30, 40], x[50, 60] = 9e4, -7
    image = with_mask(x)
    clean = np.zeros((1, 1, 1, 1, *x.shape))
    kept = with_mask(image, keep_outliers=True).finished(clean, {}, x.dtype)[0, 0, 0, 0]
    assert kept[30, 40] == 9e4
    assert excluded(with_mask(image, nodata=x[5, 5]))[5, 5]
    x[3, 3] = np.nan
    with pytest.raises(InputError, match="1 NaN"):
        with_mask(with_mask(x), nan="refuse")


def test_masked_arrays_come_back_as_such_and_their_hidden_values_are_never_used() -> None:
    rng = np.random.default_rng(9)
    x = camera(scene(96)).astype(np.float32)
    hidden = np.zeros(x.shape, bool)
    hidden[20:40, 20:40] = True
    results = []
    for junk in (-9999.0, rng.uniform(0, 1e4)):
        given = np.ma.MaskedArray(np.where(hidden, np.float32(junk), x), hidden)
        result = unnoise.denoise(given, method="gaussian")
        assert isinstance(result, np.ma.MaskedArray)
        np.testing.assert_array_equal(result.mask, hidden)
        np.testing.assert_array_equal(result.data[hidden], given.data[hidden])
        results.append(result.data[~hidden])
    np.testing.assert_array_equal(*results)


def test_what_a_masked_array_hides_is_excluded_beside_what_a_mask_excludes() -> None:
    rng = np.random.default_rng(12)
    x, hidden, known = rng.normal(100, 9, (40, 50)), rng.random((40, 50)), rng.random((40, 50))
    given = np.ma.MaskedArray(x, hidden < 0.1)
    np.testing.assert_array_equal(excluded(with_mask(given)), hidden < 0.1)
    both = excluded(with_mask(given, known > 0.2))
    np.testing.assert_array_equal(both, (hidden < 0.1) | (known <= 0.2))


def test_values_under_a_mask_are_never_used_and_come_back() -> None:
    x = camera(scene(96)).astype(np.float32)
    stamp = np.zeros(x.shape, bool)
    stamp[80:90, 5:60] = True
    results = []
    for text in (np.float32(9000), np.float32(-40)):
        pixels = np.where(stamp, text, x)
        result = unnoise.denoise(pixels, mask=~stamp, method="n2v", steps=3)
        assert (result[stamp] == text).all()
        results.append(result[~stamp])
    np.testing.assert_array_equal(*results)


def test_missing_pixels_are_interpolated_on_request_of_arrays() -> None:
    x = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    x[5, 5] = np.nan
    filled = unnoise.fill_missing(x)
    assert np.isfinite(filled).all()
    assert np.isnan(x[5, 5])
    steep = unnoise.fill_missing(x + 50 * np.arange(32, dtype=np.float32)[:, None])
    assert abs(steep[5, 5] - 250) < 10, "from around, not the mean of the plane"
    stack = np.stack([x, x])
    assert np.array_equal(unnoise.fill_missing(stack, axes="ZYX")[1], filled)
    stack[1] = np.nan
    level = filled[np.isfinite(x)].mean()
    np.testing.assert_allclose(unnoise.fill_missing(stack, axes="ZYX")[1], level, rtol=0.1)
    colours = [stack, 100 + stack, np.full_like(stack, np.nan)]
    filled = unnoise.fill_missing(np.stack(colours), axes="CZYX")
    for channel, mean in zip(filled, (level, 100 + level, 0), strict=True):
        np.testing.assert_allclose(channel[1], mean, atol=0.02, err_msg="of its own channel")


@pytest.mark.parametrize("dtype", ["u1", "u4", "i8"])
def test_small_images_of_any_type_pass(dtype: Any) -> None:
    x = np.random.default_rng(0).integers(0, 2, (4, 5)).astype(dtype)
    assert not excluded(with_mask(x)).any()


def test_what_a_frame_misses_is_read_from_frames_nearby() -> None:
    """The borders of a movie whose motion was corrected; frames of another brightness give none."""
    rng = np.random.default_rng(10)
    movie = rng.normal(scene(96), 20, (5, 96, 96)).astype(np.float32)
    movie[4] *= 2
    truth = movie.copy()
    movie[0, :10], movie[1, -3:], movie[2, -8:] = np.nan, np.nan, np.nan
    frames = with_mask(movie, axes="TYX").read()[0, :, 0, 0]
    np.testing.assert_array_equal(frames[0, :10], truth[1, :10])
    np.testing.assert_array_equal(frames[2, -8:-3], truth[1, -8:-3])
    np.testing.assert_array_equal(frames[2, -3:], truth[3, -3:])
    movie[3, 40:60, 40:60] = np.nan
    movie[:3, 40:60, 40:60] = np.nan
    frames = with_mask(movie, axes="TYX").read()[0, :, 0, 0]
    assert np.abs(frames[3, 40:60, 40:60] - truth[4, 40:60, 40:60]).mean() > 100


def level(x: np.ndarray) -> float:
    curve = unnoise.inspect(x).channels[0].curve
    assert curve is not None
    return float(curve.level**0.5)


@pytest.mark.parametrize("value", [0.0, np.nan, 3000.0])
def test_the_noise_level_is_that_of_the_measurements_alone(value: float) -> None:
    x = camera(scene())
    framed = np.where(padding("letterbox"), value, x)
    assert level(framed) == pytest.approx(level(x[20:-20]), rel=0.01)
    for kind in ("deskewed", "circle"):
        gone = padding(kind)
        truth = np.sqrt((4 * scene() + 64)[~gone].mean())
        assert level(np.where(gone, value, x)) == pytest.approx(truth, rel=0.05)
