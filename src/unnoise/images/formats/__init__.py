"""Files in and out, whatever their format."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.formats.registry import format_of, known_suffixes, suffix_of
from unnoise.images.formats.writer import Writer
from unnoise.images.image import Image


def open(path: str | os.PathLike[str], *, axes: str | None = None) -> Image:
    """Open an image file; pixels are read when they are asked for.

    Parameters
    ----------
    path : path
    axes : str, optional
        Letters out of STCZYX, one per dimension; overrides what the file says.

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
    path = Path(path)
    if not os.path.exists(path):
        raise InputError(f"no such file: {path}; check the name and the folder")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not an image file; name a file in it")
    found = format_of(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy or export it again")
    return found.read(path, axes)


def create(
    path: str | os.PathLike[str],
    like: Image,
    *,
    dtype: DTypeLike | None = None,
    overwrite: bool = False,
) -> Writer:
    """Prepare an image file with the shape, axes, scale and metadata of another image.

    Everything that can be known beforehand is checked here; the file is laid out when the
    ``with`` block is entered, and gets its name when the block ends well.

    Parameters
    ----------
    path : path
        Its suffix chooses the format; its folder is made if missing.
    like : Image
    dtype : dtype, optional
        Type of the pixels in the file, that of `like` by default.
    overwrite : bool
        Whether an existing file may be replaced. The file of `like` itself never is.

    Raises
    ------
    InputError

    Examples
    --------
    >>> with create("clean.tif", like=image) as out:  # doctest: +SKIP
    ...     out.write({"Z": 3}, block)
    """
    path = Path(path)
    found = format_of(path)
    if os.path.exists(path):
        if like.path is not None and like.path.exists() and path.samefile(like.path):
            raise InputError(
                f"{path} is the input itself, and the input is never overwritten; "
                f"choose another name with -o"
            )
        if path.is_dir():
            raise InputError(f"{path} is a folder; choose another name with -o")
        if not overwrite:
            raise InputError(f"{path} exists; add --overwrite or choose another name with -o")
    kind = np.dtype(like.dtype if dtype is None else dtype).newbyteorder("=")
    return Writer(path, like.axes, like.shape, kind, found.prepare(path, like, kind))


def save(
    path: str | os.PathLike[str],
    array: NDArray,
    *,
    like: Image | None = None,
    axes: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write an array at once, with the axes and metadata of `like` or with `axes`.

    Raises
    ------
    InputError

    Examples
    --------
    >>> save("clean.tif", np.zeros((5, 64, 64), np.float32), axes="ZYX")  # doctest: +SKIP
    """
    image = Image.from_array(array, axes) if like is None else like
    if image.shape != array.shape:
        raise InputError(f"the array has shape {array.shape} but its image {image.shape}")
    with create(path, image, dtype=array.dtype, overwrite=overwrite) as out:
        out.write({}, ax.to_canonical(array, image.axes))


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
            results = {output_path(path / name).name for name in names}
            files = [path / name for name in names - results]
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
    source: Path, out: str | os.PathLike[str] | None = None, *, several: bool = False
) -> Path:
    """Where the result of one input goes.

    Beside the input under the name ``<stem>_denoised<suffix>``; or into `out` under its own
    name if `out` is a folder, ends with a slash or takes the results of `several` inputs; or to
    `out` itself.

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
    if out is None:
        stem, ome, suffix = _split(source.name)
        return source.with_name(f"{stem}_denoised{ome}{suffix}")
    is_folder = os.path.isdir(out) or os.fspath(out).endswith(("/", os.sep))
    if several and not is_folder and suffix_of(out):
        raise InputError(f"{out} names one file for several inputs; name a folder with -o {out}/")
    return Path(out) / source.name if is_folder or several else Path(out)


def _split(name: str) -> tuple[str, str, str]:
    """Stem, ``.ome`` or nothing, and suffix of a file name."""
    known = len(suffix_of(name))
    stem, suffix = (name[:-known], name[-known:]) if known else os.path.splitext(name)
    head, ome = os.path.splitext(stem)
    return (head, ome, suffix) if ome.lower() == ".ome" else (stem, "", suffix)


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
