"""The pixel itself: what a blind spot throws away, brought back where that is safe.

A blind prediction f of variance t around the clean pixel, and the pixel y with noise of variance s,
are two independent measurements. Their best linear combination is ``f + t / (t + s) * (y - f)``
(the posterior mean of Laine et al. 2019 and Krull et al. 2020 for a normal prior). s is the noise
model at f; t is what the squared residuals around a pixel, without the pixel itself, have in excess
of s. Since neither weight nor prediction knows the noise of the pixel, the risk is known without
bias: ``E (y - x)^2 + 2 w s - s`` (Stein 1981; affine as in Cha and Moon, N-AIDE 2018).

That needs s, though, and neither an error of the noise level nor noise that is locally stronger (in
the corners of a vignetted picture, say) can be told from lost structure by squares of residuals. By
products it can: hide two neighbouring pixels at once. Then neither prediction knows either noise,
and ``E (y_i - f_i) (y_j - f_j)`` is the covariance of the errors of the two predictions, to which
independent noise, of whatever strength, adds nothing. Errors are alike from pixel to pixel: the
covariance was 0.5 to 1 of t on photographs. So the risk is estimated as ``-2 w c + w^2 r``, with c
the covariance divided by `ALIKE` for that share, and r the squares of the same residuals, which
hold t and the noise as it is. No noise level has a say but in the weights themselves. `fit` chooses
by that among widths and strictnesses, and keeps the pixel out unless it wins clearly. On pixels
that training never had as targets, Stein's estimate must not speak against it.

Where noise is correlated f knows a part of the noise n of its pixel. Stein's change of the risk is
then too high by ``2 w E f n``, so it errs towards leaving the pixel out; products are taken along
axes without correlation only, and without any such axis the pixel is left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.noise.density import NoiseModel
from unnoise.noise.local_mean import reach, surroundings
from unnoise.noise.models import Curve, from_dict
from unnoise.noise.plane_parts import calmest

WIDTHS = (2.0, 4.0, 8.0)
"""Standard deviations in pixels of the window that the residuals are averaged over."""
STRICTNESS = (0.0, 1.0, 2.0)
"""Standard errors by which the residuals must exceed the noise."""
CALM = 0.2
"""Share of pixels of an intensity, those of the calmest surroundings, that bound the noise."""
BINS = 16
ALIKE = 0.7
"""Covariance of the errors of neighbouring predictions as a share of their variance. The pixel is
then used where products show 0.35 of what squares show in excess of the noise, or more."""
CERTAIN = 3.0
"""The risk must fall by so many standard errors, since the best of nine settings is looked at."""


@dataclass(frozen=True)
class Centre:
    """How the pixel itself is used.

    Attributes
    ----------
    models : tuple of noise models
        One per denoised channel, in image units.
    ceilings : tuple of Curve
        Variance of the blind residuals in calm places: the noise is taken to be no less.
    scatter : tuple of float
        Variance of a squared residual in units of its mean squared, 2 for normal noise.
    width, strictness : float
        Out of `WIDTHS` and `STRICTNESS`.

    Examples
    --------
    >>> flat = Curve((0.0, 1.0), (1.0, 1.0))
    >>> centre = Centre((flat,), (flat,), (2.0,), 2.0, 2.0)
    >>> noise = np.random.default_rng(0).normal(size=(1, 64, 64))
    >>> x, error = centre.apply(noise, np.zeros_like(noise))  # nothing but noise: nothing back
    >>> float(np.abs(x).mean()) < 0.02
    True
    """

    models: tuple[NoiseModel, ...]
    ceilings: tuple[Curve, ...]
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
        """Bring the pixels back.

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
        mean, count = surroundings(excess, self.width, inside)
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
    def from_dict(cls, values: Mapping[str, Any]) -> Centre:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError, KeyError, TypeError, ValueError
            If something is missing or out of range.
        """
        ceilings = tuple(from_dict(v) for v in values["ceilings"])
        if not all(isinstance(c, Curve) for c in ceilings):
            raise InputError("the ceilings of the noise must be curves")
        centre = cls(
            models=tuple(from_dict(v) for v in values["models"]),
            ceilings=ceilings,  # type: ignore[arg-type]
            scatter=tuple(float(v) for v in values["scatter"]),
            width=float(values["width"]),
            strictness=float(values["strictness"]),
        )
        n = len(centre.models)
        fits = (
            len(centre.ceilings) == len(centre.scatter) == n
            and all(0 <= v < np.inf for v in (*centre.scatter, centre.strictness))
            and 0 < centre.width <= 64
        )
        if not fits:
            raise InputError("the settings of the centre pixel do not fit each other")
        return centre


@dataclass(frozen=True)
class Region:
    """A piece of an image with its predictions, one channel, in image units.

    Attributes
    ----------
    noisy, seen : ndarray, shape (*space)
        Pixels, and what the net makes of them.
    held_out : ndarray of bool
        Pixels that were never a training target.
    blind : ndarray
        What the net makes of them when they are hidden; only valid at `held_out`.
    pairs : ndarray, shape (ndim, 2, *space)
        For every axis, the residuals of a pixel and of the next one along the axis when both are
        hidden, at the place of the first; NaN where they were not measured.
    """

    noisy: NDArray
    seen: NDArray
    held_out: NDArray[np.bool_]
    blind: NDArray
    pairs: NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """Whether the pixel itself is used, and what the test said.

    Attributes
    ----------
    used : bool
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
    error: float
    why: str


def fit(
    models: Sequence[NoiseModel], regions: Sequence[Sequence[Region]]
) -> tuple[Centre | None, Verdict]:
    """Choose how to use the pixel itself, or not to.

    Parameters
    ----------
    models : sequence of noise models
        One per denoised channel.
    regions : sequence of sequences of Region
        For each channel, pieces of the images.

    Returns
    -------
    Centre or None
        None where the pixel does not win.
    Verdict
        Why.
    """
    ceilings, scatter = [], []
    for model, pieces in zip(models, regions, strict=True):
        ceiling = ceiling_of(pieces)
        ceilings.append(ceiling)
        ratios = np.concatenate(
            [
                ((p.noisy - p.seen) ** 2 / _noise(model, ceiling, p.seen)).ravel()[::3]
                for p in pieces
            ]
        )
        scatter.append(float(np.clip(ratios.var() / max(ratios.mean() ** 2, 1e-12), 1.0, 50.0)))
    best: tuple[float, float, Centre] | None = None
    for width in WIDTHS:
        for strictness in STRICTNESS:
            centre = Centre(tuple(models), tuple(ceilings), tuple(scatter), width, strictness)
            change, error = _change(centre, regions)
            if best is None or change < best[0]:
                best = (change, error, centre)
    assert best is not None
    change, error, centre = best
    stein, doubt = _stein(centre, regions)
    wins = change + CERTAIN * error < 0
    used = wins and stein < 2 * doubt
    if used:
        why = (
            f"the pixel itself is used: by pairs of neighbours the estimated squared error falls "
            f"by {-change:.1%} of the noise variance"
        )
    elif wins:
        why = (
            "the pixel itself is left out: on held-out pixels the estimated squared error rises "
            "with it"
        )
    elif np.isnan(change):
        why = "the pixel itself is left out: along no axis is noise known to be independent"
    else:
        why = "the pixel itself is left out: pairs of neighbours do not show that it helps"
    blind = _blind_risk(centre, regions)
    verdict = Verdict(used, blind, blind + stein, change, error, why)
    return (centre if used else None), verdict


def _noise(model: NoiseModel, ceiling: Curve, signal: NDArray) -> NDArray[np.float64]:
    return np.maximum(model.variance(signal), ceiling.variance(signal))


def ceiling_of(pieces: Sequence[Region]) -> Curve:
    """Variance of the residuals by intensity, from the pixels of the calmest surroundings.

    Which pixels those are is told by their neighbours, so their own noise has no say.
    """
    signal, square, around = [], [], []
    for piece in pieces:
        squares = (piece.noisy - piece.seen) ** 2
        signal.append(piece.seen.ravel())
        square.append(squares.ravel())
        around.append(surroundings(squares, 3.0)[0].ravel())
    s, q, a = (np.concatenate(parts) for parts in (signal, square, around))
    n_bins = int(np.clip(len(s) // 500, 1, BINS))
    knots: list[tuple[float, float]] = []
    for group in np.array_split(np.argsort(s, kind="stable"), n_bins):
        calm = group[calmest(a[group], CALM)]
        knots.append((float(s[group].mean()), max(float(q[calm].mean()), 1e-12)))
    rising = [knots[0], *(b for a, b in itertools.pairwise(knots) if b[0] > a[0])]
    if len(rising) == 1:
        rising.append((rising[0][0] + 1.0, rising[0][1]))
    levels, variances = (np.array(column) for column in zip(*rising, strict=True))
    return Curve(levels, variances)


def _change(centre: Centre, regions: Sequence[Sequence[Region]]) -> tuple[float, float]:
    """By how much the risk changes by pairs of neighbours, and its standard error.

    As a share of the noise variance; NaN without pairs. Neither weight knows its own pixel.
    """
    changes = [np.empty(0)]
    for c, pieces in enumerate(regions):
        for piece in pieces:
            prior = centre.prior(c, piece.noisy, piece.seen)
            weight = prior / (prior + centre.models[c].variance(piece.seen))
            scale = centre.noise(c, piece.seen).mean()
            for axis, residuals in enumerate(piece.pairs):
                n = piece.noisy.shape[axis] - 1
                r, q = (part.take(range(n), axis) for part in residuals)
                w, v = (weight.take(range(i, n + i), axis) for i in (0, 1))
                covariance = np.sqrt(w * v) * r * q / ALIKE
                change = ((w * r) ** 2 + (v * q) ** 2) / 2 - 2 * covariance
                changes.append(change[np.isfinite(change)] / scale)
    change = np.concatenate(changes)
    if not len(change):
        return np.nan, np.nan
    return float(change.mean()), float(change.std() / np.sqrt(len(change)))


def _stein(centre: Centre, regions: Sequence[Sequence[Region]]) -> tuple[float, float]:
    """By how much the risk changes on held-out pixels, and its standard error.

    As a share of the noise variance. With x the estimate and w its slope in the pixel it is
    (y - x)^2 - (y - f)^2 + 2 w s.
    """
    changes = []
    for c, pieces in enumerate(regions):
        for piece in pieces:
            at = piece.held_out
            prior = centre.prior(c, piece.noisy, piece.seen)[at]
            y, f = piece.noisy[at].astype(np.float64), piece.blind[at].astype(np.float64)
            noise = centre.noise(c, f)
            step = 0.05 * np.sqrt(noise)
            x = centre.models[c].posterior(y, f, prior)[0]
            slope = (centre.models[c].posterior(y + step, f, prior)[0] - x) / step
            # Units of the noise, so that channels of any brightness count alike.
            scale = noise.mean()
            changes.append(((y - x) ** 2 - (y - f) ** 2 + 2 * slope * noise) / scale)
    change = np.concatenate(changes)
    return float(change.mean()), float(change.std() / np.sqrt(max(len(change), 1)))


def _blind_risk(centre: Centre, regions: Sequence[Sequence[Region]]) -> float:
    """Mean squared error of the blind prediction as a share of the noise variance."""
    risks = []
    for c, pieces in enumerate(regions):
        for piece in pieces:
            at = piece.held_out
            noise = centre.noise(c, piece.blind[at])
            risks.append(((piece.noisy - piece.blind)[at] ** 2 - noise) / noise.mean())
    return float(np.concatenate(risks).mean())
