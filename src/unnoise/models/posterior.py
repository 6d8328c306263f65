"""The posterior mean: the center pixel, which a blind spot throws away, beside its prediction.

A blind prediction f of variance t around the clean pixel, and the pixel y with noise of variance s,
are two independent measurements. Their best linear combination is ``f + t / (t + s) * (y - f)``
(the posterior mean of Laine et al. 2019 and Krull et al. 2020 for a normal prior). s is the noise
model at f; t is what the squared residuals around a pixel, without the pixel itself, have in excess
of s. Whether that is safe for an image is tested by `unnoise.training.center_pixel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.noise.density import NoiseModel
from unnoise.noise.local_mean import local_mean, reach
from unnoise.noise.noise_models import VarianceCurve, from_dict


@dataclass(frozen=True)
class Posterior:
    """How the posterior mean of a pixel is formed.

    Attributes
    ----------
    models : tuple of noise models
        One per denoised channel, in image units.
    ceilings : tuple of VarianceCurve
        Variance of the blind residuals in calm places: the noise is taken to be no less.
    scatter : tuple of float
        Variance of a squared residual in units of its mean squared, 2 for normal noise.
    width, strictness : float
        Standard deviation of the window in pixels, and standard errors by which residuals must
        exceed the noise.

    Examples
    --------
    >>> flat = VarianceCurve((0.0, 1.0), (1.0, 1.0))
    >>> posterior = Posterior((flat,), (flat,), (2.0,), 2.0, 2.0)
    >>> noise = np.random.default_rng(0).normal(size=(1, 64, 64))
    >>> x, error = posterior.apply(noise, np.zeros_like(noise))  # nothing but noise: nothing back
    >>> float(np.abs(x).mean()) < 0.02
    True
    """

    models: tuple[NoiseModel, ...]
    ceilings: tuple[VarianceCurve, ...]
    scatter: tuple[float, ...]
    width: float
    strictness: float

    @property
    def radius(self) -> int:
        """How far in pixels the window reaches."""
        return reach(self.width)

    def apply(
        self, noisy: NDArray, blind: NDArray, inside: Sequence[NDArray[np.bool_]] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The posterior mean of every pixel.

        Parameters
        ----------
        noisy, blind : ndarray, shape (c, *space)
            Pixels and their blind predictions, in image units.
        inside : sequence of ndarray of bool, optional
            Per axis of space, which positions lie in the image and are not mirrored.

        Returns
        -------
        clean, error : ndarray, float64, shape (c, *space)
            Estimate, and the standard deviation that it should have around the clean pixel.
        """
        clean, error = np.empty(noisy.shape), np.empty(noisy.shape)
        for i, (y, f) in enumerate(zip(noisy, blind, strict=True)):
            prior = self.prior(i, y, f, inside)
            clean[i], variance = self.models[i].posterior(y, f, prior)
            error[i] = np.sqrt(variance)
        return clean, error

    def prior(
        self,
        channel: int,
        noisy: NDArray,
        blind: NDArray,
        inside: Sequence[NDArray[np.bool_]] | None = None,
    ) -> NDArray[np.float64]:
        """Variance of the clean pixel around its blind prediction, for one channel."""
        noise = self.noise(channel, blind)
        excess = (np.asarray(noisy, np.float64) - blind) ** 2 / noise - 1
        mean, count = local_mean(excess, self.width, inside)
        mean = mean - self.strictness * np.sqrt(self.scatter[channel] / count)
        return np.asarray(noise * np.maximum(mean, 0.0))

    def noise(self, channel: int, blind: NDArray) -> NDArray[np.float64]:
        """Noise variance, at least that of the blind residuals in calm places."""
        return np.maximum(
            self.models[channel].variance(blind), self.ceilings[channel].variance(blind)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {
            "models": [model.to_dict() for model in self.models],
            "ceilings": [ceiling.to_dict() for ceiling in self.ceilings],
            "scatter": list(self.scatter),
            "width": self.width,
            "strictness": self.strictness,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Posterior:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError, KeyError, TypeError, ValueError
            If something is missing or out of range.
        """
        ceilings = tuple(from_dict(v) for v in values["ceilings"])
        if not all(isinstance(c, VarianceCurve) for c in ceilings):
            raise InputError("the ceilings of the noise must be curves")
        found = cls(
            models=tuple(from_dict(v) for v in values["models"]),
            ceilings=ceilings,  # type: ignore[arg-type]
            scatter=tuple(float(v) for v in values["scatter"]),
            width=float(values["width"]),
            strictness=float(values["strictness"]),
        )
        fits = (
            len(found.ceilings) == len(found.scatter) == len(found.models)
            and all(0 <= v < np.inf for v in (*found.scatter, found.strictness))
            and 0 < found.width <= 64
        )
        if not fits:
            raise InputError("the settings of the posterior mean do not fit each other")
        return found
