"""DM3, DM4, EMD, SER and BLO of electron microscopes, by RosettaSciIO.

RosettaSciIO is under GPL-3, so it is in an extra of its own and is imported here alone, when such a
file is opened.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.acquisition import Acquisition
from unnoise.images.formats import _dm_tags
from unnoise.images.formats._hdf5_chunks import Bounded
from unnoise.images.formats._series import Series
from unnoise.images.formats.about import About
from unnoise.images.formats.hdf5 import check_file
from unnoise.images.formats.reader import PlanePixels, check_room, needs
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels
from unnoise.images.quiet import quiet, unlogged

READERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    ".dm3": ("DM3", "digitalmicrograph", {}),
    ".dm4": ("DM4", "digitalmicrograph", {}),
    ".emd": ("EMD", "emd", {"select_type": "images"}),
    ".ser": ("SER", "tia", {}),
    ".blo": ("BLO", "blockfile", {}),
}
"""Suffix -> name, module of RosettaSciIO, and what it is asked for."""
ABOUT = (
    About(
        "DM3, DM4, EMD (Velox, Berkeley), SER, BLO",
        tuple(READERS),
        "rosettasciio",
        "GPL-3",
        "YX, stacks by the name or unit of their axis; 4D-STEM and spectra are refused",
        "pixel size, date, title",
        writes=False,
        extra="formats-em",
        tested="em",
    ),
)
UNITS = {"A": "angstrom", "Å": "angstrom", "um": "µm", "μm": "µm", "<undefined>": ""}
TIMES = ("s", "ms", "min", "h")
SERIES_OF_32_BIT, SERIES_OF_SPECTRA = 528, 0x4120
"""The last version of SER with places of 32 bits, and its type of content that is no pictures."""
SERIES_BYTES = {1: 1, 2: 2, 3: 4, 4: 1, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 16}
"""Bytes of a pixel by its type in a SER."""
PIXELS = "data"
"""The last part of names of all pixels of EMD, in small letters."""
PLACES = ("nm", "µm", "angstrom", "mm", "m", "pm")


def _parse(path: Path, axes: str | None) -> list[Image]:
    """All pictures of a file; `axes` may be "?" for any."""
    with _signals(path) as signals:
        for signal in signals:
            _refuse(path, signal, alone=len(signals) == 1)
        pictures = [(i, one) for i, one in enumerate(signals) if _is_picture(one)]
        images = [_image(path, i, one, axes) for i, one in pictures]
    if not images:
        raise InputError(
            f"{path} holds {len(signals)} signals but no picture; export the image that belongs to "
            f"them"
        )
    if len(images) < len(signals):
        images[0].metadata["note"] = (  # type: ignore[index]
            f"holds {len(signals) - len(images)} signals that are no pictures, which are left out"
        )
    return images


def read(path: Path, axes: str | None = None, series: int | None = None) -> Image:
    """Open a picture of a file: the one of a number, or the first of full size.

    Raises
    ------
    InputError
        For damaged files, and what is no picture: 4D-STEM, spectra, complex numbers.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    return Series(_kind(path), partial(_parse, axes=axes)).read(path, None, series)


def numbers(path: Path, series: str | int | None = None) -> tuple[list[int], str]:
    """Which pictures of a file are meant, and what to tell of the others.

    Raises
    ------
    InputError
        If there is no such picture, or the file is damaged.
    """
    return Series(_kind(path), partial(_parse, axes="?")).numbers(path, series)


def _kind(path: Path) -> str:
    return READERS[path.suffix.lower()][0]


@contextmanager
def _signals(path: Path) -> Iterator[list[dict[str, Any]]]:
    """What a file holds, as RosettaSciIO describes it; what it logs of odd files is kept silent."""
    _, module, options = READERS[path.suffix.lower()]
    reader = needs(f"rsciio.{module}", "formats-em")
    if module == "emd":
        check_file(path, bounded=PIXELS)
    elif module == "digitalmicrograph":
        _dm_tags.check(path)
    elif module == "blockfile":
        _check_blockfile(path)
    else:
        _check_series(path)
    with quiet(), unlogged("rsciio"):
        signals = list(reader.file_reader(str(path), lazy=True, **options))
    yield signals


def _check_blockfile(path: Path) -> None:
    """ValueError where a header tells of pictures that are not there: 292 bytes told of billions.

    RosettaSciIO numbers them all. Layout of its ``get_header_dtype_list``: a picture is six bytes
    and its pixels of one byte.
    """
    with path.open("rb") as file:
        header = file.read(28)
    if len(header) == 28:
        start, side, nx, ny = struct.unpack("<12xI4xH2xHH", header)
        if start + nx * ny * (6 + side**2) > path.stat().st_size:
            raise ValueError(f"it tells of {nx} x {ny} pictures that it does not hold")


def _check_series(path: Path) -> None:
    """ValueError where all pictures of a SER lie at one place: 1 MB told of 2 GB.

    RosettaSciIO reads them all at once. Layout of its ``load_ser_file``: where each of them is, and
    before its pixels their type and sizes.
    """
    with path.open("rb") as file:

        def numbers(place: int, form: str) -> tuple[int, ...]:
            file.seek(place)
            return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))

        version, kind, _, _, count = numbers(4, "H4I")
        place = "Q" if version > SERIES_OF_32_BIT else "I"
        (table,) = numbers(22, place)
        (first,) = numbers(table, place)
        is_line = kind == SERIES_OF_SPECTRA
        code, *sides = numbers(first + (20 if is_line else 40), "HI" if is_line else "HII")
    size = path.stat().st_size
    if count * math.prod(sides) * SERIES_BYTES.get(code, 1) > size:
        many = " x ".join(map(str, sides))
        raise ValueError(f"it tells of {count} pictures of {many} that it does not hold")
    check_room(path, size)


def _letter(axis: Mapping[str, Any]) -> str:
    """What an axis is by its name and unit, or "?"; DM3 calls that of every stack z."""
    name, unit = str(axis["name"]).lower(), _unit(axis)
    if name in ("time", "t", "frame") or unit in TIMES:
        return "T"
    if name in ("z", "depth"):
        return "Z" if unit in PLACES else "?"
    return {"x": "X", "width": "X", "y": "Y", "height": "Y"}.get(name, "?")


def _split(signal: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """The axes of a scan or stack, and those of what is at each of its places."""
    outer = [axis for axis in signal["axes"] if axis["navigate"]]
    inner = [axis for axis in signal["axes"] if not axis["navigate"]]
    if len(inner) > 2:  # the EMD of Berkeley makes no difference between them
        planar = [axis for axis in inner if _letter(axis) in "XY"]
        inner = planar if len(planar) == 2 else inner[-2:]
        outer = [axis for axis in signal["axes"] if not any(axis is one for one in inner)]
    return outer, inner


def _is_picture(signal: Mapping[str, Any]) -> bool:
    outer, inner = _split(signal)
    kind = np.dtype(signal["data"].dtype).kind
    return len(inner) == 2 and not _is_scan(outer) and kind in "uif"


def _is_scan(outer: list[Any]) -> bool:
    """Whether there is a picture at each place of a plane, and not of a stack in time."""
    return len(outer) > 1 and sorted(map(_letter, outer)) != ["T", "Z"]


def _refuse(path: Path, signal: Mapping[str, Any], *, alone: bool) -> None:
    """Say what the only signal of a file is, where it is no picture."""
    if not alone:
        return
    outer, inner = _split(signal)
    sizes = " x ".join(str(int(axis["size"])) for axis in outer)
    own = " x ".join(str(int(axis["size"])) for axis in inner)
    if len(inner) == 2 and _is_scan(outer):
        raise InputError(
            f"{path} is a 4D-STEM scan, {sizes} places with a pattern of {own} pixels at each; "
            f"unnoise takes pictures, so export the image of a virtual detector, or the patterns "
            f"of a line as a stack, and denoise those"
        )
    if len(inner) == 1:
        raise InputError(
            f"{path} holds spectra of {own} channels{f' at {sizes} places' if sizes else ''}, not "
            f"a picture; export a map of an energy range as an image and denoise that"
        )
    if np.dtype(signal["data"].dtype).names:
        raise InputError(f"{path} holds colours of a display, not intensities; export it as RGB")
    check_pixels(tuple(map(int, signal["data"].shape)), np.dtype(signal["data"].dtype), path.name)


def _image(path: Path, number: int, signal: Mapping[str, Any], axes: str | None) -> Image:
    shape = tuple(map(int, signal["data"].shape))
    dtype = np.dtype(signal["data"].dtype)
    check_pixels(shape, dtype, path.name)
    letters = ("STZYX"[-len(shape) :] if axes == "?" else axes) or _axes(signal, shape)
    letters = ax.check(letters, shape)
    order = tuple(letters.index(a) for a in ax.CANONICAL if a in letters)
    scale, units = _scale(signal, letters)
    general = signal.get("metadata", {}).get("General", {})
    metadata: dict[str, Any] = {"source": "em", "holds": ["microscope metadata"]}
    title = str(general.get("title", ""))
    metadata |= {"title": title} if title and title != path.stem else {}
    date, time = str(general.get("date", "")), str(general.get("time", ""))
    shape = tuple(shape[i] for i in order)
    data = PlanePixels(path, _kind(path), _regions(number, order), shape, dtype, plane=len(shape))
    letters = "".join(letters[i] for i in order)
    return Image(
        data, letters, scale=scale, units=units, path=path, metadata=metadata,
        acquisition=Acquisition(date=f"{date}T{time}" if date and time else date),
    )  # fmt: skip


def _regions(number: int, order: tuple[int, ...]) -> Callable[[Path], Any]:
    """Reads regions of a signal with its axes in order; the blocks they touch are loaded."""

    @contextmanager
    def opened(path: Path) -> Iterator[Any]:
        with _signals(path) as signals:
            data = _bounded(path, signals[number]["data"]).transpose(order)
        yield lambda _: data

    return opened


def _bounded(path: Path, data: Any) -> Any:
    """An array of dask whose datasets of HDF5 are read as `Bounded` does."""
    if READERS[path.suffix.lower()][1] != "emd":
        return data
    h5py, dask = needs("h5py", "formats"), needs("dask.array", "formats-em")
    parts = dict(data.dask)
    bounded = {k: Bounded(path, v) for k, v in parts.items() if isinstance(v, h5py.Dataset)}
    if not bounded:  # where dask keeps them elsewhere all are looked at now
        check_file(path)
    return dask.Array(parts | bounded, data.name, data.chunks, meta=data._meta)


def _axes(signal: Mapping[str, Any], shape: tuple[int, ...]) -> str:
    """Letters of the axes in their order."""
    outer, inner = _split(signal)
    planar = list(map(_letter, inner))
    planar = planar if sorted(planar) == ["X", "Y"] else ["Y", "X"]
    known = {id(axis): letter for axis, letter in zip(inner, planar, strict=True)}
    for axis in outer:
        letter = _letter(axis)
        # Patterns along a line belong each to a place of its own.
        known[id(axis)] = "S" if letter in "XY" and _unit(axis) in PLACES else letter
    letters = "".join(known[id(axis)] for axis in signal["axes"])
    if not set(letters) <= set(ax.CANONICAL):
        raise ax.ambiguous(shape)
    return letters


def _unit(axis: Mapping[str, Any]) -> str:
    unit = str(axis.get("units") or "")
    return UNITS.get(unit, unit)


def _scale(signal: Mapping[str, Any], letters: str) -> tuple[dict[str, float], dict[str, str]]:
    """Pixel size and units."""
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    for letter, axis in zip(letters, signal["axes"], strict=True):
        size, unit = abs(float(axis.get("scale") or 0)), _unit(axis)
        is_right = letter not in "TZ" or unit in (TIMES if letter == "T" else PLACES)
        if letter in "TZYX" and is_right and 0 < size < np.inf:
            scale[letter] = size
            units |= {letter: unit} if unit else {}
    return scale, units
