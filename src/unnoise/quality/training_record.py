"""What a model remembers of its training images: their noise, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unnoise.images.image import Image
from unnoise.noise.density import NoiseModel
from unnoise.noise.inspect import NoiseReport
from unnoise.noise.models import from_dict
from unnoise.noise.planes import sampled
from unnoise.quality import TrainingLook, learn_look

UNKNOWN = (0.01, 0.02)
"""What is memorised where it cannot be measured: little, give or take."""
LOOKS = 3
"""Images whose looks are remembered."""
SIDE = 512
"""Side of the middle of their planes that is looked at."""


@dataclass(frozen=True)
class Known:
    """Of every denoised channel, in the order of ``Model.channels``.

    Attributes
    ----------
    noise : tuple of noise models, or None where it could not be measured
    relative_error : tuple of float
        Standard error of the noise variance as a share of it.
    correlated : tuple of str
        Axes along which the noise is correlated, e.g. ``"X"``.
    dependence : tuple of float
        Share of the noise of a pixel that its own estimate repeats, 0 behind a blind spot.
    memorised : tuple of (float, float)
        By how much the squared residual is larger where pixels were never a training target, as a
        share of the noise variance, and its standard error: what the weights know of the noise.
    familiar : tuple of TrainingLook
        What the images look like.
    """

    noise: tuple[NoiseModel | None, ...]
    relative_error: tuple[float, ...]
    correlated: tuple[str, ...]
    dependence: tuple[float, ...]
    memorised: tuple[tuple[float, float], ...]
    familiar: tuple[TrainingLook, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {
            "noise": [None if model is None else model.to_dict() for model in self.noise],
            "relative_error": list(self.relative_error),
            "correlated": list(self.correlated),
            "dependence": list(self.dependence),
            "memorised": [list(pair) for pair in self.memorised],
            "familiar": [_plain(asdict(f)) for f in self.familiar],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Known:
        """Read what `to_dict` wrote."""
        return cls(
            noise=tuple(None if v is None else from_dict(v) for v in values["noise"]),
            relative_error=tuple(map(float, values["relative_error"])),
            correlated=tuple(map(str, values["correlated"])),
            dependence=tuple(map(float, values["dependence"])),
            memorised=tuple((float(v), float(e)) for v, e in values["memorised"]),
            familiar=tuple(TrainingLook(**v) for v in values["familiar"]),
        )


def remember(
    images: Sequence[Image],
    reports: Sequence[NoiseReport],
    channels: Sequence[int],
    noise: Sequence[NoiseModel | None],
    dependence: Sequence[float],
    seed: int,
    memorised: Sequence[tuple[float, float]] | None = None,
) -> Known:
    """Look at the images once more, for later comparison."""
    memorised = memorised or [UNKNOWN] * len(channels)
    picked = [images[i] for i in sorted({0, len(images) // 2, len(images) - 1})][:LOOKS]
    rng = np.random.default_rng([seed, 3])
    looks, errors, axes = [], [], []
    for c in channels:
        planes = [_middle(plane) for image in picked for plane in _spread(sampled(image, c))]
        looks.append(learn_look(planes, rng))
        found = [x for report in reports for x in report.channels if x.index == c]
        known = [x.curve.level_error for x in found if x.curve is not None]
        errors.append(float(np.mean(known)) if known else 1.0)
        letters = {axis for x in found for axis in x.axes}
        axes.append("".join(k for k in "TZYX" if k in letters))
    return Known(
        noise=tuple(noise),
        relative_error=tuple(errors),
        correlated=tuple(axes),
        dependence=tuple(dependence),
        memorised=tuple(memorised),
        familiar=tuple(looks),
    )


def _spread(planes: Any) -> list[Any]:
    """A few of the planes."""
    return list(planes[:: max(len(planes) // 3, 1)][:3])


def _middle(plane: Any) -> Any:
    """The middle of a plane, as floats."""
    y, x = (max((size - SIDE) // 2, 0) for size in plane.shape)
    return np.asarray(plane[y : y + SIDE, x : x + SIDE], np.float64)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples and arrays as lists, NumPy numbers as Python's."""

    def one(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        if isinstance(value, list | tuple):
            return [one(v) for v in value]
        return value

    return {k: one(v) for k, v in values.items()}
