"""Chunks of HDF5 that unpack to more or less than they should are refused before HDF5 does it."""

from __future__ import annotations

import math
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from unnoise.images.formats.reader import check_room, picked

DEFLATE, SHUFFLE, CHECKSUM, SZIP, LZF = 1, 2, 3, 4, 32000
"""Numbers of filters of HDF5, and of the one that h5py brings."""
PACKING = {DEFLATE, SZIP, LZF}
MOST_KNOWN = 10**6
"""Chunks of which is kept that they are right."""


class Bounded:
    """A dataset whose regions are read as before, once its chunks were found to be right.

    HDF5 unpacks all that is in a chunk: 2 MB became 2 GB. Of one that holds less it takes the rest
    from wherever it lies in memory. So chunks are unpacked once more before, as far as their pixels
    go, where all their filters are those that HDF5 itself has for any numbers, or LZF.

    Parameters
    ----------
    path : Path
        Of the file, for messages.
    dataset : h5py.Dataset
    """

    def __init__(self, path: Path, dataset: Any):
        self._path, self._dataset = path, dataset
        self.shape, self.dtype = dataset.shape, dataset.dtype
        plan = dataset.id.get_create_plist()
        filters = [plan.get_filter(i) for i in range(plan.get_nfilters())]
        self._filters = [code for code, *_ in filters]
        self._widths = [(*values, 1)[0] for _, _, values, _ in filters]
        is_known = (PACKING | {SHUFFLE, CHECKSUM}).issuperset(self._filters)
        is_known &= not (self.dtype.names and self.dtype.hasobject)  # numbers and texts in one
        self._chunks = (dataset.chunks or ()) if is_known else ()
        self._is_packed = not PACKING.isdisjoint(self._filters)
        self._most = math.prod(self._chunks) * self._width()
        self._right: set[tuple[int, ...]] = set()
        self._wrong: set[tuple[int, ...]] | None = None

    def __getitem__(self, index: Any) -> Any:
        if self._chunks:
            check_room(self._path, self._most, "the pixels of one chunk")
            self._check(index if isinstance(index, tuple) else (index,))
        return self._dataset[index]

    def _width(self) -> int:
        """Bytes of a number in the file; of texts it holds their lengths, heaps and numbers."""
        if "vlen" in (self.dtype.metadata or {}):
            return 8 + int(self._dataset.file.id.get_create_plist().get_sizes()[0])
        return int(self._dataset.id.get_type().get_size())

    def missing(self, shape: tuple[int, ...] | None = None) -> int:
        """How many chunks were never written, so that all of their pixels are the fill value.

        Parameters
        ----------
        shape : tuple of int, optional
            Of the part from the first pixel on that counts, by default all.
        """
        dataset, shape = self._dataset, shape or self.shape
        if dataset.external or dataset.is_virtual or 0 in self.shape:
            return 0
        if dataset.chunks is None:
            return int(dataset.id.get_storage_size() == 0)
        if dataset.id.get_num_chunks() == _count(self.shape, dataset.chunks):
            return 0
        there = 0

        def look(chunk: Any) -> None:
            nonlocal there
            there += all(low < n for low, n in zip(chunk.chunk_offset, shape, strict=True))

        dataset.id.chunk_iter(look)
        return _count(shape, dataset.chunks) - there

    def check(self) -> None:
        """Look at all chunks that are there.

        Raises
        ------
        ValueError
            If one of them has not the bytes of its pixels.
        InputError
            If there is less free memory than a chunk takes.
        """
        if self._chunks and self._is_packed:
            check_room(self._path, self._most, "the pixels of one chunk")
            corners: list[tuple[int, ...]] = []
            self._dataset.id.chunk_iter(lambda one: corners.append(one.chunk_offset))
            for corner in corners:
                self._check_chunk(corner)
        elif self._chunks and self._found():
            self._refuse()

    def _check(self, index: tuple[Any, ...]) -> None:
        """Look at the chunks that a region touches, the first time."""
        index = (*index, *[slice(None)] * (len(self.shape) - len(index)))
        picks = [np.atleast_1d(picked(n, part)) for n, part in zip(self.shape, index, strict=True)]
        starts = [
            sorted(set((p // side * side).tolist()))
            for p, side in zip(picks, self._chunks, strict=True)
        ]
        if not self._is_packed:
            self._wrong = self._found() if self._wrong is None else self._wrong
            if self._wrong and not self._wrong.isdisjoint(product(*starts)):
                self._refuse()
            return
        for corner in product(*starts):
            if corner not in self._right:
                self._check_chunk(corner)
                if len(self._right) >= MOST_KNOWN:
                    self._right.clear()
                self._right.add(corner)

    def _found(self) -> set[tuple[int, ...]]:
        """Where chunks begin that have another size than their pixels, which are not packed."""
        found: set[tuple[int, ...]] = set()

        def look(chunk: Any) -> None:
            corner = tuple(map(int, chunk.chunk_offset))
            used = [code for i, code in enumerate(self._filters) if not chunk.filter_mask >> i & 1]
            if chunk.size != self._most + 4 * used.count(CHECKSUM) and not (
                chunk.size == self._most and self._is_cut(corner)
            ):
                found.add(corner)

        self._dataset.id.chunk_iter(look)  # asking for one chunk takes 40 us, this 1 us for each
        return found

    def _is_cut(self, corner: tuple[int, ...]) -> bool:
        """Whether a chunk reaches beyond the dataset: a file may have those without filters."""
        ends = zip(corner, self._chunks, self.shape, strict=True)
        return any(low + side > size for low, side, size in ends)

    def _check_chunk(self, corner: tuple[int, ...]) -> None:
        """Unpack a chunk, if it is there."""
        about = self._dataset.id.get_chunk_info_by_coord(corner)
        if about.byte_offset is None:
            return
        if about.size > self._packed():
            self._refuse()
        mask, data = self._dataset.id.read_direct_chunk(corner)
        for i, code in reversed(list(enumerate(self._filters))):
            if mask >> i & 1:
                continue
            if code == CHECKSUM:
                data = data[:-4]
            elif code == SHUFFLE:
                data = _unshuffled(data, self._widths[i])
            else:
                is_twice = not PACKING.isdisjoint(self._filters[:i])
                most = self._packed() if is_twice else self._most + 4 * i
                if code == SZIP:  # which makes room for as many bytes as its first four tell
                    told = int.from_bytes(data[:4], "little")
                    if told > most or (told < self._most and not is_twice):
                        self._refuse()
                    return
                try:
                    data = _unpacked(code, data, most)
                except zlib.error:  # as HDF5 will tell, unless that chunk is without filters
                    return
                if len(data) > most:
                    self._refuse()
        if len(data) != self._most:
            self._refuse()

    def _packed(self) -> int:
        """Bytes that a chunk has at most when it is packed, perhaps twice."""
        return self._most + self._most // 1000 + 1000

    def _refuse(self) -> None:
        raise ValueError(f"a chunk of it does not have its {self._most} bytes of pixels")


def _count(shape: tuple[int, ...], chunks: tuple[int, ...]) -> int:
    """Chunks of an array."""
    return math.prod(-(-n // side) for n, side in zip(shape, chunks, strict=True))


def _unpacked(code: int, data: bytes, most: int) -> bytes:
    """What is packed by deflate or LZF, and a byte more than `most` or none if it is more."""
    if code == DEFLATE:
        return zlib.decompressobj().decompress(data, most + 1)
    try:
        return bytes(imagecodecs.lzf_decode(data, out=most))
    except imagecodecs.LzfError:  # it is damaged or too long
        return b""


def _unshuffled(data: bytes, width: int) -> bytes:
    """Bytes of which all first ones of numbers stood first, then all second ones, and so on.

    Examples
    --------
    >>> _unshuffled(b"abcABC.", 2)
    b'aAbBcC.'
    """
    whole = len(data) // width * width if width else 0
    if not whole:
        return data
    planes = np.frombuffer(data[:whole], np.uint8).reshape(width, -1)
    return planes.T.tobytes() + data[whole:]
