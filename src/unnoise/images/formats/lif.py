"""LIF, LOF and XLIF of Leica: the images of a project, read frame by frame through liffile."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from unnoise.images.acquisition import Acquisition, color, positive
from unnoise.images.formats import _lif_references
from unnoise.images.formats._series import Series
from unnoise.images.formats.about import About
from unnoise.images.formats.beside import check_beside
from unnoise.images.formats.reader import PlanePixels, needs
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels
from unnoise.images.quiet import unlogged

ABOUT = (
    About(
        "LIF, LOF, XLIF, XLEF (Leica): images of a project",
        (".lif", ".lof", ".xlif", ".xlef"),
        "liffile",
        "BSD-3",
        "STCZYX and colours; the plane that was scanned is YX, tiles and wavelengths may be S",
        "pixel size, frame interval, names and colours of channels, date, objective",
        writes=False,
        extra="formats",
        tested="lif",
    ),
)
KEPT = "Leica metadata but sizes, channels, date and objective"
DIMENSIONS = {1: "X", 2: "Y", 3: "Z", 4: "T"}
"""Numbers of dimensions in the XML of Leica."""
UNITS = {"m": (1e6, "µm"), "s": (1.0, "s")}
"""Unit of a file -> factor and unit of the image."""
EXPANSION = 2**17
"""Bytes of pixels that a byte of a compressed picture can stand for at most."""
COLORS = {
    "Red": "FF0000",
    "Green": "00FF00",
    "Blue": "0000FF",
    "Cyan": "00FFFF",
    "Magenta": "FF00FF",
    "Yellow": "FFFF00",
    "Gray": "FFFFFF",
}
"""Lookup tables by name."""


class Layout(NamedTuple):
    """How the dimensions of a file become axes.

    Attributes
    ----------
    axes : str
    shape : tuple of int
    letters : mapping of str to str
        Dimension -> axis, of those that have one of their own.
    views : mapping of str to int
        Dimensions that are S together, with their sizes.
    frame : tuple of str
        Dimensions of a frame.
    """

    axes: str
    shape: tuple[int, ...]
    letters: dict[str, str]
    views: dict[str, int]
    frame: tuple[str, ...]

    def dimensions(self, index: tuple[int, ...]) -> dict[str, int]:
        """Where a frame is in the file that has an index along the leading axes."""
        at = dict(zip(self.axes, index, strict=False))
        leading = {d: at[a] for d, a in self.letters.items() if d not in self.frame}
        found = np.unravel_index(at.get("S", 0), list(self.views.values())) if self.views else ()
        return leading | dict(zip(self.views, map(int, found), strict=True))


def _layout(sizes: Mapping[str, int], frame: tuple[str, ...]) -> Layout:
    """Axes for dimensions: T, C and Z as they are, the two that were scanned as Y and X.

    Of a scan along X and Z, which is repeated along Y, the last becomes Z. Wavelengths are
    channels where there are no others. What is left (tiles of a mosaic, loops) becomes S.
    """
    if len(frame) not in (2, 3) or (len(frame) == 3 and frame[2] != "S"):
        raise ValueError(f"its planes run along {', '.join(frame)} and are no images")
    letters = dict(zip(frame, "YXC", strict=False))
    for dimension in sizes:
        own = {"T": "T", "C": "C", "Z": "Z", "Y": "Z", "X": "Z", "λ": "C"}.get(dimension)
        taken = own in letters.values() or (dimension == "λ" and "C" in sizes)
        if dimension not in frame and own and not taken:
            letters[dimension] = own
    views = {d: n for d, n in sizes.items() if d not in letters}
    leading = [letters[d] for d in sizes if d in letters and d not in frame]
    axes = "S" * bool(views) + "".join(leading) + "YXC"[: len(frame)]
    known = {a: sizes[d] for d, a in letters.items()} | {"S": math.prod(views.values())}
    return Layout(axes, tuple(known[a] for a in axes), letters, views, frame)


_unlogged = partial(unlogged, "liffile")
"""What it logs about parts of a file that are not used is of no interest."""


@contextmanager
def _file(path: Path) -> Iterator[Any]:
    """A file, within `_unlogged`."""
    needs("liffile", "formats")
    try:
        with _lif_references.opened(path, _root(path)) as file:
            yield file
    except FileNotFoundError as error:
        if not path.exists():
            raise
        raise ValueError(f"a file that it names is missing: {error}") from error


@contextmanager
def _opened(path: Path, number: int) -> Iterator[Callable[[tuple[int, ...]], Any]]:
    """The frames of an image."""
    with ExitStack() as stack:  # the file stays open, and what else is logged must not get lost
        with _unlogged():
            image = stack.enter_context(_file(path)).images[number]
            layout = _layout(image.sizes, image.frames.frame_dims)

        def frame(index: tuple[int, ...]) -> Any:
            with _unlogged():
                return image.frame(**layout.dimensions(index))

        yield frame


def _images(path: Path) -> list[Image]:
    images, problems = [], []
    with _unlogged(), _file(path) as file:
        found = list(file.images)
        check_beside(_root(path), (place for one in found for place in _pixel_files(one)))
        for number, one in enumerate(found):
            try:
                images.append(_image(path, number, one, file.datetime))
            except Exception as error:  # one that is damaged does not make the others unreadable
                problems.append(f"{one.name} ({error})")
    if not images:
        raise ValueError("; ".join(problems) or "it holds no image")
    if problems:
        note = f"holds images that cannot be read and are left out: {', '.join(problems)}"
        known = images[0].metadata.get("note")
        text = "; ".join(filter(None, [known, note]))
        images[0] = replace(images[0], metadata={**images[0].metadata, "note": text})
    return images


def _root(path: Path) -> Path:
    """All files of a project lie beside this one; its folder ``Metadata`` may name files above."""
    inner = path.parent.name.lower() == "metadata"
    return (path.parent if inner else path).absolute()


def _pixel_files(one: Any) -> list[Path]:
    """The files that hold the pixels of an image, where the project only names them."""
    frames = getattr(getattr(one, "memory_block", None), "frames", None) or ()
    names = dict.fromkeys(str(frame.file).replace("\\", "/") for frame in frames)
    return [Path(one.parent.dirname, name) for name in names]


def _files(path: Path, one: Any) -> list[Path]:
    """All files of an image that lies in several: what is named, and a LOF with its XLIF."""
    others = [Path(one.parent.filepath), *_pixel_files(one)]
    if path.suffix.lower() == ".lof":
        twins = (path.with_suffix(suffix) for suffix in (".xlif", ".XLIF"))
        others += [twin for twin in twins if twin.is_file()]
    found = list(dict.fromkeys([path, *others]))
    return found if len(found) > 1 else []


def _image(path: Path, number: int, one: Any, started: Any) -> Image:
    if one.is_flim:
        raise ValueError("arrival times of photons (FLIM); export its intensity as TIFF")
    layout = _layout(one.sizes, one.frames.frame_dims)
    dtype = np.dtype(one.dtype)
    check_pixels(layout.shape, dtype, path.name)
    needed = math.prod(layout.shape) * dtype.itemsize
    if needed > _room(one):
        raise ValueError(f"its pixels need {needed} bytes, which are not there")
    is_colour = len(layout.frame) == 3
    count = 0 if is_colour else dict(zip(layout.axes, layout.shape, strict=True)).get("C", 1)
    metadata: dict[str, Any] = {
        "source": "lif",
        "samples": is_colour,
        "holds": [KEPT],
        "title": one.name,
        "files": _files(path, one),
    }
    if layout.frame[:2] != ("Y", "X"):
        scanned = " and ".join(layout.frame[:2])
        metadata["note"] = f"was scanned along {scanned}, which are Y and X here"
    scale, units = _scale(one.xml_element, layout)
    return Image(
        PlanePixels(
            path,
            "LIF",
            partial(_opened, number=number),
            layout.shape,
            dtype,
            plane=len(layout.frame),
        ),
        layout.axes,
        scale=scale,
        units=units,
        channel_names=_channels(one.xml_element, count),
        is_rgb=is_colour,
        path=path,
        metadata=metadata,
        acquisition=_acquisition(one, count, started),
    )


def _room(one: Any) -> int:
    """Bytes that the files of an image can hold of its pixels; pictures may be compressed."""
    try:
        block = one.memory_block
    except KeyError:
        return 0
    if not block.frames:
        left = Path(one.parent.filepath).stat().st_size - block.offset
        return int(min(block.size, left))
    room = 0
    for place in map(_lif_references.existing, _pixel_files(one)):
        size = place.stat().st_size if place.exists() else 0
        room += size * (1 if place.suffix.lower() == ".lof" else EXPANSION)
    return room if block.size <= room else 0


def _scale(xml: ElementTree.Element, layout: Layout) -> tuple[dict[str, float], dict[str, str]]:
    """The steps along the axes, out of the length from the first element to the last."""
    scale, units = {}, {}
    for one in xml.iterfind("./Data/Image/ImageDescription/Dimensions/DimensionDescription"):
        axis = layout.letters.get(DIMENSIONS.get(int(one.get("DimID", 0)), ""), "")
        count = int(one.get("NumberOfElements", 0))
        factor, unit = UNITS.get(one.get("Unit", ""), (0.0, ""))
        step = positive(abs(float(one.get("Length", 0))) / max(count - 1, 1) * factor)
        if axis and step:
            scale[axis], units[axis] = float(f"{step:.12g}"), unit
    order = [a for a in layout.axes if a in scale]
    return {a: scale[a] for a in order}, {a: units[a] for a in order}


def _channels(xml: ElementTree.Element, count: int) -> tuple[str, ...]:
    """Names of so many channels: of the dye, or else of the detector's channel."""
    names = []
    for one in xml.iterfind("./Data/Image/ImageDescription/Channels/ChannelDescription"):
        properties = one.findall("./ChannelProperty")
        found = {p.findtext("Key", ""): p.findtext("Value", "") for p in properties}
        names.append(found.get("DyeName") or found.get("ChannelName") or "")
    return tuple(names) if len(names) == count and all(names) else ()


def _acquisition(one: Any, count: int, started: Any) -> Acquisition:
    """How an image was taken, with the colours of so many channels."""
    found = one.xml_element.findall("./Data/Image/ImageDescription/Channels/ChannelDescription")
    tables = [channel.get("LUTName", "") for channel in found]
    times = one.timestamps
    date = "" if started is None else started.isoformat(timespec="seconds")
    if times is not None and len(times):
        date = f"{np.datetime_as_string(times[0], 's')}Z"
    lens: Mapping[str, str] = {}
    for settings in one.xml_element.iterfind(".//Attachment[@Name='HardwareSetting']//*"):
        lens = settings.attrib if "ObjectiveName" in settings.attrib else lens
    return Acquisition(
        tuple(map(_color, tables)) if len(tables) == count else (),
        date.replace("+00:00", "Z"),
        " ".join(lens.get("ObjectiveName", "").split()),
        positive(lens.get("Magnification")),
        positive(lens.get("NumericalAperture")),
    )


def _color(table: str) -> str:
    """The colour of a lookup table, e.g. ``Green`` or ``Gradient (0, 255, 0)``.

    Examples
    --------
    >>> _color("Green"), _color("Gradient (255, 128, 0)"), _color("Fire")
    ('00FF00', 'FF8000', '')
    """
    numbers = re.findall(r"\d+", table)
    return COLORS.get(table, "") or (color(tuple(map(int, numbers))) if numbers else "")


_series = Series("LIF", _images)
read, numbers = _series.read, _series.numbers
