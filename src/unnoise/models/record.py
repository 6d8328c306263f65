"""What a model keeps of its training: plain numbers to judge later results by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from unnoise.config.sections import MOST_CONTEXT

T = TypeVar("T")


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


WIDEST_BLUR = 8.0
"""Standard deviation in pixels that a model may ask for: four of them each way have to lie in
what a tile sees around it."""
MOST_SKEWED = 1.0
"""Skewness of noise that is believed: with photons it is up to 0.7 after the transform."""


@dataclass(frozen=True)
class JoinedFrames:
    """That frames are joined with those beside them, where these show the same scene.

    Attributes
    ----------
    axis : str
        ``T`` or ``Z``.
    reach : int
        How many frames before and after.
    matched : bool
        Whether frames are made equally bright before, by a gain and an offset.
    shared : float
        Share of the variance of the noise that all frames have in common.
    bins : int
        Side of the squares of pixels that are averaged before (`unnoise.nets.variance_stabilized`).
    skewness : float
        Of the noise after the transform (`unnoise.nets.joined_frames`).
    blur : tuple of (float, float)
        By denoised channel, the weight of a Gaussian blur of the joined frames in the result and
        its standard deviation in pixels; empty where it has none.
    alone, risk : float
        Mean squared error at hidden pixels, the noise included, frame by frame and so; NaN where
        the settings asked for it.
    """

    axis: Literal["T", "Z"]
    reach: Annotated[int, Field(ge=1, le=MOST_CONTEXT)]
    matched: bool = False
    shared: Annotated[float, Field(ge=0, lt=1)] = 0.0
    bins: Literal[1, 2, 4] = 1
    skewness: Annotated[float, Field(ge=-MOST_SKEWED, le=MOST_SKEWED)] = 0.0
    blur: tuple[
        tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(gt=0, le=WIDEST_BLUR)]],
        ...,
    ] = ()
    alone: float = float("nan")
    risk: float = float("nan")

    def line(self) -> str:
        """One sentence for people."""
        text = (
            f"every frame is joined with up to {self.reach} before and {self.reach} after it along "
            f"{self.axis}, pixel by pixel where they show the same scene"
        )
        if self.alone > 0:
            text += (
                f" ({1 - self.risk / self.alone:.1%} less error at hidden pixels, noise included)"
            )
        return text


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
    looks : tuple of TrainingLook or None
        What the images look like; None without a net, whose results owe nothing to them.
    """

    dependence: tuple[float, ...]
    memorised: tuple[tuple[float, float], ...]
    looks: tuple[TrainingLook | None, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingRecord:
        """Out of the plain values of a file."""
        return checked(cls, values)


def checked(kind: type[T], values: Any) -> T:
    """A dataclass out of the plain values of a file, each of the type of its field.

    Raises
    ------
    ValueError
        Naming the first value that is not.

    Examples
    --------
    >>> checked(TrainingRecord, {"dependence": [0.1], "memorised": [[0, 1]], "looks": []})
    TrainingRecord(dependence=(0.1,), memorised=((0.0, 1.0),), looks=())
    >>> checked(TrainingRecord, {"dependence": [0.1], "memorised": [0], "looks": []})
    Traceback (most recent call last):
    ValueError: memorised.0: Input should be a valid tuple
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def plain(value: Any) -> Any:
    """Tuples and arrays as lists, NumPy numbers as Python's, at any depth."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
