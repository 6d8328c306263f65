"""The run of a method, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.nets.ranks import Ranks, of_torchrun
from unnoise.training.adapted import CandidateSearch
from unnoise.training.filter_search import FilterSearch
from unnoise.training.instant import VstCalibration
from unnoise.training.levels import LevelRuns
from unnoise.training.loop import TrainingRun
from unnoise.training.refined import RefinedRun
from unnoise.training.run import Run

RUNS: dict[str, Callable[..., Run]] = {
    "training": TrainingRun,
    "filter": FilterSearch,
    "instant": VstCalibration,
    "adapted": CandidateSearch,
    "refined": RefinedRun,
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

    Raises
    ------
    InputError
        For what processes of torchrun cannot share.
    """
    if model.others:
        return LevelRuns(images, model, device, targets, begin=start)
    ranks = of_torchrun()
    if ranks.size > 1 and model.config.entry.run != "training":
        raise InputError(
            f"torchrun shares the training of one net, and {model.config.method} is none; start it "
            f"without torchrun, or name a method that trains, e.g. --method n2v"
        )
    _check_shared(model, ranks)
    return RUNS[model.config.entry.run](images, model, device, targets)


def _check_shared(model: Model, ranks: Ranks) -> None:
    """InputError for what processes of torchrun cannot share."""
    t, net = model.config.training, model.config.net
    if ranks.size > t.batch_size:
        raise InputError(
            f"a batch of {t.batch_size} cannot be shared by {ranks.size} processes; start fewer, "
            f"or add --set training.batch_size={ranks.size}"
        )
    if ranks.size > 1 and net is not None and net.batch_norm:
        raise InputError(
            "batch norm needs the statistics of a whole batch, which processes of torchrun share; "
            "add --set net.batch_norm=false"
        )
