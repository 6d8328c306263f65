"""Pixels in a file, mapped region by region.

What was touched of a map counts as memory of the process as long as the map is open, whatever the
system could do with it. So here a map lasts as long as one region is read or written.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


class MappedFile:
    """Pixels that lie bare in a file, to be written and read by region.

    Parameters
    ----------
    file : Path or file
        An open file is closed by `close`.
    dtype : numpy.dtype
    shape : tuple of int
    offset : int
        Where the pixels begin.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pixels = waiting(Path(folder), np.dtype("u1"), (3, 4))
    ...     pixels[1:, :2] = np.full((2, 2), 7, "u1")
    ...     total = int(pixels[:2].sum())
    ...     pixels.close()
    >>> total
    14
    """

    def __init__(
        self, file: Path | IO[bytes], dtype: np.dtype, shape: tuple[int, ...], offset: int = 0
    ) -> None:
        self._file, self.offset = file, offset
        self.dtype, self.shape = dtype, tuple(map(int, shape))

    def view(self, shape: tuple[int, ...] | None = None) -> np.memmap:
        """All pixels, mapped, perhaps under another shape."""
        form = self.shape if shape is None else shape
        return np.memmap(self._file, self.dtype, "r+", self.offset, form)

    def __getitem__(self, index: Any, /) -> NDArray:
        return np.array(self.view()[index])

    def __setitem__(self, index: Any, block: NDArray, /) -> None:
        self.view()[index] = block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.asarray(self.view(), dtype)

    def reshape(self, shape: tuple[int, ...]) -> _Part:
        """The same pixels in another shape, read when they are asked for."""
        return _Part(self, tuple(shape))

    def transpose(self, order: Sequence[int]) -> _Transposed:
        """What takes pixels whose axes have another order, as for `numpy.transpose`."""
        return _Transposed(self, tuple(order))

    def pieces(self, size: int = 2**24) -> Iterator[NDArray]:
        """All pixels in the order of the file, so many bytes at a time."""
        total, step = math.prod(self.shape), max(size // self.dtype.itemsize, 1)
        for start in range(0, total, step):
            yield np.array(self.view((total,))[start : start + step])

    def flush(self) -> None:
        """Put all pixels on the disk."""
        self.view().flush()

    def close(self) -> None:
        """Give the file back; one without a name is gone then."""
        if not isinstance(self._file, Path):
            self._file.close()


def waiting(folder: Path, dtype: np.dtype, shape: tuple[int, ...]) -> MappedFile:
    """Pixels in a file without a name, which the system takes away however the process ends.

    Raises
    ------
    OSError
        ENOSPC if the disk is too small: without it the first write to a page of a map that finds
        no space kills the process (SIGBUS).
    """
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as its pixels)
    try:
        size = math.prod(shape) * dtype.itemsize
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except BaseException:
        file.close()
        raise
    return MappedFile(file, dtype, shape)


class _Part:
    """A part of the pixels in another shape, as far as tifffile cuts arrays into tiles and strips:
    by numbers along the first dimensions, then by slices.
    """

    def __init__(self, file: MappedFile, whole: tuple[int, ...], at: tuple[int, ...] = ()) -> None:
        self._file, self._whole, self._at = file, whole, at
        self.shape, self.dtype = whole[len(at) :], file.dtype

    def __iter__(self) -> Iterator[_Part]:
        return (_Part(self._file, self._whole, (*self._at, i)) for i in range(self.shape[0]))

    def __getitem__(self, index: Any, /) -> NDArray:
        parts = index if isinstance(index, tuple) else (index,)
        return np.array(self._file.view(self._whole)[(*self._at, *parts)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        return np.asarray(self._file.view(self._whole)[self._at], dtype)

    def reshape(self, shape: tuple[int, ...]) -> _Part:
        """The same part: tifffile asks for the shape that it has."""
        if tuple(shape) != self.shape:
            raise ValueError(f"a part of shape {self.shape} cannot become one of {shape}")
        return self


class _Transposed:
    """Takes pixels whose axes have another order than in the file."""

    def __init__(self, file: MappedFile, order: tuple[int, ...]) -> None:
        self._file, self._order = file, order

    def __setitem__(self, index: Any, block: NDArray, /) -> None:
        self._file.view().transpose(self._order)[index] = block
