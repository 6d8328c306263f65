"""Files in and out, whatever their format."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError, expect
from unnoise.images.file_version import FileVersion, version_of
from unnoise.images.formats import listing, sequences, urls
from unnoise.images.formats.content import format_within
from unnoise.images.formats.places import (
    as_sequence,
    files_of,
    find,
    is_there,
    output_path,
    output_paths,
    rewritten,
)
from unnoise.images.formats.registry import (
    folder_format,
    format_of,
    is_file,
    split_inside,
    suffix_of,
)
from unnoise.images.formats.saving import create, not_carried, save
from unnoise.images.image import ArrayLike, Image, as_image

__all__ = [
    "as_sequence",
    "create",
    "files_of",
    "find",
    "is_there",
    "not_carried",
    "numbers",
    "open",
    "open_all",
    "output_path",
    "output_paths",
    "read_mask",
    "rewritten",
    "save",
    "smaller",
]
MOST_PLANES = 2**24
"""Of an image; damaged headers tell of billions. Python counts to it in a second."""


def open(
    path: str | os.PathLike[str] | ArrayLike,
    *,
    axes: str | None = None,
    series: int | None = None,
    labels: bool = False,
) -> Image:
    """Open an image; pixels are read when they are asked for.

    Parameters
    ----------
    path : path or array
        A file; a folder of Zarr; an address like ``s3://bucket/cells.zarr``; a pattern like
        ``img_t{t}_z{z}.tif``, whose files are one image; or an array of NumPy, Dask, Zarr or
        xarray, which stays where it is.
    axes : str, optional
        Letters out of STCZYX, one per dimension; overrides what the file says.
    series : int, optional
        Which image of a file that holds several, counted from 0; by default the first of full
        size.
    labels : bool
        Whether to open masks and label images too, which have no noise and are refused otherwise.

    Returns
    -------
    Image
        ``metadata["note"]``, where present, is a sentence the user should see.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged or of an unknown kind.
    AxesError
        If its axes are ambiguous, or `axes` do not fit.

    Examples
    --------
    >>> open("cells.tif").axes  # doctest: +SKIP
    'ZYX'
    """
    if series is not None:
        expect("series", series, int, "a number from 0 on (open_all takes several)")
    if getattr(path, "shape", ()) and hasattr(path, "dtype"):
        if series:
            raise InputError(f"an array is one image, so there is no series {series}")
        return Image.from_array(path, axes) if labels else as_image(path, axes, "the array")
    expect("path", path, (str, os.PathLike), "a name like 'cells.tif', or an array")
    path = urls.place(cast(str, path))
    if sequences.is_pattern(path):
        return sequences.read(
            path, axes, lambda file, own: open(file, axes=own, series=series, labels=labels)
        )
    with _local(path) as file:
        inner, series = _named(file, series)
        own = FileVersion.of(inner)
        found, note = _format(inner)
        if series is None or not hasattr(found, "numbers"):
            if series:
                raise InputError(f"{path} holds one image, so there is no series {series}")
            image = found.read(inner, axes)
        else:
            image = found.read(inner, axes, series)
        if not labels:
            _refuse_labels(image)
        _refuse_endless(image)
        version = version_of(own, image.metadata.get("files", ()))
    where = image.path if file == path else path
    return _noted(replace(image, path=where, version=version), note)


@listing.once()
def open_all(
    paths: Iterable[str | os.PathLike[str]],
    *,
    axes: str | None = None,
    series: int | str | None = None,
) -> list[Image]:
    """Open all images that are meant by files: several of one file, one of several files.

    Parameters
    ----------
    paths : iterable of path
        As `find` gives them. Files of a set that holds one image are opened once.
    axes : str, optional
        As for `open`.
    series : int or str, optional
        As for `open`, or ``all``; by default every image of full size.

    Raises
    ------
    InputError
    AxesError

    Examples
    --------
    >>> [image.name for image in open_all(["positions.ome.tif"])]  # doctest: +SKIP
    ['positions.ome.tif (series 0)', 'positions.ome.tif (series 1)']
    """
    images: list[Image] = []
    members: set[str] = set()
    for path in map(urls.place, paths):
        if os.path.realpath(path) in members:
            continue
        which, note = [0], ""
        if sequences.is_pattern(path):
            which = [0 if series in (None, "all") else int(series)]
        else:
            path, wanted = _named(path, series)
            with _local(path) as file:
                which, note = _numbers(file, wanted)
        for number in which:
            image = _noted(open(path, axes=axes, series=number), note)
            members |= {os.path.realpath(file) for file in image.metadata.get("files", ())}
            if len(which) > 1:
                own = {"part": f"_series{number}", "which": f" (series {number})"}
                image = replace(image, metadata={**own, **image.metadata})
            images.append(image)
            note = ""
    return images


def numbers(path: Path, series: int | str | None = None) -> list[int]:
    """Which images of a file are meant by `series`, as for `open_all`.

    Raises
    ------
    InputError
    """
    if sequences.is_pattern(path):
        return [0]
    path, series = _named(urls.place(path), series)
    with _local(path) as file:
        return _numbers(file, series)[0]


def _numbers(path: Path, series: int | str | None) -> tuple[list[int], str]:
    """The numbers of images of a file, and what there is to tell of the others."""
    found, _ = _format(path)
    if hasattr(found, "numbers"):
        which, note = found.numbers(path, series)
        return list(which), note
    if series not in (None, "all", 0):
        raise InputError(f"{path} holds one image, so there is no series {series}")
    return [0], ""


def _named(path: Path, series: Any) -> tuple[Path, Any]:
    """The file and number of an image that is named by a path inside its file."""
    file, inside = split_inside(path)
    if isinstance(path, urls.Url) or not inside or not os.path.exists(file):
        return path, series
    found = _format(file)[0]
    if not hasattr(found, "named"):
        raise InputError(f"{file} has no images that are named; leave out :{inside}")
    if series not in (None, "all"):
        raise InputError(f"{path} names an image already; leave out --series")
    return file, found.named(file, inside)


def smaller(image: Image) -> list[Image]:
    """The smaller copies of an image that its file holds (its pyramid), the largest first.

    Parameters
    ----------
    image : Image
        As `open` gives it; of images in memory, and of parts, there are none.

    Returns
    -------
    list of Image
        With the axes of the image, fewer pixels along Y and X, perhaps along Z too, and pixels
        that are read when they are asked for.

    Raises
    ------
    InputError
        If the file is damaged.

    Examples
    --------
    >>> [copy.shape for copy in smaller(open("slide.ome.tif"))]  # doctest: +SKIP
    [(10000, 10000), (5000, 5000)]
    """
    path = image.path
    if path is None or isinstance(path, urls.Url) or sequences.is_pattern(path):
        return []
    path, _ = split_inside(path)
    found: list[Image] = []
    own: Any = _format(path)[0] if os.path.exists(path) else None
    for data in own.smaller(image) if hasattr(own, "smaller") else ():
        if len(data.shape) != len(image.axes):
            continue
        sizes = dict(zip(image.axes, zip(image.shape, data.shape, strict=True), strict=True))
        fits = all(a == b for letter, (a, b) in sizes.items() if letter not in "ZYX")
        if fits and all(0 < sizes[k][1] < sizes[k][0] for k in "YX"):
            grown = {k: v * sizes[k][0] / sizes[k][1] for k, v in image.scale.items() if k in sizes}
            found.append(replace(image, data=data, scale=grown, hidden=None, mask=None))
    return found


@contextmanager
def _local(path: Path) -> Iterator[Path]:
    """What readers open: the path, or a copy of what lies at an address, unless it is Zarr."""
    if not isinstance(path, urls.Url) or not (suffix_of(path) and is_file(path)):
        yield path
        return
    copy = urls.fetched(path)
    try:
        yield copy
    except InputError as error:
        raise type(error)(str(error).replace(str(copy), str(path))) from error


def _format(path: Path) -> tuple[Any, str]:
    """The format of a file by its content, and what to tell where its name says another."""
    if isinstance(path, urls.Url):
        return format_of(Path("a.zarr")), ""
    if not os.path.exists(path):
        raise InputError(f"no such file: {path}; check the name and the folder")
    if path.is_dir():
        folder = folder_format(path)
        if folder is None:
            raise InputError(f"{path} is a folder, not an image file; name a file in it")
        return folder, ""
    found = format_of(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy or export it again")
    return format_within(path, found)


def _noted(image: Image, note: str) -> Image:
    """The image with a further note."""
    notes = [text for text in (image.metadata.get("note"), note) if text]
    return replace(image, metadata={**image.metadata, "note": "; ".join(notes)}) if note else image


def _refuse_labels(image: Image) -> None:
    """InputError for what holds no intensities."""
    if "unfit" in image.metadata:
        raise InputError(image.metadata["unfit"])
    if image.dtype.kind == "b":
        raise InputError(
            f"{image.path} holds pixels of one bit, black or white: a mask or a drawing has no "
            f"noise to remove; give the image that it was made from"
        )


def _refuse_endless(image: Image) -> None:
    """InputError for what has more planes than anything could look at one by one."""
    count = math.prod(n for letter, n in image.sizes.items() if letter not in "YX")
    if count > MOST_PLANES:
        raise InputError(
            f"{image.path} tells of {count:,} planes, and {MOST_PLANES:,} are the most that an "
            f"image may have; it may be damaged: copy or export it again, or in smaller parts"
        )


def read_mask(path: str | os.PathLike[str]) -> NDArray:
    """A mask from an image file: nonzero where pixels are measurements, in any of its colours.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    image = open(path, labels=True)
    block = np.asarray(image.data[(slice(None),) * len(image.shape)])
    if not image.is_rgb:
        return block
    colours = [c for c in range(image.sizes["C"]) if c != image.alpha]
    return np.asarray(block.take(colours, image.axes.index("C")).any(image.axes.index("C")))
