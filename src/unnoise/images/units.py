"""Units of pixel sizes: the spellings of formats, and lengths in metres."""

from __future__ import annotations

SPELLINGS = {
    **dict.fromkeys(("um", "μm", "micron", "microns", "micrometer", "micrometers"), "µm"),
    **dict.fromkeys(("A", "\u212b", "angstrom", "Angstrom", "angstroms"), "Å"),
    **dict.fromkeys(("nanometer", "nanometers"), "nm"),
    **dict.fromkeys(("millimeter", "millimeters"), "mm"),
    **dict.fromkeys(("meter", "meters"), "m"),
    **dict.fromkeys(("inch", "inches"), "in"),
    **dict.fromkeys(("sec", "second", "seconds"), "s"),
    "pixels": "pixel",
    r"\u00B5m": "µm",
}
"""Spelling of a format -> that of OME."""
METRES = {
    "pm": 1e-12,
    "Å": 1e-10,
    "nm": 1e-9,
    "µm": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "in": 0.0254,
    "m": 1.0,
}
"""Length of a unit, by its spelling in OME."""


def spelled(unit: str) -> str:
    """A unit as OME spells it; what is not known stays as it is.

    Examples
    --------
    >>> spelled("micron"), spelled("angstrom"), spelled("deg")
    ('µm', 'Å', 'deg')
    """
    return SPELLINGS.get(unit, unit)


def metres(unit: str) -> float:
    """The length of a unit, or 0 where it is none.

    Examples
    --------
    >>> metres("angstrom"), metres("s")
    (1e-10, 0.0)
    """
    return METRES.get(spelled(unit), 0.0)
