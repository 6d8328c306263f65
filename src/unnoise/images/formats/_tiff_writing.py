"""Writing TIFF: the dialect for an image, and what of its metadata goes where."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from unnoise.errors import InputError
from unnoise.images.formats import _ome_xml, _tiff_metadata, _tiff_storage
from unnoise.images.formats._tiff_tags import NODATA
from unnoise.images.formats.writer import Encoded, Layout, Mapped
from unnoise.images.image import Image

IMAGEJ_TYPES = ("uint8", "uint16", "float32")
OME_TYPES = (*IMAGEJ_TYPES, "int8", "int16", "int32", "uint32", "float64", "bool")
CLASSIC_LIMIT = 2**32 - 2**25  # offsets have 32 bits; 32 MB are left for tags
LONG8 = (16, 17, 18)  # types of tags that only BigTIFF has
SOFTWARE = 305
CARRIED = ("colour profile", "orientation", "lookup table", "nodata value")
"""What TIFF holds of other formats."""
compressions = tuple(_tiff_storage.COMPRESSIONS)
"""What `prepare` takes for `compress`."""


def flavour(
    source: str,
    axes: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    samples: str,
    *,
    has_room: bool = True,
) -> str:
    """The dialect to write: that of the source where the image fits it.

    Parameters
    ----------
    source : str
        ``imagej``, ``ome`` or anything else.
    axes : str
    shape : tuple of int
    dtype : numpy.dtype
    samples : str
        How C is stored: ``rgb`` or ``contig`` samples, ``separate`` planes, or ``""``.
    has_room : bool
        Whether ImageJ could hold the size of a pixel.

    Returns
    -------
    str
        ``imagej``, ``ome`` or ``plain``.

    Examples
    --------
    >>> flavour("imagej", "ZYX", (9, 64, 64), np.dtype("uint16"), "")
    'imagej'
    >>> flavour("imagej", "ZYX", (9, 64, 64), np.dtype("float64"), "")
    'ome'
    """
    is_big = _is_big(shape, dtype)
    pages = axes.replace("C", "") if samples else axes
    fits = {
        "imagej": not is_big
        and has_room
        and dtype.name in (("uint8",) if samples else IMAGEJ_TYPES)
        and samples in ("", "rgb")
        and 1 not in shape  # ImageJ has no dimensions of length 1
        and pages == "".join(a for a in "TZCYX" if a in pages),
        "ome": dtype.name in OME_TYPES and "S" not in axes and pages.endswith("YX"),
        "plain": True,
    }
    flat = pages == "YX"
    other = ("plain",) if flat else ("ome", "plain") if is_big else ("imagej", "plain")
    wanted = {"imagej": ("imagej", "ome", "plain"), "ome": ("ome", "plain")}.get(source, other)
    return next(name for name in wanted if fits[name])


def _is_big(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether the pixels are too many for 32 bit offsets."""
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize > CLASSIC_LIMIT


def _storage(image: Image, dtype: np.dtype) -> str:
    """How C is stored in TIFF: see `flavour`."""
    if image.sizes["C"] == 1 or dtype == np.bool_:  # tifffile packs the bits of samples wrongly
        return ""
    if image.axes.endswith("C"):
        return "rgb" if image.is_rgb and image.sizes["C"] == 3 else "contig"
    return "separate" if image.metadata.get("samples") and image.axes.endswith("CYX") else ""


class Plan(NamedTuple):
    """How an image is to be written, and what of its metadata is not."""

    dialect: str
    keywords: dict[str, Any]
    storage: _tiff_storage.Storage
    lost: list[str]


def prepare(path: Path, like: Image, dtype: np.dtype, compress: str | None = None) -> Layout:
    """Choose the dialect, and say how to lay the file out.

    Raises
    ------
    InputError
        For pixel types that TIFF lacks, and unknown compressions.
    """
    plan = _plan(path, like, dtype)
    storage = _tiff_storage.asked(plan.storage, compress, path)
    keywords = plan.keywords
    if dtype != np.bool_ and storage.is_bare:
        keywords |= {"byteorder": storage.byteorder} if storage.byteorder else {}
        return Mapped(partial(tifffile.memmap, shape=like.shape, dtype=dtype, **keywords))
    if dtype == np.bool_:  # eight pixels share a byte, which no map can address
        storage = storage._replace(levels=(), predictor=False)
    write = partial(
        _tiff_storage.write, axes=like.axes, storage=storage, nodata=like.nodata, **keywords
    )
    return Encoded(like.shape, dtype, write)


def lost(path: Path, like: Image, dtype: np.dtype) -> list[str]:
    """What is known of an image and will not be in its file."""
    return _plan(path, like, dtype).lost


def _plan(path: Path, like: Image, dtype: np.dtype) -> Plan:
    if dtype.itemsize > 8:
        raise InputError(f"{path}: TIFF holds no {dtype}; write float64, or .npy with -o")
    meta = like.metadata
    own = meta.get("source", "")
    source = "ome" if ".ome." in path.name.lower() else own
    samples = _storage(like, dtype)
    has_room = _tiff_metadata.fits_imagej(like)
    dialect = flavour(source, like.axes, like.shape, dtype, samples, has_room=has_room)
    storage: _tiff_storage.Storage = meta.get("storage", _tiff_storage.Storage())
    lost = [*meta.get("lost", ()), *_of_dialect(like, own, dialect)]
    is_big = _is_big(like.shape, dtype) or (storage.bigtiff and dialect != "imagej")
    keywords: dict[str, Any] = {
        **getattr(_tiff_metadata, dialect)(like),
        **_photometric(like, dtype, dialect, samples),
        "imagej": dialect == "imagej",
        "ome": dialect == "ome",
        "bigtiff": is_big,
    }
    tags = [tag for tag in meta.get("tags", ()) if is_big or tag[1] not in LONG8]
    if like.nodata is not None and all(tag[0] != NODATA for tag in tags):
        number = int(like.nodata) if float(like.nodata).is_integer() else like.nodata
        tags.append((NODATA, 2, 0, str(number), True))
    if tags:
        keywords["extratags"] = [*keywords.get("extratags", ()), *tags]
        if any(tag[0] == SOFTWARE for tag in tags):
            keywords["software"] = False  # so that tifffile does not write its own
    tables = keywords["metadata"].get("LUTs") if dialect == "imagej" else None
    if meta.get("colormap") is not None and "colormap" not in keywords and not tables:
        lost.append("lookup table")
    if storage.levels and (dialect == "imagej" or dtype == np.bool_):
        storage = storage._replace(levels=())
        lost.append("smaller copies (pyramid)")
    if dialect == "ome":  # copies that are pages of their own would be taken for further images
        storage = storage._replace(subifds=True)
    pages = like.axes.replace("C", "") if samples else like.axes
    if dialect == "ome" and meta.get("ome") and meta["described"] == described(like):
        per_page = like.sizes["C"] if samples else 1
        planes = int(np.prod(like.shape)) // (like.sizes["Y"] * like.sizes["X"] * per_page)
        text = _ome_xml.written(meta["ome"], dtype, planes)
        keywords |= {"metadata": None, "description": text, "ome": False}
    elif dialect == source == "plain" and pages == "YX":
        text = meta.get("extras", {}).get("description")
        keywords |= {"metadata": None} | ({"description": text} if text else {})
    else:
        if own == "ome":
            lost.append("OME metadata but sizes, names and channels")
        # In tifffile S are samples of a pixel; our independent images are an unknown series I.
        letters = like.axes.replace("S", "I")
        keywords["metadata"] |= {"axes": letters.replace("C", "S") if samples else letters}
        if dialect == "ome" and like.acquisition.has_lens:
            stored = _stored(like, samples)
            text = _ome_xml.with_lens(
                like.acquisition, keywords["metadata"], dtype, like.shape, stored
            )
            keywords |= {"metadata": None, "description": text, "ome": False}
    return Plan(dialect, keywords, storage, lost)


def _of_dialect(like: Image, source: str, dialect: str) -> list[str]:
    """What another dialect than that of the source, or another format, does not hold."""
    found = list(like.metadata.get("holds", ()))
    if source in ("imagej", "ome", "plain"):
        found = [name for name in found if name.startswith("ImageJ") and dialect != "imagej"]
        if dialect == source == "imagej":
            found += _tiff_metadata.imagej_lost(like)
    else:
        found = [name for name in found if name not in CARRIED]
    if dialect == "imagej" and source != "ome":  # all of OME is named as such
        found += [name for name in like.acquisition.names if name != "channel colours"]
        found += ["channel names"] * (len(like.channel_names) == 1)
    if dialect == "ome" and source != "ome":
        known = _tiff_metadata.ome_unit
        unknown = {like.units.get(a, "") for a in like.scale if not known(like, a)}
        found += [f"unit of the pixel size ({unit})" for unit in sorted(unknown - {""})]
    return found


def _stored(like: Image, samples: str) -> tuple[int, int, int, int, int, int]:
    """How the pixels lie in pages: their number, separate samples, depth, Y, X, samples."""
    n = like.sizes
    count = n["C"] if samples else 1
    planes = int(np.prod(like.shape)) // (n["Y"] * n["X"] * count)
    separate = count if samples == "separate" else 1
    return planes, separate, 1, n["Y"], n["X"], count // separate


def described(image: Image) -> tuple[Any, ...]:
    """What the metadata of a file and its image must agree in, so that they can be kept."""
    scale, units = dict(image.scale), dict(image.units)
    return (
        image.axes,
        image.shape,
        scale,
        units,
        image.channel_names,
        image.alpha,
        image.acquisition,
    )


def _photometric(like: Image, dtype: np.dtype, dialect: str, samples: str) -> dict[str, Any]:
    """Keywords of `tifffile.imwrite` for what the samples of a pixel mean."""
    meta, count = like.metadata, like.sizes["C"] if samples else 1
    coloured = like.is_rgb and samples and count >= 3
    kept = meta.get("photometric", 1)
    photometric = 2 if coloured else kept if kept == 0 or count >= 4 else 1
    keywords: dict[str, Any] = {"photometric": photometric}
    if samples and dialect != "imagej":
        keywords["planarconfig"] = "separate" if samples == "separate" else "contig"
        extra = count - {2: 3, 5: 4}.get(photometric, 1)
        known = meta.get("extrasamples", ())
        unassociated = (0,) * (extra - 1) + (2 if like.alpha is not None else 0,)
        if extra:
            keywords["extrasamples"] = known if len(known) == extra else unassociated
    if dialect != "imagej":
        keywords["iccprofile"] = meta.get("icc")
        if meta.get("orientation", 1) != 1:
            keywords["extratags"] = [(274, 3, 1, int(meta["orientation"]), True)]
    colormap = meta.get("colormap")
    if colormap is not None and "C" not in like.axes and dialect != "ome":
        if dialect == "imagej" and colormap.shape[1] == 256 and not {"T", "Z"} <= set(like.axes):
            keywords |= {"colormap": colormap, "photometric": 3 if dtype == np.uint8 else 1}
        elif dialect == "plain" and dtype == f"u{(colormap.shape[1] - 1).bit_length() // 8}":
            keywords |= {"colormap": colormap, "photometric": 3}
    return keywords
