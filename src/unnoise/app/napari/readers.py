"""Files and folders for napari: images as layers, and model folders for the widget."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from unnoise.app.napari import layers
from unnoise.app.napari.refining import refine
from unnoise.errors import AxesError
from unnoise.images import formats
from unnoise.images.formats import listing
from unnoise.images.formats.registry import suffix_of, suffix_of_folder

Reader = Callable[[Any], list[tuple[Any, ...]]]
GUESSES = ("ZYX", "TZYX", "STZYX")
"""Axes that are taken until they are known: a slider for each dimension before Y and X."""
NOTHING: list[tuple[Any, ...]] = [(None,)]
"""What tells napari that a place was read and gives no layer."""


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """What reads a place, or None where it is no image and no model.

    Examples
    --------
    >>> get_reader("notes.txt") is None
    True
    """
    places = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    if len(places) == 1 and is_model(Path(places[0])):
        return read_model
    return read_images if places and all(_is_image(Path(place)) for place in places) else None


def is_model(place: Path) -> bool:
    """Whether a folder holds a model, told without loading torch."""
    return all((place / name).is_file() for name in ("config.yaml", "weights.safetensors"))


def _is_image(place: Path) -> bool:
    """Whether a name is that of an image, as far as the name tells."""
    return bool(suffix_of_folder(place) if place.is_dir() else suffix_of(place))


@listing.once()
def read_images(path: str | Sequence[str]) -> list[tuple[Any, ...]]:
    """The images of files as layers, whose pixels are read when they are shown.

    Raises
    ------
    InputError
        If a file is damaged.
    """
    places = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    found: list[tuple[Any, ...]] = []
    for place in map(Path, places):
        numbers = formats.numbers(place)
        for number in numbers:
            series = number if len(numbers) > 1 else None
            found += _read(place, series)
    _refine([part for data, *_ in found if isinstance(data, list) for part in data[1:]])
    return found


def _read(place: Path, series: int | None) -> list[layers.LayerData]:
    """An image of a file; the widget asks for its axes where the file does not tell them."""
    try:
        return layers.layers_of(formats.open(place, series=series, labels=True), series)
    except AxesError:
        for axes in GUESSES:
            with suppress(AxesError):
                image = formats.open(place, axes=axes, series=series, labels=True)
                return layers.guessed(image, series)
        raise


def _refine(levels: list[Any]) -> None:
    """Have a viewer draw anew what is not exact yet, where there is one."""
    import napari

    viewer = napari.current_viewer() if levels else None
    if viewer is not None:
        refine(viewer, levels)


def read_model(path: str | Sequence[str]) -> list[tuple[Any, ...]]:
    """Give a model folder to the widget of the viewer, which is opened if it is not there."""
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        place = path if isinstance(path, (str, os.PathLike)) else path[0]
        _, widget = viewer.window.add_plugin_dock_widget("unnoise", "Denoise")
        widget.use_model(str(place))
    return NOTHING
