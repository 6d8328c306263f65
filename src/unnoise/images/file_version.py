"""Whether files are still those that were opened: their pixels are read later, piece by piece."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from unnoise.errors import InputError

FEW = 8
"""Files of an image that are all looked at before every region."""
SHARE = 0.05
"""Of the time, that looking at more files than these may take."""


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


class FileSet:
    """All files in which an image lies, as they were when it was opened.

    Parameters
    ----------
    versions : iterable of FileVersion
        The first is that of the file which was named.

    Examples
    --------
    >>> import tempfile
    >>> header, pixels = (Path(tempfile.mkdtemp(), name) for name in ("a.nhdr", "a.raw"))
    >>> header.write_bytes(b"NRRD0004"), pixels.write_bytes(b"1234")
    (8, 4)
    >>> seen = FileSet(map(FileVersion.of, (header, pixels)))
    >>> pixels.write_bytes(b"12")
    2
    >>> seen.check()
    Traceback (most recent call last):
    unnoise.errors.InputError: ...a.raw was changed while it was read; ...
    """

    def __init__(self, versions: Iterable[FileVersion]) -> None:
        self._versions = tuple(versions)
        self._next = 0.0

    def __reduce__(self) -> tuple[type[FileSet], tuple[tuple[FileVersion, ...]]]:
        return FileSet, (self._versions,)  # the clock of another process may be another one

    def check(self) -> None:
        """Refuse to read on where one of the files is another one now, as `FileVersion.check`.

        Of many files the one that was named is looked at every time, and all of them as often as a
        small share of the time allows: each plane of thousands would look at thousands of files.

        Raises
        ------
        InputError
        """
        began = time.monotonic()
        is_due = len(self._versions) <= FEW or began >= self._next
        for version in self._versions if is_due else self._versions[:1]:
            version.check()
        if is_due:
            now = time.monotonic()
            self._next = now + (now - began) / SHARE


def version_of(
    own: FileVersion | None, others: Iterable[Path] = ()
) -> FileVersion | FileSet | None:
    """What tells whether an image is still the one that was opened.

    Parameters
    ----------
    own : FileVersion or None
        The file that was named, as it was before it was opened.
    others : iterable of Path
        All files of the image, perhaps that one among them.

    Returns
    -------
    FileVersion, FileSet or None
        None where no file tells anything.
    """
    known = {} if own is None else {os.path.realpath(own.path): own}
    for path in others:
        version = FileVersion.of(path)
        if version is not None:
            known.setdefault(os.path.realpath(path), version)
    versions = list(known.values())
    return FileSet(versions) if len(versions) > 1 else next(iter(versions), None)


def changed(path: Path) -> InputError:
    """The error for a file that is no longer the one that was opened."""
    return InputError(
        f"{path} was changed while it was read; run again when no other program writes it"
    )
