"""Regions of Zarr are those of its array, however they are asked for, and cost few chunks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import MOST_PLANES, _zarr_pixels, _zarr_store
from unnoise.images.formats.reader import TooLarge

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


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("seen", [0, 20_000])
@pytest.mark.parametrize("what", ["chunk", "metadata", "gone"])
def test_chunks_of_two_images_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, seen: int, what: str
) -> None:
    """One that is gone would read as zeros. Of many chunks those are watched that were read."""
    monkeypatch.setattr(_zarr_store, "MOST_SEEN", seen)
    store, pixels = tmp_path / "a.zarr", pixels_of((4, 16, 16))
    zarr.create_array(store, data=pixels, chunks=(1, 16, 16), zarr_format=version)
    image = formats.open(store, axes="ZYX")
    if not seen:
        image.read({"Z": 1})
    chunk, metadata = {2: ("1.0.0", ".zarray"), 3: ("c/1/0/0", "zarr.json")}[version]
    changed = store / (metadata if what == "metadata" else chunk)
    if what == "gone":
        changed.unlink()
    else:
        os.utime(changed, (0, 0))
    with pytest.raises(InputError, match=f"{changed.name} was changed while it was read; run"):
        image.read({"Z": 1})
    if what != "metadata":
        np.testing.assert_array_equal(image.read({"Z": 2})[0, 0, 0, 0], pixels[2])


def test_more_pixels_than_memory_has_are_a_sentence(tmp_path: Path) -> None:
    """A smaller region may be read then, so it is an error of memory, too."""
    zarr.create_array(
        tmp_path / "a.zarr", shape=(2**21, 2**14, 2**14), chunks=(1, 8, 8), dtype="u2"
    )
    image = formats.open(tmp_path / "a.zarr", axes="TYX")
    with pytest.raises(TooLarge, match=r"a\.zarr asks for more memory than is free"):
        image.read()
    assert image.read({"T": 2**20, "Y": slice(8), "X": slice(8)}).sum() == 0


def test_more_planes_than_can_be_looked_at_are_refused(tmp_path: Path) -> None:
    """Nothing came to an end of the billions that 160 bytes told of."""
    for count, is_fine in ((MOST_PLANES // 2, True), (MOST_PLANES // 2 + 1, False)):
        zarr.create_array(
            tmp_path / f"{count}.zarr", shape=(count, 2, 8, 8), chunks=(99, 1, 8, 8), dtype="u2"
        )
        if is_fine:
            assert formats.open(tmp_path / f"{count}.zarr", axes="TCYX").sizes["T"] == count
        else:
            with pytest.raises(InputError, match="tells of 16,777,218 planes, and 16,777,216 are"):
                formats.open(tmp_path / f"{count}.zarr", axes="TCYX")
