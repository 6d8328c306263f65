"""However an image is cut: each pixel is written once, from a tile that reaches far enough."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

import strategies
from unnoise.models.tiles import tiles


@given(strategies.tilings())
@settings(max_examples=150)
def test_every_pixel_is_written_once_with_its_surroundings(t: strategies.Tiling) -> None:
    written = np.zeros(t.shape, int)
    for tile in tiles(*t):
        written[tile.write] += 1
        parts = zip(tile.read, tile.keep, tile.write, t.shape, t.halo, t.grid, strict=True)
        for read, keep, write, size, halo, grid in parts:
            assert read.start + keep.start == write.start
            assert keep.stop - keep.start == write.stop - write.start
            assert read.start % grid == read.stop % grid == 0  # the net sees whole periods
            # As far as the net looks, or to the margin that mirrors the whole image.
            assert write.start - read.start >= min(halo, write.start + grid)
            assert read.stop - write.stop >= min(halo, size - write.stop + grid)
    assert (written == 1).all()
