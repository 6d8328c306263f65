"""What OME-Zarr says of its images, and the same in its own words for another one.

Specification: https://ngff.openmicroscopy.org, versions 0.1 to 0.5; of drafts of 0.6 what has the
same meaning. Everything here is plain JSON: nothing is read or written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unnoise.errors import AxesError
from unnoise.images import axes as ax
from unnoise.images.acquisition import Acquisition, color, positive
from unnoise.images.arrays import NAMES
from unnoise.images.image import Image
from unnoise.images.units import spelled

Json = Mapping[str, Any]
UNITS = {
    "angstrom": "Å",
    "picometer": "pm",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "in",
    "microsecond": "µs",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
}
"""Unit of OME-Zarr -> as OME-TIFF and the rest of this package spell it."""
TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
ORDER = "TSCZYX"
"""Time comes first, then channels or what else there is, then space."""
OWN = "unnoise"
"""Attribute with what OME-Zarr has no words for."""
DEFINED = (
    "multiscales",
    "omero",
    "plate",
    "well",
    "labels",
    "image-label",
    "bioformats2raw.layout",
    OWN,
)
"""Attributes that are understood here, and not carried as they are."""


@dataclass(frozen=True)
class Meta:
    """The part of an `Image` that metadata fill.

    Attributes
    ----------
    axes : str
    scale, units : dict
    channel_names : tuple of str
    acquisition : Acquisition
    offset : tuple of float
        Where the first pixel lies, by axis.
    holds : tuple of str
        Names of what else is known.
    """

    axes: str
    scale: dict[str, float]
    units: dict[str, str]
    channel_names: tuple[str, ...]
    acquisition: Acquisition
    offset: tuple[float, ...]
    holds: tuple[str, ...]


def versions(attributes: Json) -> tuple[Json, str]:
    """The attributes that OME-Zarr defines, and its version; nothing for other groups."""
    own = attributes.get("ome", attributes)
    if not isinstance(own, Mapping):
        return {}, ""
    parts = own.get("multiscales") or [own.get("plate") or own.get("well") or {}]
    first = parts[0] if isinstance(parts, Sequence) and parts else {}
    inner = first.get("version", "") if isinstance(first, Mapping) else ""
    return own, str(own.get("version") or inner or ("0.5" if "ome" in attributes else "0.4"))


def read(
    multiscale: Json,
    omero: Json,
    own: Json,
    dataset: int,
    shape: tuple[int, ...],
    given: str | None,
) -> Meta:
    """What is known of an image.

    Parameters
    ----------
    multiscale, omero : mapping
        As they stand in the attributes.
    own : mapping
        The attribute of this package, or nothing.
    dataset : int
        Which level.
    shape : tuple of int
    given : str or None
        Axes that the user gave.

    Raises
    ------
    AxesError
        If the axes do not fit the shape.
    """
    found = _axes_of(multiscale, len(shape))
    letters = ax.check(given, shape) if given else letters_of(found, shape)
    scale, offset = placed(multiscale, dataset, len(shape))
    units = {k: _unit(axis) for k, axis in zip(letters, found, strict=False) if k in "TZYX"}
    # A scale must be told, so 1 without a unit is none.
    known = {
        k: size
        for k, size in zip(letters, scale, strict=True)
        if k in "TZYX" and positive(size) and (units.get(k) or size != 1)
    }
    channels = list(omero.get("channels") or ())
    count = dict(zip(letters, shape, strict=True)).get("C", 1)
    channels = channels if len(channels) == count else []
    names = tuple(str(c.get("label") or "") for c in channels)
    colors = tuple(color(c.get("color")) for c in channels)
    taken = Acquisition.of({**own.get("acquisition", {}), "colors": colors if any(colors) else ()})
    holds = {"position": any(offset), "display settings": bool(channels)}
    return Meta(
        letters,
        known,
        {k: units.get(k, "") for k in known},
        names if all(names) else (),
        taken,
        offset,
        tuple(name for name, is_known in holds.items() if is_known),
    )


def shown(ome: Json) -> Json:
    """How channels are to be shown, as far as it is what it should be."""
    found = ome.get("omero")
    channels = found.get("channels") or [] if isinstance(found, Mapping) else None
    is_list = isinstance(channels, list) and all(isinstance(c, Mapping) for c in channels)
    return found if is_list and found else {}


def _axes_of(multiscale: Json, ndim: int) -> list[Json]:
    """The axes as mappings, whatever the version."""
    axes = multiscale.get("axes")
    systems = multiscale.get("coordinateSystems")
    if not axes and isinstance(systems, Sequence) and systems:  # 0.6
        outputs = [t.get("output") for t in _transformations(multiscale, 0)]
        outputs = [o.get("name") if isinstance(o, Mapping) else o for o in outputs]
        named = [s for s in systems if s.get("name") in outputs] or [systems[0]]
        axes = named[0].get("axes")
    if not axes:
        axes = "tczyx"[-ndim:] if ndim <= 5 else ()  # 0.1 and 0.2 had these five alone
    return [axis if isinstance(axis, Mapping) else {"name": str(axis)} for axis in axes]


def letters_of(axes: Sequence[Json], shape: tuple[int, ...]) -> str:
    """Letters for axes: by their names, then by their types, and for what is left S."""
    names = [str(axis.get("name", "?")) for axis in axes]
    if len(names) != len(shape):
        choices = ax.suggestions(shape)
        remedy = " or ".join(f"--axes {c}" for c in choices) or "--axes"
        raise AxesError(
            f"its metadata name the {len(names)} axes {', '.join(names)}, but the array has shape "
            f"{shape}; say which they are with {remedy}"
        )
    letters = [NAMES.get(name.lower(), "?") for name in names]
    free = {"time": "T", "channel": "C", "space": "XYZ"}
    for i in reversed(range(len(letters))):
        kind = axes[i].get("type", "")
        options = [k for k in free.get(kind, "S" if kind else "") if k not in letters]
        if letters[i] == "?" and options:
            letters[i] = options[0]
    text = "".join(letters)
    if "?" in text or not {"Y", "X"} <= set(text) or len(set(text)) != len(text):
        raise ax.ambiguous(shape, text if {"Y", "X"} <= set(text) else "")
    return text


def _unit(axis: Json) -> str:
    unit = str(axis.get("unit") or "")
    return UNITS.get(unit.lower(), unit)


def unit_of(image: Image, letter: str) -> str:
    """The word of OME-Zarr for the unit of an axis, or nothing."""
    own = spelled(image.units.get(letter, ""))
    return next((word for word, unit in UNITS.items() if unit == own), "")


def _transformations(multiscale: Json, dataset: int) -> list[Json]:
    """Those of a level, and of versions before 0.6 those of all levels, one after the other."""
    own = multiscale["datasets"][dataset].get("coordinateTransformations") or []
    shared = (
        [] if "coordinateSystems" in multiscale else multiscale.get("coordinateTransformations")
    )
    return [t for t in [*own, *(shared or [])] if isinstance(t, Mapping)]


def placed(
    multiscale: Json, dataset: int, ndim: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Size of a pixel and place of the first one, by axis; 1 and 0 where they are not told."""
    scale, offset = [1.0] * ndim, [0.0] * ndim
    steps = _transformations(multiscale, dataset)
    while steps:
        step, *steps = steps
        if step.get("type") == "sequence":
            steps = [*(step.get("transformations") or []), *steps]
        factors, shifts = step.get("scale"), step.get("translation")
        if isinstance(factors, Sequence) and len(factors) == ndim:
            scale = [s * float(f) for s, f in zip(scale, factors, strict=True)]
            offset = [o * float(f) for o, f in zip(offset, factors, strict=True)]
        elif isinstance(shifts, Sequence) and len(shifts) == ndim:
            offset = [o + float(t) for o, t in zip(offset, shifts, strict=True)]
    return tuple(scale), tuple(o if math.isfinite(o) else 0.0 for o in offset)


def order(axes: str) -> str:
    """The letters of an image in the order of OME-Zarr.

    Examples
    --------
    >>> order("TZCYX"), order("YXC")
    ('TCZYX', 'CYX')
    """
    return "".join(letter for letter in ORDER if letter in axes)


def written(
    image: Image,
    axes: str,
    version: str,
    factors: Sequence[tuple[int, ...]],
    ranges: Sequence[tuple[float, float]],
) -> dict[str, Any]:
    """The attributes of the group of an image.

    Parameters
    ----------
    image : Image
    axes : str
        Its letters in the order of the file.
    version : str
        ``0.4`` or ``0.5``.
    factors : sequence of tuple of int
        How many pixels of the first level one of each level covers, by axis.
    ranges : sequence of (float, float)
        Lowest and highest value of each channel.
    """
    meta = image.metadata.get("ngff", {})
    entries = []
    for letter in axes:
        unit = unit_of(image, letter)
        kind = {"type": TYPES[letter]} if letter in TYPES else {}
        entries.append({"name": letter.lower(), **kind, **({"unit": unit} if unit else {})})
    size = [float(image.scale.get(letter, 1.0)) for letter in axes]
    found = zip(meta.get("axes", ""), meta.get("offset", ()), meta.get("shape", ()), strict=True)
    # Of a part along an axis nobody knows any more where it began.
    start = {k: offset for k, offset, n in found if image.sizes[k] == n}
    datasets = []
    for level, factor in enumerate(factors):
        scale = [s * f for s, f in zip(size, factor, strict=True)]
        # The centre of the first pixel is that of the pixels whose mean it is.
        shift = [
            start.get(k, 0.0) + (f - 1) / 2 * s for k, s, f in zip(axes, size, factor, strict=True)
        ]
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        steps += [{"type": "translation", "translation": shift}] if any(shift) else []
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    multiscale = {
        "name": meta.get("name") or image.name,
        "axes": entries,
        "datasets": datasets,
        "type": "mean",
    }
    known = {"multiscales": [multiscale]}
    omero = _omero(image, meta.get("omero") or {}, ranges)
    known |= {"omero": omero} if omero else {}  # type: ignore[dict-item]
    own: dict[str, Any] = {"rgb": True, "alpha": image.alpha} if image.is_rgb else {}
    taken = {k: v for k, v in image.acquisition.as_dict().items() if k != "colors"}
    own |= {"acquisition": taken} if taken else {}
    own |= {"made_by": image.metadata["maker"]} if "maker" in image.metadata else {}
    others = {**meta.get("others", {}), **({OWN: own} if own else {})}
    if version == "0.4":
        multiscale["version"] = version
        return others | known
    return {**others, "ome": {"version": version, **known}}


def _omero(image: Image, kept: Json, ranges: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """How channels are shown: as in the input, under the names and colours of the image."""
    count, colors = image.sizes["C"], image.acquisition.colors
    if image.is_rgb and not any(colors):
        colors = ("FF0000", "00FF00", "0000FF", "FFFFFF")[:count]
    names, channels = image.channel_names, list(kept.get("channels") or ())
    if not names and not any(colors) and not channels:
        return {}
    channels = channels if len(channels) == count else [{}] * count
    shown = []
    for c, (channel, (low, high)) in enumerate(zip(channels, ranges, strict=True)):
        new = {"window": {"min": low, "max": high, "start": low, "end": high}, "active": True}
        tint = (colors[c] if c < len(colors) else "") or "FFFFFF"
        label = {"label": names[c]} if c < len(names) else {}
        shown.append({**new, **channel, "color": tint, **label})
    return {**kept, "channels": shown}
