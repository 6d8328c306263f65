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


def at_most(size: float) -> str:
    """An estimate of bytes, rounded up to two digits: it is no better than that.

    Examples
    --------
    >>> at_most(490_100_000), at_most(1_210_000_000), at_most(999e6)
    ('up to 500 MB', 'up to 1.3 GB', 'up to 1.0 GB')
    """
    step = 10 ** max(int(math.log10(max(size, 1))) - 1, 0)
    number, unit = amount(math.ceil(size / step) * step).split()
    return f"up to {float(number):.{1 if float(number) < 10 else 0}f} {unit}"
