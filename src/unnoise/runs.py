"""The run of a method, whatever it has to do: train, calibrate, or both."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unnoise.adaptation import Adaptation
from unnoise.calibration import Calibration
from unnoise.image import Image
from unnoise.model import Model
from unnoise.stabilising import Instant
from unnoise.training import Run

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
        From `unnoise.plan.plan`.
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
