"""What a run is, whatever it has to do: train, calibrate a transform, try filters, or all of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import torch

from unnoise.models.model import Model
from unnoise.training.progress import Progress


class Run(Protocol):
    """Work of many steps that can stop and go on at any of them; every run derives from it.

    Iterating does the work and yields `Progress` after every step; leaving the loop stops it.
    Made by `unnoise.training.start.start` from images, the planned model, a device and, of pairs,
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
    loss : float or None
        Smoothed training loss; None where nothing is trained.
    work : str
        What it tells people that it does.
    """

    step: int = 0
    seconds: float = 0.0
    device: torch.device
    history: list[dict[str, Any]]
    loss: float | None = None
    work: str = "training"

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, 0 to 1."""

    def __iter__(self) -> Iterator[Progress]: ...

    def progress(self) -> Progress:
        """Where the run stands; how long it will take is told by what is done."""
        fraction = self.fraction
        total = self.seconds / fraction if fraction > 0 else math.nan
        return Progress(
            step=self.step,
            steps=max(round(self.step / fraction), self.step) if fraction > 0 else 0,
            fraction=fraction,
            seconds=self.seconds,
            remaining=max(total - self.seconds, 0.0),
            loss=self.loss,
            held_out=self.history[-1]["held_out"] if self.history else None,
            work=self.work,
        )

    def model(self) -> Model:
        """The best model so far; asking changes nothing in the run."""

    def resumable(self) -> Model:
        """The model to keep beside `state()`: `restore` goes on from a run of that one."""
        return self.model()

    def preview(self) -> Model:
        """The model that shows people what the run is at; asking changes nothing in the run."""
        return self.model()

    def notes(self) -> list[str]:
        """What a run found out about its images before its first step."""
        return []

    def remarks(self) -> list[str]:
        """What a finished run says about itself, beyond its loss: nothing, unless it knows more."""
        return []

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as tensors and plain values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`, exactly as if the run had not stopped.

        Raises
        ------
        InputError
            If the state belongs to something else.
        """
