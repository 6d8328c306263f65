"""Images that the page shows, under names that tell nothing and lead nowhere else."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unnoise.app.files import InputOptions
from unnoise.app.web import screening
from unnoise.app.web.workspace import Workspace
from unnoise.errors import UnnoiseError
from unnoise.images.image import Image

NAMED = 5000
"""Images whose names are remembered; a page that was open for longer is loaded anew."""
OPENED = 64
"""Images that stay opened; their pixels are read when they are asked for."""


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
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._images: OrderedDict[str, Image] = OrderedDict()
        self._lock = threading.Lock()

    def name(self, picture: Picture) -> str:
        """The name of an image; the same for the same file, until it changes.

        Raises
        ------
        InputError
            If it is no image in the workspace.
        """
        real = self._workspace.image(picture.path)
        seen = real.stat()
        key = f"{picture}|{real}|{seen.st_mtime_ns}|{seen.st_size}"
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        with self._lock:
            self._pictures[name] = picture
            self._pictures.move_to_end(name)
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
