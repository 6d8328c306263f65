"""Amounts for people."""

from __future__ import annotations

import math


def amount(size: float) -> str:
    """Bytes in the unit that fits.

    Examples
    --------
    >>> amount(999), amount(1_250_000), amount(3.2e12)
    ('999 bytes', '1.2 MB', '3.2 TB')
    """
    power = min(int(math.log10(max(size, 1))) // 3, 5)
    unit = ("bytes", "kB", "MB", "GB", "TB", "PB")[power]
    return f"{size / 1000**power:.{1 if power else 0}f} {unit}"
