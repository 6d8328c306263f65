"""Smaller copies are means, of bounded memory, wherever the image is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from unnoise.images.formats import _zarr_pyramid as pyramid


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32"])
@pytest.mark.parametrize("steps", [(1, 2, 2), (2, 2, 2), (1, 3, 2), (1, 1, 1)])
def test_a_pixel_is_the_mean_of_those_it_covers(dtype: str, steps: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 250, (5, 23, 18)).astype(dtype)
    found = pyramid.means(pixels, steps)
    shape = pyramid.shrunk(pixels.shape, steps)
    assert (found.shape, found.dtype) == (shape, pixels.dtype)
    for at in np.ndindex(shape):
        covered = pixels[tuple(slice(i * s, (i + 1) * s) for i, s in zip(at, steps, strict=True))]
        mean = covered.mean(dtype=np.float64)
        assert found[at] == pytest.approx(np.rint(mean) if pixels.dtype.kind in "ui" else mean)


def test_what_is_missing_does_not_count() -> None:
    pixels = np.array([[1, np.nan, np.nan, np.nan], [3, 2, np.nan, np.nan]], np.float32)
    np.testing.assert_array_equal(pyramid.means(pixels, (2, 2)), [[2, np.nan]])


def test_levels_are_filled_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "AT_ONCE", 500)
    pixels = np.random.default_rng(0).integers(0, 250, (5, 53, 37)).astype(np.uint8)
    source = zarr.create_array(tmp_path / "a", data=pixels, chunks=(2, 16, 16))
    shape = pyramid.shrunk(pixels.shape, (1, 2, 2))
    target = zarr.create_array(
        tmp_path / "b", shape=shape, dtype="u1", chunks=(1, 8, 8), shards=(2, 16, 16)
    )
    pyramid.fill(target, source, (1, 2, 2))
    np.testing.assert_array_equal(target[:], pyramid.means(pixels, (1, 2, 2)))


def test_ranges_of_channels() -> None:
    pixels = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    pixels[1, 0, 0] = np.nan
    array = zarr.create_array({}, data=pixels, chunks=(1, 2, 2))
    assert pyramid.ranges(array, "CYX") == [(0.0, 11.0), (13.0, 23.0)]
    assert pyramid.ranges(array, "ZYX") == [(0.0, 23.0)]
    empty = zarr.create_array({}, data=np.full((4, 4), np.nan), chunks=(2, 2))
    assert pyramid.ranges(empty, "YX") == [(0.0, 1.0)]
