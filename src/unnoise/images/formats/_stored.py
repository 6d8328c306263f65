"""Pixels that lie as plain numbers behind a header, bare or in a file packed by gzip or bzip2."""

from __future__ import annotations

import bz2
import gzip
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.formats.mapped import MappedFile
from unnoise.images.formats.reader import Pixels, reading
from unnoise.images.formats.writer import IN_MEMORY, Encoded, Layout, Mapped, Sink

PACKERS: dict[str, tuple[bytes, Callable[..., Any], int]] = {
    ".gz": (b"\x1f\x8b", gzip.open, 1100),
    ".bz2": (b"BZh", bz2.open, 2_000_000),
}
"""Suffix -> how such files begin, what opens them, and how many bytes a byte becomes at most."""
PIECE = 2**24
"""Bytes that are unpacked at a time."""


class Place(NamedTuple):
    """Where pixels lie, and how.

    Attributes
    ----------
    offset : int
        Where they begin, in bytes; in a packed file of what is unpacked.
    shape : tuple of int
        The last axis varies fastest.
    dtype : numpy.dtype
        With its byte order.
    packed : str or None
        The suffix of what the pixels alone are packed with, behind a header that is not, or ""; by
        default the whole file is packed or not, as it says.
    start : int
        Where these packed pixels begin.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    packed: str | None = None
    start: int = 0

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def packer(path: Path) -> str:
    """The suffix of what a file is packed with by its content, or nothing."""
    with open(path, "rb") as file:
        head = file.read(4)
    return next((suffix for suffix, (start, *_) in PACKERS.items() if head.startswith(start)), "")


def _packed(path: Path, place: Place) -> str:
    """What pixels are packed with, or nothing."""
    return packer(path) if place.packed is None else place.packed


def check(path: Path, place: Place, kind: str) -> None:
    """Refuse a file that cannot hold what its header says, before anything is allocated.

    Raises
    ------
    InputError
    """
    packed, size = _packed(path, place), path.stat().st_size
    most = size * PACKERS[packed][2] if packed else size
    if place.offset + place.size > most:
        raise InputError(
            f"{path} is truncated or its header is wrong: {place.size} bytes of pixels, "
            f"{' x '.join(map(str, place.shape))} {place.dtype.name}, should follow in this {kind} "
            f"file, which has {size} bytes; copy or export it again"
        )


def pixels(path: Path, place: Place, kind: str, order: tuple[int, ...] | None = None) -> Pixels:
    """Pixels that are mapped, or unpacked when they are asked for, with their axes in an order.

    Parameters
    ----------
    path : Path
    place : Place
    kind : str
        Name of the format, for messages.
    order : tuple of int, optional
        As for `numpy.transpose`.

    Raises
    ------
    InputError
        If the file is too small.
    """
    check(path, place, kind)
    order = order or tuple(range(len(place.shape)))
    shape = tuple(place.shape[i] for i in order)

    def load() -> NDArray:
        with reading(path, kind):
            if _packed(path, place):
                return unpacked(path, place).transpose(order)
            array = np.memmap(path, place.dtype, "r", place.offset, place.shape)
            return array.transpose(order)

    return Pixels(load, shape, place.dtype)


def unpacked(path: Path, place: Place) -> NDArray:
    """The pixels of a packed file: in memory, or where they are many in a nameless file.

    Memory grows with what is found in the file, not with what its header promises.
    """
    with ExitStack() as stack:
        if place.packed:
            file = stack.enter_context(open(path, "rb"))
            file.seek(place.start)
            stream = stack.enter_context(PACKERS[place.packed][1](file, "rb"))
        else:
            stream = stack.enter_context(opened(path))
        stream.seek(place.offset)
        if place.size <= IN_MEMORY:
            content = bytearray()
            _unpack(stream, place.size, content.extend)
            return np.frombuffer(content, place.dtype).reshape(place.shape)
        with tempfile.TemporaryFile() as scratch:
            _unpack(stream, place.size, scratch.write)
            scratch.flush()
            return np.memmap(scratch, place.dtype, "r", shape=place.shape)


def opened(path: Path) -> IO[bytes]:
    """A file, unpacked where it is packed."""
    packed = packer(path)
    opener: Callable[..., IO[bytes]] = PACKERS[packed][1] if packed else open
    return opener(path, "rb")


def _unpack(stream: IO[bytes], size: int, put: Callable[[bytes], object]) -> None:
    while size:
        piece = stream.read(min(size, PIECE))
        if not piece:
            raise EOFError(f"{size} bytes are missing at its end")
        put(piece)
        size -= len(piece)
    stream.read(1)  # at the end the checksum is compared


def layout(
    path: Path,
    place: Place,
    order: tuple[int, ...],
    head: Callable[[NDArray], bytes],
    tail: bytes = b"",
) -> Layout:
    """How to lay out a file of a header and pixels, packed where its name says so.

    Parameters
    ----------
    path : Path
        The final name.
    place : Place
        The pixels in the file.
    order : tuple of int
        From the axes of the file to those of the image, as for `numpy.transpose`.
    head : callable
        All that comes before the pixels, `Place.offset` bytes, made of the finished pixels.
    tail : bytes
        What comes after them.
    """

    def bare(part: Path) -> tuple[Sink, Callable[[], object]]:
        def create(name: Path) -> np.memmap:
            with open(name, "wb") as file:
                file.truncate(place.offset + place.size)
                file.seek(place.offset + place.size)
                file.write(tail)
            return np.memmap(name, place.dtype, "r+", place.offset, place.shape)

        file, flush = Mapped(create)(part)

        def complete() -> None:
            start = head(file.view())
            flush()
            with open(part, "r+b") as begin:
                begin.write(start)

        return file.transpose(order), complete

    def pack(part: Path, result: NDArray | MappedFile) -> None:
        array = np.asarray(result).transpose(np.argsort(order))
        with opener(part, "wb", compresslevel=6) as file:
            file.write(head(array))
            for index in np.ndindex(array.shape[:-2]):
                file.write(np.ascontiguousarray(array[index], place.dtype).tobytes())
            file.write(tail)

    suffix = path.suffix.lower()
    if suffix not in PACKERS:
        return bare
    opener = PACKERS[suffix][1]
    return Encoded(tuple(place.shape[i] for i in order), place.dtype, pack)
