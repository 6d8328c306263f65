"""The record of a training: a last look at the images, for later comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unnoise.images.image import Image
from unnoise.models.record import TrainingRecord
from unnoise.noise.planes import middle, sampled
from unnoise.quality.noise_passthrough import UNKNOWN
from unnoise.quality.novelty import learn_look

SIDE = 512
"""Side of the middle of their planes that is looked at."""


def record(
    images: Sequence[Image],
    channels: Sequence[int],
    dependence: Sequence[float],
    memorised: Sequence[tuple[float, float]] | None = None,
    *,
    has_net: bool = True,
    seed: int = 0,
) -> TrainingRecord:
    """What the images of a trained model look like, and how its results know their noise.

    Parameters
    ----------
    images : sequence of Image
        The training images.
    channels : sequence of int
        Those that are denoised.
    dependence : sequence of float
        From `unnoise.quality.noise_passthrough.dependence`.
    memorised : sequence of (float, float), optional
        From `unnoise.quality.noise_passthrough.memorised`, where it can be measured.
    has_net : bool
        Whether a net makes the results; what filters make of an image has nothing to do with what
        others look like.
    seed : int
        Chooses the pixels that are looked at.
    """
    known = tuple(memorised or [UNKNOWN] * len(channels))
    if not has_net:
        return TrainingRecord(tuple(dependence), known, (None,) * len(channels))
    picked = [images[i] for i in sorted({0, len(images) // 2, len(images) - 1})]
    rng = np.random.default_rng([seed, 3])
    parts = (
        [part for image in picked for part in _spread(sampled(image, c).filled)] for c in channels
    )
    looks = tuple(learn_look(planes, rng) for planes in parts)
    return TrainingRecord(tuple(dependence), known, looks)


def _spread(planes: NDArray) -> NDArray[np.float64]:
    """The middles of a few of the planes, as floats."""
    some = planes[:: max(len(planes) // 3, 1)][:3]
    return np.asarray(some[:, *middle(some.shape, SIDE)], np.float64)
