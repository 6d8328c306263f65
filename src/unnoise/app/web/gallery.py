"""Images that the page shows, under names that tell nothing and lead nowhere else."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unnoise.app.files import InputOptions
from unnoise.app.web import screening
from unnoise.app.web.workspace import Workspace
from unnoise.errors import InputError, UnnoiseError
from unnoise.images.durable import below
from unnoise.images.file_version import FileVersion
from unnoise.images.image import Image

NAMED = 5000
"""Images whose names are remembered; a page that was open for longer is loaded anew."""
OPENED = 64
"""Images that stay opened; their pixels are read when they are asked for."""
CHUNKS = 2000
"""Files of a folder (Zarr) that are looked at whenever a page is loaded, in about 10 ms."""
RENEWED = 60
"""Seconds for which a folder of more files counts as unchanged."""

AS_IT_IS = InputOptions()


@dataclass(frozen=True)
class Picture:
    """An image of a file, and how it is read.

    Attributes
    ----------
    path : Path
        In the workspace.
    reading : InputOptions
    which : str
        What follows the name of the file where it holds several images; empty for the first.
    """

    path: Path
    reading: InputOptions = AS_IT_IS
    which: str = ""


class Gallery:
    """Names of images, and the images of names.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._names: OrderedDict[str, str] = OrderedDict()
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._images: OrderedDict[str, Image] = OrderedDict()
        self._lock = threading.Lock()

    def name(self, picture: Picture) -> str:
        """The name of an image; the same until one of its files changes.

        So what is shown of it, which is kept under its name, is of one state of the files.

        Raises
        ------
        InputError
            If it is no image in the workspace.
        """
        real = self._workspace.image(picture.path)
        key = f"{picture}|{real}|{_state(real)}"
        with self._lock:
            name = self._names.get(key, "")
            if name not in self._pictures or _is_changed(self._images.get(name)):
                name = secrets.token_hex(12)
            self._names[key], self._pictures[name] = name, picture
            self._names.move_to_end(key)
            self._pictures.move_to_end(name)
            while len(self._names) > NAMED:
                self._names.popitem(last=False)
            while len(self._pictures) > NAMED:
                self._pictures.popitem(last=False)
        return name

    def image(self, name: str, request: Any = None) -> Image | None:
        """The first image of a name that was given before; None where there is none."""
        with self._lock:
            picture, image = self._pictures.get(name), self._images.get(name)
        if picture is None or image is not None:
            return image
        try:
            path = self._workspace.image(picture.path)
            screening.check([path])
            found = picture.reading.find([path])
            image = next(one for one in found if picture.which in ("", one.metadata.get("which")))
        except (UnnoiseError, StopIteration):
            return None
        with self._lock:  # of two threads the first one counts
            image = self._images.setdefault(name, image)
            while len(self._images) > OPENED:
                self._images.popitem(last=False)
        return image


def _state(path: Path) -> int:
    """A number that changes with a file, or with those in a folder."""
    if not path.is_dir():
        return hash(FileVersion.of(path))
    found = list(itertools.islice(below(path), CHUNKS + 1))
    if len(found) > CHUNKS:
        return int(time.monotonic() // RENEWED)
    return hash(frozenset(map(FileVersion.of, found)))


def _is_changed(image: Image | None) -> bool:
    """Whether one of the files has changed in which an image lies, beside the one that was named,
    as those that a header names.
    """
    try:
        if image is not None and image.version is not None:
            image.version.check()
    except InputError:
        return True
    return False
