"""What a model keeps of its training: plain numbers to judge later results by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TrainingLook:
    """What training images look like, in plain numbers (`unnoise.quality.novelty`).

    Parameters
    ----------
    ndim, patch : int
        Dimensions of the images, and width of the window in pixels.
    centre, unit : float
        Typical value and local standard deviation, in image units.
    directions : list of list of float
        Directions in the space of features, one a row.
    low, middle, high : list of float
        Range and median of the training images along each direction.
    threshold : float
        How far outside the range held-out pixels get, but for 1 % of them.
    """

    ndim: int
    patch: int
    centre: float
    unit: float
    directions: list[list[float]]
    low: list[float]
    middle: list[float]
    high: list[float]
    threshold: float = 1.0


@dataclass(frozen=True)
class PosteriorTest:
    """What the test of the center pixel said.

    Attributes
    ----------
    used : bool
        Whether the noisy pixel itself is used beside its blind prediction.
    risk_blind, risk : float
        Mean squared errors against the clean image as shares of the noise variance, estimated on
        held-out pixels, of the blind prediction and of the best combination.
    change, error : float
        By how much the error changes, estimated from pairs of neighbours, in the same unit, and
        the standard error of that; NaN where there is no pair.
    why : str
        One sentence.
    """

    used: bool
    risk_blind: float
    risk: float
    change: float
    error: float = float("nan")
    why: str = ""


@dataclass(frozen=True)
class TrainingRecord:
    """Of every denoised channel, in the order of ``Model.channels``.

    Attributes
    ----------
    dependence : tuple of float
        Share of the noise of a pixel that its own estimate repeats, 0 behind a blind spot.
    memorised : tuple of (float, float)
        By how much the squared residual is larger where pixels were never a training target, as a
        share of the noise variance, and its standard error: what the weights know of the noise.
    looks : tuple of TrainingLook
        What the images look like.
    """

    dependence: tuple[float, ...]
    memorised: tuple[tuple[float, float], ...]
    looks: tuple[TrainingLook, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingRecord:
        """Out of the plain values of a file."""
        return cls(
            dependence=tuple(map(float, values["dependence"])),
            memorised=tuple((float(v), float(e)) for v, e in values["memorised"]),
            looks=tuple(TrainingLook(**v) for v in values["looks"]),
        )


def plain(value: Any) -> Any:
    """Tuples and arrays as lists, NumPy numbers as Python's, at any depth."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
