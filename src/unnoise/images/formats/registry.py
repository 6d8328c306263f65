"""From a suffix to its format: those of this package, and those that other packages bring."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from unnoise.errors import InputError
from unnoise.images.formats.about import About
from unnoise.images.formats.writer import Layout
from unnoise.images.image import Image

RAW: tuple[str, ...] = (
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".nrw",
    ".arw",
    ".sr2",
    ".orf",
    ".raf",
    ".rw2",
    ".pef",
)
RAW += (".srw", ".3fr", ".iiq", ".erf")
"""Suffixes of raw photographs."""
FORMATS = {
    ".tif": "tiff",
    ".tiff": "tiff",
    ".png": "raster",
    ".jpg": "raster",
    ".jpeg": "raster",
    ".npy": "npy",
    **{
        f"{suffix}{packed}": "mrc"
        for packed in ("", ".gz", ".bz2")
        for suffix in (".mrc", ".mrcs", ".map", ".rec", ".st")
    },
    ".czi": "czi",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    **dict.fromkeys((".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fts.gz"), "fits"),
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    **dict.fromkeys(RAW, "raw"),
    **dict.fromkeys((".dm3", ".dm4", ".emd", ".ser", ".blo"), "em"),
    **dict.fromkeys((".h5", ".hdf5", ".he5"), "hdf5"),
    **dict.fromkeys((".dcm", ".dicom", ".ima"), "dicom"),
    **dict.fromkeys((".fits.fz", ".fit.fz", ".fz"), "fits"),
    ".zarr": "zarr",
    ".zarr.zip": "zarr",
    ".ozx": "zarr",
    ".nd2": "nd2",
    **dict.fromkeys((".lif", ".lof", ".xlif", ".xlef"), "lif"),
    ".ims": "ims",
    **dict.fromkeys((".lsm", ".stk", ".svs", ".ndpi"), "microscope_tiff"),
}
"""Suffix -> module of this package with the functions of `Format`, imported when first met."""
MARKERS = {"zarr.json": ".zarr", ".zgroup": ".zarr", ".zarray": ".zarr"}
"""File that makes its folder an image -> suffix of its format."""
DICOM = 128, b"DICM"
"""Where a DICOM file says what it is."""
WITHIN = {".nd2": "JPEG 2000", ".ims": "HDF5", ".zarr.zip": "ZIP", ".ozx": "ZIP"}
WITHIN |= dict.fromkeys((".h5", ".hdf5", ".he5", ".emd"), "HDF5")
"""Suffix -> what its files are, or were once, though it is foreign under other names."""
INSIDE = re.compile(r"(?P<file>.+\.(h5|hdf5|he5)):(?P<inside>.+)", re.IGNORECASE)
"""A file and the path of a dataset inside it."""
COMMON = (".tif", ".tiff", ".png", ".jpg", ".npy", ".zarr", ".czi", ".nd2", ".lif", ".mrc", ".dcm")
"""What messages name of all suffixes."""
GROUP = "unnoise.formats"
"""Entry points of this group name the formats of other packages."""


class Format(Protocol):
    """What a module offers for its family of formats.

    The shortest whole example is ``npy.py`` of this package. Another package brings a module, or
    an object, with the same two functions and with `Plugin.suffixes`, and names it in its
    ``pyproject.toml``::

        [project.entry-points."unnoise.formats"]
        toy = "toy_format"

    A format that can only be read has no `prepare` in this package; results are OME-TIFF then.
    What else it may have is asked for by name: ``numbers(path, series)``, the numbers of the
    images that are meant in a file that holds several, with a note, where `read` takes the number
    as a third argument; ``named(path, inside)``, the number of the image with a name;
    ``lost(path, like, dtype)``, the names of what is known of an image and will not be in its
    file; ``develop(path, like, dtype, compress)``, a layout where results are made of its images in
    another way than by copying, ``LOST`` beside it and ``RESULTS``, the end of their names;
    ``compressions``, names of which `prepare` takes one as a fourth one; ``folders``, True where
    its images are folders.

    Wherever a path ends with one of its suffixes, `open`, `create`, `save`, `find` and the command
    line then use it. The suffixes in `FORMATS` come first: no package can take them over.
    """

    def read(self, path: Path, axes: str | None) -> Image:
        """Open an image of the family, without its pixels where that is possible.

        Parameters
        ----------
        path : Path
            What is there is not empty.
        axes : str, optional
            Letters that the user gave, which override what is found. They are checked with
            `unnoise.images.axes.check`; where nothing tells, `axes.infer` does or asks back.

        Returns
        -------
        Image
            With `path` as its path. Its `data` may be any array-like that reads regions:
            `reader.Pixels` wraps a function that decodes or maps the whole array, and calls it
            when pixels are asked for. Its `metadata` is for `prepare`; ``metadata["note"]``, where
            present, is a sentence the user should see.

        Raises
        ------
        InputError
            For what is damaged or no image, as one sentence with a remedy: `reader.reading` makes
            it of whatever a decoder raises, `pixel_types.check_pixels` refuses pixels of no use.
        """

    def prepare(self, path: Path, like: Image, dtype: np.dtype) -> Layout:
        """Check that the family can hold such an image, and say how to lay it out.

        Parameters
        ----------
        path : Path
            The final name. Nothing is written now.
        like : Image
            Shape, axes, scale and whatever else is to be kept.
        dtype : numpy.dtype
            Type of the pixels, in the native byte order.

        Returns
        -------
        Layout
            A function that is called when writing begins, with a hidden name beside the final one.
            It makes there the file or folder of the image, and returns a `writer.Sink`, which takes
            pixels region by region in the order of `like` (an array does), and a function that
            completes the image. What is there then gets the final name, or goes if anything failed.

        Raises
        ------
        InputError
            For axes, pixel types and sizes that the family lacks, with a remedy.
        """


class Plugin(Format, Protocol):
    """A format of another package.

    Attributes
    ----------
    suffixes : tuple of str
        Ends of the names, with their dots, e.g. ``(".toy", ".toy.gz")``.
    """

    suffixes: tuple[str, ...]


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The longest known suffix of a name in lower case, or nothing.

    Files without a known suffix that are DICOM by their content, as most are, count as ``.dcm``.

    Examples
    --------
    >>> suffix_of("data/v1.2.TIF"), suffix_of("data/tif")
    ('.tif', '')
    """
    ends = Path(path).suffixes
    known = ["".join(ends[i:]).lower() for i in range(len(ends))]
    # Other packages are asked only for what is not known without them: that takes its time.
    own = (end for end in known if end in FORMATS)
    found = next(own, "") or next((end for end in known if end in _loaded()[0]), "")
    return found or (".dcm" if _is_dicom(Path(path)) else "")


def _is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its content, and no table of contents."""
    at, magic = DICOM
    if path.name.upper() == "DICOMDIR" or not os.path.isfile(path):  # False for any name
        return False
    try:
        with open(path, "rb") as file:
            return file.read(at + len(magic))[at:] == magic
    except OSError:
        return False


def split_inside(path: Path) -> tuple[Path, str]:
    """A file and the place inside it that is meant, or nothing where the whole file is.

    Examples
    --------
    >>> file, inside = split_inside(Path("data/a.h5:/raw/cells"))
    >>> file.as_posix(), inside
    ('data/a.h5', '/raw/cells')
    >>> split_inside(Path("b.tif"))[1]
    ''
    """
    found = INSIDE.fullmatch(path.as_posix())
    if found is None or os.path.exists(path):
        return path, ""
    return Path(found["file"]), found["inside"]


def format_of(path: Path) -> Format:
    """The format for the suffix of a path.

    Raises
    ------
    InputError
        If none has it.
    """
    suffix = suffix_of(path)
    if suffix in FORMATS:
        return cast(Format, import_module(f"{__package__}.{FORMATS[suffix]}"))
    if suffix:
        return _loaded()[0][suffix]
    if is_read_only(path):
        return cast(Format, import_module(f"{__package__}.bioio"))
    found = f"the suffix '{path.suffix}' is" if path.suffix else "a name without suffix is"
    raise InputError(f"{path}: {found} no known image format; use one of {known_suffixes()}")


def is_read_only(path: str | os.PathLike[str]) -> bool:
    """Whether a format has no writer: some of this package, and all that only bioio may read.

    Whoever has installed bioio is not told of unknown suffixes before its plugins were asked.
    """
    path = Path(path)
    if suffix_of(path):
        return not hasattr(format_of(path), "prepare")
    return bool(path.suffix) and path.is_file() and find_spec("bioio") is not None


@cache
def only_read() -> tuple[str, ...]:
    """The suffixes of the formats of this package that cannot be written."""
    return tuple(suffix for suffix in FORMATS if is_read_only(f"a{suffix}"))


def folder_format(path: Path) -> Format | None:
    """The format of a folder that is an image, by what is in it or by its name; else None."""
    suffix = suffix_of_folder(path)
    return format_of(Path(f"a{suffix}")) if suffix else None


def suffix_of_folder(path: Path) -> str:
    """The suffix for a folder that is an image, whether its name has it or not; else nothing."""
    suffix = suffix_of(path)
    if suffix and getattr(format_of(path), "folders", False):
        return suffix
    return next((own for file, own in MARKERS.items() if (path / file).is_file()), "")


def is_file(path: Path) -> bool:
    """Whether images of this name are files, or folders: told by the name alone."""
    suffix = suffix_of(path)
    return WITHIN.get(suffix) == "ZIP" or not getattr(format_of(path), "folders", False)


def about() -> list[About]:
    """What is to be known of every format of this package, in the order of `FORMATS`."""
    modules = [import_module(f"{__package__}.{name}") for name in dict.fromkeys(FORMATS.values())]
    return [one for module in modules for one in module.ABOUT]


def known_suffixes() -> str:
    """The suffixes to choose from, for messages, and which formats do not work."""
    formats, problems = _loaded()
    rest = f"or one of {len(FORMATS) - len(COMMON)} more in docs/formats.md"
    return "; ".join([", ".join([*COMMON, *formats, rest]), *problems])


@cache
def _loaded() -> tuple[dict[str, Plugin], list[str]]:
    """The formats of other packages by suffix, and a sentence for each that does not work."""
    from importlib.metadata import entry_points

    formats: dict[str, Plugin] = {}
    problems = []
    for entry in entry_points(group=GROUP):
        try:
            plugin = entry.load()
            for suffix in _checked(plugin):
                if suffix not in FORMATS:
                    formats.setdefault(suffix, plugin)
        except Exception as error:  # code of others raises anything
            source = f" of the package {entry.dist.name}" if entry.dist else ""
            problems.append(
                f"the format '{entry.name}'{source} cannot be used ({type(error).__name__}: "
                f"{error}), update or uninstall it"
            )
    return formats, problems


def _checked(plugin: Plugin) -> list[str]:
    """The suffixes of a format that has all it needs; TypeError otherwise."""
    for name in ("read", "prepare"):
        if not callable(getattr(plugin, name, None)):
            raise TypeError(f"it lacks the function {name}")
    suffixes = getattr(plugin, "suffixes", None)
    if not isinstance(suffixes, tuple) or not all(f"{s}".startswith(".") for s in suffixes):
        raise TypeError("it lacks suffixes, a tuple like ('.toy',)")
    return [f"{s}".lower() for s in suffixes]
