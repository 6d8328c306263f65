"""What a camera adds to the signal: models of the noise of one channel, in image units."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, log_ndtr, logsumexp

from unnoise.errors import InputError
from unnoise.noise import electron_multiplication
from unnoise.noise.density import CHUNK, TINY, NoiseModel, require, wiener

LOW_COUNT = 20.0
"""Photons below which the exact Poisson-Gauss mixture replaces the normal approximation."""
FLOOR = 1e-10
"""Density, per standard deviation, below which no value of a table or mixture falls (outliers)."""


class _Normal(NoiseModel):
    """Noise that is normal with a variance that depends on the signal."""

    def _log_likelihood(self, y: NDArray, s: NDArray) -> NDArray:
        v = self.variance(s)
        return np.asarray(-((y - s) ** 2 / v + np.log(2 * np.pi * v)) / 2)

    def _posterior(self, y: NDArray, m: NDArray, t: NDArray) -> tuple[NDArray, NDArray]:
        # The noise variance is taken at the prior mean, which is blind to the pixel's own noise:
        # the weight is then independent of that noise, so means survive at low counts.
        return wiener(y, m, t, self.variance(m))


@dataclass(frozen=True, eq=False)
class PoissonGauss(_Normal):
    """Photon counts times a gain, plus an offset and normal read noise (Foi et al., TIP 2008).

    The variance at signal s is ``gain * (s - offset) + read_variance``. Where fewer than 20 photons
    are expected the likelihood is the exact mixture over photon numbers. Its peaks are widened to a
    standard deviation of gain / sqrt(2 pi), so that cameras without read noise have a density too.

    Parameters
    ----------
    gain : float
        Grey levels per photo-electron, 0 for constant noise.
    offset : float
        Grey level without light.
    read_variance : float
        Variance without light, in squared grey levels.

    Examples
    --------
    >>> camera = PoissonGauss(gain=2.0, offset=100.0, read_variance=9.0)
    >>> float(camera.variance(150.0))
    109.0
    >>> mean, variance = camera.posterior(noisy=170.0, mean=150.0, variance=109.0)
    >>> float(mean), float(variance)
    (160.0, 54.5)
    """

    kind: ClassVar[str] = "poisson_gauss"
    gain: float
    offset: float
    read_variance: float

    def _check(self) -> None:
        require(all(np.ndim(v) == 0 for v in vars(self).values()), self.kind, "three numbers")
        require(
            self.gain >= 0 and self.read_variance >= 0,
            self.kind,
            "a gain and a variance of 0 or more",
        )
        if self.gain:
            _check_square(self.gain, self.kind)

    def variance(self, signal: ArrayLike) -> NDArray[np.float64]:
        """Variance of the noise at a clean signal."""
        least = max(1e-4 * self.gain**2, TINY)  # a ten-thousandth of a photon
        photons = self.gain * (np.asarray(signal, np.float64) - self.offset)
        return np.asarray(np.maximum(photons + self.read_variance, least))

    def _log_likelihood(self, y: NDArray, s: NDArray) -> NDArray:
        result = np.array(super()._log_likelihood(y, s))
        if self.gain == 0:
            return result
        low = (s - self.offset) / self.gain < LOW_COUNT
        counts = np.maximum((s[low] - self.offset) / self.gain, 1e-12)
        electrons = (y[low] - self.offset) / self.gain
        exact = np.empty(len(counts))
        for start in range(0, len(counts), CHUNK):
            part = slice(start, start + CHUNK)
            exact[part] = self._mixture(electrons[part], counts[part])
        result[low] = exact - math.log(self.gain)
        return result

    def _mixture(self, electrons: NDArray, counts: NDArray) -> NDArray:
        """Log of sum_k Poisson(k; counts) Normal(electrons; k, read variance), in electrons."""
        v = max(self.read_variance / self.gain**2, 1 / (2 * np.pi))
        top = float(counts.max())
        k = np.arange(int(top + 8 * math.sqrt(top) + 12))
        poisson = k * np.log(counts[:, None]) - counts[:, None] - gammaln(k + 1)
        normal = -((electrons[:, None] - k) ** 2 / v + math.log(2 * math.pi * v)) / 2
        return np.asarray(logsumexp(poisson + normal, axis=1))


@dataclass(frozen=True, eq=False)
class EMCCD(NoiseModel):
    """Electrons that a register multiplies before they are read (Basden et al., MNRAS 2003).

    The variance at signal s is ``2 * gain * (s - offset) + read_variance``: twice that of photons
    at the same gain. The likelihood is exact, with the exponential tails of single electrons.

    Parameters
    ----------
    gain : float
        Grey levels per photo-electron, after multiplication, on average.
    offset : float
        Grey level without light.
    read_variance : float
        Variance without light, in squared grey levels.

    Examples
    --------
    >>> camera = EMCCD(gain=10.0, offset=100.0, read_variance=9.0)
    >>> float(camera.variance(150.0))
    1009.0
    """

    kind: ClassVar[str] = "emccd"
    gain: float
    offset: float
    read_variance: float

    def _check(self) -> None:
        require(all(np.ndim(v) == 0 for v in vars(self).values()), self.kind, "three numbers")
        require(
            self.gain > 0 and self.read_variance >= 0,
            self.kind,
            "a gain above 0 and a variance of 0 or more",
        )
        _check_square(self.gain, self.kind)

    def variance(self, signal: ArrayLike) -> NDArray[np.float64]:
        """Variance of the noise at a clean signal."""
        electrons = np.maximum((np.asarray(signal, np.float64) - self.offset) / self.gain, 0)
        least = electron_multiplication.LEAST_READ * self.gain**2
        noise = 2 * self.gain**2 * electrons + self.read_variance
        return np.asarray(np.maximum(noise, least))

    def _log_likelihood(self, y: NDArray, s: NDArray) -> NDArray:
        value, electrons = ((v - self.offset) / self.gain for v in (y, s))
        read = self.read_variance / self.gain**2
        found = electron_multiplication.log_density(value, electrons, read)
        return np.asarray(found - math.log(self.gain))


@dataclass(frozen=True, eq=False)
class _OnKnots(NoiseModel):
    """Noise that is described at some signals."""

    knots: NDArray[np.float64]
    variances: NDArray[np.float64]

    def _check(self) -> None:
        fits = np.ndim(self.knots) == 1 and np.shape(self.knots) == np.shape(self.variances)
        fits = fits and len(self.knots) > 0
        require(fits, self.kind, "as many variances as knots, one at least")
        require((np.diff(self.knots) > 0).all(), self.kind, "knots that rise")
        require((self.variances > 0).all(), self.kind, "variances above 0")

    def variance(self, signal: ArrayLike) -> NDArray[np.float64]:
        """Variance of the noise at a clean signal."""
        return np.asarray(np.interp(np.asarray(signal, np.float64), self.knots, self.variances))


@dataclass(frozen=True, eq=False)
class VarianceCurve(_OnKnots, _Normal):
    """Normal noise whose variance is piecewise linear between knots, and constant beyond them.

    Parameters
    ----------
    knots, variances : array, shape (knots,)
        Rising signals and the variance at each.

    Examples
    --------
    >>> VarianceCurve(knots=[0.0, 10.0], variances=[1.0, 3.0]).variance([5.0, 20.0])
    array([2., 3.])
    """

    kind: ClassVar[str] = "curve"


@dataclass(frozen=True, eq=False)
class Clipped(_OnKnots):
    """Normal noise that is cut off: values beyond an end of the grey levels are written as it.

    The variance is that of the noise before it was cut off. At an end the likelihood is the
    probability of everything beyond it, so a clipped pixel says "at least" and not "equal".

    Parameters
    ----------
    knots, variances : array, shape (knots,)
        Rising signals and the variance at each.
    low, high : float
        The ends; far away (1e30 signals) where nothing is cut off.

    Examples
    --------
    >>> camera = Clipped([0.0, 9.0], [4.0, 4.0], low=0.0, high=1e30)
    >>> round(float(np.exp(camera.log_likelihood(0.0, 0.0))), 3)
    0.5
    """

    kind: ClassVar[str] = "clipped"
    low: float
    high: float

    def _check(self) -> None:
        super()._check()
        require(self.low < self.high, self.kind, "a low end below the high one")

    def _log_likelihood(self, y: NDArray, s: NDArray) -> NDArray:
        sd = np.sqrt(self.variance(s))
        inside = -(((y - s) / sd) ** 2 + np.log(2 * np.pi)) / 2 - np.log(sd)
        below, above = log_ndtr((self.low - s) / sd), log_ndtr((s - self.high) / sd)
        return np.asarray(np.where(y <= self.low, below, np.where(y >= self.high, above, inside)))


@dataclass(frozen=True, eq=False)
class Histogram(_OnKnots):
    """A table of p(noisy | signal) (PN2V, Krull et al., Frontiers in Computer Science 2020).

    A row per knot holds the density of the residual in standard deviations,
    ``(noisy - signal) / sqrt(variance)``, linear between the places of `residuals`. Shapes and
    variances are interpolated over the signal. In these units rows hardly change from knot to
    knot, so interpolating between them neither widens nor shifts the noise, as it would in a table
    of grey levels. Beyond the table the density is a small constant.

    Parameters
    ----------
    knots, variances : array, shape (knots,)
        Rising signals and the variance at each.
    residuals : array, shape (n,)
        Evenly spaced places.
    density : array, shape (knots, n)
        Not negative; every row is scaled to integral 1 when the model is made.
    """

    kind: ClassVar[str] = "histogram"
    residuals: NDArray[np.float64]
    density: NDArray[np.float64]

    def _check(self) -> None:
        super()._check()
        steps = np.diff(self.residuals)
        even = self.residuals.ndim == 1 and steps.size and (steps > 0).all()
        require(even and np.allclose(steps, steps[0]), self.kind, "evenly spaced residuals")
        shape = (len(self.knots), len(self.residuals))
        require(self.density.shape == shape, self.kind, f"a density of shape {shape}")
        require((self.density >= 0).all(), self.kind, "a density that is not negative")
        area = self.density.sum(axis=1, keepdims=True) * steps[0]
        require((area > 0).all(), self.kind, "a density with a value above 0 in every row")
        if not np.allclose(area, 1, rtol=1e-12, atol=0):  # so that reading a file changes no bit
            object.__setattr__(self, "density", self.density / area)

    def _log_likelihood(self, y: NDArray, s: NDArray) -> NDArray:
        variance = self.variance(s)
        row, up = between(self.knots, s)
        n = len(self.residuals)
        place = (y - s) / np.sqrt(variance) - self.residuals[0]
        place = place / (self.residuals[-1] - self.residuals[0]) * (n - 1)
        column = np.clip(place.astype(np.int64), 0, n - 2)
        right = place - column
        lower, upper = (
            self.density[r, column] * (1 - right) + self.density[r, column + 1] * right
            for r in (row, np.minimum(row + 1, len(self.knots) - 1))
        )
        value = np.where((place >= 0) & (place <= n - 1), lower + up * (upper - lower), 0)
        return np.asarray(np.log(value + FLOOR) - np.log(variance) / 2)


@dataclass(frozen=True, eq=False)
class Mixture(_OnKnots):
    """A mixture of normals that depends on the signal (PPN2V, Prakash et al., ISBI 2020).

    Weights, means and widths are piecewise linear between knots. Means and widths count in
    standard deviations, ``sqrt(variances)``, from the signal.

    Parameters
    ----------
    knots, variances : array, shape (knots,)
        Rising signals and a variance at each, the unit of means and sigmas.
    weights, means, sigmas : array, shape (knots, components)
        Weights are scaled to sum 1 at every knot.

    Examples
    --------
    >>> camera = Mixture([0.0], [4.0], weights=[[1.0]], means=[[0.0]], sigmas=[[1.0]])
    >>> camera.variance([7.0])
    array([4.])
    """

    kind: ClassVar[str] = "mixture"
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    sigmas: NDArray[np.float64]

    def _check(self) -> None:
        super()._check()
        shapes = {self.weights.shape, self.means.shape, self.sigmas.shape}
        alike = len(shapes) == 1 and self.weights.ndim == 2 and self.weights.size > 0
        require(
            alike and len(self.weights) == len(self.knots),
            self.kind,
            "weights, means and sigmas of shape (knots, components)",
        )
        require((self.sigmas > 0).all(), self.kind, "sigmas above 0")
        total = self.weights.sum(axis=1, keepdims=True)
        require((self.weights >= 0).all() and (total > 0).all(), self.kind, "weights of sum 1")
        if not np.allclose(total, 1, rtol=1e-12, atol=0):
            object.__setattr__(self, "weights", self.weights / total)

    def _at(self, signal: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Scale, weights, means and sigmas at every signal; the components come first."""
        curves = (self.weights, self.means, self.sigmas)
        w, m, s = (np.stack([np.interp(signal, self.knots, c) for c in a.T]) for a in curves)
        # Weights and means interpolated one by one would shift the mean between knots.
        mean = np.interp(signal, self.knots, (self.weights * self.means).sum(axis=1))
        m += mean - (w * m).sum(axis=0)
        return np.sqrt(np.interp(signal, self.knots, self.variances)), w, m, s

    def variance(self, signal: ArrayLike) -> NDArray[np.float64]:
        """Variance of the noise at a clean signal."""
        scale, w, m, sigma = self._at(np.asarray(signal, np.float64))
        second, first = (w * (sigma**2 + m**2)).sum(axis=0), (w * m).sum(axis=0)
        return np.asarray(scale**2 * (second - first**2))

    def _log_likelihood(self, y: NDArray, s: NDArray) -> NDArray:
        scale, w, m, sigma = self._at(s)
        z = (y - s) / scale
        total: NDArray = np.zeros(z.shape)
        for k in range(len(w)):  # a loop over components keeps memory at one array
            total += w[k] / sigma[k] * np.exp(-(((z - m[k]) / sigma[k]) ** 2) / 2)
        return np.asarray(np.log(total / math.sqrt(2 * math.pi) + FLOOR) - np.log(scale))


def _check_square(gain: float, kind: str) -> None:
    """Refuse a gain whose square is no number above 0."""
    require(1e-140 <= gain <= 1e140, kind, "a gain between 1e-140 and 1e140")


KINDS: dict[str, type[NoiseModel]] = {
    m.kind: m for m in (PoissonGauss, EMCCD, VarianceCurve, Clipped, Histogram, Mixture)
}
"""Name in files -> model."""


def from_dict(values: Any) -> NoiseModel:
    """A model from what `NoiseModel.to_dict` returns.

    Raises
    ------
    InputError
        For unknown kinds, missing or unknown fields, and values that do not fit.

    Examples
    --------
    >>> from_dict({"kind": "poisson_gauss", "gain": 2, "offset": 0, "read_variance": 1})
    PoissonGauss(gain=2.0, offset=0.0, read_variance=1.0)
    """
    if not isinstance(values, dict) or values.get("kind") not in list(KINDS):
        found = values.get("kind") if isinstance(values, dict) else values
        raise InputError(f"unknown noise model {found!r:.60}; known are {', '.join(KINDS)}")
    model = KINDS[values["kind"]]
    names = {f.name for f in fields(model)}  # type: ignore[arg-type]
    if set(values) - {"kind"} != names:
        raise InputError(
            f"the noise model {model.kind} has the fields {sorted(set(values) - {'kind'})} but "
            f"needs {sorted(names)}; calibrate again"
        )
    return model(**{name: values[name] for name in names})


def between(knots: NDArray, signal: NDArray) -> tuple[NDArray, NDArray]:
    """Index of the knot below, and the share of the way to the next; ends are held."""
    place = np.interp(signal, knots, np.arange(len(knots), dtype=np.float64))
    row = np.minimum(place.astype(np.int64), max(len(knots) - 2, 0))
    return row, place - row
