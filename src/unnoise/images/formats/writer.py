"""Writing an image once and whole, block by block."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unnoise.images import axes as ax
from unnoise.images.atomic import check_free, explained, hidden, probe, replacing, taken, target
from unnoise.images.durable import make_folder
from unnoise.images.formats.mapped import MappedFile, waiting
from unnoise.images.image import Image
from unnoise.images.pixel_types import cast

IN_MEMORY = 2**28
"""Bytes of pixels that are held in memory until they are encoded."""


class Sink(Protocol):
    """What takes the pixels of a file: an array, or whatever passes them on region by region.

    Regions come in any order, and every pixel comes once. Where it has a method ``close``, that is
    called at last, before a file that is not whole goes.
    """

    def __setitem__(self, index: tuple[slice, ...], block: NDArray, /) -> None:
        """Take the pixels of a region: slices with start and stop, in the order of the image."""


Layout = Callable[[Path], tuple[Sink, Callable[[], object]]]
"""Creates a file or a folder; returns what takes its pixels, and what completes it. It may have

- ``waiting``: bytes that are needed on the disk besides those of the pixels;
- ``chunks``: sides of what only one process may write at a time, by letter. Then it goes on with
  what lies in a place that it has laid out before, for several runs and processes
  (`unnoise.images.formats.unfinished`), and its sink has ``flush``, ``sync`` (wait until what was
  written is on the disk) and ``__getitem__``."""


class Writer:
    """An image file, or a folder that is an image, which appears under its name only when complete.

    Used as a context manager. On the way in a temporary file is laid out; on the way out it is
    renamed, or removed when the block raised.

    Parameters
    ----------
    path : Path
        The final name.
    axes : str
        Letters of the image, in the order of the regions that `layout` takes.
    shape : tuple of int
    dtype : numpy.dtype
        Type the pixels are cast to.
    layout : callable
        What the format of the file offers.
    lost : sequence of str
        Names of what is known of the image and will not be in the file.
    """

    def __init__(
        self,
        path: Path,
        axes: str,
        shape: tuple[int, ...],
        dtype: np.dtype,
        layout: Layout,
        lost: Sequence[str] = (),
    ):
        self.path = path
        self.axes = axes
        self.dtype = dtype
        self.lost = tuple(lost)
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self.nbytes += getattr(layout, "waiting", 0)
        self.shape = shape
        self.layout = layout
        self._file: tuple[Sink, Callable[[], object]] | None = None
        self._whole = ExitStack()

    @property
    def room(self) -> Path:
        """The folder on whose disk space is needed."""
        return self.path.parent

    def check(self) -> None:
        """Find out now, before long work, whether the file could be written.

        Raises
        ------
        InputError
            If the folder cannot be made or written, its disk has too little space, or another run
            writes there.
        """
        with explained(self.path, self.nbytes):
            check_free(self.path)
            probe(self.path)
            check_space(target(self.path).parent, self.needed)

    @property
    def needed(self) -> int:
        """Bytes that are still needed on the disk: what an earlier run has laid out is there."""
        return max(self.nbytes - taken(hidden(self.path)), 0)

    def __enter__(self) -> Writer:
        with explained(self.path, self.nbytes), ExitStack() as whole:
            make_folder(self.path.parent)
            check_free(self.path)
            part = whole.enter_context(replacing(self.path))
            whole.callback(self._release)
            self._file = self.layout(part)
            self._whole = whole.pop_all()
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
        if self._file is None:
            raise RuntimeError("a Writer writes only inside its with block")
        pixels = block if block.dtype == self.dtype else cast(block, self.dtype)
        index = zip(ax.index(self.axes, where), self.shape, strict=True)
        region = tuple(slice(*part.indices(size)) for part, size in index)
        with explained(self.path, self.nbytes):
            self._file[0][region] = ax.from_canonical(pixels, self.axes)

    def __exit__(self, *error: Any) -> None:
        if error[0] is not None:
            self._whole.__exit__(*error)
            return
        with explained(self.path, self.nbytes), self._whole:
            if self._file is not None:
                self._file[1]()

    def _release(self) -> None:
        sink, self._file = self._file and self._file[0], None
        close = getattr(sink, "close", None)
        if close is not None:
            close()
        # Windows renames and removes only unmapped files: no reference to the array is left.


def held(image: Image) -> list[str]:
    """Names of all that is known of an image besides its pixels."""
    own = {
        "pixel size": image.scale,
        "channel names": image.channel_names,
        "nodata value": image.nodata is not None,
    }
    named = [name for name, known in own.items() if known]
    names = [*named, *image.acquisition.names, *image.metadata.get("holds", ())]
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class Mapped:
    """The layout of a file whose pixels lie bare on disk: mapped, and their space claimed."""

    create: Callable[[Path], np.memmap]

    def __call__(self, part: Path) -> tuple[MappedFile, Callable[[], object]]:
        """As `Layout` says.

        Raises
        ------
        OSError
            ENOSPC if the disk is too small.
        """
        array = self.create(part)
        file = MappedFile(part, array.dtype, array.shape, array.offset)
        del array
        _reserve(part)
        return file, file.flush


@dataclass(frozen=True)
class Encoded:
    """The layout of a file that is encoded when all its pixels are there.

    Until then they are in memory, or where they are many in a nameless file on the same disk.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    encode: Callable[[Path, NDArray | MappedFile], object]

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def waiting(self) -> int:
        """Bytes that are needed on the disk besides those of the file."""
        return self.size if self.size > IN_MEMORY else 0

    def __call__(self, part: Path) -> tuple[Sink, Callable[[], object]]:
        """As `Layout` says."""
        pixels: NDArray | MappedFile = (
            waiting(part.parent, self.dtype, self.shape)
            if self.waiting
            else np.zeros(self.shape, self.dtype)
        )
        part.touch()
        return pixels, lambda: self.encode(part, pixels)


def _reserve(path: Path) -> None:
    """Claim the disk space of a sparse file, so that a full disk is an error here.

    Without it the first write to a mapped page that finds no space kills the process (SIGBUS).
    """
    size = path.stat().st_size
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    else:
        check_space(path.parent, size)


def check_space(folder: Path, size: int) -> None:
    """OSError if a disk has less space."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
