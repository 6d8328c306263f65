"""The mean over the eight flips and rotations of the plane, for peers that do not offer it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

PLANE = (-2, -1)


def eightfold(predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """What a net makes of an image, or of the planes of a volume, in eight orientations."""
    total = np.zeros(image.shape)
    for turns in range(4):
        for flip in (False, True):
            x = np.rot90(image[..., ::-1] if flip else image, turns, PLANE)
            y = np.rot90(predict(x), -turns, PLANE)
            total += y[..., ::-1] if flip else y
    return total / 8
