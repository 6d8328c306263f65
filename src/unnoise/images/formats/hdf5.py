"""HDF5 with pictures in datasets of any name, read chunk by chunk by h5py.

A dataset is named by its path inside the file, as in ``cells.h5:/raw/data``, or by its number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.formats import _hdf5_axes, _hdf5_types, _ome_xml
from unnoise.images.formats._hdf5_chunks import Bounded
from unnoise.images.formats._hdf5_heaps import Checked
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import PlanePixels, needs, reading
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels

ABOUT = (
    About(
        "HDF5",
        (".h5", ".hdf5", ".he5"),
        "h5py",
        "BSD-3",
        "by dimension labels, axistags of ilastik, element_size_um, BigDataViewer; else by "
        "`--axes`; "
        "`file.h5:/path` or `--series` where it holds several datasets",
        "pixel size by element_size_um, axistags or the XML of BigDataViewer",
        writes=False,
        extra="formats",
        tested="synthetic",
    ),
)
SMALLEST = 8
"""Pixels along two axes that a dataset has if it is a picture."""
BDV = re.compile(r"(/t\d+/s(\d+))/(\d+)/cells")
"""Datasets of BigDataViewer, by time, view and level of the pyramid; z, y, x."""
DEEPEST = 32
"""Links that lead to links."""
TEXTS = 10**5
"""Of a dataset, which are looked at."""
CACHE = 2**26
"""Bytes of decoded chunks that are kept of a file; the 1 MB of HDF5 hold none of many chunks."""


class Found(NamedTuple):
    """A dataset that may be a picture."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


def read(path: Path, axes: str | None = None, series: int | None = None) -> Image:
    """Open a dataset of an HDF5 file: the one of a number, or the only one.

    Raises
    ------
    InputError
        For damaged files, files with several datasets, and datasets that lie in other files.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    (number,), _ = numbers(path, series)
    with reading(path, "HDF5"), described(path) as file:
        found = _datasets(file)
        name = found[number].name
        dataset = file[name]
        check_own(path, dataset)
        shape, dtype = tuple(map(int, dataset.shape)), np.dtype(dataset.dtype)
        check_pixels(shape, dtype, path.name)
        is_bdv = BDV.fullmatch(name) is not None and len(shape) == 3
        letters = ax.check(axes or ("ZYX" if is_bdv else _hdf5_axes.letters(dataset)), shape)
        scale, units = _hdf5_axes.scale(dataset, letters)
        if is_bdv and letters == "ZYX":
            scale, units = _sizes_of_bdv(path, name)
        held = ["HDF5 attributes"] if len(dataset.attrs) else []
        data = PlanePixels(path, "HDF5", _regions(name), shape, dtype, plane=len(shape))
        gone = Bounded(path, dataset).missing()
        fill = dataset.fillvalue
    metadata: dict[str, Any] = {"source": "hdf5", "holds": held}
    if gone:
        metadata["note"] = (
            f"{gone} of its chunks were never written and read as {fill}, which HDF5 allows; if it "
            f"is still being recorded, or was copied, look whether all is there"
        )
    if number >= len(_whole(found)) or len(_whole(found)) > 1:
        part = "_" + name.strip("/").replace("/", "_")
        metadata |= {"part": part, "which": f" ({name})"}
    return Image(data, letters, scale=scale, units=units, path=path, metadata=metadata)


def numbers(path: Path, series: str | int | None = None) -> tuple[list[int], str]:
    """Which datasets of a file are meant; where there are several they must be named.

    Raises
    ------
    InputError
        If there is no such dataset, or none is named out of several.
    """
    with reading(path, "HDF5"), described(path) as file:
        found = _datasets(file)
    if not found:
        raise InputError(f"{path} holds no dataset of pixels, with two dimensions or more")
    if series == "all":
        return list(range(len(_whole(found)))), ""
    if isinstance(series, int) and not 0 <= series < len(found):
        raise InputError(
            f"{path} has no series {series}; it holds {len(found)}, counted from 0: "
            f"{_listed(found)}"
        )
    found = found if isinstance(series, int) else _whole(found)
    if series is None and len(found) > 1:
        raise InputError(
            f"{path} holds {len(found)} datasets: {_listed(found)}; name one, as in "
            f"{path.name}:{found[0].name}, or by --series N, or take --series all"
        )
    return [int(series or 0)], ""


def named(path: Path, inside: str) -> int:
    """The number of the dataset with a path inside a file.

    Raises
    ------
    InputError
        If there is none, or a link leads to another file.
    """
    name = "/" + inside.strip("/")
    with reading(path, "HDF5"), described(path) as file:
        check_links(path, file, name)
        found = _datasets(file)
        meant = file.get(name)
        matching = [i for i, one in enumerate(found) if file[one.name] == meant]
    if not matching:
        raise InputError(f"{path} has no dataset {name}; it holds {_listed(found)}")
    return matching[0]


def check_links(path: Path, file: Any, name: str, *, depth: int = 0) -> None:
    """Refuse what lies in another file, though it has a path in this one.

    Raises
    ------
    InputError
        If a link on the way leads there.
    """
    h5py = needs("h5py", "formats")
    parts = name.strip("/").split("/")
    for i in range(len(parts)):
        link = file.get("/".join(parts[: i + 1]), getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise InputError(
                f"{path}:{name} leads to another file, {link.filename}, and such links are not "
                f"followed; open that file itself"
            )
        if isinstance(link, h5py.SoftLink):  # which may lead to one that does
            target = link.path if link.path.startswith("/") else "/".join([*parts[:i], link.path])
            if depth > DEEPEST:
                raise ValueError(f"its links {name} lead in a circle")
            check_links(path, file, target, depth=depth + 1)


def check_file(path: Path, bounded: str = "") -> None:
    """Refuse a file of which anything lies in another one, for readers that follow all links, and
    of which a chunk has not the bytes of its pixels.

    Parameters
    ----------
    path : Path
    bounded : str, optional
        The last part of names of datasets whose chunks are looked at when they are read.

    Raises
    ------
    InputError, ValueError
    """
    h5py = needs("h5py", "formats")
    if not h5py.is_hdf5(path):
        return
    with described(path) as file:
        _read_texts(file)
        waiting, seen = [file], set()
        while waiting:
            group = waiting.pop()
            place = h5py.h5o.get_info(group.id).addr
            if place in seen:  # groups may hold themselves
                continue
            seen.add(place)
            for name in group:
                check_links(path, file, f"{group.name}/{name}")
                one = group.get(name)
                if one is not None:
                    _read_texts(one)
                if isinstance(one, h5py.Group):
                    waiting.append(one)
                elif isinstance(one, h5py.Dataset):
                    check_own(path, one)
                    if name.lower() != bounded:
                        Bounded(path, one).check()


def _read_texts(one: Any) -> None:
    """Read all texts of any length of a group or dataset, which tells of damaged ones."""
    _hdf5_types.check(one)
    for name in one.attrs:
        with suppress(TypeError):  # what NumPy has not
            if one.attrs.get_id(name).dtype.hasobject:
                one.attrs[name]
    with suppress(TypeError):
        if getattr(one, "shape", None) is not None and one.dtype.hasobject and one.size < TEXTS:
            one[()]


@contextmanager
def described(path: Path) -> Iterator[Any]:
    """A file, for all but its pixels: HDF5 may be busy for ever with damaged texts of others."""
    h5py = needs("h5py", "formats")
    with Checked(path) as checked, h5py.File(checked, "r") as file:
        yield file


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file, with the compressions of hdf5plugin where that is installed."""
    h5py = needs("h5py", "formats")
    _more_compressions()
    with h5py.File(path, "r", rdcc_nbytes=CACHE, locking=False) as file:
        yield file


@cache
def _more_compressions() -> None:
    """Once: what is not installed is looked for in every folder of packages, 0.5 ms each time."""
    with suppress(ImportError):
        import_module("hdf5plugin")


def _regions(name: str) -> Callable[[Path], Any]:
    """Reads regions of a dataset, of which the chunks they touch are decoded."""

    @contextmanager
    def opened(path: Path) -> Iterator[Any]:
        with _opened(path) as file:
            dataset = Bounded(path, file[name])
            yield lambda _: dataset

    return opened


def _datasets(file: Any) -> list[Found]:
    """The datasets that may be pictures, in the order of their names, smaller copies of them last;
    links are not followed.
    """
    h5py = needs("h5py", "formats")
    found: list[Found] = []

    def visit(_: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset) and one.shape is not None and one.dtype.kind in "buifc":
            large = sum(n >= SMALLEST for n in one.shape) >= 2
            if large or (len(one.shape) > 1 and _hdf5_axes.told(one)):
                found.append(Found(one.name, tuple(one.shape), np.dtype(one.dtype)))

    file.visititems(visit)
    names = {one.name for one in found}
    return sorted(found, key=lambda one: _is_smaller_copy(one.name, names))


def _whole(found: list[Found]) -> list[Found]:
    """Those that are no smaller copies, which come last."""
    names = {one.name for one in found}
    return [one for one in found if not _is_smaller_copy(one.name, names)]


def _is_smaller_copy(name: str, names: Set[str]) -> bool:
    """Whether a dataset is a level of a pyramid of BigDataViewer whose full one is there.

    Examples
    --------
    >>> both = {"/t00000/s00/0/cells", "/t00000/s00/1/cells"}
    >>> [_is_smaller_copy(name, both) for name in sorted(both)]
    [False, True]
    """
    level = BDV.fullmatch(name)
    return level is not None and level[3] != "0" and f"{level[1]}/0/cells" in names


def _sizes_of_bdv(path: Path, name: str) -> tuple[dict[str, float], dict[str, str]]:
    """Pixel size by the XML of BigDataViewer that stands beside a file, if it does."""
    view, beside = BDV.fullmatch(name), path.with_suffix(".xml")
    if view is None or view[3] != "0" or not beside.is_file():
        return {}, {}
    tree = _ome_xml.parse(beside.read_text("utf-8", "replace"))
    if tree is None:
        return {}, {}
    for setup in tree.iter("ViewSetup"):
        if (setup.findtext("id") or "").strip() == str(int(view[2])):
            sizes = (setup.findtext("voxelSize/size") or "").split()
            unit = (setup.findtext("voxelSize/unit") or "").strip()
            with suppress(ValueError):
                found = {k: float(v) for k, v in zip("XYZ", sizes, strict=True)}
                if all(0 < v < np.inf for v in found.values()):
                    return found, dict.fromkeys(found, unit) if unit else {}
    return {}, {}


def _listed(found: list[Found]) -> str:
    texts = [f"{one.name} {one.shape} {one.dtype}" for one in found]
    return ", ".join(texts[:6]) + (f" and {len(texts) - 6} more" if len(texts) > 6 else "")


def check_own(path: Path, dataset: Any) -> None:
    """Refuse pixels that lie elsewhere, those that cannot be decoded, and damaged types.

    Raises
    ------
    InputError, ValueError
    """
    h5py = needs("h5py", "formats")
    _hdf5_types.check(dataset)
    if dataset.external:
        elsewhere = dataset.external[0][0]
    elif dataset.is_virtual:
        elsewhere = next((s.file_name for s in dataset.virtual_sources() if s.file_name != "."), "")
    else:
        elsewhere = ""
    if elsewhere:
        raise InputError(
            f"the pixels of {path}:{dataset.name} lie in another file, {elsewhere}, which is not "
            f"followed; open that file itself"
        )
    plist = dataset.id.get_create_plist()
    for i in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            title = name.decode("utf-8", "replace") or f"filter {code}"
            raise InputError(
                f"{path}:{dataset.name} is compressed by {title}, which cannot be decoded here; "
                f"install it with pip install hdf5plugin"
            )
