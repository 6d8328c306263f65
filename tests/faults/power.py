"""A machine that loses its power, as far as a disk may be behind: only what was synced is left.

POSIX promises that the bytes of a file are on the disk once it was synced, and its name once its
folder was. Three disks are played: of one nothing else is left; one has all names, as a file
system that keeps a journal of names alone, but files without the bytes that were not synced; and of
one each folder has its names as they were synced or as they are now, and each file its bytes, as it
comes: what was done later may be there without what was done before.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import threading
from contextlib import suppress
from pathlib import Path

LOST = ("POWER", "POWER NAMES", "POWER SOME")
"""All that was not synced; the bytes of files alone; some of both, drawn with a seed."""


def kept_at(root: str | Path) -> Path:
    """Where the folder is that is left of another one."""
    return Path(f"{os.path.realpath(root)}.power")


class Disk:
    """What is safe below a folder: names of each folder and bytes of each file, by inode.

    Parameters
    ----------
    root : str
        All that lies in it at first is safe.
    kind : str
        One out of `LOST`.
    seed : int
        For what is drawn.
    """

    def __init__(self, root: str, kind: str = LOST[0], seed: int = 0) -> None:
        self.root, self._kind = os.path.realpath(root), kind
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._names: dict[int, dict[str, int]] = {}
        self._bytes: dict[int, bytes] = {}
        self._held: dict[int, int] = {}  # open files keep their inodes from being used again
        for place, _, files in os.walk(self.root):
            for name in (".", *files):
                self._take(os.path.join(place, name))

    def synced(self, file: int) -> None:
        """A file or folder is on the disk as it is now."""
        place = os.readlink(f"/proc/self/fd/{file}")
        if place == self.root or place.startswith(self.root + os.sep):
            with self._lock:  # of two threads the later one has the newer names
                self._take(f"/proc/self/fd/{file}")

    def fall(self) -> None:
        """Make the folder that is left, beside the one that is there."""
        with self._lock:
            self._make(self._hold(self.root), kept_at(self.root))

    def _take(self, place: str) -> None:
        number = self._hold(place)
        if os.path.isdir(place):
            self._names[number] = self._now(number)
        else:
            with _open(place, "rb") as file:
                self._bytes[number] = file.read()

    def _hold(self, place: str) -> int:
        number = os.stat(place).st_ino
        if number not in self._held:
            self._held[number] = _os_open(place, os.O_RDONLY)
        return number

    def _now(self, number: int) -> dict[str, int]:
        """The names that a folder has at this moment."""
        folder = f"/proc/self/fd/{self._held[number]}"
        while True:
            names = os.listdir(folder)
            with suppress(FileNotFoundError):  # a thread renamed one: it has another name by now
                found = {name: self._hold(os.path.join(folder, name)) for name in names}
                if set(os.listdir(folder)) == set(names):
                    return found

    def _draw(self) -> bool:
        return self._random.random() < 0.5

    def _make(self, number: int, target: Path) -> None:
        target.mkdir()
        is_new = self._draw() if self._kind == LOST[2] else self._kind == LOST[1]
        known = self._now(number) if is_new else self._names.get(number, {})
        for name, inner in known.items():
            held, place = self._held[inner], target / name
            if stat.S_ISDIR(os.fstat(held).st_mode):
                self._make(inner, place)
            else:
                if self._kind == LOST[2] and self._draw():
                    with _open(f"/proc/self/fd/{held}", "rb") as file:
                        place.write_bytes(file.read())
                else:
                    place.write_bytes(self._bytes.get(inner, b""))
                shutil.copystat(held, place)


_open, _os_open = io.open, os.open
"""As they are without a fault."""
