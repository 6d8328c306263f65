"""A list of finished pieces that several processes append to, and that a kill cannot make lie."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from unnoise.images.durable import sync_names

LONGEST = 18
"""Digits of a number."""
STARTED = time.time_ns()
"""Tells this process from an earlier one of the same number; one file is enough for it."""


class Ledger:
    """Numbers of finished pieces in the files of a folder, one file for every process.

    A line has a number and a checksum, so what a kill or a full disk has cut is no line. A number
    must be added only after its piece is safe on the disk; it is safe itself when `add` returns.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Ledger(Path(folder)) as ledger:
    ...         ledger.add([3, 4])
    ...     sorted(Ledger(Path(folder)).done())
    [3, 4]
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._read: dict[Path, int] = {}
        self._found: set[int] = set()

    def done(self) -> set[int]:
        """All numbers that any process has added; of what was read before only the rest is read."""
        for path in self._folder.glob("done.*"):
            start = self._read.get(path, 0)
            with (
                contextlib.suppress(FileNotFoundError),  # another one may be cleaning up
                open(path, "rb") as file,
            ):
                file.seek(start)
                lines, _, _ = file.read().rpartition(b"\n")
                self._found |= {
                    n for line in lines.split(b"\n") if (n := _number(line)) is not None
                }
                self._read[path] = start + len(lines) + bool(lines)
        return set(self._found)

    def add(self, numbers: Iterable[int]) -> None:
        """Append finished pieces.

        Raises
        ------
        OSError
            If the disk takes no more.
        """
        text = b"".join(_line(number) for number in numbers)
        if not text:
            return
        if self._file is None:
            name = f"done.{socket.gethostname()}.{os.getpid()}.{STARTED}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.open(self._folder / name, flags, 0o666)
            sync_names(self._folder)
        while text:  # a disk that is nearly full takes a part, without an error
            text = text[os.write(self._file, text) :]
        os.fsync(self._file)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _line(number: int) -> bytes:
    digits = b"%d" % number
    return b"%s %08x\n" % (digits, zlib.crc32(digits))


def _number(line: bytes) -> int | None:
    """The number of a whole line; None for anything else."""
    digits, _, check = line.partition(b" ")
    if not digits.isdigit() or len(digits) > LONGEST or check != b"%08x" % zlib.crc32(digits):
        return None
    return int(digits)
