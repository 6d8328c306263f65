"""The net that `adapted` trains on the images alone: its settings, and the frames that it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.build import new_weights
from unnoise.models.model import Model
from unnoise.noise.advice import joined
from unnoise.noise.correlation import MASK, without_gaps
from unnoise.noise.frame_context import common, frame_context
from unnoise.noise.planes import neighboring_planes
from unnoise.noise.still_frames import repeats, shares_noise
from unnoise.quality import risk
from unnoise.training.auto import MASKED

LOOKS = 4
"""Images that are asked whether neighbouring frames tell more."""


def self_trained(planned: Model, context: tuple[str, int] | None = None) -> Model:
    """The untrained model of the net that learns from the images alone, and sees such frames."""
    config = own_config(planned)
    if context is not None:
        config = config.replace(context=dict([context]))
    return replace(planned, config=config, weights=new_weights(config, 2, planned.channels))


def own_config(planned: Model) -> Config:
    """Settings of the net that is trained on the images alone."""
    training = {**planned.config.training.model_dump(), "held_out": risk.HELD_OUT}
    values: dict[str, Any] = {"method": "n2v"}
    if risk.shaped(planned.noise):
        assert planned.noise is not None
        shapes = [rho for rho in planned.noise.autocorrelation if rho is not None]
        mask = joined([without_gaps(rho > MASK) for rho in shapes])
        percent = min(25.0, max(0.5, MASKED / int(mask.sum())))
        struct = mask.astype(int).tolist()
        values = {"method": "structn2v", "mask": {"struct": struct, "percent": percent}}
    return Config.parse({**values, "ndim": 2, "use_center_pixel": True, "training": training})


def neighbours(images: Sequence[Image], planned: Model) -> tuple[str, int] | None:
    """Axis and number of the neighbouring frames that the net sees.

    Those of the settings, or those that tell more; none of a selection of frames.
    """
    noise = planned.noise
    if planned.config.context is not None:
        return planned.config.neighbours
    if noise is None or not noise.known or (planned.level and planned.level.by_frame):
        return None
    mean = planned.affine.mean
    strengths = zip(planned.channels, noise.known, strict=True)
    variances = {c: float(known.variance(mean[c : c + 1])[0]) for c, known in strengths}
    found = []
    for image in images[:LOOKS]:
        axes = [
            axis
            for axis in "TZ"
            if min(other.sizes[axis] for other in images) > 1
            and not any(axis in correlated for correlated in noise.correlated)
            and not _share(image, planned, axis)
        ]
        found.append(frame_context(image, variances, axes))
    context = common(found)
    return None if context is None else (context.axis, context.reach)


def _share(image: Image, planned: Model, axis: str) -> bool:
    """Whether neighbouring frames of any channel share noise."""
    return shares_noise([repeats(neighboring_planes(image, c, axis)) for c in planned.channels])
