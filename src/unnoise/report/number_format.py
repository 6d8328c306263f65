"""Numbers as people read them."""

from __future__ import annotations

import math


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
