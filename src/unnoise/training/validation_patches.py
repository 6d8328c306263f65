"""The fixed patches that judge the weights of a run: enough, and never more than fit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from unnoise.config.sections import Training
from unnoise.errors import InputError
from unnoise.training.crops import Crops, Patches
from unnoise.training.methods.step import Batch

N_HELD_OUT = 16_384
"""Held-out pixels in a validation: their mean squared error is known to about 1 %."""
MOST_SEEN = 2**22
"""Pixels of the patches at most: four times as many as hold `N_HELD_OUT` by default."""


def validation_patches(
    crops: Crops, config: Training, hide: Callable[[Patches], Batch]
) -> list[Batch]:
    """Draw patches with held-out pixels, enough for `N_HELD_OUT` of them.

    Fewer where few pixels are held out, or few are a measurement: most of them are seen by then.

    Parameters
    ----------
    crops : Crops
    config : Training
        Its batch size, seed, and share of held-out pixels.
    hide : callable
        Makes (input, target, weight) of patches, or of several versions of them.

    Raises
    ------
    InputError
        If no pixel is held out, or none of these is a measurement.
    """
    rng = np.random.default_rng([config.seed, 1])
    pixels = sum(math.prod(image.sizes.values()) for image in crops.images)
    wanted = min(N_HELD_OUT, max(pixels // 32, 64))
    most = min(4 * wanted * config.held_out, MOST_SEEN)
    batches, count, drawn, seen, held_out = [], 0, 0, 0, False
    while count < wanted and (seen < most or not count):
        patches = crops.batch(min(config.batch_size, 16), rng)
        noisy, target, weight = hide(patches)
        some = weight.flatten(1).any(1)  # patches of hardly any measurement
        if bool(some.any()):
            batches.append((noisy[some], target[some], weight[some]))
        count += int((weight > 0).sum()) * len(patches.noisy) // len(weight)
        drawn, seen = drawn + 1, seen + patches.noisy.size
        held_out = held_out or bool(patches.held_out.any())
        if drawn > 100 and not count:
            raise InputError(
                "hardly any pixel is a measurement, so there is nothing to learn"
                if held_out
                else f"one pixel in {config.held_out:,} is to be held out (training.held_out), but "
                f"the images have none to judge the result by; choose a smaller number (the "
                f"default is 64)"
            )
    return batches
