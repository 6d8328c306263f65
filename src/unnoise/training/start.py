"""The run of a method, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.training.adapted import CandidateSearch
from unnoise.training.filter_search import FilterSearch
from unnoise.training.instant import VstCalibration
from unnoise.training.levels import LevelRuns
from unnoise.training.loop import TrainingRun
from unnoise.training.run import Run

RUNS: dict[str, Callable[..., Run]] = {
    "training": TrainingRun,
    "filter": FilterSearch,
    "instant": VstCalibration,
    "adapted": CandidateSearch,
}
"""What `unnoise.config.methods.Method.run` names."""


def start(
    images: Sequence[Image],
    model: Model,
    device: torch.device,
    targets: Sequence[Image] | None = None,
) -> Run:
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
    if model.others:
        return LevelRuns(images, model, device, targets, begin=start)
    return RUNS[model.config.entry.run](images, model, device, targets)
