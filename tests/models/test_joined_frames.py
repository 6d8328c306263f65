"""Laws of neighbours: which frames are joined, and that nothing depends on tiles or folders."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from synthetic import photon_ground, photons, smooth
from tiny import CPU
from unnoise.config.config import Config
from unnoise.errors import ModelError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.images.pixel_mask import PixelMask
from unnoise.models import folder
from unnoise.models.frame_tiles import Job, Ready
from unnoise.models.joined_frames import AS_IS, Surroundings
from unnoise.models.model import Model
from unnoise.models.predict import predict, predict_array
from unnoise.models.record import JoinedFrames
from unnoise.training.plan import plan

ALL = {"S": 0, "T": 2, "Z": 0}


def movie(frames: int = 5, side: int = 64, light: NDArray | float = 1.0, seed: int = 0) -> NDArray:
    scene = 40 + 15 * smooth((side, side), 4)
    lamp = np.broadcast_to(light, frames)[:, None, None]
    return photons((frames, side, side), np.maximum(scene, 1) * lamp, seed)


@pytest.fixture(scope="module")
def alone() -> Model:
    return plan([Image.from_array(movie(), "TYX")], Config(method="instant"))


def result(model: Model, image: Image, **options: object) -> NDArray[np.float64]:
    out = np.full(image.shape, np.nan)
    for block in predict(model, image, device="cpu", **options):  # type: ignore[arg-type]
        out[ax.index(image.axes, block.where)] = ax.from_canonical(block.values, image.axes)
    return out


def places(pixels: NDArray, *, at: int = 2, reach: int = 2, **options: bool) -> list[int]:
    image = Image.from_array(pixels, "TYX")
    found = Surroundings(JoinedFrames("T", reach, **options), image, [0])
    return [place for place, _ in found.around({**ALL, "T": at})]


def test_frames_within_reach_are_joined_but_copies_and_blank_ones() -> None:
    pixels = movie(7)
    assert places(pixels, at=3) == [1, 2, 3, 4, 5]
    assert places(pixels, at=0) == [0, 1, 2]
    pixels[4] = pixels[3]
    assert places(pixels, at=3) == [1, 2, 3, 5]
    pixels[1] = 100
    assert places(pixels, at=3) == [2, 3, 5]
    assert places(pixels, at=1) == [1]


def test_a_frame_of_which_a_channel_is_a_copy_is_not_joined() -> None:
    """As where a channel is recorded at half the rate, and written twice."""
    pixels = np.stack([movie(6), movie(6, seed=1)], 1)
    pixels[1::2, 1] = pixels[0::2, 1]
    image = Image.from_array(pixels, "TCYX")
    for channels, expected in (([0, 1], [[0, 2], [1, 2]]), ([0], [[0, 1, 2], [0, 1, 2, 3]])):
        found = Surroundings(JoinedFrames("T", 2), image, channels)
        for at, wanted in enumerate(expected):
            got = [place for place, _ in found.around({**ALL, "T": at})]
            assert got == wanted, channels


def test_frames_are_made_as_bright_as_the_centre() -> None:
    image = Image.from_array(movie(5, 128, np.array([1, 1, 1, 2, 1])), "TYX")
    around = Surroundings(JoinedFrames("T", 1, matched=True), image, [0])
    lights = dict(around.around(ALL))
    assert lights[1] == (AS_IS,)
    assert lights[3][0][0] == pytest.approx(0.5, rel=0.1)
    back = dict(around.around({**ALL, "T": 3}))
    assert back[2][0][0] == pytest.approx(1 / lights[3][0][0])


@pytest.mark.parametrize("first", [0, 1, 2])
def test_how_bright_a_frame_is_does_not_depend_on_where_a_run_begins(first: int) -> None:
    image = Image.from_array(movie(3, 128, np.array([1, 1.3, 2.1])), "TYX")

    def lights(order: list[int]) -> dict[int, object]:
        around = Surroundings(JoinedFrames("T", 2, matched=True), image, [0])
        return {t: dict(around.around({**ALL, "T": t})) for t in order}

    order = [*range(first, 3), *range(first)]
    assert lights(order) == lights([0, 1, 2])


def test_still_frames_gain_the_more_the_more_there_are(alone: Model) -> None:
    image = Image.from_array(movie(9), "TYX")
    truth = np.maximum(40 + 15 * smooth((64, 64), 4), 1)
    errors = []
    for reach in (0, 1, 4):
        model = replace(alone, joined=JoinedFrames("T", reach) if reach else None)
        (clean,) = (result(model, image, only={"T": 4})[4],)
        errors.append(float(np.mean((clean - truth) ** 2)))
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < 0.7 * errors[1]


def test_unrelated_frames_change_next_to_nothing(alone: Model) -> None:
    scenes = [40 + 15 * smooth((64, 64), 4, seed) for seed in range(3)]
    image = Image.from_array(photons((3, 64, 64), np.maximum(scenes, 1)), "TYX")
    single = result(alone, image)
    found = result(replace(alone, joined=JoinedFrames("T", 1)), image)
    assert np.mean((found - single) ** 2) < 0.2 * np.mean((single - scenes) ** 2)


@pytest.mark.parametrize("axis", ["T", "Z"])
def test_a_lone_frame_is_as_without(alone: Model, axis: str) -> None:
    image = Image.from_array(movie(1), "TYX")
    model = replace(alone, joined=JoinedFrames(axis, 2))  # type: ignore[arg-type]
    np.testing.assert_array_equal(result(model, image), result(alone, image))


BLUR = ((0.6, 2.8),)


@pytest.mark.parametrize(("bins", "blur"), [(1, ()), (2, ()), (1, BLUR), (2, BLUR)])
def test_tiles_do_not_change_the_result(alone: Model, bins: int, blur: Any) -> None:
    model = replace(alone, joined=JoinedFrames("T", 1, bins=bins, blur=blur))  # type: ignore[arg-type]
    image = Image.from_array(movie(3, 180), "TYX")
    whole = result(model, image, tile=(192, 192), only={"T": 1})[1]
    parts = result(model, image, tile=(64, 192), only={"T": 1})[1]
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_a_saved_model_gives_the_same(alone: Model, tmp_path: Path) -> None:
    model = replace(
        alone,
        joined=JoinedFrames("T", 1, matched=True, shared=0.2, skewness=-0.5, alone=0.5, risk=0.4),
    )
    assert model.joined is not None
    model = replace(model, joined=replace(model.joined, blur=BLUR))
    folder.save(tmp_path / "a.model", model)
    again = folder.load(tmp_path / "a.model")
    assert again.joined == model.joined
    pixels = movie(3)
    clean = predict_array(model, pixels, axes="TYX")
    np.testing.assert_array_equal(predict_array(again, pixels, axes="TYX"), clean)


def test_slices_samples_and_channels_keep_to_themselves(alone: Model) -> None:
    """Frames along T of other samples, channels and depths are no neighbours."""
    model = replace(alone, joined=JoinedFrames("T", 1))
    one, other = movie(3), movie(3, seed=5)
    both = np.stack([one, other])
    wanted = [predict_array(model, pixels, axes="TYX") for pixels in both]
    for axes in ("STYX", "ZTYX"):
        np.testing.assert_array_equal(predict_array(model, both, axes=axes), wanted)
    flat = replace(alone, joined=JoinedFrames("Z", 1))
    np.testing.assert_array_equal(predict_array(flat, one, axes="ZYX"), wanted[0])


def test_groups_of_brightness_look_at_their_own_frames(alone: Model) -> None:
    dim = Image.from_array(movie(5), "TYX")
    around = Surroundings(JoinedFrames("T", 1), dim, [0])
    assert [place for place, _ in around.around(ALL, alike=[0, 2, 4])] == [0, 2, 4]


def test_pixels_that_are_no_measurement_are_taken_from_other_frames(alone: Model) -> None:
    pixels = photon_ground((64, 64)).astype(np.float32)[None].repeat(3, 0)
    pixels = pixels + np.random.default_rng(0).normal(0, 1, pixels.shape).astype(np.float32)
    image = Image.from_array(pixels, "TYX")
    excluded = np.zeros((1, 3, 1, 1, 64, 64), bool)
    excluded[0, 1, 0, 0, 20:24, 20:24] = True
    masked = replace(image, mask=PixelMask.of_planes(image.read(), excluded, None))
    clean = result(replace(alone, joined=JoinedFrames("T", 1)), masked)
    assert np.isfinite(clean).all()


def test_a_blur_that_is_all_is_that_of_the_mean_of_frames(alone: Model) -> None:
    """Beside SciPy, of copies that bring noise of their own and show no change."""
    frames = photons((5, 64, 64), np.full((64, 64), 40.0)).astype(np.float32)
    model = replace(alone, joined=JoinedFrames("T", 2, blur=((1.0, 2.0),)))
    clean = result(model, Image.from_array(frames, "TYX"), only={"T": 2})[2]
    expected = ndimage.gaussian_filter(frames.astype(float).mean(0), 2.0, radius=8)
    inner = (slice(16, -16),) * 2  # beyond the border are fewer, or mirrored pixels
    difference = np.abs(clean - expected)[inner]
    assert np.median(difference) < 0.02
    assert float(np.abs(frames[2] - expected)[inner].mean()) > 4


def test_what_cannot_be_is_refused(alone: Model, tmp_path: Path) -> None:
    blurred = replace(alone, joined=JoinedFrames("T", 1, blur=BLUR * 2))
    folder.save(tmp_path / "two.model", blurred)
    with pytest.raises(ModelError, match="as many channels"):
        folder.load(tmp_path / "two.model")
    with pytest.raises(ValueError, match="reach"):
        folder.PARTS["joined"]({"axis": "T", "reach": 0})
    with pytest.raises(ValueError, match="skewness"):
        folder.PARTS["joined"]({"axis": "T", "reach": 1, "skewness": 3.0})
    with pytest.raises(ValueError, match="axis"):
        folder.PARTS["joined"]({"axis": "S", "reach": 1})


def test_halves_of_a_tile_join_the_frames_of_the_whole(
    alone: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They asked anew for these frames, while the thread that reads ahead asks for those of others,
    so that the frames of a neighbour could be joined."""
    model = replace(alone, joined=JoinedFrames("T", 1))
    image = Image.from_array(movie(4, 48), "TYX")
    expected = result(model, image)
    (piece,) = Job.of(model, image, CPU, "torch").tiles((48, 48))
    room = 0.99 * Job.of(model, image, CPU, "torch").memory(piece)
    asked, true = [], Ready._near

    def near(ready: Ready, at: dict[str, int]) -> object:
        asked.append(threading.current_thread() is main)
        return true(ready, at)

    main = threading.current_thread()
    monkeypatch.setattr(Ready, "_near", near)
    monkeypatch.setattr("unnoise.models.frame_tiles.free_memory", lambda _: room)
    with pytest.warns(UserWarning, match="not enough memory for a tile"):
        np.testing.assert_array_equal(result(model, image, tile=(48, 48)), expected)
    assert len(asked) == 4
    assert not any(asked)
