"""What a dataset of HDF5 tells of its axes and pixel size, as several programs write it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np

from unnoise.images import axes as ax
from unnoise.images.formats import _hdf5_types

WORDS = {"time": "T", "frame": "T", "channel": "C", "depth": "Z", "height": "Y", "width": "X"}
NAMES = ("axes", "axis_order", "dimension_order", "_ARRAY_DIMENSIONS", "dimension_names")
"""Attributes in which programs write the axes of a dataset."""


def tags(dataset: Any) -> list[dict[str, Any]]:
    """The axes as ilastik writes them (vigra's axistags), or nothing."""
    try:
        found = json.loads(_text(_attribute(dataset, "axistags")))["axes"]
        return [dict(tag) for tag in found] if len(found) == len(dataset.shape) else []
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def told(dataset: Any) -> str:
    """Letters that the file itself gives, or nothing; `ValueError` for damaged types."""
    _hdf5_types.check(dataset)
    count = len(dataset.shape)
    names = [_labels(dataset), [str(tag.get("key", "")) for tag in tags(dataset)]]
    for key in NAMES:
        value = _attribute(dataset, key)
        names.append([_text(part) for part in (_text(value) or np.ravel(value))])
    for parts in names:
        found = "".join(WORDS.get(part.lower(), part.upper()) for part in parts)
        is_whole = len(parts) == len(found) == len(set(found)) == count
        if is_whole and {"X", "Y"} <= set(found) <= set(ax.CANONICAL):
            return found
    return ""


def letters(dataset: Any) -> str:
    """The letters of a dataset, as it says or by its shape."""
    found = told(dataset)
    if found:
        return found
    shape = tuple(map(int, dataset.shape))
    if len(shape) == 3 and np.size(_attribute(dataset, "element_size_um")) == 3:
        return "ZYX"
    return ax.infer(shape)


def scale(dataset: Any, axes: str) -> tuple[dict[str, float], dict[str, str]]:
    """Pixel size in µm as ImageJ writes it, or as the axes of ilastik tell."""
    sizes = np.ravel(_attribute(dataset, "element_size_um"))
    if len(sizes) == 3 and sizes.dtype.kind in "fiu":
        known = dict(zip("ZYX", map(float, sizes), strict=True))
        steps = {a: known[a] for a in "ZYX" if a in axes and 0 < known[a] < np.inf}
        return steps, dict.fromkeys(steps, "µm")
    found = {a: tag.get("resolution") for a, tag in zip(axes, tags(dataset), strict=False)}
    return {
        a: float(size)
        for a, size in found.items()
        if a in "TZYX" and isinstance(size, int | float) and 0 < size < np.inf
    }, {}


def _attribute(dataset: Any, name: str) -> Any:
    """An attribute, or nothing where it is missing or of a type that NumPy lacks."""
    with suppress(TypeError, UnicodeError):
        return dataset.attrs.get(name, ())
    return ()


def _labels(dataset: Any) -> list[str]:
    """The labels of the axes, or nothing."""
    with suppress(UnicodeError):
        return [dim.label for dim in dataset.dims]
    return []


def _text(value: Any) -> str:
    """A text, or nothing for all else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
