"""Files in and out, whatever their format."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unnoise.errors import InputError, expect
from unnoise.images import axes as ax
from unnoise.images.atomic import target
from unnoise.images.formats.places import find, output_path, output_paths, rewritten
from unnoise.images.formats.registry import (
    folder_format,
    format_of,
    format_within,
    is_read_only,
    split_inside,
    suffix_of,
)
from unnoise.images.formats.writer import Writer
from unnoise.images.image import Image
from unnoise.images.pixel_types import as_pixels

__all__ = [
    "create",
    "find",
    "not_carried",
    "numbers",
    "open",
    "open_all",
    "output_path",
    "output_paths",
    "read_mask",
    "rewritten",
    "save",
]


def open(
    path: str | os.PathLike[str],
    *,
    axes: str | None = None,
    series: int | None = None,
    labels: bool = False,
) -> Image:
    """Open an image file; pixels are read when they are asked for.

    Parameters
    ----------
    path : path
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
    expect("path", path, (str, os.PathLike), "a name like 'cells.tif'")
    if series is not None:
        expect("series", series, int, "a number from 0 on (open_all takes several)")
    path, series = _named(Path(path), series)
    found, note = _format(path)
    if series is None or not hasattr(found, "numbers"):
        if series:
            raise InputError(f"{path} holds one image, so there is no series {series}")
        image = found.read(path, axes)
    else:
        image = found.read(path, axes, series)
    if not labels:
        _refuse_labels(image)
    return _noted(image, note)


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
    for path in map(Path, paths):
        if os.path.realpath(path) in members:
            continue
        path, wanted = _named(path, series)
        found, _ = _format(path)
        which, note = [0], ""
        if hasattr(found, "numbers"):
            which, note = found.numbers(path, wanted)
        elif series not in (None, "all", 0):
            raise InputError(f"{path} holds one image, so there is no series {series}")
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
    path, series = _named(path, series)
    found, _ = _format(path)
    return list(found.numbers(path, series)[0]) if hasattr(found, "numbers") else [0]


def _named(path: Path, series: Any) -> tuple[Path, Any]:
    """The file and number of an image that is named by a path inside its file."""
    file, inside = split_inside(path)
    if not inside or not os.path.exists(file):
        return path, series
    found = _format(file)[0]
    if not hasattr(found, "named"):
        raise InputError(f"{file} has no images that are named; leave out :{inside}")
    if series is not None:
        raise InputError(f"{path} names an image already; leave out --series")
    return file, found.named(file, inside)


def _format(path: Path) -> tuple[Any, str]:
    """The format of a file by its content, and what to tell where its name says another."""
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


def create(
    path: str | os.PathLike[str],
    like: Image,
    *,
    dtype: DTypeLike | None = None,
    overwrite: bool = False,
    compress: str | None = None,
) -> Writer:
    """Prepare an image file with the shape, axes, scale and metadata of another image.

    Everything that can be known beforehand is checked here; the file is laid out when the
    ``with`` block is entered, and gets its name when the block ends well. What is known of `like`
    and will not be in the file is named by `Writer.lost`.

    Parameters
    ----------
    path : path
        Its suffix chooses the format; its folder is made if missing.
    like : Image
    dtype : dtype, optional
        Type of the pixels in the file, that of `like` by default.
    overwrite : bool
        Whether an existing file may be replaced. The file of `like` itself never is.
    compress : str, optional
        For TIFF ``none``, ``zlib``, ``lzw``, ``zstd``, ``packbits`` or ``lzma``; by default as the
        file of `like`, where that loses nothing.

    Raises
    ------
    InputError

    Examples
    --------
    >>> with create("clean.tif", like=image) as out:  # doctest: +SKIP
    ...     out.write({"Z": 3}, block)
    """
    expect("path", path, (str, os.PathLike), "a name like 'cells.tif'")
    path = Path(path)
    found: Any = format_of(path)
    if is_read_only(path):
        raise InputError(
            f"{path}: images are read from {path.suffix} files but not written to them; choose a "
            f"name that ends in .ome.tif"
        )
    target(path)  # a link that leads nowhere is refused now
    _refuse_source(path, [p for p in (like.path, *like.metadata.get("files", ())) if p is not None])
    if os.path.exists(path):
        if path.is_dir() and folder_format(path) is not found:
            raise InputError(f"{path} is a folder; choose another name with -o")
        if not overwrite:
            raise InputError(f"{path} exists; add --overwrite or choose another name with -o")
    kind = np.dtype(like.dtype if dtype is None else dtype).newbyteorder("=")
    source: Any = format_of(like.path) if like.path and suffix_of(like.path) else None
    if hasattr(source, "develop"):
        developed = source.develop(path, like, kind, compress)
        if developed is not None:
            return Writer(path, like.axes, like.shape, kind, developed, source.LOST)
    lost = found.lost(path, like, kind) if hasattr(found, "lost") else []
    if compress is None:
        layout = found.prepare(path, like, kind)
    elif hasattr(found, "compressions"):
        layout = found.prepare(path, like, kind, compress)
    else:
        raise InputError(
            f"{path}: only TIFF can be compressed in a way of choice, and that is asked for "
            f"({compress}); leave that out, or choose a name that ends in .tif"
        )
    return Writer(path, like.axes, like.shape, kind, layout, lost)


def _refuse_source(path: Path, sources: Sequence[Path]) -> None:
    """InputError where a result would change an image that it is made of."""
    real = Path(os.path.realpath(path))
    for source in sources:
        if not source.exists():
            continue
        if path.exists() and path.samefile(source):
            raise InputError(
                f"{path} is the input itself, and the input is never overwritten; "
                f"choose another name with -o"
            )
        other = Path(os.path.realpath(source))
        if real in other.parents or (other in real.parents and other.is_dir()):
            which = "holds the input" if real in other.parents else "lies in the input"
            raise InputError(
                f"{path} {which} {source}, and the input is never changed; choose another name "
                f"with -o"
            )


def save(
    path: str | os.PathLike[str],
    array: NDArray,
    *,
    like: Image | None = None,
    axes: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write an array at once, with the axes and metadata of `like` or with `axes`.

    What the file cannot hold of the metadata is told by a warning.

    Raises
    ------
    InputError

    Examples
    --------
    >>> save("clean.tif", np.zeros((5, 64, 64), np.float32), axes="ZYX")  # doctest: +SKIP
    """
    array = as_pixels(array, "array")
    if like is not None:
        expect("like", like, Image, "an image of unnoise.open")
    image = Image.from_array(array, axes) if like is None else like
    if image.shape != array.shape:
        raise InputError(f"the array has shape {array.shape} but its image {image.shape}")
    with create(path, image, dtype=array.dtype, overwrite=overwrite) as out:
        out.write({}, ax.to_canonical(array, image.axes))
    if out.lost:
        warnings.warn(not_carried(out, image), stacklevel=2)


def not_carried(out: Writer, like: Image) -> str:
    """A sentence on what of an image's metadata a file does not hold; nothing where it holds all.

    Examples
    --------
    >>> image = Image.from_array(np.zeros((8, 8)))
    >>> not_carried(Writer(Path("a.npy"), "YX", (8, 8), image.dtype, print, ["date"]), image)
    'not carried from the image to a.npy: date'
    """
    names = ", ".join(out.lost)
    return f"not carried from {like.name} to {out.path.name}: {names}" if names else ""
