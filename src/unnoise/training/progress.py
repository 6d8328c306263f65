"""What a run tells after every step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a running training reports after every step.

    Attributes
    ----------
    step, steps : int
        Steps done and expected in all; the latter is an estimate when the budget is in minutes.
    fraction : float
        Share of the budget that is spent, 0 to 1.
    seconds, remaining : float
        Time spent and expected.
    loss : float or None
        Smoothed training loss in normalised units; None before the first step.
    held_out : float or None
        Latest loss on the held-out pixels.
    work : str
        What is being done: ``training`` or, where only a few parameters are sought,
        ``calibrating``.
    """

    step: int
    steps: int
    fraction: float
    seconds: float
    remaining: float
    loss: float | None
    held_out: float | None
    work: str = "training"
