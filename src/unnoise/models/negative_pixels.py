"""Whether results are clipped at 0, by a model of counts, where an image has pixels below 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import warn
from unnoise.images.image import Image
from unnoise.images.levels import brightness
from unnoise.models.mean_correction import MeanCorrection
from unnoise.models.model import Model


def negative_channels(image: Image) -> NDArray[np.bool_]:
    """Which channels have measured pixels below 0; large images are sampled.

    Examples
    --------
    >>> negative_channels(Image.from_array(np.full((2, 32, 32), [[[-1.0]], [[1.0]]]), axes="CYX"))
    array([ True, False])
    """
    if image.dtype.kind in "bu":
        return np.zeros(image.sizes["C"], np.bool_)
    return np.asarray(brightness(image).lowest < 0)


def unclipped(model: Model, image: Image) -> Model:
    """The model for an image: where that has pixels below 0, its results may be below 0 too.

    Counts are never negative, and results of models of counts are not either. The same counts less
    their background may be, and a mean of them that was clipped would be too high.
    """
    known = [part.mean_correction for part in (model, *model.others)]
    if model.target_affine is not None or not any(c is not None and _clips(c) for c in known):
        return model  # results have the units of other images, or nothing is clipped
    negative = negative_channels(image)
    if not negative[list(model.channels)].any():
        return model
    parts = [
        replace(part, mean_correction=correction and correction.unclipped(_own(part, negative)))
        for part, correction in zip((model, *model.others), known, strict=True)
    ]
    return replace(parts[0], others=tuple(parts[1:]))


def told(image: Image) -> None:
    """Say that its results may be below 0."""
    warn(
        f"{image.name} has pixels below 0, which the images that the model was trained on had not, "
        f"so results may be below 0 too; if something was subtracted from it, give it as it was "
        f"taken, or train on images like it"
    )


def _own(model: Model, negative: NDArray[np.bool_]) -> list[bool]:
    return [bool(negative[c]) for c in model.channels]


def _clips(correction: MeanCorrection) -> bool:
    """Whether results of any channel are clipped at 0."""
    ways = [correction] if correction.averaged is None else [correction, correction.averaged]
    return any(value is not None for way in ways for value in way.less)
