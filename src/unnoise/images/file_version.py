"""Whether a file is still the one that was opened: its pixels are read later, piece by piece."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from unnoise.errors import InputError


class FileVersion(NamedTuple):
    """A file as it was when it was opened.

    Attributes
    ----------
    path : Path
    size : int
        In bytes.
    changed : int
        When it was written last, in nanoseconds.
    """

    path: Path
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> FileVersion | None:
        """That of a file; None for all else: of a folder this tells nothing."""
        try:
            seen = os.stat(path)
        except (OSError, ValueError):
            return None
        return cls(path, seen.st_size, seen.st_mtime_ns) if stat.S_ISREG(seen.st_mode) else None

    def check(self) -> None:
        """Refuse to read on in another file, which would mix the pixels of two.

        What is mapped of a file that became shorter would kill the process (SIGBUS). A file that
        is gone is left to the reader: what is open can still be read.

        Raises
        ------
        InputError

        Examples
        --------
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "a.raw")
        >>> _ = file.write_bytes(b"12")
        >>> seen = FileVersion.of(file)
        >>> seen.check()
        >>> _ = file.write_bytes(b"1")
        >>> seen.check()
        Traceback (most recent call last):
        unnoise.errors.InputError: ...a.raw was changed while it was read; ...
        """
        now = FileVersion.of(self.path)
        if now is not None and now != self:
            raise changed(self.path)


def changed(path: Path) -> InputError:
    """The error for a file that is no longer the one that was opened."""
    return InputError(
        f"{path} was changed while it was read; run again when no other program writes it"
    )
