"""What a run is, whatever it has to do: train, calibrate a transform, try filters, or all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch

from unnoise.models.model import Model
from unnoise.training.progress import Progress


class Run(Protocol):
    """Work of many steps that can stop and go on at any of them.

    Iterating does the work and yields `Progress` after every step; leaving the loop stops it.
    Made by `unnoise.training.runs.start` from images, the planned model, a device and, of pairs,
    the second images.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Time they took.
    device : torch.device
        Where it computes.
    history : list of dict
        One record per validation, for ``log.jsonl``.
    """

    step: int
    seconds: float
    device: torch.device
    history: list[dict[str, Any]]

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, 0 to 1."""

    def __iter__(self) -> Iterator[Progress]: ...

    def model(self) -> Model:
        """The best model so far; asking changes nothing in the run."""

    def remarks(self) -> list[str]:
        """What a finished run says about itself, beyond its loss."""

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`, exactly as if the run had not stopped.

        Raises
        ------
        InputError
            If the state belongs to something else.
        """
