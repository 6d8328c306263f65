"""Files that a project of Leica names, looked at before liffile opens them one within the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from unnoise.images.formats.beside import check_beside
from unnoise.images.formats.reader import needs


@contextmanager
def opened(path: Path, root: Path) -> Iterator[Any]:
    """A file of liffile, all of whose files are safe to open.

    Parameters
    ----------
    path : Path
    root : Path
        In the folder of this one, or below, all files must lie.

    Raises
    ------
    ValueError
        If a file is named twice, or names itself: liffile opens what is named for each of its
        names, so that 1 kB would keep it busy for hours.
    InputError
        If a file lies outside the folder.
    """
    liffile = needs("liffile", "formats")
    # A file that liffile opened itself opens all that it names when it is closed, too.
    with open(os.path.abspath(path), "rb") as stream, liffile.LifFile(stream) as file:
        alone = not _named(file)
        if alone:
            _check_objects(file, root)
            yield file
        else:
            _check(path, root)
    if not alone:
        with liffile.LifFile(path) as file:
            yield file


def _check(path: Path, root: Path) -> None:
    """Refuse a project that is no tree of files below its folder."""
    liffile = needs("liffile", "formats")
    seen: set[str] = set()
    left = [Path(os.path.abspath(path))]
    while left:
        place = left.pop()
        if str(place) in seen:
            raise ValueError(f"{place.name} is named twice, or names itself")
        seen.add(str(place))
        with place.open("rb") as stream:
            file = liffile.LifFile(stream)
            named = _named(file)
            _check_objects(file, root)
        check_beside(root, named)
        left += map(existing, named)


def _check_objects(file: Any, root: Path) -> None:
    """Refuse objects that hold the pixels of a file and name others: they are closed with it."""
    blocks = file.memory_blocks.values()
    names = {frame.file for block in blocks for frame in block.frames}
    for name in names:
        if name.lower().endswith(".lof"):
            place = existing(Path(os.path.abspath(os.path.join(file.dirname, name))))
            check_beside(root, [place])
            with place.open("rb") as stream:
                if _named(needs("liffile", "formats").LifFile(stream)):
                    raise ValueError(f"{place.name} holds pixels, and names other files")


def _named(file: Any) -> list[Path]:
    """What a file refers to, as liffile finds it."""
    found = file.xml_element.findall("./Element/Children/Reference")
    names = [os.path.normpath(unquote(one.get("File"))) for one in found if one.get("File")]
    return [
        Path(os.path.abspath(os.path.join(file.dirname, name.replace("\\", "/")))) for name in names
    ]


def existing(path: Path) -> Path:
    """The same, or the first that is called so in other letters, as Windows makes no difference."""
    if path.exists() or path.parent == path:
        return path
    folder = existing(path.parent)
    alike = (one for one in folder.iterdir() if one.name.lower() == path.name.lower())
    return next(alike, path)
