"""Axes of charts: which range they show, where it is marked, and how the marks read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

FLAT = 1e-6
"""Relative range below which values are shown as constant; their labels would be too long."""


@dataclass(frozen=True)
class Axis:
    """A range of values along a stretch of the drawing; of their logarithms (base 10) if `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value is drawn; far outside values are held near the drawing."""
        bent = math.log10(value) if self.log else value
        share = min(max((bent - self.low) / (self.high - self.low), -0.5), 1.5)
        return self.start + share * (self.end - self.start)

    def shows(self, value: float) -> bool:
        """Whether a value has a place on this axis."""
        return math.isfinite(value) and (value > 0 or not self.log)

    def ticks(self) -> list[tuple[float, str]]:
        """Marked values and their labels."""
        if self.log and (values := _log_ticks(self.low, self.high)):
            return [(value, short(value)) for value in values]
        ends = (10.0**self.low, 10.0**self.high) if self.log else (self.low, self.high)
        return _ticks(*ends)


def axis_of(values: Iterable[float], start: float, end: float, *, log: bool, zero: bool) -> Axis:
    """An axis that shows all finite values (all positive ones, if logarithmic) with some air.

    With `zero` the range includes zero, as bars need.
    """
    some = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if log:
        some = [math.log10(v) for v in some]
    elif zero:
        some.append(0.0)
    low, high = (min(some), max(some)) if some else (0.0, 1.0)
    if log:
        half = 0.3 if high - low < 0.02 else 0.04 * (high - low)
        return Axis(low - half, high + half, start, end, True)
    if high - low <= FLAT * max(abs(low), abs(high)):
        half = abs(low) * 0.05 or 0.5
        return Axis(low - half, high + half, start, end)
    air = 0.04 * (high - low)
    # Where the data stop at zero, so should the axis: no negative variances or steps.
    return Axis(low and low - air, high and high + air, start, end)


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within a range, 2 to 8 of them."""
    rough = (high - low) / 7
    exponent = math.floor(math.log10(rough) + 1e-9)
    factor = next(m for m in (1, 2, 5, 10) if m * 10.0**exponent >= rough * 0.999)
    step = factor * 10.0**exponent
    digit = exponent + (factor == 10)  # the decimal place that differs from mark to mark
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [i * step for i in range(first, last + 1)]
    plain = max(abs(low), abs(high)) < 1e6 and digit >= -5
    return [(v, _label(v, digit, plain)) for v in values]


def _label(value: float, digit: int, plain: bool) -> str:
    """A number up to the given decimal place."""
    if plain or value == 0:
        text = f"{value:.{max(0, -digit)}f}" if value else "0"
    else:
        mantissa, exponent = f"{value:.{max(0, _exponent(value) - digit)}e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "\u2212")


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)) + 1e-9)


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, thinned if many, with 2 and 5 between them if few; none if there are too few.

    `low` and `high` are logarithms.
    """
    first, last = math.ceil(low), math.floor(high)
    powers = list(range(first, last + 1, max(1, math.ceil((high - low) / 6))))
    if len(powers) >= 3:
        return [10.0**k for k in powers]
    finer = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)]
    inside = [v for v in finer if low <= math.log10(v) <= high]
    return inside if len(inside) >= 3 else []


def short(value: float) -> str:
    """A number with about four digits and a true minus sign.

    Examples
    --------
    >>> short(0.123456), short(65535.0), short(1e-7)
    ('0.1235', '65535', '1e−7')
    """
    if not math.isfinite(value):
        return "not finite"
    rounded = round(value)
    whole = abs(value) < 1e6 and abs(value - rounded) < 1e-9 * max(abs(value), 1e-3)
    text = str(rounded) if whole else f"{value:.4g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "\u2212")
