"""Which pixels are held out: a pure function of a seed and the position, so it costs no memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

HELD_OUT_BOX = 64
"""One pixel in every box of this many is held out by default: 1.6 %, a box of 8x8 in 2D and 4x4x4
in 3D."""


def plane_key(which: int, at: Mapping[str, int], ndim: int, axis: str | None) -> tuple[int, ...]:
    """What identifies the plane or stack of a patch, for `held_out`.

    Either image of a pair may be the target, so both hold out the same pixels.
    """
    return (which, *(0 if k == axis else at[k] for k in "STZ"[: 5 - ndim]))


def held_out(
    origin: tuple[int, ...],
    shape: tuple[int, ...],
    key: tuple[int, ...],
    box: int = HELD_OUT_BOX,
) -> NDArray[np.bool_]:
    """Held-out pixels of a region: one in every box of a grid fixed to the image.

    Parameters
    ----------
    origin, shape : tuple of int
        Region in the coordinates of the image.
    key : tuple of int
        Seed and identity of the plane or stack.
    box : int
        One pixel in so many.

    Returns
    -------
    ndarray of bool, of the given shape

    Examples
    --------
    >>> whole = held_out((0, 0), (64, 64), (0, 0))
    >>> int(whole.sum()), bool((held_out((5, 9), (20, 20), (0, 0)) == whole[5:25, 9:29]).all())
    (64, True)
    """
    side = round(box ** (1 / len(shape)))
    first = [o // side for o in origin]
    count = [(o + n - 1) // side - f + 1 for o, n, f in zip(origin, shape, first, strict=True)]
    state = np.zeros([1] * len(shape), np.uint64)
    for value in key:
        state = _mix(state + np.uint64(value))
    for axis, (f, c) in enumerate(zip(first, count, strict=True)):
        along = np.arange(f, f + c, dtype=np.uint64)
        state = _mix(state + along.reshape([-1 if a == axis else 1 for a in range(len(shape))]))
    spot = (state % np.uint64(side ** len(shape))).astype(np.intp)  # position in every box
    boxes = np.zeros((*count, side ** len(shape)), np.bool_)
    np.put_along_axis(boxes, spot[..., None], True, axis=-1)
    # (by, bx, side * side) -> (by * side, bx * side)
    cells = boxes.reshape((*count, *[side] * len(shape)))
    order = [
        a
        for pair in zip(range(len(shape)), range(len(shape), 2 * len(shape)), strict=True)
        for a in pair
    ]
    full = cells.transpose(order).reshape([c * side for c in count])
    cut = tuple(
        slice(o - f * side, o - f * side + n) for o, f, n in zip(origin, first, shape, strict=True)
    )
    return full[cut]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser (Steele, Lea, Flood, OOPSLA 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
