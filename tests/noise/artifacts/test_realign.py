"""Odd rows that were shifted come back onto even ones; nothing else is moved."""

from __future__ import annotations

import re

import numpy as np
import pytest
import skimage.data

import unnoise
from synthetic import photons, scanned, smooth, white
from unnoise.images.image import Image
from unnoise.noise.artifacts.realign import moved, realigned, straightened

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
    padded = photo()
    padded[:, :20] = -9999
    fixed = straightened(
        scanned(photo(), 1.5) * (padded > 0) - 9999.0 * (padded < 0), 1.5, nodata=-9999
    )
    assert set(np.unique(fixed[fixed < 0])) == {-9999.0}
    assert (fixed < 0).sum() == pytest.approx(20 * 192, abs=2 * 96)


def test_nothing_is_moved_where_nothing_is_shifted() -> None:
    scene = (photo() + 5 * white((192, 192))).round().astype(np.int16)
    fixed = realigned(Image.from_array(scene))
    np.testing.assert_array_equal(np.asarray(fixed.data), scene)
    assert "none was undone" in fixed.metadata["note"]
