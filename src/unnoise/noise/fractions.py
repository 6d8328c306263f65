"""Whether grey levels are so few that a clean image of whole numbers would lose much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.robust_sigma import noise_sigma

LEVEL = 10.0
"""Mean level from which whole numbers are fine enough."""
NOISE = 10.0
"""Variance of the noise, in squared levels, from which they are: rounding has a variance of 1/12,
a quarter of what is left of such noise after a gain of 15 dB."""
ALL = 20.0
"""Variance of noise and picture together: where the picture has more contrast, rounding is little
beside it, and 8-bit images of ordinary contrast keep their type."""
SIDE = 256
"""Pixels along the sides of the middle that is looked at."""


def needs_fractions(image: Image) -> bool:
    """Whether the clean image has fractions that matter, as few photons were counted in a pixel.

    Parameters
    ----------
    image : Image
        The middle of its channels is looked at. Floats have fractions already, and photographs
        have a type that programs expect.

    Returns
    -------
    bool
        Also False for pixels that cannot be read, which is told where they are needed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> few, many = (rng.poisson(mean, (64, 64)).astype(np.uint16) for mean in (2, 200))
    >>> needs_fractions(Image.from_array(few)), needs_fractions(Image.from_array(many))
    (True, False)
    """
    if image.dtype.kind not in "ui" or image.is_rgb:
        return False
    try:
        middle = image.original(image.middle(SIDE))[0, 0, :, 0]
    except (InputError, OSError, MemoryError):
        return False
    return any(_is_faint(plane.astype(np.float64)) for plane in middle)


def _is_faint(plane: NDArray[np.float64]) -> bool:
    """Whether a plane has noise, and little of it, few levels and little contrast."""
    return abs(plane.mean()) < LEVEL and plane.var() < ALL and 0 < noise_sigma(plane) ** 2 < NOISE
