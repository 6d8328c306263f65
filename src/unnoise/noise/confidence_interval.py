"""A number and how sure it is."""

from __future__ import annotations

import math
from typing import NamedTuple


class Interval(NamedTuple):
    """An estimate and its 95 % confidence interval.

    Examples
    --------
    >>> Interval.around(0.3, 0.2).significant, str(Interval(2.013, 1.98, 2.05))
    (True, '2.013 (1.980 to 2.050)')
    """

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, reach: float) -> Interval:
        """The interval that reaches equally far to both sides."""
        return cls(value, value - reach, value + reach)

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return not self.low <= 0 <= self.high

    def __str__(self) -> str:
        step = max(self.high - self.low, abs(self.value) * 1e-3, 1e-300)
        digits = max(0, 1 - math.floor(math.log10(step))) if math.isfinite(step) else 12
        value, low, high = (f"{v:.{digits}f}" if digits < 12 else f"{v:.3g}" for v in self)
        return f"{value} ({low} to {high})"
