"""Noisy images made by code, for File > Open Sample."""

from __future__ import annotations

from unnoise.app import samples
from unnoise.app.napari.layers import LayerData, layers_of


def _layers(name: str) -> list[LayerData]:
    found = samples.sample(name)
    (data, about, kind), *_ = layers_of(found.noisy)
    return [(data, {**about, "name": name}, kind)]


def cells() -> list[LayerData]:
    """A picture of cells.

    Examples
    --------
    >>> [(data.shape, about["name"]) for data, about, kind in cells()]
    [((256, 256), 'cells')]
    """
    return _layers("cells")


def movie() -> list[LayerData]:
    """A movie of vesicles."""
    return _layers("movie")


def stack() -> list[LayerData]:
    """A volume."""
    return _layers("stack")


def photograph() -> list[LayerData]:
    """A photograph in colour."""
    return _layers("photograph")
