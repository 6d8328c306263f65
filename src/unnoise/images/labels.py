"""Pictures that are no measurements: masks, label images and drawings have no noise to remove."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unnoise.images.image import Image

SIDE = 256
"""Pixels along Y and X that are looked at."""
EQUAL = {64: 0.75, 256: 0.9}
"""Most distinct values -> the share of pixels, background left out, that equal their neighbour.

Sparse counts have few values too, but alike they are only by chance.
"""


def is_flat(plane: NDArray) -> bool:
    """Whether a plane (Y, X) of integers consists of few values in areas of one value each.

    Examples
    --------
    >>> cells = np.zeros((64, 64), np.uint8)
    >>> cells[8:30, 5:25], cells[40:60, 30:50] = 1, 2
    >>> is_flat(cells), is_flat(np.random.default_rng(0).poisson(0.1, (64, 64)))
    (True, False)
    """
    values, counts = np.unique(plane, return_counts=True)
    share = next((share for most, share in EQUAL.items() if len(values) <= most), None)
    if share is None or len(values) == 1:
        return False
    inside = plane[:, :-1] != values[counts.argmax()]
    alike = inside & (plane[:, :-1] == plane[:, 1:])
    return bool(inside.any() and alike.sum() > share * inside.sum())


def warning(image: Image) -> str | None:
    """What to tell of an image of integers whose middle looks like labels, or None."""
    if image.dtype.kind not in "iu" or image.is_rgb:
        return None
    block = image.read(image.middle(SIDE))[0, 0]
    for plane in block.reshape(-1, *block.shape[-2:]):
        if is_flat(plane):
            return (
                f"few distinct values ({len(np.unique(plane))}) in areas of one value each: this "
                f"looks like labels, a mask or a drawing, which have no noise to remove"
            )
    return None
