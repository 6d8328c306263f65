"""Faults on purpose: what the process does to files is counted, and one of these acts goes wrong.

Nothing of this is in the product: `install` puts itself between Python and the system, in a process
that lives for one trial. The writes that are counted are those that reach the system, not those
that fill a buffer.
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faults.power import LOST, Disk
from unnoise.images import atomic

WRITES = ("create", "write", "map", "replace", "fsync", "mkdir", "fallocate", "link", "unlink")
"""What is done to files that are written, by name."""
INPUTS = ("GONE", "REPLACED", "TRUNCATED")
"""What others may do to images in ``in`` meanwhile."""
SIGNALS = ("TERM", "INT", "STOP")
"""Those after which a write goes on."""
GROWS = ("create", "write", "map", "mkdir", "fallocate")
"""What a full disk refuses; what is mapped has its room already, but an error may come too."""


@dataclass
class Fault:
    """What goes wrong, and when.

    Attributes
    ----------
    kind : str
        ``KILL``, ``TERM``, ``INT``, ``STOP`` (the process waits, see `faults.meetings`), the name
        of an error (``ENOSPC``, ``EIO``, ``EACCES``), what happens to the inputs of `INPUTS`,
        ``CLOCK`` (it is hours earlier or later at each act), how the power is lost (`faults.power`,
        after the end where `at` is beyond the acts), or ``count`` for none.
    at : int
        Which act it hits, counted from 0 over `acts`.
    acts : tuple of str
        Those that are counted: some of `WRITES`, or ``read``.
    stays : bool
        Whether all later acts of the kind fail too, as on a disk that stays full.
    half : bool
        Whether half of what is written arrives first.
    after : float or None
        Seconds after which it comes, in the place of `at`.
    beneath : bool
        Whether it comes from `faults.shim`, which was loaded before libc.
    """

    kind: str = "count"
    at: int = -1
    acts: tuple[str, ...] = WRITES
    stays: bool = False
    half: bool = True
    after: float | None = None
    beneath: bool = False
    root: str = ""
    disk: Disk | None = None
    seen: list[str] = field(default_factory=list)
    hit: bool = False
    _lock: Any = field(default_factory=threading.RLock)

    def meets(self, act: str, place: str, partly: Callable[[], object] | None = None) -> None:
        """An act is about to happen at a place; this may be its end."""
        if act not in self.acts:
            return
        if self.kind == "CLOCK":
            _shift_clock(6 * 3600 * (1 - 3 * (len(self.seen) % 2)))
        with self._lock:
            number = len(self.seen)
            self.seen.append(f"{act} {place}")
            if self.after is not None or not (number == self.at or (self.stays and self.hit)):
                return
            self.hit = True
        # Who hears a signal and goes on writes all of it.
        if self.half and partly is not None and self.kind not in (*INPUTS, *SIGNALS):
            partly()
        self.strike(place)

    def strike(self, place: str) -> None:
        """What it is."""
        if self.kind in ("KILL", "TERM", "INT", "STOP"):
            os.kill(os.getpid(), getattr(signal, f"SIG{self.kind}"))
            if self.kind == "KILL":
                time.sleep(60)  # it comes
        elif self.disk is not None:
            self.disk.fall()
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        elif self.kind in INPUTS:
            disturb(Path(self.root, "in"), self.kind)
        elif self.kind not in ("count", "CLOCK"):
            number = getattr(errno, self.kind)
            raise OSError(number, os.strerror(number), place)

    def end(self) -> None:
        """The process did all that it had to do."""
        if self.disk is not None:
            self.disk.fall()


def install(fault: Fault, root: str) -> None:
    """Put a fault between this process and all files below a folder, for the rest of its life."""
    fault.root = root
    if fault.kind in LOST:
        fault.disk = Disk(root, fault.kind, fault.at)
    if fault.after is not None:
        _alarm(fault)
    if fault.beneath:
        _arm_shim(fault, os.path.realpath(root))
        return
    inside = _Inside(root)
    _open_files(fault, inside)
    _by_name(fault, inside)
    _by_number(fault, inside)
    _mapped(fault, inside)


def disturb(folder: Path, kind: str) -> None:
    """Take the images of a folder away, write others over their names, or cut them.

    The others are as large and as readable: bytes in their middle, which are pixels, are turned
    round.
    """
    for file in sorted(folder.glob("*.tif")):
        if kind == "GONE":
            _unlink(file)
        elif kind == "TRUNCATED":
            os.truncate(file, file.stat().st_size // 2)
        else:
            with _open(file, "rb") as before:
                content = before.read()
            part, cut = file.with_suffix(".new"), len(content) // 4 * 2
            with _open(part, "wb") as after:
                after.write(content[:cut] + content[cut : cut + 600][::-1] + content[cut + 600 :])
            _replace(part, file)


_open, _unlink, _replace, _time = io.open, os.unlink, os.replace, time.time
"""As they are without a fault."""


def _shift_clock(seconds: float) -> None:
    """What the clock on the wall says; that for durations cannot be set."""
    time.time = lambda: _time() + seconds


def _alarm(fault: Fault) -> None:
    number = getattr(signal, f"SIG{fault.kind}")

    def strike() -> None:
        time.sleep(fault.after or 0.0)
        os.kill(os.getpid(), number)

    threading.Thread(target=strike, daemon=True).start()


def _arm_shim(fault: Fault, root: str) -> None:
    library = ctypes.CDLL(None)
    ctypes.c_int.in_dll(library, "fault_errno").value = getattr(errno, fault.kind)
    ctypes.c_int.in_dll(library, "fault_seen").value = 0
    ctypes.c_int.in_dll(library, "fault_at").value = fault.at
    (ctypes.c_char * 4096).in_dll(library, "fault_root").value = os.fsencode(root + os.sep)


class _Inside:
    """Whether a path, or an open file, lies below a folder: its name there, or None."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)

    def __call__(self, where: Any) -> str | None:
        if isinstance(where, int):
            try:
                where = os.readlink(f"/proc/self/fd/{where}")
            except OSError:
                return None
        try:
            path = os.path.abspath(os.fsdecode(where))
        except TypeError:
            return None
        # Names of files, not of what they are links to; the folder of a trial is no link itself.
        return os.path.relpath(path, self.root) if path.startswith(self.root + os.sep) else None


def _open_files(fault: Fault, inside: _Inside) -> None:
    true_open = io.open

    class File(io.FileIO):
        """A file each of whose reads and writes may fail."""

        place = ""

        def write(self, data: Any, /) -> int:
            view = memoryview(data).cast("B")
            part = view[: len(view) // 2]
            fault.meets("write", self.place, lambda: super(File, self).write(part))
            return super().write(data) or 0

        def truncate(self, size: int | None = None, /) -> int:
            fault.meets("fallocate", self.place)
            return super().truncate(size)

        def readinto(self, buffer: Any, /) -> int:
            fault.meets("read", self.place)
            return super().readinto(buffer) or 0

        def read(self, size: int | None = -1, /) -> Any:
            fault.meets("read", self.place)
            return super().read(size)

        def readall(self) -> Any:
            fault.meets("read", self.place)
            return super().readall()

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: Any = None,
        errors: Any = None,
        newline: Any = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        place = inside(file)
        writes = any(letter in mode for letter in "wax+")
        if place is None:
            return true_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if writes and not isinstance(file, int):
            if not os.path.exists(file) or "w" in mode:
                fault.meets("create", place)
        elif not writes:
            fault.meets("read", place)
        raw = File(file, "".join(c for c in mode if c not in "btU"), closefd, opener)
        raw.place = place
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
        buffered = kind(raw, size) if writes else io.BufferedReader(raw, size)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text

    io.open = builtins.open = opened  # type: ignore[assignment]


def _by_name(fault: Fault, inside: _Inside) -> None:
    """Acts on names: renames, links, folders, removals, and files that the system opens."""

    def wrap(name: str, act: str, which: int) -> None:
        true = getattr(os, name)

        def hooked(*given: Any, **named: Any) -> Any:
            place = inside(given[which]) if len(given) > which else None
            if place is not None:
                fault.meets(act, place)
            return true(*given, **named)

        setattr(os, name, hooked)

    for name, act, which in (
        ("replace", "replace", 1),
        ("rename", "replace", 1),
        ("link", "link", 1),
        ("mkdir", "mkdir", 0),
        ("unlink", "unlink", 0),
        ("remove", "unlink", 0),
        ("rmdir", "unlink", 0),
    ):
        wrap(name, act, which)
    true_swap = atomic._swap

    def swap(one: Path, other: Path) -> bool:
        place = inside(other)
        if place is not None:
            fault.meets("replace", place)
        return true_swap(one, other)

    atomic._swap = swap
    true_open = os.open

    def opened(path: Any, flags: int, *given: Any, **named: Any) -> int:
        place = inside(path)
        if place is not None and flags & os.O_CREAT:
            fault.meets("create", place)
        return true_open(path, flags, *given, **named)

    os.open = opened


def _by_number(fault: Fault, inside: _Inside) -> None:
    """Acts on open files."""
    true_write = os.write

    def write(fd: int, data: Any) -> int:
        place = inside(fd)
        if place is not None:
            part = memoryview(data).cast("B")
            fault.meets("write", place, lambda: true_write(fd, part[: len(part) // 2]))
        return true_write(fd, data)

    os.write = write
    for name, act in (("fsync", "fsync"), ("posix_fallocate", "fallocate")):
        true = getattr(os, name)

        def hooked(fd: int, *given: Any, true: Any = true, act: str = act) -> Any:
            place = inside(fd)
            if place is not None:
                fault.meets(act, place)
            answer = true(fd, *given)
            if act == "fsync" and fault.disk is not None:
                fault.disk.synced(fd)
            return answer

        setattr(os, name, hooked)


def _mapped(fault: Fault, inside: _Inside) -> None:
    """Pixels that are put into a map of a file."""
    from unnoise.images.formats.mapped import MappedFile, _Transposed

    for kind in (MappedFile, _Transposed):
        true = kind.__setitem__

        def put(self: Any, index: Any, block: Any, *, true: Any = true) -> None:
            file = getattr(self, "_file", None)
            file = getattr(file, "_file", file)
            place = inside(file if isinstance(file, Path) else file.fileno())

            def partly() -> None:
                some = np.array(block)
                some.reshape(-1)[some.size // 2 :] = 0
                true(self, index, some)

            if place is not None:
                fault.meets("map", place, partly)
            true(self, index, block)

        kind.__setitem__ = put  # type: ignore[method-assign, assignment]
