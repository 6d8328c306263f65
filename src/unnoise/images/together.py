"""Files of a folder that change together: all of them are new, or none is."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from unnoise.errors import warn
from unnoise.images.atomic import replacing
from unnoise.images.durable import sync_names

PENDING = ".pending"
"""Folder, within the other one, of new files that count already and wait to be moved."""
TRIES = 10


def write_files(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Put files into a folder that nobody looks at yet, and that `replacing` will settle."""
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content)


def replace_files(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Replace files of a folder, and take away those without content, as one act.

    The new files are written into a hidden folder, whose renaming is that act. Then they are moved;
    whoever is killed meanwhile leaves the rest of that to the next writer, and `read_files` looks
    into the hidden folder first.

    Raises
    ------
    OSError

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> replace_files(place, {"a": b"1", "b": b"2"})
    >>> replace_files(place, {"a": b"3", "b": None})
    >>> read_files(place, ["a", "b"])
    {'a': b'3'}
    """
    settle_files(folder)
    with replacing(folder / PENDING) as part:
        part.mkdir()
        write_files(part, {name: content or b"" for name, content in files.items()})
    try:
        settle_files(folder)
    except OSError as error:  # they count already, and the next writer moves them
        warn(
            f"{folder}: its new files could not be moved to their places ({error.strerror}); they "
            f"are read where they are, so copy the folder with its hidden files"
        )


def settle_files(folder: Path) -> None:
    """Move what waits in the hidden folder; only who may write to the folder may ask for it."""
    pending = folder / PENDING
    if not pending.is_dir():
        return
    gone = []
    for file in sorted(pending.iterdir()):
        if file.stat().st_size:
            os.replace(file, folder / file.name)
        else:
            (folder / file.name).unlink(missing_ok=True)
            gone.append(file)
    sync_names(folder)  # before there is nothing left that tells of them
    for file in gone:
        file.unlink()
    pending.rmdir()
    sync_names(folder)


def current(folder: Path, name: str) -> Path | None:
    """Where the content of a file lies now; None where there is no such file."""
    for place in (folder / PENDING / name, folder / name):
        try:
            found = place.stat()
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            return place if found.st_size or place.parent == folder else None
    return None


def read_files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The contents of files that belong together, though another process may replace them now.

    Raises
    ------
    OSError
    """
    for left in reversed(range(TRIES)):
        before = _identities(folder, names)
        try:
            found = {name: place.read_bytes() for name in names if (place := current(folder, name))}
        except FileNotFoundError:  # it was moved meanwhile
            if not left:
                raise
            continue
        if before == _identities(folder, names):
            return found
    return found


def _identities(folder: Path, names: Sequence[str]) -> list[tuple[int, int] | None]:
    """What tells whether files are still the same; a file that is moved is."""
    known: list[tuple[int, int] | None] = []
    for name in names:
        place = current(folder, name)
        try:
            found = None if place is None else place.stat()
        except FileNotFoundError:
            found = None
        known.append(None if found is None else (found.st_ino, found.st_mtime_ns))
    return known
