"""Layers to files, with all that their format can hold of the files that they came from."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from unnoise.app.napari import layers
from unnoise.app.sources import Sources
from unnoise.errors import AxesError, InputError, warn
from unnoise.images import axes as ax
from unnoise.images import formats
from unnoise.images.formats.saving import not_carried
from unnoise.images.image import Image

BAND = 2**24
"""Pixels that are written at a time, so that a layer of any size can be saved."""


def write_image(path: str, data: Any, about: dict[str, Any]) -> list[str]:
    """Write a layer: the format is chosen by the end of the name.

    Returns
    -------
    list of str
        The file that was written.

    Raises
    ------
    InputError
        If the place cannot be written, the format does not hold such pixels, or the axes are
        ambiguous.
    """
    layer = _layer(data, about)
    return _written(path, _image(layer), [layer])


def write_images(path: str, layer_data: Sequence[tuple[Any, dict[str, Any], str]]) -> list[str]:
    """Write layers of one size as the channels of one file; a warning tells if places differ.

    Raises
    ------
    InputError
        As `write_image`, and if the layers differ in size, type or pixel size.
    """
    found = [_layer(data, about) for data, about, _ in layer_data]
    if len(found) == 1:
        return write_image(path, *layer_data[0][:2])
    images = [_image(layer) for layer in found]
    first = images[0]
    kinds = {(image.axes, image.shape, image.dtype) for image in images}
    if len(kinds) > 1 or "C" in first.axes:
        raise InputError(
            "layers that are saved as one file are its channels, so they must have the same axes, "
            "shape and type of pixels, and no colours; save them one by one"
        )
    if not all(_same_pixels(image, first) for image in images):
        raise InputError(
            "layers that are saved as one file are its channels, so they must have pixels of the "
            "same size; give them the same scale and units, or save them one by one"
        )
    if len({_place(layer) for layer in found}) > 1:
        warn(
            "the layers do not lie in the same place, which the file cannot hold: as its channels "
            "their first pixels coincide"
        )
    names = tuple(str(layer.name) for layer in found)
    colors = tuple(next(iter(image.acquisition.colors), "") for image in images)
    whole = layers.joined(found)
    at = max(first.axes.index("Y") - ("Z" in first.axes), 0)
    if whole is not None:
        at, names = whole.axes.index("C"), whole.channel_names
    stacked = replace(
        whole or first,
        data=_Stacked([image.data for image in images], at),
        axes=first.axes[:at] + "C" + first.axes[at:],
        channel_names=names,
        scale=first.scale,
        units=first.units,
        acquisition=replace(first.acquisition, colors=colors),
    )
    return _written(path, stacked, found)


class _Stacked:
    """Arrays of one shape side by side along a new dimension."""

    def __init__(self, parts: Sequence[Any], at: int) -> None:
        self._parts, self._at = parts, at
        shape = tuple(parts[0].shape)
        self.shape = (*shape[:at], len(parts), *shape[at:])
        self.dtype = np.dtype(parts[0].dtype)

    def __getitem__(self, index: Any, /) -> Any:
        rest = index[: self._at] + index[self._at + 1 :]
        chosen = self._parts[index[self._at]]
        return np.stack([np.asarray(part[rest]) for part in chosen], self._at)


def _same_pixels(a: Image, b: Image) -> bool:
    """Whether two images have the same pixel size, in the same units."""
    known = a.scale.keys() == b.scale.keys() and a.units == b.units
    return known and all(math.isclose(a.scale[k], b.scale[k], rel_tol=1e-6) for k in a.scale)


def _place(layer: Any) -> tuple[float, ...]:
    """Where a layer lies, beside its pixel size; nothing where it lies as any layer does."""
    parts = (getattr(layer, name, None) for name in ("translate", "rotate", "shear", "affine"))
    values = [np.ravel(getattr(part, "affine_matrix", part)) for part in parts if part is not None]
    return tuple(float(value) for part in values for value in part)


def _layer(data: Any, about: dict[str, Any]) -> Any:
    """What a layer is known by, from what npe2 tells of it."""
    named = {"rgb": False, "multiscale": False, "metadata": {}, "colormap": None, "name": ""}
    named |= {"scale": (1.0,) * (np.ndim(data) if isinstance(data, np.ndarray) else 6)}
    return SimpleNamespace(**{**named, **about, "data": data})


def _image(layer: Any) -> Image:
    """A layer as an image; where its axes were never told, with the first that would fit."""
    source = layer.metadata.get(layers.KEY)
    try:
        return layers.image_of(layer)
    except AxesError:
        if not isinstance(source, layers.Source):
            raise
        return layers.image_of(layer, source.axes)


def _written(path: str | os.PathLike[str], image: Image, shown: Sequence[Any]) -> list[str]:
    """Write an image piece by piece; what its file cannot hold is told by a warning."""
    place = Path(path)
    known = [layer.metadata.get(layers.KEY) for layer in shown]
    sources = Sources(one.image for one in known if isinstance(one, layers.Source))
    sources.refuse(place, "the layers" if len(shown) > 1 else "the layer", "or name")
    with formats.create(place, image, overwrite=True) as out:
        for where in _pieces(image):
            out.write(where, image.original(where))
    if out.lost:
        warn(not_carried(out, image))
    return [str(place)]


def _pieces(image: Image) -> Iterator[dict[str, int | slice]]:
    """Bands of rows that cover an image, plane by plane."""
    n = image.sizes
    together = "C" if image.is_rgb else ""
    leading = [letter for letter in ax.CANONICAL[:4] if letter != together]
    width = n["X"] * (n["C"] if together else 1)
    rows = max(BAND // width, 1)
    for at in product(*(range(n[letter]) for letter in leading)):
        for top in range(0, n["Y"], rows):
            yield {**dict(zip(leading, at, strict=True)), "Y": slice(top, top + rows)}
