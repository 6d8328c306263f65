"""Files that are written in pieces over several runs, or by several processes, and then get their
name.

The pixels wait in a hidden folder beside the place of the file, there in one of their own each time
they are laid out: whoever still writes to earlier ones reaches none of those that took their place.
Where the format takes pieces in
any order from anyone (bare pixels, Zarr), they lie there as they will; else as bare pixels that are
encoded at last.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.atomic import explained, hidden, settle, target
from unnoise.images.durable import below, make_folder, sync_all, sync_names
from unnoise.images.formats.mapped import MappedFile
from unnoise.images.formats.urls import Url
from unnoise.images.formats.writer import Encoded, Mapped, Sink, Writer
from unnoise.images.ledger import Ledger
from unnoise.images.pixel_types import cast

PLAN, PIXELS, OFFSET, NAMED = "plan.json", "pixels", "offset.json", "named.json"
TOKEN = re.compile("[0-9a-f]{16}")
"""The name of a folder of pixels, which each gets by chance; ``token`` in the plan."""
DAMAGED = (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError)
"""What is raised by a record that is none."""
SLAB = 2**26
"""Bytes that are read at once of the pixels that are encoded."""


def header(path: Path) -> dict[str, Any] | None:
    """What was kept with the unfinished part of a file; None where there is nothing to go on with.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    folder = hidden(path)
    try:
        values = dict(json.loads((folder / PLAN).read_text("utf-8")))
    except FileNotFoundError:  # perhaps killed while it was laid out
        return None
    except DAMAGED as error:
        raise _unreadable(folder / PLAN, error) from error
    own = _own(folder, values)
    return None if own is None or not (own / PIXELS).exists() else values


def _own(folder: Path, values: Mapping[str, Any]) -> Path | None:
    """The folder of the pixels that a plan is about; None where it tells of none."""
    token = values.get("token")
    return folder / token if isinstance(token, str) and TOKEN.fullmatch(token) else None


def _unreadable(place: Path, error: object) -> InputError:
    return InputError(
        f"{place} cannot be read ({error}); remove that folder, or begin anew with --overwrite"
    )


class Part(NamedTuple):
    """An unfinished result: where it will lie, of which file, by which model, how far it is, and
    the words of a command that goes on with it.
    """

    result: str
    source: str
    model: str
    done: int
    pieces: int
    command: tuple[str, ...] = ()


def parts(folder: Path) -> Iterator[Part]:
    """The unfinished results of a folder, as far as they can be read."""
    for kept in sorted(folder.glob(f".*.unfinished/{PLAN}")):
        with contextlib.suppress(*DAMAGED):
            known = json.loads(kept.read_text("utf-8"))
            plan, about = known["plan"], known["about"]
            sides = zip(plan["sizes"], plan["sides"], strict=True)
            count = math.prod(-(-int(a) // int(b)) for a, b in sides)
            result, source, model = (str(about[name]) for name in ("result", "source", "model"))
            own = _own(kept.parent, known)
            if own is not None:
                command = tuple(map(str, about["command"]))
                yield Part(result, source, model, len(Ledger(own).done()), count, command)


def remove(path: Path) -> None:
    """Take away what is unfinished of a file; first what says that it can go on."""
    if isinstance(path, Url):
        return
    folder = hidden(path)
    with contextlib.suppress(OSError):
        (folder / PLAN).unlink()
        sync_names(folder)
    shutil.rmtree(folder, ignore_errors=True)


def is_named(path: Path) -> bool:
    """Whether a file has its name already, and the run that wrote it was killed before its end."""
    if isinstance(path, Url):
        return False
    folder = hidden(path)
    try:
        known = json.loads((folder / NAMED).read_text("utf-8"))
        moved, number = str(known["moved"]), known.get("number")
        own = path.stat().st_ino
    except DAMAGED:
        return False
    # Where two folders were exchanged the old one lies there for a while.
    return own == number or not (folder / moved).exists()


def tidy(path: Path, *others: Path) -> None:
    """Take away what a killed run has left of a finished file and of those that belong to it.

    They get their names before it does, so while it is unfinished they are needed.
    """
    if is_named(path):
        remove(path)
    if not hidden(path).exists():
        for other in filter(is_named, others):
            remove(other)


class Unfinished:
    """The pixels of a file that does not have its name yet.

    Parameters
    ----------
    writer : Writer
        What `unnoise.images.formats.create` gave for the file.

    Attributes
    ----------
    folder : Path
        The hidden one, for all who write the file.
    token : str or None
        Which of those pixels are meant that were laid out there; None for those of the plan.
    chunks : dict of str to int
        Sides of what only one process may write at a time, by letter.
    shared : bool
        Whether several machines may write to it.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.folder = hidden(writer.path)
        self.token: str | None = None
        chunks = getattr(writer.layout, "chunks", None)
        self.shared = chunks is not None
        self.chunks: dict[str, int] = dict(chunks or {})
        self._sink: Sink | None = None

    @property
    def own(self) -> Path:
        """Where the pixels lie, and what tells of them, whoever lays out others.

        Raises
        ------
        InputError
            If none are laid out.
        """
        if self.token is None:
            self.token = (header(self.writer.path) or {}).get("token")
            if self.token is None:
                raise _unreadable(self.folder, "nothing is laid out there")
        return self.folder / self.token

    @property
    def _pixels(self) -> Path:
        return self.own / PIXELS

    def is_current(self) -> bool:
        """Whether the pixels are still those of the plan: no other ones took their place."""
        try:
            values = header(self.writer.path) or {}
        except InputError:
            return False
        return self.token is not None and values.get("token") == self.token

    def create(self, token: str | None = None) -> None:
        """Lay the pixels out, under a token of others that belong to them; earlier ones go."""
        writer = self.writer
        self.token = token or secrets.token_hex(8)
        self._sink = None
        with explained(writer.path, writer.nbytes):
            remove(writer.path)
            make_folder(self.folder.parent)
            self.folder.mkdir(exist_ok=True)  # somebody may still write to earlier pixels
            self.own.mkdir()
            layout = writer.layout if self._is_direct else Mapped(self._bare)
            sink, _ = layout(self._pixels)
            if isinstance(sink, MappedFile):
                _write(self.own / OFFSET, {"offset": sink.offset, "dtype": sink.dtype.str})
            # before anything tells of it
            sync_all([*below(self.own), self.folder, self.folder.parent])

    def keep(self, values: Mapping[str, Any]) -> None:
        """Write what is needed to go on, when all else is laid out."""
        with explained(self.writer.path, self.writer.nbytes):
            _write(self.folder / PLAN, {**values, "token": self.token})

    def write(self, where: ax.Where, block: NDArray) -> None:
        """Put a block in its place; it is safe only after `flush`."""
        writer = self.writer
        pixels = block if block.dtype == writer.dtype else cast(block, writer.dtype)
        index = zip(ax.index(writer.axes, where), writer.shape, strict=True)
        region = tuple(slice(*part.indices(size)) for part, size in index)
        with explained(writer.path, writer.nbytes):
            self._open()[region] = ax.from_canonical(pixels, writer.axes)

    def read(self, where: ax.Where) -> NDArray:
        """What was written of a region, STCZYX."""
        region = ax.index(self.writer.axes, where)
        data: Any = self._open()
        return ax.to_canonical(np.array(data[region]), self.writer.axes)

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        with explained(self.writer.path, self.writer.nbytes):
            sink: Any = self._sink
            if sink is not None:
                sink.flush()
                sink.sync()
            elif self._pixels.is_file():
                sync_all([self._pixels])

    def finish(self, *, keep: bool = False) -> None:
        """Complete the file and give it its name; nothing unfinished is left.

        With `keep` what tells that it has its name stays until `remove`.
        """
        writer = self.writer
        if not is_named(writer.path):
            with explained(writer.path, writer.nbytes):
                pixels = self._complete()
                number = pixels.stat().st_ino
                moved = f"{self.token}/{pixels.name}"
                _write(self.folder / NAMED, {"moved": moved, "number": number})
                settle(pixels, target(writer.path))
        if not keep:
            remove(writer.path)

    def _complete(self) -> Path:
        """The complete file, not in its place yet."""
        pixels = self._pixels
        self._sink = None
        if self.shared:
            for cut in pixels.rglob("*.partial"):  # what a kill left of a chunk
                cut.unlink(missing_ok=True)
            _, complete = self._laid_out()
            complete()
        elif not self._is_direct:
            pixels = self.own / "encoded"
            self._encode(pixels)
        return pixels

    @property
    def _is_direct(self) -> bool:
        """Whether the pixels lie as in the finished file."""
        return self.shared or isinstance(self.writer.layout, Mapped)

    def _bare(self, part: Path) -> np.memmap:
        return np.memmap(part, self.writer.dtype, "w+", shape=self.writer.shape)

    def _bare_pixels(self) -> MappedFile:
        place = self.own / OFFSET
        try:
            kept = json.loads(place.read_text("utf-8"))
            dtype, offset = np.dtype(kept["dtype"]), int(kept["offset"])
        except DAMAGED as error:
            raise _unreadable(place, error) from error
        needed = offset + math.prod(self.writer.shape) * dtype.itemsize
        found = self._pixels.stat().st_size
        if found < needed:  # which NumPy would fill with zeros
            raise _unreadable(self._pixels, f"it has {found} bytes of {needed}")
        return MappedFile(self._pixels, dtype, self.writer.shape, offset)

    def _laid_out(self) -> tuple[Sink, Callable[[], object]]:
        """Pixels in chunks, as they are."""
        try:
            return self.writer.layout(self._pixels)
        except (InputError, OSError):
            raise
        except Exception as error:  # as readers of all formats do
            raise _unreadable(self._pixels, error) from error

    def _open(self) -> Sink:
        if not self.shared:
            return self._bare_pixels()
        if self._sink is None:
            self._sink, _ = self._laid_out()
        return self._sink

    def _encode(self, part: Path) -> None:
        """Make the file of bare pixels."""
        pixels, layout = self._bare_pixels(), self.writer.layout
        if isinstance(layout, Encoded):
            part.touch()
            layout.encode(part, pixels)
            return
        sink, complete = layout(part)
        shape = self.writer.shape
        row = math.prod(shape[1:]) * self.writer.dtype.itemsize
        step = max(SLAB // max(row, 1), 1)
        rest = tuple(slice(0, size) for size in shape[1:])
        for start in range(0, shape[0], step):
            region = (slice(start, min(start + step, shape[0])), *rest)
            sink[region] = pixels[region]
        complete()
        close = getattr(sink, "close", None)
        if close is not None:
            close()


class Piece:
    """A piece on its way to a file, of blocks in the final type."""

    def __init__(self, part: Unfinished | None, where: Mapping[str, slice]) -> None:
        self._part, self._where = part, where
        self._pixels: NDArray | None = None

    def take(self, where: ax.Where, pixels: NDArray) -> None:
        """Take a block."""
        sides = {k: r.stop - r.start for k, r in self._where.items()} | {"C": pixels.shape[2]}
        shape = tuple(sides[k] for k in ax.CANONICAL)
        if self._pixels is None:
            self._pixels = pixels if pixels.shape == shape else np.empty(shape, pixels.dtype)
        if pixels is self._pixels:
            return
        region = ax.index(ax.CANONICAL, where)
        shift = [self._where[k].start if k in self._where else 0 for k in ax.CANONICAL]
        inside = tuple(
            slice(None) if k == "C" else slice(r.start - s, r.stop - s)
            for k, r, s in zip(ax.CANONICAL, region, shift, strict=True)
        )
        self._pixels[inside] = pixels

    def write(self) -> None:
        """Write what was taken."""
        if self._pixels is not None and self._part is not None:
            self._part.write(self._where, self._pixels)


def _write(path: Path, values: Mapping[str, Any]) -> None:
    """A small file that is there whole or not at all, and safe."""
    part = path.with_name(path.name + ".new")
    part.write_text(json.dumps(values, indent=1), encoding="utf-8")
    settle(part, path)
