"""Regions of Zarr are those of its array, however they are asked for, and cost few chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from unnoise.images import formats
from unnoise.images.formats import _zarr_pixels

from .zarr_stores import ngff, pixels_of


@pytest.mark.parametrize("shards", [None, (3, 16, 16)])
def test_every_way_to_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: tuple[int, ...] | None
) -> None:
    """Whether chunks are kept or not."""
    pixels = pixels_of((5, 40, 41))
    image = formats.open(ngff(tmp_path / "a.zarr", pixels, chunks=(3, 8, 8), shards=shards))
    for kept in (0, 2**26):
        monkeypatch.setattr(_zarr_pixels, "MOST_KEPT", kept)
        for index in (
            ...,
            2,
            (slice(1, 5, 2), 3, slice(-4, None)),
            (-1, ..., slice(5, 30, 7)),
            (slice(None), slice(None, None, -1), slice(30, 2, -3)),
            (slice(4, 4), 0),
            (..., 40),
        ):
            np.testing.assert_array_equal(image.data[index], pixels[index])


def test_crops_decode_a_chunk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = formats.open(ngff(tmp_path / "a.zarr", pixels_of((2, 64, 64)), chunks=(1, 32, 32)))
    reads: list[object] = []
    read = zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda a, i: (reads.append(i), read(a, i))[1])
    for y, x in np.random.default_rng(0).integers(0, 56, (100, 2)):
        image.data[0, y : y + 8, x : x + 8]
    assert len(reads) == 4
    image.data[0]  # a whole plane is read at once
    assert len(reads) == 5
