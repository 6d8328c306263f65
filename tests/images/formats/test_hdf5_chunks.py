"""Chunks of HDF5 are read as they are, and refused where they have too many or too few bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from unnoise.images import formats
from unnoise.images.formats import _hdf5_chunks

from .copies import pixels_of
from .damaged import refusal

SIDE = 64
PLANS: dict[str, Callable[[Any], object]] = {
    "": lambda plan: None,
    "shuffle": lambda plan: plan.set_shuffle(),
    "sums": lambda plan: plan.set_fletcher32(),
    "deflate": lambda plan: plan.set_deflate(4),
    "shuffle deflate": lambda plan: (plan.set_shuffle(), plan.set_deflate(4)),
    "deflate shuffle": lambda plan: (plan.set_deflate(4), plan.set_shuffle()),
    "lzf": lambda plan: plan.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL),
    "shuffle lzf": lambda plan: (
        plan.set_shuffle(), plan.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL)
    ),
    "lzf deflate": lambda plan: (
        plan.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL), plan.set_deflate(4)
    ),
    "szip": lambda plan: plan.set_szip(h5py.h5z.SZIP_NN_OPTION_MASK, 8),
    "deflate deflate": lambda plan: (plan.set_deflate(4), plan.set_deflate(4)),
    "deflate shuffle deflate": lambda plan: (
        plan.set_deflate(0), plan.set_shuffle(), plan.set_deflate(4)
    ),
    "sums shuffle deflate sums": lambda plan: (
        plan.set_fletcher32(), plan.set_shuffle(), plan.set_deflate(4), plan.set_fletcher32()
    ),
}  # fmt: skip


def made(path: Path, plan: str, shape: tuple[int, ...], kind: Any = h5py.h5t.STD_U16LE) -> Any:
    """A file with a dataset of chunks of 64 x 64."""
    file = h5py.File(path, "w")
    own = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    own.set_chunk((SIDE,) * len(shape))
    PLANS[plan](own)
    number = h5py.h5d.create(file.id, b"x", kind, h5py.h5s.create_simple(shape), own)
    return file, h5py.Dataset(number)


@pytest.mark.parametrize("plan", PLANS)
def test_whatever_the_filters_pixels_are_those_of_the_file(tmp_path: Path, plan: str) -> None:
    array = pixels_of((150, 100), "uint16")
    file, dataset = made(tmp_path / "a.h5", plan, array.shape)
    dataset[:SIDE] = array[:SIDE]
    dataset[2 * SIDE :] = array[2 * SIDE :]
    array[SIDE : 2 * SIDE] = 0  # chunks that are not there
    if plan:  # one that its first filter left out, as HDF5 does where one fails
        raw = array[:SIDE, :SIDE].tobytes()
        packed = zlib.compress(raw) if plan == "deflate deflate" else raw
        is_one = " " not in plan or plan == "deflate deflate"
        if is_one:
            dataset.id.write_direct_chunk((0, 0), packed, 1)
    file.close()
    image = formats.open(tmp_path / "a.h5")
    np.testing.assert_array_equal(image.data[...], array)
    np.testing.assert_array_equal(image.data[140:, 60:70], array[140:, 60:70])


def zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def tokens(size: int) -> bytes:
    """Zeros in LZF: two of them, and 264 more for every three bytes."""
    return b"\1\0\0" + b"\xe0\xff\0" * (size // 264)


SIZE = SIDE * SIDE
WRONG = {
    "shuffle": (bytes(100), bytes(SIZE + 100)),
    "deflate": (zeros(100), zeros(SIZE - 1), zeros(SIZE + 1), zeros(2**24)),
    "shuffle deflate": (zeros(100), zeros(2**24)),
    "deflate shuffle": (zeros(100), zeros(2**24)),
    "deflate deflate": (zlib.compress(zeros(100)), zlib.compress(zeros(2**24)), zeros(2**24)),
    "sums": (bytes(100),),
    "lzf": (b"\3ABCD", tokens(2 * SIZE), tokens(2**24), b"\7A"),
    "shuffle lzf": (b"\3ABCD", tokens(2 * SIZE)),
    "lzf deflate": (zlib.compress(b"\3ABCD"), zlib.compress(tokens(2 * SIZE)), zeros(2**24)),
    "szip": (bytes(100), (2**30).to_bytes(4, "little") + bytes(100)),
}


@pytest.mark.parametrize(("plan", "data"), [(p, data) for p in WRONG for data in WRONG[p]])
def test_a_chunk_of_another_size_is_refused(tmp_path: Path, plan: str, data: bytes) -> None:
    """HDF5 takes what is missing from memory that is not its own, and unpacks whatever there is."""
    file, dataset = made(tmp_path / "a.h5", plan, (2 * SIDE, SIDE), h5py.h5t.STD_U8LE)
    dataset[:] = 1
    dataset.id.write_direct_chunk((SIDE, 0), data, 0)
    file.close()
    image = formats.open(tmp_path / "a.h5")
    assert (np.asarray(image.data[:SIDE]) == 1).all()
    with pytest.raises(Exception, match=f"does not have its {SIZE} bytes"):
        image.data[SIDE:]


def test_a_file_that_tells_of_more_packed_bytes_than_pixels_is_not_read(tmp_path: Path) -> None:
    file, dataset = made(tmp_path / "a.h5", "deflate", (SIDE, SIDE), h5py.h5t.STD_U8LE)
    dataset.id.write_direct_chunk((0, 0), bytes(2 * SIZE), 0)
    file.close()
    assert f"{SIZE} bytes" in refusal(tmp_path / "a.h5")


def test_what_was_found_to_be_right_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, dataset = made(tmp_path / "a.h5", "deflate", (4 * SIDE, SIDE))
    dataset[:] = 1
    file.close()
    image, seen = formats.open(tmp_path / "a.h5"), list[object]()
    check = _hdf5_chunks.Bounded._check_chunk

    def counted(self: _hdf5_chunks.Bounded, corner: tuple[int, ...]) -> None:
        seen.append(corner)
        check(self, corner)

    monkeypatch.setattr(_hdf5_chunks.Bounded, "_check_chunk", counted)
    for row in (3, 5, SIDE, 3, SIDE + 1):
        image.data[row]
    assert seen == [(0, 0), (SIDE, 0)]
    monkeypatch.setattr(_hdf5_chunks, "MOST_KNOWN", 2)
    image.data[...]
    image.data[...]
    assert len(seen) > 4
