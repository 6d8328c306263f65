"""What of the disk can be reached from the page: the workspace, and nothing outside it."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from unnoise.errors import UNPRINTABLE, InputError, printable
from unnoise.images.durable import make_folder
from unnoise.images.formats.places import is_there
from unnoise.images.formats.registry import known_suffixes, suffix_of

OWN = "unnoise-app"
"""The folder in the workspace for all that the page writes."""
LONGEST = 150
"""Bytes of a file name that is taken; with what results add, disks take it."""
LONGEST_TEXT = 1000
"""Characters that may be typed into a field; more would only cost memory and time."""

_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names that are devices on Windows, whatever follows them."""
_FORBIDDEN = re.compile(r'[<>:"/\\|?*{}\[\]]')
"""What Windows takes in no name, and what stands for other characters in patterns."""


@dataclass(frozen=True)
class Entry:
    """Something in a folder that can be chosen.

    Attributes
    ----------
    name : str
        From the workspace on, with slashes.
    label : str
        What is shown.
    is_folder : bool
        Whether it is entered, and not opened.
    size : int
        Bytes; 0 of folders.
    """

    name: str
    label: str
    is_folder: bool
    size: int


class Workspace:
    """A folder that nothing leads out of.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder.resolve(strict=True)
        self.own = self.root / OWN
        self.uploads = self.own / "uploads"
        self.results = self.own / "results"
        self.models = self.own / "models"
        self.queue = self.own / ".queue"
        self.incoming = self.own / ".incoming"

    def prepare(self) -> None:
        """Make the folders.

        Raises
        ------
        InputError
            If the folder leads elsewhere.
        """
        for folder in (self.uploads, self.results, self.models, self.queue, self.incoming):
            make_folder(folder)
            self.inside(folder)
        self.incoming.chmod(0o700)

    def sweep(self) -> None:
        """Take away what an earlier run that was killed left, as of unfinished uploads; for who has
        the queue alone.
        """
        for left in (*self.incoming.glob("*.part"), *self.own.glob("open-*.html")):
            left.unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """The file or folder of a name that came from a browser.

        Parameters
        ----------
        name : str
            From the workspace on, with slashes; empty for the workspace itself.

        Raises
        ------
        InputError
            If it is not there, is hidden, or lies outside; the message is the same, so that
            nobody learns what else the disk holds.
        """
        parts = name.split("/") if name else []
        if any(not _is_plain(part) for part in parts):
            raise _missing(name)
        return self.inside(self.root.joinpath(*parts))

    def inside(self, path: Path) -> Path:
        """A path without links, if it is there and lies in the workspace.

        Raises
        ------
        InputError
        """
        try:
            real = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):  # not there, NUL, a circle of links
            raise _missing(path.name) from None
        if real != self.root and not real.is_relative_to(self.root):
            raise _missing(path.name)
        return real

    def image(self, path: Path) -> Path:
        """A path without links, if it is that of an image in the workspace.

        Of a folder of images, which readers would search, nobody has looked where its links lead.

        Raises
        ------
        InputError
        """
        real = self.inside(path)
        if not is_there(real):
            raise _missing(path.name)
        return real

    def name(self, path: Path) -> str:
        """What the page calls a path."""
        place = path.relative_to(self.root).as_posix()
        return "" if place == "." else place

    def listing(self, folder: str) -> list[Entry]:
        """Folders and images that can be chosen, in the order of people.

        Raises
        ------
        InputError
        """
        found = []
        place = self.path(folder)
        if not place.is_dir():
            raise _missing(folder)
        with os.scandir(place) as entries:
            for item in entries:
                entry = self._entry(Path(item.path))
                if entry is not None:
                    found.append(entry)
        found.sort(key=lambda entry: (not entry.is_folder, _natural(entry.label)))
        return found

    def _entry(self, path: Path) -> Entry | None:
        """A file or folder as it is listed, if it can be chosen."""
        if not _is_plain(path.name):
            return None
        try:
            real = self.inside(path)
            size = real.stat().st_size
            is_image = is_there(real) and (real.is_dir() or bool(suffix_of(path)))
        except (OSError, InputError):
            return None
        is_folder = real.is_dir() and not is_image
        if not is_folder and not is_image:
            return None
        return Entry(self.name(path), path.name, is_folder, size if real.is_file() else 0)

    def free_name(self, wanted: str) -> str:
        """A name in the folder of uploads that nothing has yet.

        Raises
        ------
        InputError
            If it is not that of an image.
        """
        name = safe_name(wanted)
        end = suffix_of(name)
        if not end:
            raise InputError(
                f"{printable(wanted)} has no suffix of an image; known are {known_suffixes()}"
            )
        stem = name[: -len(end)]
        names = itertools.chain([name], (f"{stem}_{n}{end}" for n in itertools.count(2)))
        return next(one for one in names if not os.path.lexists(self.uploads / one))


def safe_name(wanted: str) -> str:
    r"""A file name that every system takes, made of what a browser says.

    Examples
    --------
    >>> [safe_name(name) for name in ("../../a.tif", "C:\\data\\a b.tif", "con.tif", "a:b?.tif")]
    ['a.tif', 'a b.tif', '_con.tif', 'a_b_.tif']
    >>> safe_name(".."), safe_name("\x00.tif"), safe_name(""), safe_name("- a")
    ('image', '_.tif', 'image', 'a')
    """
    name = unicodedata.normalize("NFC", wanted[-LONGEST_TEXT:])
    name = name.replace("\\", "/").rpartition("/")[2]
    name = _FORBIDDEN.sub("_", UNPRINTABLE.sub("_", name)).lstrip(" .-").rstrip(" .")
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    end = suffix_of(name)
    stem = name[: len(name) - len(end)]
    while len(f"{stem}{end}".encode()) > LONGEST and stem:
        stem = stem[:-1]
    return f"{stem}{end}".rstrip(" .") or "image"


def _is_plain(part: str) -> bool:
    """Whether a part of a name is that of a file or folder that may be seen."""
    odd = UNPRINTABLE.search(part) or "\\" in part or _DEVICES.fullmatch(part)
    drive = len(part) > 1 and part[1] == ":"
    return bool(part) and not part.startswith(".") and not odd and not drive


def _missing(name: str) -> InputError:
    """One answer to everything that cannot be had."""
    return InputError(
        f"the workspace holds no {printable(name)[:200]}; choose a file that is there"
    )


def _natural(label: str) -> list[tuple[int, str]]:
    """A key that sorts ``t2`` before ``t10``."""
    pieces = re.split(r"([0-9]+)", label.lower())
    return [(int(p), "") if i % 2 else (0, p) for i, p in enumerate(pieces)]
