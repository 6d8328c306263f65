"""The learning rate over a run, and how long to wait for a better loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Patience:
    """Validations since the held-out loss last fell.

    Attributes
    ----------
    waited : int
        That many.
    lowest : Tensor, shape (patches,), or None
        Losses of the validation patches at that time.
    """

    waited: int = 0
    lowest: Tensor | None = None

    def see(self, losses: Tensor, confidence: float) -> None:
        """Take in the losses of a validation.

        They are lower if the mean of the differences, patch by patch, is below zero by at least
        `confidence` standard errors: pairing takes out what makes one patch harder than another.
        """
        if self.lowest is not None:
            difference = losses - self.lowest
            if difference.mean().item() + confidence * standard_error(difference) >= 0:
                self.waited += 1
                return
        self.waited, self.lowest = 0, losses


def standard_error(x: Tensor, repeats: float = 1.0) -> float:
    """Standard error of the mean of correlated values, `repeats` of which tell as much as one."""
    return (x.std() * math.sqrt(repeats / len(x))).item() if len(x) > 1 else 0.0


def repeats(n: int, overlap: float) -> float:
    """How many losses of `n` patches that share this much of their pixels tell as much as one.

    Patches of small images overlap, so their losses are correlated: a mean of n of them has
    1 + (n - 1) rho times the variance, and their spread shows 1 - rho of it (Kish, 1965).
    """
    rho = min(overlap, 0.95)
    return (1 + (n - 1) * rho) / (1 - rho)


def schedule(fraction: float, warmup: float, shape: str = "cosine") -> float:
    """Factor of the learning rate: a linear rise, then the shape.

    Examples
    --------
    >>> schedule(0.05, 0.1), schedule(0.1, 0.1), round(schedule(1.0, 0.1), 6)
    (0.51, 1.0, 0.0)
    >>> [schedule(f, 0.0, "halving") for f in (0.1, 0.2, 0.45, 0.9)]
    [1.0, 0.5, 0.25, 0.0625]
    """
    if fraction < warmup:
        return max(fraction / warmup, 0.0) * 0.98 + 0.02
    return SHAPES[shape]((fraction - warmup) / (1 - warmup))


SHAPES: dict[str, Callable[[float], float]] = {
    "cosine": lambda f: 0.5 * (1 + math.cos(math.pi * f)),
    "plateau": lambda f: 1.0,
    "halving": lambda f: 0.5 ** sum(f >= n for n in (0.2, 0.4, 0.6, 0.8)),
    "constant": lambda f: 1.0,
}
"""The learning rate after the warm-up, as a factor."""
