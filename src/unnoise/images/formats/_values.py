"""Stored numbers and the values that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Values:
    """Stored numbers as the values that they stand for, ``zero + factor * number``, by region.

    Parameters
    ----------
    stored : array-like
    factor, zero : float
        Where zero only moves the range of integers to that of the other sign, they stay integers.
    blank : int or None
        The stored number that is no measurement: NaN where values are floats.

    Examples
    --------
    >>> Values(np.array([-32768, 0], "i2"), 1.0, 32768.0)[:]
    array([    0, 32768], dtype=uint16)
    >>> Values(np.array([-1, 4], "i2"), 0.5, 1.0, blank=-1)[:]
    array([nan,  3.], dtype=float32)
    """

    def __init__(self, stored: Any, factor: float, zero: float, blank: int | None = None):
        self._stored, self._line, self._blank = stored, (factor, zero), blank
        self.shape = tuple(stored.shape)
        kind = np.dtype(stored.dtype).newbyteorder("=")
        half = 2.0 ** (8 * kind.itemsize - 1) * (1 if kind.kind == "i" else -1)
        self._flipped = kind.kind in "ui" and (factor, zero) == (1.0, half)
        self._plain = (factor, zero) == (1.0, 0.0)
        wide = np.dtype(np.float32 if kind.itemsize < 4 or kind == "f4" else np.float64)
        other = np.dtype(f"{'ui'[kind.kind == 'u']}{kind.itemsize}")
        self.dtype = kind if self._plain else other if self._flipped else wide

    def __getitem__(self, index: Any, /) -> NDArray:
        part = np.asarray(self._stored[index])
        if self._plain:
            return part
        if self._flipped:
            return flipped(part, self.dtype)
        factor, zero = self._line
        values = part.astype(self.dtype) * self.dtype.type(factor) + self.dtype.type(zero)
        if self._blank is not None and part.dtype.kind in "ui":
            values = np.where(part == self._blank, self.dtype.type(np.nan), values)
        return np.asarray(values, self.dtype)


def flipped(pixels: NDArray, dtype: np.dtype) -> NDArray:
    """Integers moved by half of their range into those of the other sign, and back.

    Examples
    --------
    >>> flipped(np.array([0, 40000], "u2"), np.dtype("i2"))
    array([-32768,   7232], dtype=int16)
    """
    bits = np.ascontiguousarray(pixels).view(f"u{pixels.dtype.itemsize}")
    top = bits.dtype.type(1 << (8 * bits.dtype.itemsize - 1))
    return np.asarray((bits ^ top).view(dtype)).reshape(pixels.shape)
