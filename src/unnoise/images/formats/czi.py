"""CZI of Zeiss: scenes, mosaics and stacks, read tile by tile through czifile."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from unnoise.images.acquisition import Acquisition, color, positive
from unnoise.images.formats import _czi_blocks
from unnoise.images.formats._czi_blocks import Block, Mosaic
from unnoise.images.formats._series import Series
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import PlanePixels
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels

ABOUT = (
    About(
        "CZI (Zeiss): scenes, mosaics, pyramids",
        (".czi",),
        "czifile, imagecodecs",
        "BSD-3",
        "STCZYX and colours; blocks, views, rotations, illuminations and phases are S",
        "pixel size, frame interval, names and colours of channels, date, objective",
        writes=False,
        extra="formats",
        tested="czi",
    ),
)
VIEWS = "BVRIH"
"""Blocks, views, rotations, illuminations and phases: what is left becomes independent images."""
SPARSEST = 1000
"""How many times more pixels than were recorded a scene may span."""


class Scene(NamedTuple):
    """What was recorded in one place.

    Attributes
    ----------
    planes : mapping of tuple to list of Block
        The tiles of each plane by its index along the leading axes.
    axes : str
    shape : tuple of int
    corner : tuple of int
        The first pixel along Y and X, in stored pixels.
    ratio : tuple of float
        Size of a stored pixel along Y and X, in those of the scale.
    dtype : numpy.dtype
    number : int
        That of the scene in the file, by which it is named.
    missing : str
        Planes and tiles that were not recorded, for a note.
    """

    planes: dict[tuple[int, ...], list[Block]]
    axes: str
    shape: tuple[int, ...]
    corner: tuple[int, int]
    ratio: tuple[float, float]
    dtype: np.dtype
    number: int
    missing: str

    @property
    def samples(self) -> int:
        """Colours of a pixel."""
        return self.shape[-1] if self.axes.endswith("YXC") else 1


def _scenes(found: Sequence[Block]) -> list[Scene]:
    """The scenes of a file in the order of their numbers."""
    scenes = defaultdict(list)
    for block in found:
        scenes[block.at.get("S", 0)].append(block)
    return [_scene(scenes[number]) for number in sorted(scenes)]


def _scene(found: list[Block]) -> Scene:
    """The finest of the copies of a scene (its pyramid holds smaller ones), put in order."""
    finest = max(block.stored[1] / block.size[1] for block in found)
    every = found
    found = [block for block in every if block.stored[1] / block.size[1] > 0.9 * finest]
    ratios = (size / stored for size, stored in zip(found[0].size, found[0].stored, strict=True))
    samples = max(block.samples for block in found)
    values = {a: sorted({block.at.get(a, 0) for block in found}) for a in VIEWS}
    values |= {a: sorted({block.at.get(a, 0) for block in every}) for a in "TCZ"}
    views = [a for a in VIEWS + "C" * (samples > 1) if len(values[a]) > 1]
    kinds = sorted({tuple(block.at.get(a, 0) for a in views) for block in found})
    leading = [a for a in "TCZ" if len(values[a]) > 1 and a not in views]
    planes = defaultdict(list)
    for block in sorted(found, key=lambda block: block.at.get("M", 0)):
        index = [values[a].index(block.at.get(a, 0)) for a in leading]
        if len(kinds) > 1:
            index.insert(0, kinds.index(tuple(block.at.get(a, 0) for a in views)))
        planes[tuple(index)].append(block)
    places = np.array([_czi_blocks.place(block) for block in found])
    ends = places + np.array([block.stored for block in found])
    corner = places.min(axis=0)
    height, width = map(int, ends.max(axis=0) - corner)
    recorded = sum(math.prod(block.stored) for block in next(iter(planes.values())))
    if height * width > SPARSEST * recorded:
        raise ValueError(f"its tiles lie in {height} x {width} pixels, but fill {recorded}")
    counts = [len(kinds)] * (len(kinds) > 1) + [len(values[a]) for a in leading]
    axes = "S" * (len(kinds) > 1) + "".join(leading) + "YX" + "C" * (samples > 1)
    return Scene(
        dict(planes),
        axes,
        (*counts, height, width, *[samples] * (samples > 1)),
        (int(corner[0]), int(corner[1])),
        (next(ratios), next(ratios)),
        np.result_type(*(block.dtype for block in found)),
        found[0].at.get("S", 0),
        _missing(math.prod(counts) - len(planes), list(planes.values())),
    )


def _missing(count: int, planes: Sequence[Sequence[Block]]) -> str:
    """What to tell of so many planes that are not there, and of tiles that only others have."""
    tiles = [{(block.corner, block.size) for block in plane} for plane in planes]
    areas = [sum(math.prod(size) for _, size in plane) for plane in tiles]
    most, largest = max(map(len, tiles)), max(areas)
    lacking = sum(
        most - len(plane)
        for plane, area in zip(tiles, areas, strict=True)
        if len(plane) < most and area < largest
    )
    parts = [f"{count} planes"] * bool(count) + [f"{lacking} tiles of its planes"] * bool(lacking)
    return " and ".join(parts)


@contextmanager
def _opened(path: Path, number: int) -> Iterator[Callable[[tuple[int, ...]], Any]]:
    """The planes of a scene."""
    with _czi_blocks.opened(path) as file:
        scene = _scenes(_czi_blocks.blocks(file, path.stat().st_size))[number]
        token = object()
        shape = scene.shape[-3:] if scene.samples > 1 else scene.shape[-2:]

        def plane(index: tuple[int, ...]) -> Any:
            tiles = scene.planes.get(index)
            if tiles is None:
                return np.broadcast_to(np.zeros((), scene.dtype), shape)
            return Mosaic(file, token, tiles, scene.corner, shape, scene.dtype)

        yield plane


def _images(path: Path) -> list[Image]:
    with _czi_blocks.opened(path) as file:
        scenes = _scenes(_czi_blocks.blocks(file, path.stat().st_size))
        described = _Description(file, path)
    images = []
    for number, scene in enumerate(scenes):
        check_pixels(scene.shape, scene.dtype, path.name)
        is_colour = scene.samples > 1
        count = dict(zip(scene.axes, scene.shape, strict=True)).get("C", 1)
        planes = PlanePixels(
            path,
            "CZI",
            partial(_opened, number=number),
            scene.shape,
            scene.dtype,
            plane=3 if is_colour else 2,
        )
        scale = described.scale(scene.ratio, scene.axes)
        metadata: dict[str, Any] = {
            "source": "czi",
            "samples": is_colour,
            "holds": [described.kept],
            "title": described.scene(scene.number, number) if len(scenes) > 1 else "",
        }
        if scene.missing:
            metadata["note"] = f"lacks {scene.missing}, which are read as zeros"
        images.append(
            Image(
                planes,
                scene.axes,
                scale=scale,
                units={letter: "s" if letter == "T" else "µm" for letter in scale},
                channel_names=() if is_colour else described.channels(count),
                is_rgb=is_colour,
                alpha=3 if scene.samples == 4 else None,
                path=path,
                metadata=metadata,
                acquisition=described.acquisition(0 if is_colour else count),
            )
        )
    return images


class _Description:
    """What the XML of a file tells; nothing where it is missing or broken."""

    kept = "Zeiss metadata but sizes, channels, date and objective"

    def __init__(self, file: Any, path: Path):
        self._root = ElementTree.Element("none")
        if _czi_blocks.has(file, path, "metadata_position", b"ZISRAWMETADATA"):
            with suppress(ElementTree.ParseError, ValueError):
                self._root = ElementTree.fromstring(file.metadata())
        is_timed = _czi_blocks.has(file, path, "attachment_directory_position", b"ZISRAWATTDIR")
        self._interval = _interval(file) if is_timed else 0.0

    def scale(self, ratio: tuple[float, float], axes: str) -> dict[str, float]:
        """Pixel size in micrometres, and the time between frames in seconds."""
        places = {a: f"Scaling/Items/Distance[@Id='{a}']/Value" for a in "ZYX"}
        found = {a: positive(self._text(place)) for a, place in places.items()}
        step = positive(self._text("Dimensions/T/Positions/Interval/Increment")) or self._interval
        factors = {"T": 1.0, "Z": 1e6, "Y": 1e6 * ratio[0], "X": 1e6 * ratio[1]}
        sizes = {a: (found | {"T": step})[a] for a in axes if a in factors}
        return {a: float(f"{size * factors[a]:.12g}") for a, size in sizes.items() if size}

    def channels(self, count: int) -> tuple[str, ...]:
        """Names of so many channels, where all have one."""
        return next((found for found in self._values("Name", count) if all(found)), ())

    def acquisition(self, count: int) -> Acquisition:
        """How the image was taken, with the colours of so many channels."""
        known = (tuple(map(color, found)) for found in self._values("Color", count))
        lens = self._root.find(".//Information/Image/ObjectiveSettings/ObjectiveRef")
        name = "" if lens is None else f"[@Id='{lens.get('Id')}']"
        objective = self._root.find(f".//Instrument/Objectives/Objective{name}")
        if objective is None:
            objective = ElementTree.Element("none")
        return Acquisition(
            next((found for found in known if any(found)), ()),
            self._text("Information/Image/AcquisitionDateAndTime"),
            objective.get("Name", "") or objective.findtext("Manufacturer/Model") or "",
            positive(objective.findtext("NominalMagnification")),
            positive(objective.findtext("LensNA")),
        )

    def scene(self, number: int, position: int) -> str:
        """The name of a scene by its number, or by its position where none has a number."""
        found = self._root.findall(".//Information/Image/Dimensions/S/Scenes/Scene")
        named = {one.get("Index", ""): one.get("Name", "") for one in found}
        if set(named) - {""}:
            return named.get(str(number), "")
        return found[position].get("Name", "") if position < len(found) else ""

    def _values(self, name: str, count: int) -> Iterator[tuple[str, ...]]:
        """A fact of so many channels, which stands in one of two places, or in both."""
        for place in ("Information/Image/Dimensions", "DisplaySetting"):
            found = self._root.findall(f".//{place}/Channels/Channel")
            if len(found) == count:
                yield tuple(one.get(name, "") or one.findtext(name) or "" for one in found)

    def _text(self, place: str) -> str:
        return (self._root.findtext(f".//{place}") or "").strip()


def _interval(file: Any) -> float:
    """The time between frames in seconds, by the time stamps of a file; 0 where there are none."""
    with suppress(ValueError, KeyError, OSError, struct.error):
        for entry in file.attachment_directory:
            if str(entry.content_file_type) == "CZTIMS":
                old = hasattr(entry, "data_segment")
                found = entry.data_segment().data() if old else file.timestamps
                step = float(np.median(np.diff(found))) if len(found) > 1 else 0.0
                is_date = step < 1e-3 and found[0] > 30_000  # days since 1899 in some files
                return step * 86_400 if is_date else step
    return 0.0


_series = Series("CZI", _images)
read, numbers = _series.read, _series.numbers
