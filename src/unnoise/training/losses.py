"""Errors of predictions, and how well predicted scales cover them."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from unnoise.config.sections import SPREADS


def mean(error: Tensor, weight: Tensor, whole: Tensor | None = None) -> Tensor:
    """Weighted mean of an error; of a part of a batch, what it adds to the mean of all.

    `whole` has the weights of all.
    """
    return (weight * error).sum() / (weight if whole is None else whole).sum().clamp(min=1)


def gaussian(y: Tensor, t: Tensor) -> Tensor:
    """Negative log-likelihood of a normal distribution, without its constant."""
    centre, scale = y.chunk(2, 1)
    return 0.5 * ((t - centre) / scale) ** 2 + scale.log()


def laplace(y: Tensor, t: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace distribution, without its constant."""
    centre, scale = y.chunk(2, 1)
    return (t - centre).abs() / scale + scale.log()


ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda y, t: (y - t) ** 2,
    "mae": lambda y, t: (y - t).abs(),
    "gaussian": gaussian,
    "laplace": laplace,
}
"""Error of every pixel, from prediction and target; the likelihoods predict mean and scale."""

COVERAGE = ("variance_ratio", "inside_50", "inside_95")


INTERVALS = {"gaussian": (0.674490, 1.959964), "laplace": (math.log(2), math.log(20))}
"""Half widths of the central 50 % and 95 % intervals of a likelihood, in units of its scale."""


def coverage(z: Tensor, loss: str) -> dict[str, float]:
    """How deviations in units of the predicted scale compare with their distribution.

    The ratio of actual to predicted variance should be 1; the shares of pixels inside the central
    50 % and 95 % intervals should be 0.5 and 0.95.
    """
    inside = [(z.abs() <= limit).float().mean().item() for limit in INTERVALS[loss]]
    return dict(zip(COVERAGE, [(z**2).mean().item() / SPREADS[loss], *inside], strict=True))
