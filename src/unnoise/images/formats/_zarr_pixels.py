"""Pixels of Zarr, read by region, and what is told of chunks that are missing or damaged."""

from __future__ import annotations

import itertools
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError, first_line
from unnoise.images.formats import _zarr_bounds, _zarr_store
from unnoise.images.formats.reader import check_room, recent, within_memory
from unnoise.images.quiet import quiet

MOST_COUNTED = 20_000
"""Chunks that are counted when an image is opened; that takes 0.1 s."""
CUT = 2
"""Chunks are kept of regions so many times smaller than what they touch ..."""
MOST_KEPT = 2**26
"""... as long as that has no more than so many bytes."""
_numbers = itertools.count()


class ZarrPixels:
    """Pixels of an array of Zarr, of which the chunks of a region are decoded.

    Regions that are small beside the chunks that they touch are cut out of decoded ones, of which
    the last used stay in memory: crops of a training decode no chunk 100 times.

    Parameters
    ----------
    path : Path
        Of the store.
    inner : str
        Of the array in it.
    array : zarr.Array
    """

    def __init__(self, path: Path, inner: str, array: Any):
        self._path, self.inner, self._array = path, inner, array
        self.shape = tuple(map(int, array.shape))
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self.chunks = tuple(array.shards or array.chunks)
        self._decoded = tuple(array.chunks)
        self._number = next(_numbers)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_array": None, "_number": None}

    def __getitem__(self, index: Any, /) -> NDArray:
        if self._array is None:  # in another process
            node = _zarr_store.root(self._path)
            self._array, self._number = (
                _zarr_store.array(node, _zarr_store.Entry(self.inner), self._path),
                next(_numbers),
            )
        index = index if isinstance(index, tuple) else (index,)
        at = next((i for i, part in enumerate(index) if part is Ellipsis), len(index))
        rest = (slice(None),) * (len(self.shape) - len(index) + (at < len(index)))
        index = (*index[:at], *rest, *index[at + 1 :])
        picks = [
            range(n)[part if isinstance(part, slice) else slice(part, part + 1 or None)]
            for part, n in zip(index, self.shape, strict=True)
        ]
        try:
            _zarr_store.check(self._array)
            with within_memory(self._path):
                block = self._read([pick if pick.step > 0 else pick[::-1] for pick in picks])
        except InputError:
            raise
        except Exception as error:  # a codec raises anything
            raise self._explained(error) from error
        block = block[tuple(slice(None, None, 1 if pick.step > 0 else -1) for pick in picks)]
        taken = tuple(slice(None) if isinstance(part, slice) else 0 for part in index)
        return np.asarray(block[taken], dtype=self.dtype)

    def _read(self, picks: list[range]) -> NDArray:
        """Pixels at some positions along each axis."""
        form = [len(pick) for pick in picks]
        if not math.prod(form):
            return np.empty(form, self.dtype)
        cells = [
            range(p[0] // c, p[-1] // c + 1) for p, c in zip(picks, self._decoded, strict=True)
        ]
        one = math.prod(self._decoded) * self.dtype.itemsize
        check_room(self._path, one, "the pixels of one chunk")
        touched = math.prod(map(len, cells)) * one
        if touched < CUT * math.prod(form) * self.dtype.itemsize or touched > MOST_KEPT:
            return np.asarray(self._array[tuple(slice(p.start, p.stop, p.step) for p in picks)])
        block = np.empty(form, self.dtype)
        for cell in itertools.product(*cells):
            decoded = recent(("Zarr", self._number, cell), partial(self._chunk, cell))
            outer, inner = [], []
            for pick, number, size in zip(picks, cell, self._decoded, strict=True):
                first = max(-(-(number * size - pick.start) // pick.step), 0)
                last = min(-(-((number + 1) * size - pick.start) // pick.step), len(pick))
                outer.append(slice(first, last))
                shift = number * size
                inner.append(slice(pick.start + first * pick.step - shift, None, pick.step))
            part = decoded[tuple(inner)]
            block[tuple(outer)] = part[tuple(slice(0, o.stop - o.start) for o in outer)]
        return block

    def _chunk(self, cell: tuple[int, ...]) -> NDArray:
        starts = [number * size for number, size in zip(cell, self._decoded, strict=True)]
        region = tuple(slice(a, a + c) for a, c in zip(starts, self._decoded, strict=True))
        return np.asarray(self._array[region])

    def _explained(self, error: Exception) -> InputError:
        """A sentence that names the chunk."""
        is_known = isinstance(error, _zarr_bounds.DamagedChunk)
        chunk = f"the chunk {error}" if is_known else "a chunk"
        cause = error.__cause__
        text = first_line(cause if is_known and isinstance(cause, Exception) else error)
        try:
            _zarr_store.root(self._path)
        except InputError:
            return InputError(
                f"{self._path} cannot be reached any longer ({text}); see to the disk or the "
                f"connection, and run again"
            )
        return InputError(
            f"{self._path}: {chunk} cannot be decoded, it may be truncated or damaged ({text}); "
            f"copy or export it again"
        )


def missing(array: Any) -> int:
    """How many chunks, or shards, are not there, and read as the fill value; 0 if unknown."""
    whole = array.shards or array.chunks
    total = math.prod(-(-n // c) for n, c in zip(array.shape, whole, strict=True))
    if total > MOST_COUNTED:
        return 0
    with quiet():
        there = array.nchunks_initialized // math.prod(
            a // b for a, b in zip(whole, array.chunks, strict=True)
        )
    return int(max(total - there, 0))
