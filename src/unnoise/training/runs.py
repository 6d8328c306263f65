"""The run of a method, whatever it has to do: train, calibrate, or both."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.training.adapted import Adaptation
from unnoise.training.filter_search import Calibration
from unnoise.training.instant import Instant
from unnoise.training.loop import Run

AnyRun = Run | Calibration | Instant | Adaptation
"""What iterating over yields `Progress`, and what can be saved and restored at any step."""


def start(
    images: Sequence[Image],
    model: Model,
    device: torch.device,
    targets: Sequence[Image] | None = None,
) -> AnyRun:
    """The run of a model.

    Parameters
    ----------
    images : sequence of Image
        Noisy images.
    model : Model
        From `unnoise.training.plan.plan`.
    device : torch.device
        Where to compute.
    targets : sequence of Image, optional
        The second images of pairs.
    """
    if model.config.is_classical:
        return Calibration(images, model)
    if model.config.method == "instant":
        return Instant(images, model, device)
    if model.config.method == "adapted":
        return Adaptation(images, model, device)
    return Run(images, model, device, targets)
