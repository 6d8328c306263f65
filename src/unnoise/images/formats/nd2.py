"""ND2 of Nikon: positions, movies and stacks, read frame by frame through nd2."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.images.acquisition import Acquisition, color, positive
from unnoise.images.formats._series import Series
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import PlanePixels, check_room, needs
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels
from unnoise.images.quiet import quiet

ABOUT = (
    About(
        "ND2 (Nikon): positions",
        (".nd2",),
        "nd2",
        "BSD-3",
        "TCZYX and colours; positions are series",
        "pixel size, frame interval, names and colours of channels, date, objective",
        writes=False,
        extra="formats",
        tested="nd2",
    ),
)
FRAME = "CYXS"
"""What one frame holds in nd2, S being the colours; the rest are loops."""
KEPT = "Nikon metadata but sizes, channels, date and objective"
HEAD = struct.Struct("<IIQ")
"""Before a chunk: its mark, and the lengths of its name and of what it holds."""
CHUNK = HEAD.size + 4072
"""Bytes from there to what a frame holds."""
STAMP = 8
"""Bytes of the time of a frame before its pixels."""
JULIAN = 2440587.5
"""The Julian day on which 1970 began."""


@contextmanager
def _file(path: Path) -> Iterator[Any]:
    """A file, of which nd2 warns where something in it is missing."""
    nd2 = needs("nd2", "formats")
    with quiet(), nd2.ND2File(path) as file:
        yield file


@contextmanager
def _opened(path: Path, position: int) -> Iterator[Callable[[tuple[int, ...]], Any]]:
    """The frames of a position."""
    with needs("nd2", "formats").ND2File(path) as file:
        loops = {letter: n for letter, n in file.sizes.items() if letter not in FRAME}
        places = _places(file) if file.attributes.compressionType == "lossless" else {}

        def frame(index: tuple[int, ...]) -> Any:
            at = dict(zip([a for a in loops if a != "P"], index, strict=True)) | {"P": position}
            number = _number(at, loops)
            if number in places:
                return _unpacked(path, places[number], file.attributes, file.dtype)
            return file.read_frame(number)

        yield frame


def _places(file: Any) -> Mapping[int, int]:
    """Where the chunks of the frames begin that are there; nothing if nd2 does not tell."""
    found = getattr(getattr(file, "_rdr", None), "chunkmap", {})
    begin, end = b"ImageDataSeq|", b"!"
    numbers = {name[len(begin) : -len(end)]: name for name in found if name.startswith(begin)}
    return {int(n): int(found[name][0]) for n, name in numbers.items() if n.isdigit()}


def _unpacked(path: Path, place: int, facts: Any, dtype: Any) -> Any:
    """A frame that is deflated: C, Y, X and colours, of which those of one are left out.

    nd2 would unpack all there is.

    Raises
    ------
    ValueError
        If it unpacks to fewer bytes than its pixels.
    """
    width, channels = facts.widthPx * facts.componentCount, facts.channelCount or 1
    row = facts.widthBytes or width * np.dtype(dtype).itemsize
    most = facts.heightPx * row
    check_room(path, most, "the pixels of one frame")
    with open(path, "rb") as bare:
        bare.seek(place)
        _, name, size = HEAD.unpack(bare.read(HEAD.size))
        bare.seek(place + HEAD.size + name + STAMP)
        packed = bare.read(min(size, path.stat().st_size))
    data = zlib.decompressobj().decompress(packed, most)
    if len(data) < most:
        raise ValueError(f"a frame of it has {len(data)} bytes in the place of {most}")
    rows = np.frombuffer(data, np.uint8).reshape(facts.heightPx, row)
    pixels = rows[:, : width * np.dtype(dtype).itemsize].copy().view(dtype)
    shape = facts.heightPx, facts.widthPx, channels, facts.componentCount // channels
    return pixels.reshape(shape).transpose(2, 0, 1, 3).squeeze()


def _number(at: Mapping[str, int], loops: Mapping[str, int]) -> int:
    """The number of a frame in the file."""
    index = [at[letter] for letter in loops]
    return int(np.ravel_multi_index(index, list(loops.values()))) if index else 0


def _images(path: Path) -> list[Image]:
    with _file(path) as file:
        sizes = dict(file.sizes)
        lacking = _check(file, sizes, path)
        loops = {a: n for a, n in sizes.items() if a not in FRAME}
        views = sorted(set(loops) - set("TZP"))
        if views:
            raise ValueError(f"its loop {', '.join(views)} is unknown")
        is_colour = sizes.get("S", 1) > 1
        named = sizes.get("C", 1) if not is_colour else 0
        described = _Description(file, loops)
        names = described.positions()
    axes = "".join(sizes).replace("P", "")
    if is_colour:  # the channels, which are rare then, are independent images
        axes = axes.translate(str.maketrans("CS", "SC"))
    shape = tuple(n for a, n in sizes.items() if a != "P")
    check_pixels(shape, described.dtype, path.name)
    images = []
    for position in range(loops.get("P", 1)):
        planes = PlanePixels(
            path,
            "ND2",
            partial(_opened, position=position),
            shape,
            described.dtype,
            plane=sum(letter in FRAME for letter in sizes),
        )
        metadata: dict[str, Any] = {
            "source": "nd2",
            "samples": is_colour,
            "holds": [KEPT],
            "title": names[position] if position < len(names) else "",
        }
        if lacking:
            metadata["note"] = f"lacks {lacking} frames, which are read as zeros"
        images.append(
            Image(
                planes,
                axes,
                scale=described.scale,
                units={a: "s" if a == "T" else "µm" for a in described.scale},
                channel_names=described.channels(named),
                is_rgb=is_colour,
                path=path,
                metadata=metadata,
                acquisition=described.acquisition(named),
            )
        )
    return images


def _check(file: Any, sizes: Mapping[str, int], path: Path) -> int:
    """How many frames were announced but are not in the file; nd2 gives zeros for them.

    Raises
    ------
    ValueError
        If the file cannot hold its pixels, or they are no image.
    """
    if not {"Y", "X"} <= set(sizes):
        raise ValueError(f"its axes are {', '.join(sizes)}, a line or a point and no image")
    planned = math.prod(n for a, n in sizes.items() if a not in FRAME)
    if planned != math.prod(loop.count for loop in file.experiment):
        raise ValueError("two of its loops are of one kind")
    facts = file.attributes
    frames = min(planned, facts.sequenceCount or 0)
    own = math.prod(n for a, n in sizes.items() if a in FRAME) * np.dtype(file.dtype).itemsize
    size = path.stat().st_size
    if facts.compressionType is None and not file.is_legacy and frames * own > size:
        raise ValueError(f"its {frames} frames need {frames * own} bytes but it has {size}")
    places = _places(file)
    if not places:
        return planned - frames
    row = facts.widthBytes or own // facts.heightPx
    last = (facts.heightPx - 1) * row + own // facts.heightPx
    least = HEAD.size if facts.compressionType else CHUNK + STAMP + last
    there = (places[n] + least <= size for n in places if n < planned)
    return planned - sum(there)


class _Description:
    """What a file tells besides its pixels; nothing where that is missing."""

    def __init__(self, file: Any, loops: Mapping[str, int]):
        self.dtype = np.dtype(file.dtype)
        self._loops = list(file.experiment)
        self._channels: list[Any] = []
        with suppress(Exception):  # what nd2 raises for metadata that it does not know
            self._channels = list(file.metadata.channels)
        self._date, interval = "", None
        with suppress(Exception):
            first = file.frame_metadata(0).channels[0].time
            day = timedelta(days=first.absoluteJulianDayNumber - JULIAN)
            when = datetime(1970, 1, 1, tzinfo=UTC) + day
            self._date = when.isoformat(timespec="seconds").replace("+00:00", "Z")
            if "T" in loops:
                last = _number(dict.fromkeys(loops, 0) | {"T": loops["T"] - 1}, loops)
                spent = file.frame_metadata(last).channels[0].time.relativeTimeMs
                interval = (spent - first.relativeTimeMs) / 1000 / (loops["T"] - 1)
        steps = {"T": positive(interval)}
        if self._channels:
            volume = self._channels[0].volume
            known = zip("XYZ", volume.axesCalibrated, volume.axesCalibration, strict=True)
            steps |= {a: positive(step) for a, is_known, step in known if is_known}
        steps = {a: steps.get(a) for a in "TZYX" if a in "YX" or a in loops}
        self.scale = {a: step for a, step in steps.items() if step}

    def positions(self) -> list[str]:
        """Names of the positions of the stage, which may be empty."""
        for loop in self._loops:
            points = getattr(loop.parameters, "points", None)
            if points:
                return [str(point.name or "") for point in points]
        return []

    def channels(self, count: int) -> tuple[str, ...]:
        """Names of so many channels, where all have one."""
        names = tuple(str(one.channel.name or "") for one in self._channels)
        return names if len(names) == count and all(names) else ()

    def acquisition(self, count: int) -> Acquisition:
        """How the image was taken, with the colours of so many channels."""
        found = [one.channel.color for one in self._channels]
        colors = tuple(color((c.r, c.g, c.b)) for c in found) if len(found) == count else ()
        lens = self._channels[0].microscope if self._channels else None
        return Acquisition(
            colors,
            self._date,
            str(getattr(lens, "objectiveName", None) or ""),
            positive(getattr(lens, "objectiveMagnification", None)),
            positive(getattr(lens, "objectiveNumericalAperture", None)),
        )


_series = Series("ND2", _images)
read, numbers = _series.read, _series.numbers
