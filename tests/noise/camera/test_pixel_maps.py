"""Cameras whose pixels differ: maps from dark and evenly lit frames, and images that are evened."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.noise.camera.pixel_maps import PixelMaps

SHAPE = (48, 64)


class Scmos:
    """A camera with offsets, gains and read noises of its own for every pixel."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.offset = rng.normal(100, 6, SHAPE)
        self.gain = rng.normal(1, 0.05, SHAPE)
        self.read = rng.gamma(4, 0.4, SHAPE)
        self.hot = np.zeros(SHAPE, bool)
        self.hot.flat[rng.choice(self.hot.size, 9, replace=False)] = True
        self.read[self.hot] = 60.0

    def record(self, electrons: NDArray, frames: int, seed: int = 0) -> NDArray[np.float64]:
        rng = np.random.default_rng(seed)
        counts = rng.poisson(np.broadcast_to(electrons, (frames, *SHAPE)))
        return self.offset + 2 * self.gain * counts + self.read * rng.normal(size=counts.shape)


def maps(camera: Scmos) -> PixelMaps:
    light = np.linspace(900, 1400, SHAPE[1]) + np.zeros(SHAPE)  # uneven, but smooth
    return PixelMaps.from_frames(
        camera.record(np.zeros(SHAPE), 200, 1), camera.record(light, 200, 2)
    )


def test_maps_are_those_of_the_camera() -> None:
    camera = Scmos()
    found = maps(camera)
    good = ~camera.hot
    np.testing.assert_array_equal(found.hot, camera.hot)
    assert np.abs(found.offset - camera.offset)[good].max() < 1.5
    assert np.corrcoef(found.gain[good], camera.gain[good])[0, 1] > 0.95
    assert np.abs(found.gain / camera.gain - 1)[good].mean() < 0.012
    np.testing.assert_allclose(found.read_variance[good], camera.read[good] ** 2, rtol=0.5)
    assert "9 hot or dead pixels" in found.lines()[0]


def test_an_image_loses_its_fixed_pattern() -> None:
    camera = Scmos()
    found = maps(camera)
    scene = np.tile(np.linspace(20, 60, SHAPE[1]), (SHAPE[0], 1))
    frames = camera.record(scene, 300, 3).astype(np.float32)
    even = found.corrected(Image.from_array(frames, "TYX")).read()[0, :, 0, 0].mean(0)
    wanted = 2 * scene + np.median(camera.offset)
    before = np.abs(frames.mean(0) - wanted)[~camera.hot].mean()
    assert np.abs(even - wanted).mean() < 0.25 * before
    assert np.abs(even - wanted)[camera.hot].max() < 8, "hot pixels are like those around"


@pytest.mark.parametrize("axes", ["YX", "TYX", "ZYX", "YXC", "TCYX"])
def test_any_region_is_a_part_of_the_whole(axes: str) -> None:
    found = maps(Scmos())
    sizes = {"Y": SHAPE[0], "X": SHAPE[1], "T": 3, "Z": 3, "C": 2}
    y = np.random.default_rng(0).integers(90, 400, [sizes[k] for k in axes]).astype(np.uint16)
    image = found.corrected(Image.from_array(y, axes))
    whole = image.read()
    assert whole.dtype == np.uint16
    for rows, columns in itertools.product(
        (slice(0, 7), slice(5, 30), slice(40, 48)), (slice(0, 1), slice(11, 64), slice(63, 64))
    ):
        part = image.read({"Y": rows, "X": columns})
        np.testing.assert_array_equal(part, whole[..., rows, columns])


def test_what_does_not_fit_is_refused() -> None:
    camera = Scmos()
    dark = camera.record(np.zeros(SHAPE), 20)
    with pytest.raises(InputError, match="8 or more frames"):
        PixelMaps.from_frames(dark[:3])
    with pytest.raises(InputError, match="record both with the same region"):
        PixelMaps.from_frames(dark, dark[:, :-1])
    with pytest.raises(InputError, match="no brighter than the dark ones"):
        PixelMaps.from_frames(dark, dark - 1)
    scene = 200 + 150 * np.sin(np.arange(SHAPE[1]) / 2) + np.zeros(SHAPE)
    with pytest.raises(InputError, match="show a scene"):
        PixelMaps.from_frames(dark, camera.record(scene, 20))
    with pytest.raises(InputError, match="32x32 pixels in Y and X but the camera frames 48x64"):
        PixelMaps.from_frames(dark).corrected(Image.from_array(np.zeros((32, 32))))


def test_a_pixel_that_is_no_number_is_refused() -> None:
    camera = Scmos()
    dark, flat = (camera.record(np.full(SHAPE, light), 20) for light in (0.0, 900.0))
    holed = dark.copy()
    holed[3, 5, 7] = np.nan
    with pytest.raises(InputError, match="the dark frames hold NaN or infinite pixels"):
        PixelMaps.from_frames(holed, flat)
    flat[0, 0, 0] = np.inf
    with pytest.raises(InputError, match="the evenly lit frames hold NaN or infinite pixels"):
        PixelMaps.from_frames(dark, flat)


def test_dead_pixels_become_those_around() -> None:
    camera = Scmos()
    dead = np.zeros(SHAPE, bool)
    dead.flat[np.random.default_rng(5).choice(dead.size, 30, replace=False)] = True
    camera.gain[dead] = np.linspace(0, 0.1, 30)
    found = maps(camera)
    np.testing.assert_array_equal(found.hot, dead | camera.hot)
    scene = np.tile(np.linspace(200, 300, SHAPE[1]), (SHAPE[0], 1))
    even = found.corrected(Image.from_array(camera.record(scene, 1, 3)[0])).read()[0, 0, 0, 0]
    wanted = 2 * scene + np.median(camera.offset)
    assert np.abs(even - wanted)[dead].max() < 6 * np.sqrt(2 * 2 * 300), "six times the noise"


def test_dark_bars_of_a_scene_are_not_taken_for_dead_pixels() -> None:
    camera = Scmos()
    bars = np.where(np.arange(SHAPE[1]) // 4 % 3 == 0, 0.0, 900.0) + np.zeros(SHAPE)
    with pytest.raises(InputError, match="show a scene"):
        PixelMaps.from_frames(camera.record(np.zeros(SHAPE), 50, 1), camera.record(bars, 50))


def test_noise_below_a_grey_level_makes_no_hot_pixels() -> None:
    rng = np.random.default_rng(0)
    offset = rng.normal(10, 0.1, SHAPE)
    dark = np.rint(offset + rng.normal(0, 0.2, (16, *SHAPE))).astype(np.uint8)
    dark[:, 7, 9] = 60
    dark[::2, 30, 40] = 17
    for frames in (dark, dark.astype(np.uint16) * 16, dark / 255):
        found = PixelMaps.from_frames(frames)
        assert np.argwhere(found.hot).tolist() == [[7, 9], [30, 40]]
        good = frames.transpose(1, 2, 0)[~found.hot]
        assert f"read noise {np.sqrt(good.var(axis=1, ddof=1).mean()):.3g}," in found.lines()[0]
