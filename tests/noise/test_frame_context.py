"""Laws of the look ahead: frames are worth seeing where they show more of the scene, not noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from synthetic import smooth, white
from unnoise.images.image import Image
from unnoise.noise.frame_context import FrameContext, frame_context, squared_errors
from unnoise.noise.inspect import inspect

SIDE = 96


def drifting(frames: int = 9, step: float = 0.7) -> NDArray:
    """A scene with fine structure that moves along X."""
    wide = smooth((SIDE, SIDE + 40), 1.5, mean=100, sd=20, seed=1)
    return np.stack(
        [ndimage.shift(wide, (0, -step * t), order=3)[:, 10:-30] for t in range(frames)]
    )


def looked_at(movie: NDArray, axes: str = "TYX") -> FrameContext | None:
    """What is advised of a movie."""
    return inspect(Image.from_array(movie, axes)).advice.context


@pytest.mark.parametrize(("axes", "axis"), [("TYX", "T"), ("ZYX", "Z")])
def test_frames_of_a_scene_that_moves_slowly_are_worth_seeing(axes: str, axis: str) -> None:
    movie = drifting()
    found = looked_at(movie + 20 * white(movie.shape, 2), axes)
    assert found is not None
    assert found.axis == axis
    assert found.gain > 1


def test_frames_of_other_scenes_are_not() -> None:
    scenes = np.stack([smooth((SIDE, SIDE), 2, mean=100, sd=20, seed=k) for k in range(8)])
    assert looked_at(scenes + 10 * white(scenes.shape, 9)) is None


def test_nor_are_frames_that_share_noise_or_are_copies() -> None:
    movie = drifting(12)
    noise = white((14, *movie.shape[1:]), 2)
    means = (noise[:-2] + noise[1:-1] + noise[2:]) / 3**0.5
    assert looked_at(movie + 20 * means) is None
    still = np.broadcast_to(movie[0], movie.shape)
    assert looked_at(still + 20 * means) is None
    assert looked_at(np.repeat(movie[:1] + 20 * noise[:1], 6, 0)) is None


def test_few_frames_unknown_noise_and_nets_of_volumes() -> None:
    movie = drifting(16) + 20 * white((16, SIDE, SIDE), 2)
    image = Image.from_array(movie, "TYX")
    assert frame_context(image, {0: 400.0}, "T") is not None
    assert frame_context(image, {0: 400.0}, "Z") is None
    assert frame_context(image, {}, "T") is None
    assert frame_context(Image.from_array(movie[:2], "TYX"), {0: 400.0}, "T") is None
    assert frame_context(Image.from_array(movie[:, :20, :20], "TYX"), {0: 400.0}, "T") is None
    assert looked_at(movie, "ZYX") is None  # slices enough for a net of volumes


def test_the_prediction_is_the_best_linear_one() -> None:
    # Of one signal per pixel, the same in all frames, with noise of unit variance: the mean of n
    # noisy values with the weight of Wiener leaves 1 + 1 / (n + 1 / power) of the variance.
    scene = 2 * white((128, 128), 3)
    movie = scene + white((9, 128, 128), 4)
    for reach, seen in ((0, 0), (1, 2), (2, 4)):
        expected = 1 + (1 / (seen + 1 / 4) if seen else 4.0)
        errors = squared_errors(movie, reach)
        assert errors.mean() == pytest.approx(expected, rel=0.05)


def test_what_frames_nearby_show_of_a_hole_is_no_second_look_at_their_noise() -> None:
    """Holes of every second frame, whose neighbours measured what they miss."""
    rng = np.random.default_rng(0)
    scene = smooth((128, 128), 4, mean=200, sd=20, seed=1)
    for moves in (0, 9):
        scenes = np.stack([np.roll(scene, moves * t, 1) for t in range(12)])
        movie = scenes + rng.normal(0, 9, scenes.shape)
        whole = inspect(Image.from_array(movie, "TYX"))
        movie[1::2, :, :60] = np.nan
        holed = inspect(Image.from_array(movie, "TYX"))
        assert holed.correlation_axes == whole.correlation_axes == ()
        gains = [r.advice.context.gain if r.advice.context else 0.0 for r in (whole, holed)]
        assert gains[1] < gains[0] + 1
