"""Files in and out, whatever their format."""

from __future__ import annotations

import glob
import os
import re
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
from unnoise.images.formats.registry import format_of, format_within, known_suffixes, suffix_of
from unnoise.images.formats.writer import Writer
from unnoise.images.image import Image
from unnoise.images.pixel_types import as_pixels


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
    path = Path(path)
    if series is not None:
        expect("series", series, int, "a number from 0 on (open_all takes several)")
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
        found, _ = _format(path)
        numbers, note = [0], ""
        if hasattr(found, "numbers"):
            numbers, note = found.numbers(path, series)
        elif series not in (None, "all", 0):
            raise InputError(f"{path} holds one image, so there is no series {series}")
        for number in numbers:
            image = _noted(open(path, axes=axes, series=number), note)
            members |= {os.path.realpath(file) for file in image.metadata.get("files", ())}
            if len(numbers) > 1:
                which = {"part": f"_series{number}", "which": f" (series {number})"}
                image = replace(image, metadata={**image.metadata, **which})
            images.append(image)
            note = ""
    return images


def _format(path: Path) -> tuple[Any, str]:
    """The format of a file by its content, and what to tell where its name says another."""
    if not os.path.exists(path):
        raise InputError(f"no such file: {path}; check the name and the folder")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not an image file; name a file in it")
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
    target(path)  # a link that leads nowhere is refused now
    if os.path.exists(path):
        sources = [p for p in (like.path, *like.metadata.get("files", ())) if p is not None]
        if any(source.exists() and path.samefile(source) for source in sources):
            raise InputError(
                f"{path} is the input itself, and the input is never overwritten; "
                f"choose another name with -o"
            )
        if path.is_dir():
            raise InputError(f"{path} is a folder; choose another name with -o")
        if not overwrite:
            raise InputError(f"{path} exists; add --overwrite or choose another name with -o")
    kind = np.dtype(like.dtype if dtype is None else dtype).newbyteorder("=")
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


def find(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Expand files, folders and patterns like ``folder/*.tif`` into image files.

    Files of a folder or a pattern come in natural order (``t2`` before ``t10``). A folder's
    ``x_denoised.tif`` is left out where ``x.tif`` lies beside it: it is an earlier result.

    Raises
    ------
    InputError
        For missing files, unknown suffixes, and folders or patterns without images.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            names = {p.name for p in path.iterdir() if p.is_file()}
            files = [path / name for name in names if not _is_result(name, names)]
            found |= dict.fromkeys(_images(files, f"the folder {path} holds no"))
        elif os.path.exists(path):
            format_of(path)
            found[path] = None
        elif glob.has_magic(str(path)):  # Windows shells leave patterns to the program
            files = [Path(p) for p in glob.glob(str(path)) if os.path.isfile(p)]
            found |= dict.fromkeys(_images(files, f"the pattern {path} matches no"))
        else:
            raise InputError(f"no such file: {path}; check the name and the folder")
    return list(found)


def output_path(
    source: Path | Image, out: str | os.PathLike[str] | None = None, *, several: bool = False
) -> Path:
    """Where the result of one input goes.

    Beside the input under the name ``<stem>_denoised<suffix>``; or into `out` under its own
    name if `out` is a folder, ends with a slash or takes the results of `several` inputs; or to
    `out` itself. Where a file holds several images, their names have the number of each.

    Raises
    ------
    InputError
        If `out` is the name of one image file for several inputs.

    Examples
    --------
    >>> output_path(Path("data/cells.ome.tif")).as_posix()
    'data/cells_denoised.ome.tif'
    >>> output_path(Path("data/cells.tif"), "clean/").as_posix()
    'clean/cells.tif'
    """
    part = ""
    if isinstance(source, Image):
        part = source.metadata.get("part", "")
        source = source.path or Path(source.name)
    stem, ome, suffix = _split(source.name)
    source = source.with_name(f"{stem}{part}{ome}{suffix}")
    if out is None:
        return source.with_name(f"{stem}{part}_denoised{ome}{suffix}")
    is_folder = os.path.isdir(out) or os.fspath(out).endswith(("/", os.sep))
    if several and not is_folder and suffix_of(out):
        raise InputError(f"{out} names one file for several inputs; name a folder with -o {out}/")
    if part and not is_folder and not several:
        stem, ome, suffix = _split(Path(out).name)
        return Path(out).with_name(f"{stem}{part}{ome}{suffix}")
    return Path(out) / source.name if is_folder or several else Path(out)


def output_paths(images: Sequence[Image], out: str | os.PathLike[str] | None = None) -> list[Path]:
    """Where the results of images go, which `open_all` has opened: as `output_path` names them.

    Raises
    ------
    InputError
        If `out` is the name of one image file for several inputs.
    """
    files = {image.path for image in images}
    of_set = any(image.metadata.get("files") for image in images)
    is_folder = out is not None and not suffix_of(out)
    several = len(files) > 1 or (is_folder and (len(images) > 1 or of_set))
    return [output_path(image, out, several=several) for image in images]


def _split(name: str) -> tuple[str, str, str]:
    """Stem, ``.ome`` or nothing, and suffix of a file name."""
    known = len(suffix_of(name))
    stem, suffix = (name[:-known], name[-known:]) if known else os.path.splitext(name)
    head, ome = os.path.splitext(stem)
    return (head, ome, suffix) if ome.lower() == ".ome" else (stem, "", suffix)


def _is_result(name: str, names: set[str]) -> bool:
    """Whether a file is an earlier result of another one that lies beside it."""
    stem, ome, suffix = _split(name)
    source = stem.removesuffix("_denoised")
    sources = {source, re.sub(r"_series[0-9]+$", "", source)}
    return source != stem and any(f"{s}{ome}{suffix}" in names for s in sources)


def _images(files: list[Path], otherwise: str) -> list[Path]:
    """The visible image files in natural order; InputError if there are none."""
    images = [f for f in files if not f.name.startswith(".") and suffix_of(f)]
    if not images:
        raise InputError(f"{otherwise} image files; known suffixes are {known_suffixes()}")
    return sorted(images, key=_natural)


def _natural(path: Path) -> list[str | int]:
    """A key that sorts ``t2`` before ``t10``: text and numbers in turn."""
    pieces = re.split(r"([0-9]+)", str(path).lower())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]
