"""TIFF: ImageJ hyperstacks, OME-TIFF and plain files, mapped where the pixels lie bare on disk."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unnoise.errors import AxesError, InputError
from unnoise.images import axes as ax
from unnoise.images.formats import _tiff_metadata
from unnoise.images.formats.reader import Pixels, reading
from unnoise.images.formats.writer import Layout, encoded, mapped
from unnoise.images.image import ArrayLike, Image, check_pixels

RGB = (2, 6)  # PhotometricInterpretation RGB and YCBCR; tifffile decodes the latter to RGB
KEPT_PHOTOMETRICS = (0, 5)  # MINISWHITE and SEPARATED (CMYK) are written back as such
ALPHA = (1, 2)  # ExtraSamples ASSOCALPHA and UNASSALPHA
IMAGEJ_TYPES = ("uint8", "uint16", "float32")
OME_TYPES = (*IMAGEJ_TYPES, "int8", "int16", "int32", "uint32", "float64", "bool")
CLASSIC_LIMIT = 2**32 - 2**25  # offsets have 32 bits; 32 MB are left for tags


def read(path: Path, axes: str | None = None) -> Image:
    """Open the first series of a TIFF file.

    Raises
    ------
    InputError
        For damaged and incomplete files, and pixels that are no real numbers.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    with reading(path, "TIFF"), _problems() as problems, tifffile.TiffFile(path) as tif:
        found = tif.series  # tifffile parses the file here
        if problems or not found:
            raise ValueError(problems[0] if problems else "it holds no image")
        series = found[0]
        page, dtype = series.keyframe, np.dtype(series.dtype)
        check_pixels(series.shape, dtype, path.name)
        _check_complete(series)
        _check_palette(path, series)
        letters, samples = _axes(series, axes)
        coloured = samples is not None and letters[samples] == "C"
        alpha = _alpha(page) if coloured else None
        meta = _tiff_metadata.read(tif, series)
        metadata: dict[str, Any] = {
            "source": series.kind if series.kind in ("imagej", "ome") else "plain",
            "samples": coloured,
            "extras": meta.extras,
            **_tags(page),
        }
        if len(found) > 1:
            metadata["note"] = (
                f"{path.name} holds {len(found)} series of images; only the first, of shape "
                f"{series.shape}, is used"
            )
        data = _pixels(path, series)
    return Image(
        data,
        letters,
        scale=meta.scale,
        units=meta.units,
        channel_names=meta.channel_names,
        is_rgb=coloured and page.photometric in RGB,
        alpha=alpha,
        path=path,
        metadata=metadata,
    )


@contextmanager
def _problems() -> Iterator[list[str]]:
    """Collect what tifffile logs about a broken structure, instead of printing it.

    tifffile goes on with fewer pages where it cannot follow them; that must not pass unseen.
    Messages about single tags are left out: the pixels do not depend on private tags.
    """
    problems: list[str] = []
    thread = threading.get_ident()

    def collect(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        own = record.thread == thread and not text.startswith(("<TiffTag", "<tifffile.read"))
        if own and record.levelno >= logging.ERROR:
            problems.append(re.sub(r"<tifffile[^>]*> ", "", text))
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(collect)
    try:
        yield problems
    finally:
        logger.removeFilter(collect)


def _check_complete(series: tifffile.TiffPageSeries) -> None:
    """ValueError unless all bytes of all pages are there."""
    for page in series:
        if page is None or page.parent is None:
            raise ValueError("some of its planes are missing, they lie in other files")
        segments = zip(page.dataoffsets, page.databytecounts, strict=False)
        end = max((offset + count for offset, count in segments), default=0)
        if series.dataoffset is not None and not series.is_multifile:
            end = max(end, series.dataoffset + series.nbytes)
        size = page.parent.filehandle.size
        if end > size:
            raise ValueError(f"its pixels reach to byte {end} but it ends at {size}")


def _check_palette(path: Path, series: tifffile.TiffPageSeries) -> None:
    """InputError for indexed colours; a palette that only tints intensities is fine."""
    page = series.keyframe
    if page.photometric != 3 or page.colormap is None or series.kind == "imagej":
        return
    steps = np.diff(page.colormap.astype(np.int64), axis=1)
    if not all((ramp >= 0).all() or (ramp <= 0).all() for ramp in steps):
        raise InputError(f"{path} holds indexed colours; convert it to RGB first")


def _pixels(path: Path, series: tifffile.TiffPageSeries) -> ArrayLike:
    """A memory map where possible, else pixels that are decoded at the first access."""
    shape = tuple(series.shape)
    dtype = np.dtype(series.dtype).newbyteorder(series.keyframe.parent.byteorder)
    offset = None if series.is_multifile or series.transform else series.dataoffset
    if offset is None:
        return Pixels(lambda: _decode(path), shape, dtype)
    return Pixels(lambda: np.memmap(path, dtype, "r", offset, shape), shape, dtype)


def _decode(path: Path) -> NDArray:
    with reading(path, "TIFF"), _problems() as problems, tifffile.TiffFile(path) as tif:
        pixels = tif.series[0].asarray()
        if problems:
            raise ValueError(problems[0])
        return pixels


def _axes(series: tifffile.TiffPageSeries, given: str | None) -> tuple[str, int | None]:
    """Letters of a series, and which dimension holds the samples of a pixel."""
    names, shape = series.axes, tuple(series.shape)
    samples = names.find("S") if "S" in names else names.find("C")
    has_samples = "S" in names or (series.keyframe.samplesperpixel > 1 and samples >= 0)
    position = samples if has_samples else None
    own = given or _tiff_metadata.shaped(series).get("unnoise", {}).get("axes")
    if own:
        return ax.check(own, shape), position
    pattern = [a if a in "TCZYX" else "?" for a in names]
    if position is not None:
        if {"C", "S"} <= set(names) and min(shape[names.index("C")], shape[position]) > 1:
            swapped = names.translate(str.maketrans("CS", "SC"))
            raise AxesError(
                f"the image of shape {shape} holds channels and colour samples, which cannot be "
                f"joined; split it into one file per channel, or take the channels for "
                f"independent images with --axes {swapped}"
            )
        pattern = [a if a != "C" or shape[i] > 1 else "?" for i, a in enumerate(pattern)]
        pattern[position] = "C" if "C" not in pattern or names[position] == "C" else "?"
    for i, size in enumerate(shape):
        if pattern[i] == "?" and size == 1:  # any unused letter is right
            pattern[i] = next(a for a in ax.CANONICAL if a not in pattern)
    letters = "".join(pattern)
    if "?" in letters:
        raise ax.ambiguous(shape, letters if set(letters) - set("?YX") else "")
    return ax.check(letters, shape), position


def _alpha(page: Any) -> int | None:
    """Index of the transparency among the samples."""
    first = page.samplesperpixel - len(page.extrasamples)
    return next((first + i for i, kind in enumerate(page.extrasamples) if kind in ALPHA), None)


def _tags(page: Any) -> dict[str, Any]:
    """Tags that change how the pixels are shown."""
    tags = {
        "icc": page.tags.valueof(34675),
        "orientation": page.tags.valueof(274),
        "extrasamples": tuple(int(kind) for kind in page.extrasamples),
        "photometric": int(page.photometric) if page.photometric in KEPT_PHOTOMETRICS else None,
        "colormap": page.colormap,
    }
    return {key: value for key, value in tags.items() if value is not None}


def flavour(source: str, axes: str, shape: tuple[int, ...], dtype: np.dtype, samples: str) -> str:
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


def prepare(path: Path, like: Image, dtype: np.dtype) -> Layout:
    """Choose the dialect, and say how to lay the file out.

    Raises
    ------
    InputError
        For pixel types that TIFF lacks.
    """
    if dtype.itemsize > 8:
        raise InputError(f"{path}: TIFF holds no {dtype}; write float64, or .npy with -o")
    source = "ome" if ".ome." in path.name.lower() else like.metadata.get("source", "")
    samples = _storage(like, dtype)
    dialect = flavour(source, like.axes, like.shape, dtype, samples)
    keywords: dict[str, Any] = {
        **getattr(_tiff_metadata, dialect)(like),
        **_photometric(like, dtype, dialect, samples),
        "imagej": dialect == "imagej",
        "ome": dialect == "ome",
        "bigtiff": _is_big(like.shape, dtype),
    }
    pages = like.axes.replace("C", "") if samples else like.axes
    if dialect == source == "plain" and pages == "YX":
        text = like.metadata.get("extras", {}).get("description")
        keywords |= {"metadata": None} | ({"description": text} if text else {})
    else:
        # In tifffile S are samples of a pixel; our independent images are an unknown series I.
        own = like.axes.replace("S", "I")
        keywords["metadata"] |= {"axes": own.replace("C", "S") if samples else own}
    if dtype == np.bool_:  # eight pixels share a byte, which no map can address
        return encoded(like.shape, dtype, partial(tifffile.imwrite, **keywords))
    return mapped(partial(tifffile.memmap, shape=like.shape, dtype=dtype, **keywords))


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
