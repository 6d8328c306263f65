"""Odd rows that were shifted come back onto even ones; nothing else is moved."""

from __future__ import annotations

import re

import numpy as np
import pytest
import skimage.data

import unnoise
from synthetic import photons, scanned, smooth, white
from unnoise.app.files import InputOptions
from unnoise.images.image import Image
from unnoise.noise.excluded_pixels import with_mask
from unnoise.noise.realign import by_pixels, moved, realigned, straightened

SHIFTS = [0.3, 0.5, -1.0, 1.3, 2.0, -5.5, 8.0]


def photo() -> np.ndarray:
    return skimage.data.coins()[60:252, 60:252].astype(float)


@pytest.mark.parametrize("shift", SHIFTS)
def test_rows_are_moved_back(shift: float) -> None:
    scene = photo()
    fixed = unnoise.fix_scan(scanned(scene, shift))
    inner = (slice(None), slice(12, -12))
    error = np.sqrt(np.mean((fixed - scene)[inner] ** 2))
    before = np.sqrt(np.mean((scanned(scene, shift) - scene)[inner] ** 2))
    assert error < 0.25 * before
    np.testing.assert_array_equal(fixed[::2], scene[::2])  # even rows stay
    assert np.sqrt(np.mean((fixed - scene) ** 2)) < 0.5 * before  # and the ends are no worse


def test_interpolation_leaves_noise_independent() -> None:
    noise = white((400, 300))
    for shift in (0.25, 0.5, 1.3, -2.5):
        rows = moved(noise, shift)
        assert 0.93 < rows.var() < 1.01
        assert abs((rows[:, 1:] * rows[:, :-1]).mean()) < 0.065
    for shift in (2.0, -3.04):
        back = straightened(scanned(noise, round(shift)), shift)
        np.testing.assert_allclose(back[:, 3:-3], noise[:, 3:-3], atol=1e-12)


def test_every_plane_and_channel_is_moved_and_the_rest_is_kept() -> None:
    scene = smooth((3, 2, 64, 96), (0, 0, 2, 2), 3, mean=500, sd=90).astype(np.float32)
    image = Image.from_array(scanned(scene, 3.0), "TCYX")
    fixed = realigned(image)
    assert (fixed.axes, fixed.dtype, fixed.shape) == ("TCYX", np.float32, scene.shape)
    assert re.search(r"\+(2\.9\d|3\.0\d) pixels", fixed.metadata["note"])
    np.testing.assert_allclose(np.asarray(fixed.data)[..., 4:-4], scene[..., 4:-4], atol=0.01)
    turned = np.moveaxis(scene, (0, 1), (3, 2))
    again = unnoise.fix_scan(np.moveaxis(scanned(scene, 3.0), (0, 1), (3, 2)), axes="YXCT")
    np.testing.assert_allclose(again[:, 4:-4], turned[:, 4:-4], atol=0.01)


def test_counts_stay_counts_and_missing_pixels_stay_single() -> None:
    counts = photons((128, 128), smooth((128, 128), 3, mean=3, sd=1.5).clip(0))
    fixed = straightened(counts, 1.5, whole=True)
    assert set(np.unique(fixed[:, 4:-4])) <= set(np.unique(counts))
    gone = photo()
    gone[41, 60] = np.nan
    assert np.isnan(straightened(gone, 1.5)).sum() == 1
    assert straightened(np.ones((1, 16)), 1.5).shape == (1, 16)


def test_nothing_is_moved_where_nothing_is_shifted() -> None:
    scene = (photo() + 5 * white((192, 192))).round().astype(np.int16)
    fixed = realigned(Image.from_array(scene))
    np.testing.assert_array_equal(np.asarray(fixed.data), scene)
    assert "none was undone" in fixed.metadata["note"]


def spoilt(value: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows shifted by 2.5 pixels, with a square, a column and single pixels of a value."""
    pixels = scanned(photo(), 2.5).astype(np.float32)
    gone = np.zeros(pixels.shape, bool)
    gone[50:90, 100:140] = gone[:, 60:64] = gone[131, 20] = gone[140, 170] = True
    pixels[gone] = value
    return pixels, gone


def rows_moved(x: np.ndarray) -> np.ndarray:
    """Odd rows two pixels to the left, but for the last three columns, taken from above."""
    out = x.copy()
    for y in range(1, len(x), 2):
        for i in range(x.shape[1]):
            out[y, i] = x[y, i + 2] if i < x.shape[1] - 3 else x[y - 1, i]
    return out


@pytest.mark.parametrize("kind", ["hidden", "mask", "nodata", "nan"])
def test_pixels_without_a_measurement_neither_hide_the_shift_nor_change(kind: str) -> None:
    pixels, gone = spoilt(np.nan if kind == "nan" else -9999)
    given = {
        "hidden": np.ma.MaskedArray(pixels, gone),
        "mask": with_mask(pixels, ~gone),
        "nodata": with_mask(pixels, nodata=-9999),
        "nan": pixels,
    }[kind]
    fixed = unnoise.fix_scan(given)
    where = rows_moved(gone)
    if kind == "hidden":
        assert isinstance(fixed, np.ma.MaskedArray)
        np.testing.assert_array_equal(fixed.mask, where)
        np.testing.assert_array_equal(pixels[gone], -9999, err_msg="the input")
    fixed = np.asarray(np.ma.getdata(fixed))
    np.testing.assert_array_equal(fixed[where], rows_moved(pixels)[where])
    whole = unnoise.fix_scan(scanned(photo(), 2.5).astype(np.float32))
    error = np.abs(fixed - whole)[~where]
    assert error.max() < 60
    assert np.sqrt((error**2).mean()) < 3, "nothing of -9999 came into others"


def test_hot_pixels_move_as_they_are() -> None:
    pixels = scanned(photo(), 2.5).astype(np.float32)
    pixels[[41, 80], [60, 90]] = 30_000
    fixed = unnoise.fix_scan(pixels)
    assert list(zip(*np.nonzero(fixed > 1000), strict=True)) == [(41, 58), (80, 90)]
    np.testing.assert_array_equal(fixed[[41, 80], [58, 90]], 30_000)


def test_masks_of_files_move_with_their_rows() -> None:
    pixels, gone = spoilt(-9999)
    image = InputOptions(fix_scan=True).check(with_mask(pixels, ~gone))
    found = image.excluded()
    assert found is not None
    np.testing.assert_array_equal(found[0, 0, 0, 0], rows_moved(gone))


def test_whole_pixels_are_moved_in_every_plane() -> None:
    marks = np.random.default_rng(0).random((3, 7, 40)) < 0.3
    for one, plane in zip(by_pixels(marks, 2.5), marks, strict=True):
        np.testing.assert_array_equal(one, rows_moved(plane))


def test_what_is_not_shifted_is_a_copy() -> None:
    scene = photo()
    fixed = unnoise.fix_scan(scene)
    fixed[:] = 0
    np.testing.assert_array_equal(scene, photo())
