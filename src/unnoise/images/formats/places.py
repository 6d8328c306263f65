"""Which files are meant by the names that a user gives, and where the results go."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from unnoise.errors import InputError
from unnoise.images.formats import sequences, urls
from unnoise.images.formats.registry import (
    MARKERS,
    folder_format,
    format_of,
    is_read_only,
    known_suffixes,
    only_read,
    split_inside,
    suffix_of,
    suffix_of_folder,
)
from unnoise.images.image import Image

NAMING = (".h5", ".hdf5", ".he5", ".zarr")
"""Files whose results have the names of their images too."""
WRITTEN = ".ome", ".tif"
"""The end of the names of results whose format can only be read."""


def find(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Expand files, folders, addresses and patterns like ``folder/*.tif`` into image files.

    A pattern with letters in braces, like ``img_t{t}_z{z}.tif``, is one image. Files of a folder or
    a pattern come in natural order (``t2`` before ``t10``). A folder's ``x_denoised.tif`` is left
    out where ``x.tif`` lies beside it: it is an earlier result.

    Raises
    ------
    InputError
        For missing files, unknown suffixes, and folders or patterns without images.
    """
    found: dict[Path, None] = {}
    for path in map(urls.place, paths):
        if sequences.is_pattern(path):
            found[path] = None
        elif isinstance(path, urls.Url):
            found |= dict.fromkeys(_at(path))
        elif path.is_dir() and folder_format(path) is not None:
            found[path] = None
        elif path.is_dir():
            names = {p.name for p in path.iterdir() if _is_image(p)}
            files = [path / name for name in names if not _is_result(name, names)]
            found |= dict.fromkeys(_images(files, f"the folder {path} holds no"))
        elif os.path.exists(path):
            format_of(path)
            found[path] = None
        elif os.path.exists(split_inside(path)[0]):
            found[path] = None
        elif glob.has_magic(str(path)):  # Windows shells leave patterns to the program
            files = [p for p in map(Path, glob.glob(str(path))) if _is_image(p)]
            found |= dict.fromkeys(_images(files, f"the pattern {path} matches no"))
        else:
            raise InputError(f"no such file: {path}; check the name and the folder")
    return list(found)


def _at(path: urls.Url) -> list[Path]:
    """The images at an address."""
    if glob.has_magic(os.fspath(path)):
        return _images(urls.found(path), f"the pattern {path} matches no")
    if suffix_of(path) or any(urls.exists(path / name) for name in MARKERS):
        return [path]
    return _images(urls.found(path), f"the folder {path} holds no")


def as_sequence(paths: Iterable[str | os.PathLike[str]], axes: str | None = None) -> list[Path]:
    """Files, folders or patterns as the pattern of one image, whose files come in natural order.

    Parameters
    ----------
    paths : iterable of path
        As for `find`; all that is found is one image.
    axes : str, optional
        Its first letter is the axis along which the files follow one another; T without it.

    Raises
    ------
    InputError
        If the names of the files have nothing in common.
    """
    found = find(paths)
    if len(found) == 1 and sequences.is_pattern(found[0]):
        return found
    letter = (axes or "T")[0].upper()
    if letter not in sequences.GRID:
        raise InputError(
            f"a sequence goes along S, T, C or Z, and the axes {axes} begin with {letter}; name "
            f"those of the whole, as in --axes ZYX"
        )
    return [sequences.named(sorted(found, key=_natural), letter)]


def files_of(path: Path) -> list[Path]:
    """The files on disks of this machine that a name stands for.

    Of a pattern all that match; of a place inside a file that file.

    Examples
    --------
    >>> [file.as_posix() for file in files_of(Path("data/a.h5:/raw"))]
    ['data/a.h5']
    """
    if isinstance(path, urls.Url):
        return []
    found = list(sequences.files(path)) if sequences.is_pattern(path) else [path]
    return [split_inside(file)[0] for file in found]


def is_there(path: Path) -> bool:
    """Whether a name that was kept still leads to an image, as far as can be told without it."""
    if isinstance(path, urls.Url) or sequences.is_pattern(path):
        return True
    return _is_image(split_inside(path)[0])


def output_path(
    source: Path | Image, out: str | os.PathLike[str] | None = None, *, several: bool = False
) -> Path:
    """Where the result of one input goes.

    Beside the input under the name ``<stem>_denoised<suffix>``; or into `out` under its own
    name if `out` is a folder, ends with a slash or takes the results of `several` inputs; or to
    `out` itself. Where a file holds several images, their names have the number of each. Results of
    formats that cannot be written are OME-TIFF.

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
    >>> output_path(Path("data/cells.czi")).as_posix()
    'data/cells_denoised.ome.tif'
    """
    part = ""
    if isinstance(source, Image):
        part = source.metadata.get("part", "")
        source = source.path or Path(source.name)
    source = sequences.cleaned(source) if sequences.is_pattern(source) else _outermost(source)
    if isinstance(source, urls.Url):  # results are written here
        source = Path(source.name)
    place = None if out is None else urls.place(out)
    stem, ome, suffix = _split(source.name)
    if is_read_only(source):
        ome, suffix = getattr(format_of(source), "RESULTS", WRITTEN)
    source = source.with_name(f"{stem}{part}{ome}{suffix}")
    if out is None or place is None:
        return source.with_name(f"{stem}{part}_denoised{ome}{suffix}")
    is_folder = os.path.isdir(place) or os.fspath(out).endswith(("/", os.sep))
    is_folder = is_folder and (isinstance(place, urls.Url) or folder_format(place) is None)
    if several and not is_folder and suffix_of(out):
        raise InputError(f"{out} names one file for several inputs; name a folder with -o {out}/")
    if part and not is_folder and not several:
        stem, ome, suffix = _split(place.name)
        return place.with_name(f"{stem}{part}{ome}{suffix}")
    return place / source.name if is_folder or several else place


def output_paths(
    images: Sequence[Image], out: str | os.PathLike[str] | None = None, *, several: bool = False
) -> list[Path]:
    """Where the results of images go, which `open_all` has opened: as `output_path` names them.

    With `several` they are what is left of more images, so `out` is a folder.

    Raises
    ------
    InputError
        If `out` is the name of one image file for several inputs.
    """
    files = {image.path for image in images}
    of_set = any(image.metadata.get("files") for image in images)
    is_folder = out is not None and not suffix_of(out)
    several = several or len(files) > 1 or (is_folder and (len(images) > 1 or of_set))
    return [output_path(image, out, several=several) for image in images]


def rewritten(image: Image, path: Path) -> str:
    """A sentence on a result in another format than its image, which cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> rewritten(Image(np.zeros((8, 8)), "YX", path=Path("a.czi")), Path("a_denoised.ome.tif"))
    'a.czi: its format can be read but not written, so the result is a_denoised.ome.tif'
    >>> rewritten(Image(np.zeros((8, 8)), "YX", path=Path("a.npy")), Path("a_denoised.npy"))
    ''
    """
    named = not path.name.endswith("".join(WRITTEN))  # by the user, who knows
    if image.path is None or named or not is_read_only(image.path):
        return ""
    return f"{image.name}: its format can be read but not written, so the result is {path.name}"


def _outermost(path: Path) -> Path:
    """The name and place of a file; of a folder within an image, beside the whole of it.

    Results lie beside images and not in them, and have the suffix of their format.
    """
    is_url = isinstance(path, urls.Url)
    if not is_url and (not path.is_dir() or folder_format(path) is None):
        return path
    whole = path
    if is_url:
        stores = [p for p in (path, *path.parents) if p.suffix.lower() == ".zarr"]
        whole = stores[-1] if stores else path
    else:
        for parent in path.parents:
            if folder_format(parent) is None:
                break
            whole = parent
    known = suffix_of(whole)
    stem, ome, suffix = _split(whole.name) if known else (whole.name, "", "")
    suffix = suffix or (".zarr" if is_url else suffix_of_folder(whole))
    return whole.with_name("_".join([stem, *path.relative_to(whole).parts]) + ome + suffix)


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
    if source == stem:
        return False
    # Results of formats that are only read are TIFF; DICOM often has no suffix.
    ends = [f"{ome}{suffix}", *(("", *only_read()) if suffix == WRITTEN[1] else ())]
    if any(f"{s}{end}" in names for s in sources for end in ends):
        return True
    files = [Path(other) for other in names if other.lower().endswith(NAMING)]
    return any(source.startswith(f"{file.stem}_") for file in files)


def _images(files: list[Path], otherwise: str) -> list[Path]:
    """The visible image files in natural order; InputError if there are none."""
    images = [f for f in files if not f.name.startswith(".") and (suffix_of(f) or f.is_dir())]
    if not images:
        models = {f.parent for f in files if f.name == "weights.safetensors"}
        if models:
            raise InputError(
                f"{models.pop()} holds a model, not images; denoise with it by unnoise "
                f"predict, which takes the model first and then images"
            )
        raise InputError(f"{otherwise} image files; known suffixes are {known_suffixes()}")
    return sorted(images, key=_natural)


def _is_image(path: Path) -> bool:
    """Whether something in a folder may be an image: a file, or a folder that is one."""
    return path.is_file() or (path.is_dir() and folder_format(path) is not None)


def _natural(path: Path) -> list[str | int]:
    """A key that sorts ``t2`` before ``t10``: text and numbers in turn."""
    pieces = re.split(r"([0-9]+)", str(path).lower())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]
