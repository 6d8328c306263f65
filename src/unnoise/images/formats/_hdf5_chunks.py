"""Deflated chunks of HDF5 that unpack to more than they should are refused before HDF5 does it."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.images.formats.reader import check_room, picked

DEFLATE, CHECKSUM = 1, 3
"""Numbers of filters of HDF5."""
MOST_EXPANSION, SMALL = 1032, 2**28
"""Bytes that a byte becomes at most, and bytes that need no closer look."""


class Bounded:
    """A dataset whose regions are read as before, once its chunks were found to be right.

    HDF5 unpacks all that is in a chunk: 2 MB became 2 GB. Chunks that may have more than `SMALL`
    are unpacked once more before, as far as their pixels go.

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
        codes = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        while codes and codes[-1] == CHECKSUM:
            codes.pop()
        self._deflate = len(codes) - 1
        self._chunks = dataset.chunks if codes and codes[-1] == DEFLATE else ()
        self._most = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        self._large: set[tuple[int, ...]] | None = None

    def __getitem__(self, index: Any) -> Any:
        if self._chunks:
            check_room(self._path, self._most, "the pixels of one chunk")
            if self._large is None:
                self._large = self._found()
            if self._large:
                self._check(index if isinstance(index, tuple) else (index,))
        return self._dataset[index]

    def _found(self) -> set[tuple[int, ...]]:
        """Where chunks begin that may become large."""
        found: set[tuple[int, ...]] = set()

        def look(chunk: Any) -> None:
            is_plain = chunk.filter_mask >> self._deflate & 1
            if chunk.size * MOST_EXPANSION > SMALL and not is_plain:
                found.add(tuple(map(int, chunk.chunk_offset)))

        self._dataset.id.chunk_iter(look)  # asking for one chunk takes 40 us, this 1 us for each
        return found

    def _check(self, index: tuple[Any, ...]) -> None:
        """Look at the large chunks that a region touches, the first time."""
        index = (*index, *[slice(None)] * (len(self.shape) - len(index)))
        picks = [np.atleast_1d(picked(n, part)) for n, part in zip(self.shape, index, strict=True)]
        starts = [
            set((p // side * side).tolist()) for p, side in zip(picks, self._chunks, strict=True)
        ]
        large = self._large or set()
        for corner in sorted(large):
            if all(n in own for n, own in zip(corner, starts, strict=True)):
                self._check_chunk(corner)
                large.discard(corner)

    def _check_chunk(self, corner: tuple[int, ...]) -> None:
        _, data = self._dataset.id.read_direct_chunk(corner)
        found = zlib.decompressobj().decompress(data, self._most + 1)
        if len(found) > self._most:
            raise ValueError(f"a chunk of it unpacks to more than its {self._most} bytes of pixels")
