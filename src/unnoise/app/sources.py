"""All files that a run reads, over which none of its outputs is ever written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from unnoise.errors import InputError
from unnoise.images.formats import places, urls
from unnoise.images.image import Image


class Sources:
    """What may not be replaced, whatever ``--overwrite`` says.

    A file is known by its place on the disk too, so that links to it, and other spellings of its
    name where case does not matter, are the same file.

    Parameters
    ----------
    *read : iterable of path, Image or None
        Whatever is read: patterns stand for their files, and images for all files that they are
        made of.

    Examples
    --------
    >>> Sources(["a.tif"], [None, "mask.png"]).refuse(Path("./mask.png"), "the preview")
    Traceback (most recent call last):
    unnoise.errors.InputError: the preview would be written to mask.png, which is an input, ...
    """

    def __init__(self, *read: Iterable[str | Path | Image | None]) -> None:
        self._names: dict[object, Path] = {}
        self._folders: dict[object, Path] = {}
        for path in dict.fromkeys(file for some in read for one in some for file in _files(one)):
            self._names |= dict.fromkeys(identities(path), path)
            for folder in _above(path):
                if not identities(folder) - set(self._folders):
                    break  # those above are known too
                self._folders |= dict.fromkeys(identities(folder), path)

    def refuse(self, place: str | Path | None, what: str, remedy: str = "with -o") -> None:
        """InputError where an output would replace or change what is read.

        Parameters
        ----------
        place : path or None
            Where it goes; None for nowhere.
        what : str
            What a message calls it.
        remedy : str
            How another place is chosen.
        """
        if place is None:
            return
        place = urls.place(place)
        own, held = _found(self._names, place), _found(self._folders, place)
        around = next(filter(None, (_found(self._names, above) for above in _above(place))), None)
        if own is None and held is None and around is None:
            return
        which = "is an input"
        if own is None:
            which = f"holds the input {held}" if held else f"lies in the input {around}"
        raise InputError(
            f"{what} would be written to {place}, which {which}, and inputs are never overwritten; "
            f"choose another place {remedy}"
        )


def _found(known: Mapping[object, Path], place: Path) -> Path | None:
    """What is known under any identity of a place."""
    return next((known[key] for key in identities(place) if key in known), None)


def identities(path: str | Path) -> set[object]:
    """What two names of one file share."""
    if isinstance(path, urls.Url):
        return {urls.identity(path)}
    found: set[object] = {os.path.normcase(os.path.realpath(path))}
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return found
    return found | ({(status.st_dev, status.st_ino)} if status.st_ino else set())


def _above(path: Path) -> Sequence[Path]:
    """The folders around a file, from the inmost on."""
    whole = path if isinstance(path, urls.Url) else Path(os.path.realpath(path))
    return list(whole.parents)


def _files(one: str | Path | Image | None) -> list[Path]:
    """The files on disks that something read is made of."""
    if isinstance(one, Image):
        parts = (one.path, *one.metadata.get("files", ()))
        return [file for part in parts for file in _files(part)]
    if one is None:
        return []
    place = urls.place(one)
    if isinstance(place, urls.Url):
        return [place]
    return places.files_of(place)
