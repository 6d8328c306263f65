"""What is known of how an image was taken, in the terms of OME, whatever its format calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Acquisition:
    """How an image was taken, as far as every format could hold it.

    Attributes
    ----------
    colors : tuple of str
        Colour of each channel as ``RRGGBB``, empty where it is unknown; or nothing.
    date : str
        When, in ISO 8601, or nothing.
    objective : str
        Name of the lens, or nothing.
    magnification, aperture : float or None
        Nominal magnification and numerical aperture of the lens.

    Examples
    --------
    >>> Acquisition(colors=("00FF00", ""), date="2021-05-04T12:00:00").names
    ('channel colours', 'acquisition date')
    """

    colors: tuple[str, ...] = ()
    date: str = ""
    objective: str = ""
    magnification: float | None = None
    aperture: float | None = None

    @property
    def has_lens(self) -> bool:
        """Whether anything is known of the lens."""
        return bool(self.objective) or self.magnification is not None or self.aperture is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is known, for messages."""
        known = {
            "channel colours": any(self.colors),
            "acquisition date": self.date,
            "objective": self.has_lens,
        }
        return tuple(name for name, is_known in known.items() if is_known)

    def as_dict(self) -> dict[str, Any]:
        """What is known, as plain values."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", ())}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Acquisition:
        """The inverse of `as_dict`; what does not fit is left out.

        Examples
        --------
        >>> Acquisition.of({"colors": ["00FF00"], "magnification": "20", "date": None})
        Acquisition(colors=('00FF00',), date='', objective='', magnification=20.0, aperture=None)
        """
        colors = values.get("colors")
        return cls(
            tuple(map(color, colors)) if isinstance(colors, list | tuple) else (),
            str(values.get("date") or ""),
            str(values.get("objective") or ""),
            positive(values.get("magnification")),
            positive(values.get("aperture")),
        )


UNKNOWN = Acquisition()


def color(value: Any) -> str:
    """A colour as ``RRGGBB``, or nothing: of ``#RRGGBB``, ``#AARRGGBB``, or three numbers to 255.

    Examples
    --------
    >>> color("#ff8000"), color("#FFFF8000"), color((0, 255, 0)), color("red")
    ('FF8000', 'FF8000', '00FF00', '')
    """
    if isinstance(value, str):
        digits = value.strip().lstrip("#").upper()
        is_hex = len(digits) in (6, 8) and all(d in "0123456789ABCDEF" for d in digits)
        return digits[-6:] if is_hex else ""
    try:
        red, green, blue = (min(max(int(part), 0), 255) for part in value)
    except (TypeError, ValueError, OverflowError):  # of infinity
        return ""
    return f"{red:02X}{green:02X}{blue:02X}"


def rgb(text: str) -> tuple[int, int, int]:
    """The three numbers of a colour ``RRGGBB``; white for an empty one.

    Examples
    --------
    >>> rgb("00FF80"), rgb("")
    ((0, 255, 128), (255, 255, 255))
    """
    digits = text or "FFFFFF"
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def positive(value: Any) -> float | None:
    """A number above 0, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # of integers of hundreds of digits
        return None
    return number if 0 < number < float("inf") else None
