"""Files, folders and their names that are on the disk when a call returns.

A machine that loses its power the moment after still has them. Where a system cannot tell, the call
returns all the same.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, takewhile
from pathlib import Path

SYNCED = 16
"""Files that are synced at once."""


def sync_all(paths: Iterable[Path]) -> None:
    """Wait until files, and the names in folders, are on the disk.

    Many are waited for at once, as disks take together what waits: that is tens of times sooner
    than one after the other.

    Raises
    ------
    OSError
        If a file could not be written.
    """
    left = iter(paths)
    with ThreadPoolExecutor(SYNCED) as pool:
        while some := list(islice(left, 1000)):
            try:
                others = [pool.submit(_sync, path) for path in some[1:]]
            except RuntimeError:  # no thread can be started: too many, or the program is at its end
                for path in some:
                    _sync(path)
                continue
            _sync(some[0])
            for one in others:
                one.result()


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it; their names are on the disk when this returns.

    Raises
    ------
    OSError
    """
    made = list(takewhile(lambda place: not place.exists(), (folder, *folder.parents)))
    folder.mkdir(parents=True, exist_ok=True)
    for place in made:
        sync_names(place.parent)


def below(folder: Path) -> Iterator[Path]:
    """A folder, and all files and folders in it."""
    for place, _, names in os.walk(folder):
        yield Path(place)
        yield from (Path(place, name) for name in names)


def sync_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system has that.

    Raises
    ------
    OSError
        If they could not be written.
    """
    try:
        held = os.open(folder, os.O_RDONLY)
    except OSError:  # on Windows, and where one may not look into the folder
        return
    try:
        _fsync(held)
    finally:
        os.close(held)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; some systems cannot tell."""
    if path.is_dir():
        sync_names(path)
        return
    with open(path, "r+b") as file:
        _fsync(file.fileno())


def _fsync(file: int) -> None:
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
