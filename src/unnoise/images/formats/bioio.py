"""Files of any other kind, by the plugins of bioio that a user has installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.errors import InputError
from unnoise.images.acquisition import UNKNOWN, Acquisition, positive
from unnoise.images.formats._series import Series
from unnoise.images.formats.reader import PlanePixels, needs
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels

LETTERS = {"M": "S", "S": "C"}
"""Letters of bioio, where they differ: tiles of a mosaic, and colours."""
UNITS = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "second": "s"}
KEPT = "metadata but sizes, channels, date and objective"


@contextmanager
def _opened(path: Path, number: int) -> Iterator[Callable[[tuple[int, ...]], Any]]:
    """The planes of a scene."""
    image = needs("bioio", "formats").BioImage(path)
    image.set_scene(number)
    letters, shape = image.dims.order, tuple(image.shape)
    plane = "YXS" if "S" in letters else "YX"
    leading = [a for a, n in zip(letters, shape, strict=True) if a not in plane and n > 1]

    def read(index: tuple[int, ...]) -> Any:
        at = dict.fromkeys(letters.translate({ord(a): None for a in plane}), 0)
        found = image.get_image_dask_data(plane, **at | dict(zip(leading, index, strict=True)))
        return np.asarray(found.compute(scheduler="synchronous"))

    yield read


def _images(path: Path) -> list[Image]:
    bioio = needs("bioio", "formats")
    try:
        image = bioio.BioImage(path)
    except Exception as error:
        if type(error).__name__ != "UnsupportedFileFormatError":
            raise
        raise InputError(
            f"{path}: the suffix '{path.suffix}' is no known image format, and no plugin of bioio "
            f"that is installed reads it; install one, or export the image as OME-TIFF"
        ) from error
    images = []
    for number, title in enumerate(image.scenes):
        image.set_scene(number)
        images.append(_image(path, number, title, image))
    return images


def _image(path: Path, number: int, title: str, image: Any) -> Image:
    sizes = dict(zip(image.dims.order, image.shape, strict=True))
    is_colour = "S" in sizes
    kept = {a: n for a, n in sizes.items() if n > 1 or a in "YX"}
    if is_colour:
        if sizes["C"] > 1 and "M" in kept:
            raise ValueError(
                "it has colours, channels and tiles, which are more than one image has"
            )
        kept = {a: n for a, n in kept.items() if a != "S"} | {"S": sizes["S"]}
    letters = LETTERS | ({"C": "S"} if is_colour else {})
    axes = "".join(letters.get(a, a) for a in kept)
    shape, dtype = tuple(map(int, kept.values())), np.dtype(image.dtype)
    check_pixels(shape, dtype, path.name)
    scale, units = _scale(image, axes)
    return Image(
        PlanePixels(
            path, "bioio", partial(_opened, number=number), shape, dtype, plane=2 + is_colour
        ),
        axes,
        scale=scale,
        units=units,
        channel_names=() if is_colour else _names(image),
        is_rgb=is_colour,
        alpha=3 if sizes.get("S") == 4 else None,
        path=path,
        metadata={"source": "bioio", "samples": is_colour, "holds": [KEPT], "title": str(title)},
        acquisition=_acquisition(image),
    )


def _names(image: Any) -> tuple[str, ...]:
    """Names of the channels; bioio makes some up where a file has none."""
    names = tuple(map(str, image.channel_names or ()))
    made_up = any(re.match(r"Channel:\d", name) or not name for name in names)
    return () if made_up or len(names) != image.dims.C else names


def _scale(image: Any, axes: str) -> tuple[dict[str, float], dict[str, str]]:
    """Pixel size in micrometres and frame interval in seconds, where a plugin says nothing else."""
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    for letter in "TZYX":
        unit = "s" if letter == "T" else "µm"
        with suppress(Exception):  # whatever plugins raise for what they lack
            place = image if letter == "T" else image.physical_pixel_sizes
            size: Any = getattr(place, "time_interval" if letter == "T" else letter)
            step = positive(size.total_seconds() if hasattr(size, "total_seconds") else size)
            if step and letter in axes:
                scale[letter], units[letter] = step, unit
                known = str(getattr(image.dimension_properties, letter).unit)
                units[letter] = UNITS.get(known, unit)
    return scale, units


def _acquisition(image: Any) -> Acquisition:
    with suppress(Exception):  # whatever plugins raise for what they lack
        facts = image.standard_metadata
        when, lens = facts.imaging_datetime, facts.objective
        date = when.isoformat(timespec="seconds") if when else ""
        return Acquisition(date=date, objective=str(lens or ""))
    return UNKNOWN


_series = Series("bioio", _images)
read, numbers = _series.read, _series.numbers
