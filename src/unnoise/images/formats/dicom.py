"""DICOM of medicine, by pydicom: single pictures, films, and the files of a series as one volume.

Pixels are the values after the rescaling of the modality (Hounsfield units of CT), integers where
its slope and intercept are whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.acquisition import Acquisition
from unnoise.images.formats import _dicom_series
from unnoise.images.formats._dicom_series import Frame, Volume
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import PlanePixels, check_room, needs, reading
from unnoise.images.image import Image
from unnoise.images.pixel_types import cast, check_pixels
from unnoise.images.quiet import quiet

ABOUT = (
    About(
        "DICOM",
        (".dcm", ".dicom", ".ima"),
        "pydicom",
        "MIT",
        "YX, ZYX (files of a series beside each other), TYX, TZYX, with colours",
        "pixel size, distance of slices, frame time, date, rescaled values, padding value",
        writes=False,
        extra="formats",
        tested="dicom_nifti",
    ),
)
FILMS = ("US", "XA", "RF", "ES", "XC", "GM", "CR", "DX", "IVUS", "OP")
"""Modalities whose files of several frames are films."""
MOST_OF_RLE = 64
"""Bytes that one of RLE becomes at most: two of them repeat one 128 times."""
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420")


def read(path: Path, axes: str | None = None) -> Image:
    """Open a DICOM file, with the files beside it that belong to the same volume.

    Raises
    ------
    InputError
        For damaged files, files without pictures, and compressions that cannot be decoded.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    with reading(path, "DICOM"), quiet():  # values of most files break a rule
        header = _dicom_series.header(path)
        _check(path, header)
        colours = int(header.get("SamplesPerPixel", 1))
        plane = (int(header.Rows), int(header.Columns), *((colours,) if colours > 1 else ()))
        kind = _stored_type(path, header)
        _check_size(path, header, kind.itemsize * int(np.prod(plane)))
        volume = _dicom_series.volume(path, header)
        frames, lead = volume.frames, volume.shape
        shape = (*lead, *plane)
        check_pixels(shape, kind, path.name)
        lines = [frame.line for frame in frames]
        dtype = kind if colours > 1 else _type(header, lines, kind)
        letters = axes or f"{volume.letters or _letters(header, shape)}{'YXC'[: len(plane)]}"
        letters = ax.check(letters, shape)
        opened = partial(_opened, frames=frames, lead=lead, stored=kind, dtype=dtype)
        data = PlanePixels(path, "DICOM", opened, shape, dtype, plane=len(plane))
        scale, units = _scale(header, volume)
        files = list(dict.fromkeys(frame.path for frame in frames))
        metadata: dict[str, Any] = {
            "source": "dicom",
            "holds": ["DICOM header"],
            "files": files if len(files) > 1 else [],
        }
        if header.PhotometricInterpretation == "MONOCHROME1":
            metadata["photometric"] = 0
        if volume.notes:
            metadata["note"] = "; ".join(volume.notes)
        nodata, date = _padding(header, lines), _date(header)  # values are parsed when asked for
    scale = {a: size for a, size in scale.items() if a in letters}
    return Image(
        data, letters, scale=scale, units={a: units[a] for a in scale}, is_rgb=colours == 3,
        path=path, metadata=metadata, nodata=nodata, acquisition=Acquisition(date=date),
    )  # fmt: skip


def _check(path: Path, header: Any) -> None:
    """Refuse what holds no picture, or one that cannot be decoded."""
    pixels = needs("pydicom.pixels", "formats")
    if "Rows" not in header or "PhotometricInterpretation" not in header:
        kind = header.get("Modality") or "a document"
        raise InputError(f"{path} holds no picture ({kind}); name the files with the images")
    if "TotalPixelMatrixColumns" in header and int(header.get("NumberOfFrames", 1)) > 1:
        raise InputError(
            f"{path} is a slide of many tiles; export the level and region of interest as TIFF"
        )
    if header.PhotometricInterpretation == "PALETTE COLOR":
        raise InputError(
            f"{path} holds numbers of colours (a palette), not intensities; export it as RGB"
        )
    if header.get("BitsAllocated") == 1:
        raise InputError(
            f"{path} holds pixels of one bit: a mask has no noise to remove; give the image that "
            f"it was made from"
        )
    if (
        int(header.get("SamplesPerPixel", 1)) > 1
        and header.PhotometricInterpretation not in COLOURS
    ):
        raise InputError(
            f"{path} has {header.PhotometricInterpretation} colours; convert it to RGB first"
        )
    syntax = header.file_meta.TransferSyntaxUID
    if syntax.is_compressed and syntax.is_encapsulated:
        try:
            known = pixels.get_decoder(syntax).is_available
        except NotImplementedError:
            known = False
        if not known:
            raise InputError(
                f"{path} is compressed by {syntax.name}, which cannot be decoded here; install "
                f"pylibjpeg with its plugins, or decompress it, e.g. by dcmdjpeg or gdcmconv -w"
            )


def _check_size(path: Path, header: Any, plane: int) -> None:
    """Refuse a file that cannot hold the frames that it promises, or whose frames memory cannot."""
    size, count = path.stat().st_size, int(header.get("NumberOfFrames", 1) or 1)
    syntax = header.file_meta.TransferSyntaxUID
    packed = syntax.is_encapsulated or syntax.is_deflated
    least = count if packed else plane * count
    if syntax.name == "RLE Lossless":
        least = plane * count // MOST_OF_RLE
    half = "422" in header.PhotometricInterpretation and not packed
    if size < (least * 2 // 3 if half else least):
        raise ValueError(f"{least} bytes of pixels should be in this file, which has {size}")
    check_room(path, plane, "the pixels of one frame")


def _stored_type(path: Path, header: Any) -> np.dtype:
    """Type of the pixels in the file."""
    if header.BitsAllocated in (32, 64) and (name := _dicom_series.floats(path)):
        return np.dtype(np.float64 if name == "DoubleFloatPixelData" else np.float32)
    signed = int(header.get("PixelRepresentation", 0))
    return np.dtype(f"{'ui'[signed]}{int(header.BitsAllocated) // 8}")


def _type(header: Any, lines: list[tuple[float, float]], kind: np.dtype) -> np.dtype:
    """Type of the rescaled values: whole numbers where all slopes and intercepts are such."""
    if set(lines) <= {(1.0, 0.0)} or kind.kind == "f":
        return kind
    if not all(part.is_integer() for line in lines for part in line):
        return np.dtype(np.float32)
    if header.get("Modality") == "CT" and kind.name in ("int16", "uint16"):
        return np.dtype(np.int16)  # Hounsfield units fit, whatever 16 stored bits could hold
    bits = int(header.get("BitsStored", 8 * kind.itemsize))
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind.kind == "i" else (0, 2**bits - 1)
    reached = [slope * end + zero for slope, zero in lines for end in ends]
    for name in (kind.name, "int16", "uint16", "int32"):
        info = np.iinfo(name)
        if info.min <= min(reached) and max(reached) <= info.max:
            return np.dtype(name)
    return np.dtype(np.float64)


def _letters(header: Any, shape: tuple[int, ...]) -> str:
    """The letter of the frames of a file that do not say where they are."""
    is_coloured = int(header.get("SamplesPerPixel", 1)) > 1
    if len(shape) == 2 + is_coloured:
        return ""
    timed = {"FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate"}
    if any(name in header for name in timed) or header.get("Modality") in FILMS:
        return "T"
    if "GridFrameOffsetVector" in header or "SpacingBetweenSlices" in header:
        return "Z"
    raise ax.ambiguous(shape, "?YXC" if is_coloured else "")


@contextmanager
def _opened(
    path: Path,
    *,
    frames: tuple[Frame, ...],
    lead: tuple[int, ...],
    stored: np.dtype,
    dtype: np.dtype,
) -> Iterator[Callable[[tuple[int, ...]], NDArray]]:
    """Reads a frame at a time, each out of its own file."""
    pixels = needs("pydicom.pixels", "formats")

    def plane(index: tuple[int, ...]) -> NDArray:
        frame = frames[int(np.ravel_multi_index(index, lead))] if lead else frames[0]
        with reading(frame.path, "DICOM"), quiet():
            _dicom_series.check_deflated(frame.path)
            found = np.asarray(pixels.pixel_array(frame.path, index=frame.at))
            if not np.can_cast(found.dtype, stored):  # other numbers would come of them
                raise ValueError(f"its pixels are {found.dtype}, and not {stored}")
        slope, zero = frame.line
        if found.ndim == 3 or (slope, zero) == (1.0, 0.0):
            return found
        return cast(found * slope + zero, dtype)

    yield plane


def _scale(header: Any, volume: Volume) -> tuple[dict[str, float], dict[str, str]]:
    """Pixel size and units."""
    measures = _dicom_series.measures(header)
    spacing = measures.get("PixelSpacing") or header.get("ImagerPixelSpacing") or ()
    found = dict(zip("YX", map(float, spacing), strict=False))
    slices = volume.distance or measures.get("SpacingBetweenSlices")
    found["Z"] = float(slices or measures.get("SliceThickness") or 0)
    found["T"] = float(header.get("FrameTime") or 0)
    scale = {a: found[a] for a in "TZYX" if 0 < found.get(a, 0) < np.inf}
    return scale, {a: "ms" if a == "T" else "mm" for a in scale}


def _padding(header: Any, lines: list[tuple[float, float]]) -> float | None:
    """The value that fills what was not measured, rescaled as the pixels are."""
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int | float) or len(set(lines)) != 1:
        return None
    slope, zero = lines[0]
    return slope * value + zero


def _date(header: Any) -> str:
    """When the picture was taken, in ISO 8601."""
    whole = str(header.get("AcquisitionDateTime") or "")
    day = str(header.get("AcquisitionDate") or header.get("ContentDate") or "")
    time = str(header.get("AcquisitionTime") or header.get("ContentTime") or "")
    digits = (whole or day + time)[:14]
    if len(digits) < 8 or not digits.isdigit():
        return ""
    text = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"
    clock = f"T{digits[8:10]}:{digits[10:12]}:{digits[12:14]}"
    return text + clock if len(digits) == 14 else text
