"""Which images of a file are meant that holds several, by one rule for all formats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from unnoise.errors import InputError
from unnoise.images.formats.reader import reading
from unnoise.images.image import Image


@dataclass(frozen=True)
class Series:
    """A format whose files hold several images: what `registry.Format` calls read and numbers.

    Attributes
    ----------
    kind : str
        What a file is, for messages.
    parse : callable
        All images of a file, without their pixels; whatever it raises becomes one sentence.
    """

    kind: str
    parse: Callable[[Path], list[Image]]

    def read(self, path: Path, axes: str | None = None, series: int | None = None) -> Image:
        """Open an image of a file: the one of a number, or the first of full size.

        Raises
        ------
        InputError
            For damaged files, and pixels that are no real numbers.
        AxesError
            If `axes` do not fit.
        """
        found = self._found(path)
        if series is None:
            chosen = largest(found)
            image, note = found[chosen[0]], others(_listed(found), chosen, several=False)
        else:
            image, note = found[checked(path, _listed(found), series)], ""
        notes = [text for text in (image.metadata.get("note"), note) if text]
        if notes:
            image = replace(image, metadata={**image.metadata, "note": "; ".join(notes)})
        return image.with_axes(axes) if axes else image

    def numbers(self, path: Path, series: str | int | None = None) -> tuple[list[int], str]:
        """Which images of a file are meant, and what to tell of the others.

        Parameters
        ----------
        path : Path
        series : int or str, optional
            A number, or ``all``; by default all that are of full size.

        Raises
        ------
        InputError
            If there is no such image, or the file is damaged.
        """
        found = self._found(path)
        if isinstance(series, int):
            return [checked(path, _listed(found), series)], ""
        chosen = list(range(len(found))) if series == "all" else largest(found)
        return chosen, others(_listed(found), chosen, several=True)

    def _found(self, path: Path) -> Sequence[Image]:
        """The images of a file, which is looked through once, not anew for each of them."""
        with reading(path, self.kind):
            state = path.stat()
            found = _parsed(self, path, state.st_ino, state.st_mtime_ns, state.st_size)
            return [replace(image, data=copy(image.data)) for image in found]  # closed when unused


@lru_cache(maxsize=4)
def _parsed(format: Series, path: Path, *_state: int) -> Sequence[Image]:
    found = format.parse(path)
    if not found:
        raise ValueError("it holds no image")
    return found


def largest(found: Sequence[Image]) -> list[int]:
    """The numbers of the images of full size: the largest, and all that are like it."""

    def kind(image: Image) -> tuple[int, int, tuple[int, ...], str, str]:
        size = math.prod(image.shape)
        return size, image.dtype.itemsize, image.shape, image.dtype.str, image.axes

    most = max(map(kind, found))[:2]
    first = next(image for image in found if kind(image)[:2] == most)
    return [i for i, image in enumerate(found) if kind(image) == kind(first)]


def others(listed: Sequence[str], chosen: list[int], *, several: bool) -> str:
    """A sentence about the images of a file that are not used, or nothing; `listed` are all."""
    used = chosen if several else chosen[:1]
    left = [i for i in range(len(listed)) if i not in used]
    if not left:
        return ""
    alike = "one of those of full size" if len(chosen) > len(used) else "of full size"
    return (
        f"holds {len(listed)} series of images; {_named(listed, used)}, {alike}, is used, and left "
        f"out are {_named(listed, left)}; others with --series N, or series=N in Python"
    )


def checked(path: Path, listed: Sequence[str], series: int) -> int:
    """The number of an image, if there is such a one; InputError otherwise."""
    if not 0 <= series < len(listed):
        raise InputError(
            f"{path} has no series {series}; it holds {len(listed)}, counted from 0: "
            f"{_named(listed, range(len(listed)))}"
        )
    return series


def _named(listed: Sequence[str], which: Iterable[int]) -> str:
    texts = [f"series {i} {listed[i]}" for i in which]
    return ", ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")


def _listed(found: Sequence[Image]) -> list[str]:
    """Every image in a few words."""
    names = [image.metadata.get("title") for image in found]
    return [
        f"{f'({name}) ' if name else ''}of shape {image.shape}"
        for name, image in zip(names, found, strict=True)
    ]
