"""NIfTI of medical images, bare or packed by gzip, by nibabel.

Axes come in the order T, Z, Y, X of the array, which is x, y, z, t of the file.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.formats import _stored
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import needs, reading
from unnoise.images.formats.writer import Layout, held
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels
from unnoise.images.units import metres, spelled

ABOUT = (
    About(
        "NIfTI",
        (".nii", ".nii.gz"),
        "nibabel",
        "MIT",
        "YX, ZYX, TZYX (CZYX of spectra and vectors), CTZYX, with colours",
        "voxel size, frame interval, units, affine, header, extensions, scaling of the values",
        extra="formats",
        tested="dicom_nifti",
    ),
)
SPACE = {"mm": "mm", "meter": "m", "micron": "µm"}
TIME = {"sec": "s", "msec": "ms", "usec": "µs"}
"""Unit of nibabel -> of an image; others along the fourth axis (ppm, rads) are no time."""
SPECTRAL = ("hz", "ppm", "rads")
"""Units of a spectrum: positions along it are channels."""
VECTORS = (1004, 1005, 1006, 1007, 2003, 2004)
"""Intents of files whose pixels are matrices, displacements, vectors or colours."""
CODES = {"mm": "mm", "m": "meter", "µm": "micron", "s": "sec", "ms": "msec", "µs": "usec"}
"""Unit of an image -> of nibabel."""
MOST_EXTENDED = 2**26
"""Bytes of extensions in a packed file."""
LARGE = 32767
"""Pixels along an axis that NIfTI-1 can count."""


def read(path: Path, axes: str | None = None) -> Image:
    """Map a NIfTI file, or unpack it when its pixels are asked for.

    Pixels stay as they are stored; a scaling of their values is told, and kept in the result.

    Raises
    ------
    InputError
        For damaged files, and complex pixels.
    AxesError
        If `axes` do not fit.
    """
    nibabel = needs("nibabel", "formats")
    with reading(path, "NIfTI"):
        _check_extensions(path)
        opened = nibabel.load(path)
        if not isinstance(opened, nibabel.Nifti1Image):
            raise ValueError(f"it is {type(opened).__name__} by its header")
        proxy, header = opened.dataobj, opened.header.copy()
        names, shape, dtype = _layout(path, proxy, _fourth(header))
        check_pixels(shape, dtype, path.name)
        data = _stored.pixels(path, _stored.Place(int(proxy.offset), shape, dtype), "NIfTI")
        letters = ax.check(axes or names, shape)
        scale, units = _scale(header, letters)
        slope, inter = float(proxy.slope), float(proxy.inter)
    scaled = (slope, inter) != (1.0, 0.0)
    metadata: dict[str, Any] = {
        "source": "nifti",
        "header": header,
        "scaling": (slope, inter) if scaled else None,
        "holds": ["NIfTI header and affine", *["scaling of the values"] * scaled],
    }
    if scaled:
        metadata["note"] = (
            f"its pixels stand for {slope:g} * pixel {inter:+g}; they are denoised as they are "
            f"stored, and a result in NIfTI keeps that scaling"
        )
    is_rgb = names.endswith("C") and letters.endswith("C")
    alpha = 3 if is_rgb and shape[-1] == 4 else None
    return Image(
        data, letters, scale=scale, units=units, is_rgb=is_rgb, alpha=alpha, path=path,
        metadata=metadata,
    )  # fmt: skip


def _check_extensions(path: Path) -> None:
    """ValueError where pixels begin far behind the header: nibabel unpacks what lies between."""
    if not _stored.packer(path):  # it may not be longer than the file
        return
    with _stored.opened(path) as file:
        head = file.read(176)
    for order in ("<", ">"):
        (size,) = np.frombuffer(head[:4].ljust(4, b"\0"), f"{order}i4")
        at, kind = (108, "f4") if size == 348 else (168, "i8")
        if size in (348, 540) and len(head) == 176:
            (start,) = np.frombuffer(head, order + kind, 1, at)
            if start > MOST_EXTENDED:
                raise ValueError(f"its pixels begin {start:.0f} bytes behind its header")


def _fourth(header: Any) -> str:
    """What the fourth axis is: time, unless its unit or the intent of the file say otherwise."""
    try:
        unit, intent = header.get_xyzt_units()[1], int(header["intent_code"])
    except (KeyError, ValueError):  # codes that nobody knows
        return "T"
    return "C" if unit in SPECTRAL or intent in VECTORS else "T"


def _layout(path: Path, proxy: Any, fourth: str) -> tuple[str, tuple[int, ...], np.dtype]:
    """Axes, shape and type of the pixels as they lie, the last axis fastest."""
    sizes, dtype = [int(n) for n in proxy.shape], np.dtype(proxy.dtype)
    while len(sizes) > 5 and sizes[-1] == 1:
        sizes.pop()
    if not 2 <= len(sizes) <= 5:
        raise InputError(
            f"{path} has {len(sizes)} dimensions {tuple(sizes)}, of which x, y, z, time and "
            f"channels are known; save a part of it with at most five"
        )
    # What has one pixel and is not the last only holds the place of its axis.
    kept = [i for i, n in enumerate(sizes) if n != 1 or i < 2 or i == len(sizes) - 1]
    if fourth == "C" and len(sizes) == 5 and sizes[4] > 1:
        fourth = "S"  # the channels are along the fifth
    names = "".join(f"XYZ{fourth}C"[i] for i in reversed(kept))
    shape = tuple(sizes[i] for i in reversed(kept))
    if dtype.names is None:
        return names, shape, dtype
    if "C" in names:
        raise InputError(
            f"{path} holds vectors of colours, which cannot be joined; save one file for each"
        )
    return names + "C", (*shape, len(dtype.names)), np.dtype(np.uint8)


def _scale(header: Any, letters: str) -> tuple[dict[str, float], dict[str, str]]:
    """Pixel size and units."""
    space, time = header.get_xyzt_units()
    known = dict(zip("XYZT", (float(zoom) for zoom in header.get_zooms()), strict=False))
    if time not in TIME and time != "unknown":
        known.pop("T", None)
    scale = {a: known[a] for a in "TZYX" if a in letters and 0 < known.get(a, 0) < np.inf}
    units = {a: TIME.get(time, "") if a == "T" else SPACE.get(space, "") for a in scale}
    return scale, {a: unit for a, unit in units.items() if unit}


def prepare(path: Path, like: Image, dtype: np.dtype) -> Layout:
    """Check that an image fits, and say how to lay the file out.

    Raises
    ------
    InputError
        For pixel types and axes that NIfTI lacks.
    """
    nibabel = needs("nibabel", "formats")
    if "S" in like.axes:
        raise InputError(
            f"{path}: NIfTI holds no independent images (S); choose a name that ends in .tif with "
            f"-o"
        )
    coloured = _is_coloured(like, dtype)
    letters = "".join(a for a in "CTZYX" if a in like.axes)
    letters = letters[1:] + "C" if coloured else letters
    shape = tuple(like.shape[like.axes.index(a)] for a in letters)
    header = _header(nibabel, like, shape[: -1 if coloured else None])
    try:
        header.set_data_dtype(("RGB", "RGBA")[like.sizes["C"] - 3] if coloured else dtype)
    except nibabel.spatialimages.HeaderDataError as error:
        raise InputError(
            f"{path}: NIfTI holds no {dtype}; choose another --dtype, e.g. float32"
        ) from error
    dims = {"Z": 3, "T": 4, "C": 5}
    count = max([dims.get(a, 2) for a in (letters[:-1] if coloured else letters)])
    own = like.sizes
    header.set_data_shape(tuple(own[a] for a in "XYZTC"[:count]))
    _describe(header, like, count)
    file = io.BytesIO()
    header.write_to(file)
    start = file.getvalue().ljust(int(header.get_data_offset()), b"\0")
    place = _stored.Place(len(start), shape, dtype.newbyteorder(header.endianness))
    order = tuple(letters.index(a) for a in like.axes)
    return _stored.layout(path, place, order, lambda _: start)


def _is_coloured(like: Image, dtype: np.dtype) -> bool:
    """Whether pixels are written as colours of 8 bit and not along an axis of their own."""
    return like.is_rgb and dtype == np.uint8 and like.sizes["C"] in (3, 4)


def _header(nibabel: Any, like: Image, shape: tuple[int, ...]) -> Any:
    """The header of the input where it was one; of the second version where sizes need it."""
    kind = nibabel.Nifti2Header if max(shape) > LARGE else nibabel.Nifti1Header
    if like.metadata.get("source") != "nifti":
        return kind()
    own = like.metadata["header"].copy()
    slope, inter = like.metadata["scaling"] or (None, None)
    is_single = isinstance(own, nibabel.Nifti2Header) or kind is nibabel.Nifti1Header
    header = own if is_single else kind.from_header(own)
    header.set_slope_inter(slope, inter)
    return header


def _describe(header: Any, like: Image, count: int) -> None:
    """Put pixel size and units into a header whose shape is set."""
    zooms = [abs(zoom) for zoom in header.get_zooms()]  # nibabel sets none below 0
    space = _unit(like)
    for i, letter in enumerate("XYZT"[:count]):
        if letter in like.scale:
            own = spelled(like.units.get(letter, ""))
            is_length = letter != "T" and space and own != space
            zooms[i] = like.scale[letter] * (metres(own) / metres(space) if is_length else 1)
    header.set_zooms(zooms)
    time = CODES.get(spelled(like.units.get("T", "")))
    was = header.get_xyzt_units()
    header.set_xyzt_units(CODES.get(space, was[0]), time if time in TIME else was[1])
    header["vox_offset"] = 0  # as close as the extensions allow
    header["magic"] = header.single_magic


def _unit(like: Image) -> str:
    """The unit of all lengths: that of the image, or µm where NIfTI lacks it; nothing without."""
    found = {spelled(like.units.get(a, "")) for a in like.scale if a in "XYZ"}
    if not found or not all(map(metres, found)):
        return ""
    return found.pop() if len(found) == 1 and found <= set(CODES) else "µm"


def lost(path: Path, like: Image, dtype: np.dtype) -> list[str]:
    """What is known of an image and will not be in its file."""
    own = like.metadata.get("source") == "nifti"
    kept = {"NIfTI header and affine", "scaling of the values"} if own else set()
    fits = bool(_unit(like)) or not any(like.units.get(a) for a in like.scale if a != "T")
    fits = fits and CODES.get(spelled(like.units.get("T", "s"))) in TIME
    kept |= {"pixel size"} if fits else set()
    return [*like.metadata.get("lost", ()), *(name for name in held(like) if name not in kept)]
