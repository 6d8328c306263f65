"""Arrays of other libraries: what their dimensions are called, and how large their steps are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unnoise.images import axes as ax

NAMES = {
    **dict.fromkeys(("time", "frame", "frames"), "T"),
    **dict.fromkeys(("channel", "channels", "band", "bands", "wavelength", "colour", "color"), "C"),
    **dict.fromkeys(("depth", "level", "plane", "slice", "altitude"), "Z"),
    **dict.fromkeys(("lat", "latitude", "row", "rows", "height", "northing"), "Y"),
    **dict.fromkeys(("lon", "longitude", "col", "column", "columns", "width", "easting"), "X"),
    **dict.fromkeys(("sample", "samples", "batch", "index", "position", "image"), "S"),
    **dict(zip(ax.CANONICAL.lower(), ax.CANONICAL, strict=True)),
}
"""Name of a dimension in lower case -> its letter."""


def letters(names: Sequence[str], shape: tuple[int, ...]) -> str | None:
    """Letters for the names of dimensions; None where they tell nothing.

    Raises
    ------
    AxesError
        If they tell some of the letters only.

    Examples
    --------
    >>> letters(("time", "lat", "lon"), (3, 40, 50)), letters(("dim_0", "dim_1"), (40, 50))
    ('TYX', None)
    """
    found = "".join(NAMES.get(str(name).lower(), "?") for name in names)
    if len(found) != len(shape) or set(found) <= {"?"}:
        return None
    if found.endswith("??") and not {"Y", "X"} & set(found):
        found = found[:-2] + "YX"
    if "?" in found or not {"Y", "X"} <= set(found) or len(set(found)) != len(found):
        whole = {"Y", "X"} <= set(found) and len(set(found) - {"?"}) == len(found.replace("?", ""))
        raise ax.ambiguous(shape, found if whole else "")
    return found


def names_of(array: Any) -> tuple[str, ...]:
    """What an array calls its dimensions: xarray does, and Zarr where they were told."""
    metadata = getattr(array, "metadata", None)
    attributes = getattr(array, "attrs", {})
    names = getattr(array, "dims", None) or getattr(metadata, "dimension_names", None)
    if not names and hasattr(attributes, "get"):
        names = attributes.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, tuple | list) or len(names) != len(array.shape):
        return ()
    return tuple(map(str, names)) if all(names) else ()


def steps(array: Any, axes: str) -> tuple[dict[str, float], dict[str, str]]:
    """Size of a pixel and its unit by letter, where the coordinates of xarray tell.

    Examples
    --------
    >>> steps([[0]], "YX")
    ({}, {})
    """
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    coordinates = getattr(array, "coords", {})
    for letter, name in zip(axes, getattr(array, "dims", ()), strict=False):
        if letter not in "TZYX" or name not in coordinates or len(coordinates[name]) < 2:
            continue
        values = coordinates[name].values
        if values.dtype.kind not in "iuf":
            continue
        step = float(values[-1] - values[0]) / (len(values) - 1)
        even = abs(float(values[1] - values[0]) - step) <= 0.01 * abs(step)
        if even and step > 0:
            scale[letter], units[letter] = step, str(coordinates[name].attrs.get("units", ""))
    return scale, units
