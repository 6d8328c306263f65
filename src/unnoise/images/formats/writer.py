"""Writing a file once and whole: a temporary file that replaces the final one at the end."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import cast

Layout = Callable[[Path], tuple[NDArray, Callable[[], object]]]
"""Creates a file; returns its pixels in the order of the image, and what completes the file."""


class Writer:
    """An image file that appears under its name only when it is complete.

    Used as a context manager. On the way in the temporary file gets its full size; on the way out
    it is renamed, or removed when the block raised.

    Parameters
    ----------
    path : Path
        The final name.
    axes : str
        Letters of the image, in the order of the array that `layout` returns.
    shape : tuple of int
    dtype : numpy.dtype
        Type the pixels are cast to.
    layout : callable
        What the format of the file offers.
    """

    def __init__(
        self, path: Path, axes: str, shape: tuple[int, ...], dtype: np.dtype, layout: Layout
    ):
        self.path = path
        self.axes = axes
        self.dtype = dtype
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self._layout = layout
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._array: NDArray | None = None
        self._finish: Callable[[], object] | None = None

    def check(self) -> None:
        """Find out now, before long work, whether the file could be written.

        Raises
        ------
        InputError
            If the folder cannot be made or written, or its disk has too little space.
        """
        with self._removing_on_error():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch()
            self._part.unlink()
            if shutil.disk_usage(self.path.parent).free < self.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __enter__(self) -> Writer:
        with self._removing_on_error():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._array, self._finish = self._layout(self._part)
        return self

    def write(self, where: ax.Where, block: NDArray) -> None:
        """Put a block into the file.

        Parameters
        ----------
        where : mapping of str to int or slice
            The region, as for `Image.read`.
        block : ndarray
            Pixels in canonical STCZYX order; floats are rounded and clipped for integer files.
        """
        if self._array is None:
            raise RuntimeError("a Writer writes only inside its with block")
        pixels = block if block.dtype == self.dtype else cast(block, self.dtype)
        self._array[ax.index(self.axes, where)] = ax.from_canonical(pixels, self.axes)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._remove()
            return
        with self._removing_on_error():
            if self._finish is not None:
                self._finish()
            self._release()
            os.replace(self._part, self.path)

    @contextmanager
    def _removing_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # KeyboardInterrupt too must leave nothing behind
            self._remove()
            if isinstance(error, OSError):
                raise explain(error, self.path, self.nbytes) from error
            raise

    def _release(self) -> None:
        self._array = self._finish = None  # Windows renames and removes only unmapped files

    def _remove(self) -> None:
        self._release()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)


def reserve(path: Path) -> None:
    """Claim the disk space of a sparse file, so that a full disk is an error here.

    Without it the first write to a mapped page that finds no space kills the process (SIGBUS).

    Raises
    ------
    OSError
        ENOSPC if the disk is too small.
    """
    size = path.stat().st_size
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    elif shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


REASONS = {
    errno.ENOSPC: "no space left on the disk for {path} (needs {size}); free some space or",
    errno.EDQUOT: "the disk quota is too small for {path} (needs {size}); free some space or",
    errno.EFBIG: "files of {size} are not allowed where {path} should go; raise the limit or",
    errno.EACCES: "no permission to write {path};",
    errno.EPERM: "no permission to write {path};",
    errno.EROFS: "{path} cannot be written because its disk is read-only;",
    errno.ENOTDIR: "the folder of {path} cannot be made because a file has its name;",
    errno.EEXIST: "the folder of {path} cannot be made because a file has its name;",
}


def explain(error: OSError, path: Path, nbytes: int) -> InputError:
    """The sentence for a failed write, with a remedy."""
    reason = REASONS.get(error.errno or 0, "{path} cannot be written ({error});")
    size = f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{max(nbytes / 1e6, 0.1):.1f} MB"
    text = reason.format(path=path, size=size, error=error.strerror or error)
    return InputError(f"{text} choose another place with -o")
