"""What all noise models share: densities, Bayes' rule for one pixel, fields that are checked."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.errors import InputError

TINY = 1e-30
"""Smallest variance in image units; its inverse still fits into 32-bit floats."""
NODES, CHUNK = 31, 40_000
"""Quadrature nodes, and pixels per chunk: 10 MB for every array of a chunk's nodes."""


class NoiseModel:
    """The noise of one channel: variance, density, and what a noisy pixel tells of the clean one.

    Subclasses are frozen dataclasses whose fields are numbers or arrays; these are checked when the
    model is made and are all that is written to a file.
    """

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        """Turn lists into read-only arrays and refuse what is not finite."""
        for field in fields(self):  # type: ignore[arg-type]
            value = _finite(getattr(self, field.name), f"the {field.name} of {self.kind}")
            object.__setattr__(self, field.name, value)
        self._check()

    def _check(self) -> None:
        """Refuse fields that do not fit together."""

    def _log_likelihood(self, y: NDArray, s: NDArray) -> NDArray:
        raise NotImplementedError

    def variance(self, signal: ArrayLike) -> NDArray[np.float64]:
        """Variance of the noise at a clean signal, always positive."""
        raise NotImplementedError

    def log_likelihood(self, noisy: ArrayLike, signal: ArrayLike) -> NDArray[np.float64]:
        """Natural logarithm of the density of a noisy value, per image unit, given the signal."""
        y, s = np.broadcast_arrays(np.asarray(noisy, np.float64), np.asarray(signal, np.float64))
        return np.asarray(self._log_likelihood(y, s))

    def posterior(
        self, noisy: ArrayLike, mean: ArrayLike, variance: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Combine a measured pixel with what its neighbours say about it.

        Parameters
        ----------
        noisy : array
            The measured values.
        mean, variance : array
            Normal distribution of the clean values before they were measured, e.g. the prediction
            of a blind-spot net. Where the variance is 0 the mean is returned.

        Returns
        -------
        mean, variance : ndarray of float64
            Mean of the clean value given both (the minimum mean squared error estimate, Laine et
            al., NeurIPS 2019), and its variance.
        """
        y, m, t = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (noisy, mean, variance)))
        out = np.empty((2, y.size))
        flat = y.ravel(), m.ravel(), t.ravel()
        for start in range(0, y.size, CHUNK):
            part = slice(start, start + CHUNK)
            out[:, part] = self._posterior(*(a[part] for a in flat))
        return out[0].reshape(y.shape), out[1].reshape(y.shape)

    def _posterior(self, y: NDArray, m: NDArray, t: NDArray) -> tuple[NDArray, NDArray]:
        """Moments of prior times likelihood by the trapezium rule on sinh-spaced nodes.

        The nodes lie dense, in units of the posterior of a normal noise, around the better of two
        guesses and reach over the whole prior. So neither sharp noise under a wide prior nor an
        outlier far from it is missed. The rule converges exponentially for smooth densities.
        """
        t = np.maximum(t, 0)
        linear, spread = wiener(y, m, t, self.variance(m))
        safe = np.where(t > 0, t, 1)

        def log_f(s: NDArray) -> NDArray:
            prior = (s - m[:, None]) ** 2 / safe[:, None]
            return np.asarray(self.log_likelihood(y[:, None], s) - prior / 2)

        guesses = np.stack([linear, m], axis=1)
        centre = np.where(np.diff(log_f(guesses))[:, 0] > 0, m, linear)
        scale = np.sqrt(np.where(t > 0, spread, 1))
        reach = np.abs(linear - m) + 5 * np.sqrt(safe)
        last = np.arcsinh(reach / scale / 2) * 2  # s = centre + 2 scale sinh(x / 2)
        x = np.linspace(-1, 1, NODES) * last[:, None]
        step = 2 * scale[:, None] * np.sinh(x / 2)
        weight = log_f(centre[:, None] + step) + np.log(np.cosh(x / 2))
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        shift = (weight * step).sum(axis=1)
        var = (weight * (step - shift[:, None]) ** 2).sum(axis=1)
        return np.where(t > 0, centre + shift, m), np.where(t > 0, var, 0)

    def to_dict(self) -> dict[str, Any]:
        """Kind and fields as plain numbers and lists."""
        names = [f.name for f in fields(self)]  # type: ignore[arg-type]
        return {"kind": self.kind, **{k: np.asarray(getattr(self, k)).tolist() for k in names}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoiseModel) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(str(self.to_dict()))


def wiener(
    noisy: NDArray, mean: NDArray, variance: NDArray, noise: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The linear minimum mean squared error estimate and its variance: w = t / (t + s)."""
    t = np.maximum(variance, 0)
    w = t / (t + noise)
    return mean + w * (noisy - mean), w * noise


def _finite(value: Any, name: str) -> Any:
    """A float or a read-only float64 array without NaN."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:  # of integers beyond 1e308
        raise InputError(f"{name} must be numbers in a regular array; calibrate again") from error
    if not np.isfinite(array).all():
        raise InputError(f"{name} is not finite; calibrate again on frames without NaN")
    array.setflags(write=False)
    return float(array) if array.ndim == 0 else array


def require(fits: Any, kind: str, what: str) -> None:
    """Refuse a model that is not as it must be."""
    if not fits:
        raise InputError(f"a noise model of kind {kind} needs {what}; calibrate again")
