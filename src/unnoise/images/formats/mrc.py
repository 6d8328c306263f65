"""MRC of electron microscopy (also .map, .rec, .st, .mrcs), bare or packed, by mrcfile.

The standard is MRC2014 (Cheng et al. 2015, https://doi.org/10.1016/j.jsb.2015.04.002).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from mrcfile import utils
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.formats import _stored
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import reading
from unnoise.images.formats.writer import Layout, held
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels
from unnoise.images.quiet import quiet
from unnoise.images.units import spelled

BARE = (".mrc", ".mrcs", ".map", ".rec", ".st")
ABOUT = (
    About(
        "MRC",
        tuple(f"{suffix}{packed}" for packed in ("", ".gz", ".bz2") for suffix in BARE),
        "mrcfile",
        "BSD-3",
        "YX, ZYX, SYX (stacks by their space group), TYX, SZYX, TZYX",
        "voxel size, origin, labels, extended header, symmetry",
        tested="mrc",
    ),
)
REFUSED = {
    3: "complex numbers (16-bit integers); save their magnitude as float32 and denoise that",
    101: "pixels of 4 bits, two in a byte; unpack them, e.g. by IMOD's newstack -mode 0",
}
"""Modes that mrcfile does not read."""
MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6, "float16": 12}
VOLUMES = (".rec", ".map")
"""Names of volumes, whatever their header says: IMOD writes 0 for the space group of all."""
IMOD, SIGNED = 1146047817, 1
"""The stamp by which IMOD marks its files, and its flag without which bytes have no sign."""
NSYMBT, MODE, STAMP = slice(92, 96), slice(12, 16), slice(212, 214)
"""Where the header says how long the further header is, the type of pixels, and the byte order."""
MOST_EXTENDED = 2**26
"""Bytes of that in a packed file: 768 for each picture at most."""
FLAGS = slice(40, 48)
"""Where both lie in what mrcfile calls ``extra2``."""
AXES = ("YX", "ZYX", "SYX", "TYX", "SZYX", "TZYX")
"""What can be written, in any order."""
TOLD_AXES = re.compile(r"unnoise: axes ([A-Z]+)")
"""A label, as the header has no word for time."""


def read(path: Path, axes: str | None = None) -> Image:
    """Map an MRC file, or unpack it when its pixels are asked for.

    Raises
    ------
    InputError
        For damaged files, and complex pixels.
    AxesError
        If `axes` do not fit.
    """
    with reading(path, "MRC"), quiet():  # small faults in headers, which most files have
        _check_extended(path)
        with mrcfile.open(path, permissive=True, header_only=True) as file:
            header, size = file.header.copy(), file.voxel_size
            extended = file.extended_header
        place, found, order, note = _layout(path, header)
        check_pixels(place.shape, place.dtype, path.name)
        data = _stored.pixels(path, place, "MRC", order)
        letters = ax.check(axes or found, data.shape)
        scale = {a: float(size[a.lower()]) for a in "ZYX" if a in letters}
        scale = {a: s for a, s in scale.items() if np.isfinite(s) and s > 0}
        native = header.astype(HEADER_DTYPE)
        is_native = utils.byte_orders_equal(header.mode.dtype.byteorder, "=")
        kept = b"" if extended is None or not is_native else extended.tobytes()
    metadata: dict[str, Any] = {
        "source": "mrc",
        "header": native.tobytes(),
        "extended": kept,
        "holds": ["MRC header"] + ["extended header"] * bool(kept),
        "lost": ["extended header"] * bool(int(header.nsymbt) and not kept),
    }
    if note and not axes:
        metadata["note"] = note
    units = dict.fromkeys(scale, "angstrom")
    return Image(data, letters, scale=scale, units=units, path=path, metadata=metadata)


def _check_extended(path: Path) -> None:
    """Refuse a further header that no file has: mrcfile makes room for it, and unpacks it.

    Raises
    ------
    EOFError
        If it is longer than a bare file, or than what may be in a packed one.
    """
    with _stored.opened(path) as file:
        head = file.read(HEADER_DTYPE.itemsize)
    # The order of bytes as mrcfile finds it: by the stamp, unless the mode is none in that order.
    modes: dict[int, Any] = {
        int.from_bytes(head[MODE], order): order for order in ("little", "big")
    }
    stamped: Any = "big" if head[STAMP] == b"\x11\x11" else "little"
    known = [order for mode, order in modes.items() if mode in (*MODES.values(), 4)]
    told = int.from_bytes(head[NSYMBT], stamped if len(known) != 1 else known[0])
    most = MOST_EXTENDED if _stored.packer(path) else path.stat().st_size
    if told > most and len(head) == HEADER_DTYPE.itemsize:
        raise EOFError(f"its header tells of {told} further bytes")


def _layout(path: Path, header: Any) -> tuple[_stored.Place, str, tuple[int, ...], str]:
    """Where the pixels lie, their axes, how these are put in order, and what to tell."""
    mode = int(header.mode)
    if mode in REFUSED:
        raise InputError(f"{path} holds {REFUSED[mode]}")
    dtype = utils.data_dtype_from_header(header)
    stamp, flags = np.frombuffer(bytes(header.extra2)[FLAGS], header.mode.dtype)
    if mode == 0 and stamp == IMOD and not int(flags) & SIGNED:
        dtype = np.dtype(np.uint8)
    shape = utils.data_shape_from_header(header)
    if min(shape) < 1 or int(header.nsymbt) < 0:
        raise ValueError(f"its header gives the shape {shape}")
    place = _stored.Place(HEADER_DTYPE.itemsize + int(header.nsymbt), shape, dtype)
    told = TOLD_AXES.search(b" ".join(header.label).decode("ascii", "replace"))
    own = told[1] if told and len(told[1]) == len(shape) else ""
    letters = own or ("S" * (len(shape) == 4) + "ZYX"[-min(len(shape), 3) :])
    order = tuple(range(len(shape)))
    is_stack = len(shape) == 3 and int(header.ispg) == 0
    if own or len(shape) == 2:
        return place, letters, order, ""
    if is_stack and not any(end in VOLUMES for end in map(str.lower, path.suffixes)):
        several = shape[0] > 1
        return (
            place,
            "SYX",
            order,
            several
            * (
                "is a stack of images by its header, so its planes are taken for independent ones "
                "(S); if it is a volume say --axes ZYX, if a movie --axes TYX"
            ),
        )
    stored = "".join("?XYZ"[int(header[k]) % 4] for k in ("maps", "mapr", "mapc"))
    if sorted(stored) == ["X", "Y", "Z"] and not is_stack:
        first = len(shape) - 3
        order = (*range(first), *(first + stored.index(a) for a in "ZYX"))
    return place, letters, order, ""


def prepare(path: Path, like: Image, dtype: np.dtype) -> Layout:
    """Check that an image fits, and say how to lay the file out.

    Raises
    ------
    InputError
        For pixel types and axes that MRC lacks.
    """
    letters = _letters(like)
    if dtype.name not in MODES:
        raise InputError(
            f"{path}: MRC holds {', '.join(MODES)}, not {dtype}; choose another --dtype, or a name "
            f"that ends in .tif with -o"
        )
    if letters not in AXES or max(like.shape) >= 2**31:
        raise InputError(
            f"{path}: MRC holds volumes and stacks of gray images ({', '.join(AXES)}), not "
            f"{like.axes} of shape {like.shape}; choose a name that ends in .tif with -o"
        )
    extended = _extended(like)
    offset = HEADER_DTYPE.itemsize + len(extended)
    shape = tuple(like.shape[like.axes.index(a)] for a in letters)
    place = _stored.Place(offset, shape, dtype)
    order = tuple(letters.index(a) for a in like.axes)

    def head(array: NDArray) -> bytes:
        header = _header(like, letters, place)
        header.dmin, header.dmax, header.dmean, header.rms = _statistics(array)
        return bytes(header.tobytes()) + extended

    return _stored.layout(path, place, order, head)


def lost(path: Path, like: Image, dtype: np.dtype) -> list[str]:
    """What is known of an image and will not be in its file."""
    kept = {"MRC header", "extended header"} if like.metadata.get("source") == "mrc" else set()
    in_angstrom = {a for a in like.scale if a in "ZYX" and _angstrom(like, a)}
    kept |= {"pixel size"} if in_angstrom == set(like.scale) else set()
    return [*like.metadata.get("lost", ()), *(name for name in held(like) if name not in kept)]


LENGTHS = {"Å": 1.0, "pm": 0.01, "nm": 10.0, "µm": 1e4, "mm": 1e7, "cm": 1e8, "m": 1e10}
"""Ångström by the unit."""


def _angstrom(image: Image, axis: str) -> float:
    """The pixel size along an axis, or 0 where it is unknown or no length."""
    return image.scale.get(axis, 0.0) * LENGTHS.get(spelled(image.units.get(axis, "")), 0.0)


def _letters(image: Image) -> str:
    """The axes in the order of the file."""
    return "".join(a for a in ax.CANONICAL if a in image.axes)


def _extended(like: Image) -> bytes:
    """The extended header of the input, which describes its planes one by one."""
    return like.metadata["extended"] if like.metadata.get("source") == "mrc" else b""


def _header(like: Image, letters: str, place: _stored.Place) -> Any:
    """The header of the input where it was one, with what describes the new pixels."""
    own = like.metadata["header"] if like.metadata.get("source") == "mrc" else bytes(1024)
    header = np.frombuffer(own, HEADER_DTYPE).copy().view(np.recarray)[0]
    was = {"XYZ"[int(header[k]) - 1]: int(header[s]) for k, s in STARTS if header[k] in (1, 2, 3)}
    if len(was) == 3:  # the axes of maps are put in order
        header.nxstart, header.nystart, header.nzstart = (was[a] for a in "XYZ")
    header.mapc, header.mapr, header.maps = 1, 2, 3
    sizes = like.sizes
    deep = sizes["Z"]
    header.nx, header.ny = sizes["X"], sizes["Y"]
    header.nz = int(np.prod(place.shape[:-2], dtype=np.int64))
    if min(int(header[k]) for k in ("mx", "my", "mz")) < 1:
        header.mx, header.my, header.mz = sizes["X"], sizes["Y"], deep
    if "Z" not in letters:
        header.mz, header.ispg = 1, 0
    elif len(letters) == 4:
        header.mz, header.ispg = deep, 401
    elif header.ispg == 0 or header.ispg >= 401:
        header.ispg = 1
    header.cella.x, header.cella.y, header.cella.z = (
        _angstrom(like, a) * int(header[f"m{a.lower()}"]) for a in "XYZ"
    )
    if not header.cellb.alpha:
        header.cellb.alpha = header.cellb.beta = header.cellb.gamma = 90.0
    header.mode = MODES[place.dtype.name]
    header.nsymbt = place.offset - HEADER_DTYPE.itemsize
    header.nversion, header.map = 20141, b"MAP "
    header.machst = utils.machine_stamp_from_byte_order("=")
    header.extra2 = _signed(bytes(header.extra2))
    _label(header, f"unnoise: axes {letters}" if "T" in letters else "unnoise")
    return header


def _signed(extra: bytes) -> bytes:
    """The flags of IMOD, which then say that bytes have a sign."""
    stamp, flags = np.frombuffer(extra.ljust(FLAGS.stop, b"\0")[FLAGS], np.int32)
    both = np.array([stamp, flags | SIGNED], np.int32).tobytes()
    return extra[: FLAGS.start] + both + extra[FLAGS.stop :] if stamp == IMOD else extra


STARTS = (("mapc", "nxstart"), ("mapr", "nystart"), ("maps", "nzstart"))


def _label(header: Any, text: str) -> None:
    """Add a label after those of the input, in place of the last where there are ten."""
    labels = [bytes(label) for label in header.label[: int(np.clip(header.nlabl, 0, 10))]]
    labels = [label for label in labels if not label.startswith(b"unnoise")][:9]
    labels.append(text.encode())
    header.label[:] = b""
    header.label[: len(labels)] = labels
    header.nlabl = len(labels)


UNKNOWN = (0.0, -1.0, -2.0, -1.0)
"""Statistics of no pixels, as MRC2014 writes that they are not known."""


def _statistics(array: NDArray) -> tuple[float, ...]:
    """Least, greatest, mean and standard deviation of all finite pixels, plane by plane."""
    rows, counts = [], []
    for index in np.ndindex(array.shape[:-2]):
        plane = array[index].astype(np.float64)
        plane = plane[np.isfinite(plane)]
        if plane.size:
            rows.append((plane.min(), plane.max(), plane.mean(), np.square(plane).mean()))
            counts.append(plane.size)
    if not rows:
        return UNKNOWN
    low, high, means, squares = np.transpose(rows)
    mean, square = np.average((means, squares), axis=1, weights=counts)
    return (
        float(low.min()),
        float(high.max()),
        float(mean),
        float(max(square - mean**2, 0.0) ** 0.5),
    )
