"""Which frames of DICOM files make one volume, and in which order."""

from __future__ import annotations

import os
import zlib
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unnoise.images.formats.reader import needs

TAGS = (
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "InstanceNumber",
    "TemporalPositionIdentifier",
    "AcquisitionTime",
    "EchoTime",
    "ImageType",
    "DiffusionBValue",
    "FlipAngle",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelRepresentation",
)
"""What is read of every file of a folder."""
ALIKE = (
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PhotometricInterpretation",
)
"""What files of one volume share: their planes, and what the numbers of their pixels mean."""
CONTRAST = ("EchoTime", "DiffusionBValue", "FlipAngle", "ImageType")
"""What makes pictures of one place other pictures, and not later ones."""
INFLATED, MOST_INFLATED = 2**24, 50
"""Bytes that every deflated file may unpack to, and how many more it may have than it has packed:
pictures have 3 to 20."""
UNEVEN = 0.1
"""Share by which distances of slices may differ."""


class Frame(NamedTuple):
    """A plane: its file, its number there, its place, when, its contrast, and its rescaling."""

    path: Path
    at: int
    position: tuple[float, ...]
    moment: tuple[float, ...]
    contrast: tuple[str, ...]
    line: tuple[float, float]


class Volume(NamedTuple):
    """Frames in order, their leading shape and its letters, and the distance of the slices."""

    frames: tuple[Frame, ...]
    shape: tuple[int, ...]
    letters: str
    distance: float
    notes: tuple[str, ...] = ()


def header(path: Path, **options: Any) -> Any:
    """All of a file but its pixels."""
    check_deflated(path)
    return needs("pydicom", "formats").dcmread(path, stop_before_pixels=True, **options)


def floats(path: Path) -> str:
    """The element of a file with pixels that are no integers, or ""."""
    names = ("FloatPixelData", "DoubleFloatPixelData")
    # Of long elements but the names are read.
    found = needs("pydicom", "formats").dcmread(path, specific_tags=list(names), defer_size=1024)
    return next((name for name in names if name in found), "")


def check_deflated(path: Path) -> None:
    """Refuse what is deflated as a whole and unpacks to far more, as pydicom does that at once.

    Raises
    ------
    ValueError
    """
    reader = needs("pydicom.filereader", "formats")
    uid = needs("pydicom.uid", "formats").DeflatedExplicitVRLittleEndian
    with open(path, "rb") as file:
        if reader.read_preamble(file, True) is None:
            return
        own = reader._read_file_meta_info(file)
        if own.get("TransferSyntaxUID") != uid:
            return
        data = file.read()
    most = max(INFLATED, MOST_INFLATED * len(data))
    if len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)) == most:
        raise ValueError(f"its {len(data)} deflated bytes unpack to more than {most}")


def volume(path: Path, own: Any) -> Volume:
    """The volume that a file is, or is a part of."""
    if int(own.get("NumberOfFrames", 1) or 1) > 1:
        frames = _frames(path, own)
        found = _ordered(frames)
        return found or Volume(tuple(frames), (len(frames),), "", 0.0)
    alone = Volume((_frame(path, own),), (), "", 0.0)
    if _place(own) is None:
        return alone
    others = _folder(path.parent.resolve(), _state(path.parent))
    mine = {one.get("SOPInstanceUID"): (name, one) for name, one in others if _alike(own, one)}
    mine[own.get("SOPInstanceUID")] = (path.name, own)  # copies count once
    if len(mine) < 2:
        return alone
    frames = [_frame(path.parent / name, one) for name, one in mine.values()]
    found = _ordered(frames)
    if found is None:
        text = f"is one of {len(mine)} files of a series that make no whole stack; it is read alone"
        return alone._replace(notes=(text,))
    text = f"is one of {len(mine)} files of a series, which is read and written as one image"
    return found._replace(notes=(text, *found.notes))


def _state(folder: Path) -> int:
    """A number that changes when a file of a folder does."""
    with os.scandir(folder) as entries:
        return hash(tuple((one.name, one.stat().st_mtime_ns) for one in entries))


@lru_cache(maxsize=4)
def _folder(folder: Path, _changed: int) -> list[tuple[str, Any]]:
    """Names and headers of the DICOM files of a folder."""
    found = []
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name.upper() != "DICOMDIR":
            try:
                one = header(file, specific_tags=list(TAGS))
                if int(one.get("NumberOfFrames", 1) or 1) == 1 and _place(one) is not None:
                    found.append((file.name, one))
            except Exception:  # noqa: S112  no DICOM, or a damaged one
                continue
    return found


def _alike(one: Any, other: Any) -> bool:
    """Whether two headers are of planes of one volume."""
    turned = _direction(one), _direction(other)
    same = all(one.get(tag) == other.get(tag) for tag in ALIKE)
    return same and bool(np.allclose(*turned, atol=1e-3))


def _direction(header: Any) -> np.ndarray:
    return np.asarray(
        [float(x) for x in header.get("ImageOrientationPatient") or (1, 0, 0, 0, 1, 0)]
    )


def _place(header: Any) -> tuple[float, ...] | None:
    """Where the corner of a plane lies, where that is known."""
    corner = header.get("ImagePositionPatient")
    return None if not corner or len(corner) != 3 else tuple(float(x) for x in corner)


def _along(corner: Sequence[float] | None, direction: np.ndarray) -> tuple[float, ...]:
    """Position along the normal of the planes."""
    if corner is None or len(direction) != 6:
        return ()
    normal = np.cross(direction[:3], direction[3:])
    return (round(float(np.dot(normal, corner)), 3),)


def _frame(path: Path, one: Any, index: int = 0) -> Frame:
    return Frame(
        path,
        index,
        _along(_place(one), _direction(one)),
        _moment(one, index),
        tuple(str(one.get(tag, "")) for tag in CONTRAST),
        _line(one),
    )


def _moment(one: Any, index: int) -> tuple[float, ...]:
    """What tells earlier from later planes of one place."""
    found = [one.get(tag) for tag in ("TemporalPositionIdentifier", "AcquisitionTime")]
    return (*(float(value) if value else 0.0 for value in found), number(one), float(index))


def number(one: Any) -> float:
    """The number of a file in its series."""
    return float(one.get("InstanceNumber") or 0)


def _line(one: Any) -> tuple[float, float]:
    """Slope and intercept of the values."""
    slope, zero = one.get("RescaleSlope"), one.get("RescaleIntercept")
    return (1.0 if slope in (None, "") else float(slope), float(zero or 0))


def _frames(path: Path, own: Any) -> list[Frame]:
    """The frames of one file, as far as it describes each of them."""
    count = int(own.NumberOfFrames)
    shared = _groups(own.get("SharedFunctionalGroupsSequence"))
    each = own.get("PerFrameFunctionalGroupsSequence") or []
    line = _line(shared | _plain(own))
    if len(each) != count:
        return [Frame(path, i, (), (float(i),), (), line) for i in range(count)]
    frames = []
    for i, group in enumerate(each):
        one = _plain(own) | shared | _groups([group])
        direction = _direction(one)
        index = one.get("TemporalPositionIndex") or one.get("TemporalPositionTimeOffset") or 0
        moment = (float(index), float(i))
        frames.append(
            Frame(path, i, _along(_place(one), direction), moment, _contrast(one), _line(one))
        )
    return frames


def _contrast(one: dict[str, Any]) -> tuple[str, ...]:
    names = ("EffectiveEchoTime", "DiffusionBValue", "FlipAngle")
    return tuple(str(one.get(name, "")) for name in names)


def _plain(own: Any) -> dict[str, Any]:
    names = ("RescaleSlope", "RescaleIntercept", "ImageOrientationPatient")
    return {name: own.get(name) for name in names if own.get(name) not in (None, "")}


def _groups(sequence: Any) -> dict[str, Any]:
    """The values of functional groups, by keyword."""
    found: dict[str, Any] = {}
    for group in sequence or ():
        for element in group:
            if element.VR == "SQ" and element.value:
                found |= {e.keyword: e.value for e in element.value[0] if e.VR != "SQ"}
    return found


def measures(own: Any) -> dict[str, Any]:
    """Distances of pixels and slices, wherever a file has them."""
    names = ("PixelSpacing", "SpacingBetweenSlices", "SliceThickness")
    found = {name: own.get(name) for name in names if own.get(name)}
    each = own.get("PerFrameFunctionalGroupsSequence") or []
    groups = _groups(own.get("SharedFunctionalGroupsSequence")) | _groups(each[:1])
    return found | {name: groups[name] for name in names if groups.get(name)}


def _ordered(frames: Sequence[Frame]) -> Volume | None:
    """Frames as slices, or as slices at several times; None where they fill no grid."""
    if any(not frame.position for frame in frames):
        return None
    places: dict[tuple[float, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        places[frame.position].append(frame)
    stacks = [sorted(places[key], key=lambda frame: frame.moment) for key in sorted(places)]
    depth = len(stacks[0])
    if any(len(stack) != depth for stack in stacks):
        return None
    steps = np.diff(sorted(key[0] for key in places))
    distance = float(np.median(steps)) if len(steps) else 0.0
    uneven = len(steps) and np.ptp(steps) > UNEVEN * distance
    text = "its slices are {:g} to {:g} mm apart, as if some were missing"
    notes = (text.format(steps.min(), steps.max()),) if uneven else ()
    later = "S" if len({frame.contrast for frame in frames}) > 1 else "T"
    letters = later * (depth > 1) + "Z" * (len(stacks) > 1)
    shape = tuple(n for n in (depth, len(stacks)) if n > 1)
    flat = tuple(stack[i] for i in range(depth) for stack in stacks)
    return Volume(flat, shape, letters, distance, notes)
