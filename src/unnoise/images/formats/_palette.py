"""Pictures whose pixels are numbers of colours: tinted intensities, few grey levels, or colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.labels import is_flat

FEW = 32
"""Pictures with so many colours or fewer are taken for labels; photographs have more."""
SMOOTH = 32 * 257
"""Largest step between neighbouring colours of a palette that shows intensities (of 65535)."""
RAMP = 16
"""So many colours at least make a ramp."""


def kind(colours: NDArray, pixels: NDArray) -> str:
    """What the palette of a picture is for.

    Parameters
    ----------
    colours : ndarray
        Palette (3, n) of red, green and blue up to 65535.
    pixels : ndarray
        Numbers of colours (Y, X), of a plane that stands for all.

    Returns
    -------
    str
        ``tint``: the numbers are intensities, shown in colours (lookup table); ``gray``: the
        colours are grey levels; ``colour``: a picture with a reduced number of colours; ``labels``:
        areas with a colour each.
    """
    ramp = colours.astype(np.int64)
    steps = np.diff(ramp, axis=1)
    is_gray = bool((ramp == ramp[0]).all())
    is_long = ramp.shape[1] >= RAMP
    is_even = bool(np.ptp(steps, axis=1).max(initial=0) <= 257)
    monotonic = all((s >= 0).all() or (s <= 0).all() for s in steps)
    if is_long and monotonic and (is_even or not is_gray):
        return "tint"
    used = np.unique(pixels)
    if is_gray:
        return "gray" if len(used) > 2 else "labels"
    between = steps[:, used[0] : used[-1]]
    if len(used) >= RAMP and np.abs(between).max(initial=0) <= SMOOTH:
        return "tint"
    return "labels" if len(used) <= FEW or is_flat(pixels) else "colour"


def whole(colours: NDArray) -> NDArray:
    """A lookup table with a colour for every value of 8 bit: short ones go on with their last."""
    return np.pad(colours, ((0, 0), (0, max(256 - colours.shape[1], 0))), "edge")


def refusal(path: Path) -> InputError:
    """The error for a picture of labels."""
    return InputError(
        f"{path} holds indexed colours in areas of one colour each, as label images and drawings "
        f"do, which have no noise to remove; convert it to RGB first if it is a photograph"
    )


def expand(pixels: NDArray, colours: NDArray, way: str) -> NDArray:
    """Grey levels or colours of 8 bit in the place of numbers of colours; colour comes last."""
    table = (colours >> 8).astype(np.uint8)
    return table[0][pixels] if way == "gray" else np.moveaxis(table[:, pixels], 0, -1)
