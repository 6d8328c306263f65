"""Pixels that come in any order, gathered until a chunk of Zarr is whole."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.images.durable import sync_all

ROOM = 2**28
"""Bytes of chunks that wait in memory until all their pixels are there."""


class Gathered:
    """A sink for an array of Zarr: each chunk, or shard, is encoded once, when it is full.

    Where too many are begun, the one that waited longest goes to disk and comes back when more of
    it is there.

    Parameters
    ----------
    array : zarr.Array
    order : list of int
        Which dimension of the image each of the array is.
    goes_on : bool
        Whether there may be pixels on disk already.
    """

    def __init__(self, array: Any, order: list[int], goes_on: bool = False):
        self._array, self._order, self._goes_on = array, order, goes_on
        self._size = tuple(array.shards or array.chunks)
        self._begun: dict[tuple[int, ...], NDArray] = {}
        self._left: dict[tuple[int, ...], int] = {}
        self._lock = threading.Lock()
        self._bytes = 0
        self._unsafe: list[tuple[int, ...]] = []

    @property
    def blocks(self) -> tuple[int, ...]:
        """Pixels along each dimension of the image that are encoded together.

        Who writes with several processes must leave each of these blocks to one of them.
        """
        sizes = dict(zip(self._order, self._size, strict=True))
        return tuple(sizes[i] for i in range(len(sizes)))

    def __setitem__(self, index: tuple[slice, ...], block: NDArray, /) -> None:
        where = tuple(index[i] for i in self._order)
        block = block.transpose(self._order)
        grid = [
            range(p.start // c, -(-p.stop // c)) for p, c in zip(where, self._size, strict=True)
        ]
        with self._lock:
            for at in np.ndindex(*map(len, grid)):
                cell = tuple(g[i] for g, i in zip(grid, at, strict=True))
                self._put(cell, where, block)
            while self._bytes > ROOM and len(self._begun) > 1:
                self._write(next(iter(self._begun)))

    def flush(self) -> None:
        """Put on disk what waits."""
        with self._lock:
            for cell in list(self._begun):
                self._write(cell)

    def sync(self) -> None:
        """Wait until all that was written, of an array that goes on, is on the disk."""
        with self._lock:
            cells, self._unsafe = self._unsafe, []
        root = Path(self._array.store.root, self._array.path)
        places = [root / self._array.metadata.encode_chunk_key(cell) for cell in cells]
        # A chunk without a name would be read as zeros.
        folders = {p for place in places for p in place.parents if p == root or root in p.parents}
        sync_all([*places, *sorted(folders)])

    def __getitem__(self, index: tuple[slice, ...], /) -> NDArray:
        """What was written of a region."""
        found = np.asarray(self._array[tuple(index[i] for i in self._order)])
        return found.transpose(np.argsort(self._order))

    def _put(self, cell: tuple[int, ...], where: tuple[slice, ...], block: NDArray) -> None:
        """Take the part of a block that lies in a chunk."""
        whole = self._region(cell)
        common = [
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(where, whole, strict=True)
        ]
        part = block[
            tuple(
                slice(c.start - w.start, c.stop - w.start)
                for c, w in zip(common, where, strict=True)
            )
        ]
        size = math.prod(p.stop - p.start for p in whole)
        if part.size == size:
            self._drop(cell)
            self._store(cell, part)
            return
        buffer = self._begun.pop(cell, None)
        if buffer is None:
            on_disk = cell in self._left or self._goes_on
            shape = tuple(p.stop - p.start for p in whole)
            buffer = np.array(self._array[whole]) if on_disk else np.zeros(shape, self._array.dtype)
            self._bytes += buffer.nbytes
        self._begun[cell] = buffer  # the last used one comes last
        inner = zip(common, whole, strict=True)
        buffer[tuple(slice(c.start - w.start, c.stop - w.start) for c, w in inner)] = part
        self._left[cell] = self._left.get(cell, size) - part.size
        if self._left[cell] <= 0:
            self._write(cell)

    def _write(self, cell: tuple[int, ...]) -> None:
        self._store(cell, self._begun[cell])
        self._drop(cell)

    def _store(self, cell: tuple[int, ...], pixels: NDArray) -> None:
        self._array[self._region(cell)] = pixels
        if self._goes_on:
            self._unsafe.append(cell)

    def _drop(self, cell: tuple[int, ...]) -> None:
        buffer = self._begun.pop(cell, None)
        self._bytes -= 0 if buffer is None else buffer.nbytes

    def _region(self, cell: tuple[int, ...]) -> tuple[slice, ...]:
        """The pixels of a chunk."""
        sizes = zip(cell, self._size, self._array.shape, strict=True)
        return tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in sizes)
