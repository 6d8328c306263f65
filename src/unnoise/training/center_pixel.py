"""Whether the center pixel may be used beside its blind prediction: the test on held-out pixels.

The weight of the pixel needs the noise variance s, and neither an error of the noise level nor
noise that is locally stronger (in the corners of a vignetted picture, say) can be told from lost
structure by squares of residuals. By products it can: hide two neighbouring pixels at once. Then
neither prediction knows either noise, and ``E (y_i - f_i) (y_j - f_j)`` is the covariance of the
errors of the two predictions, to which independent noise, of whatever strength, adds nothing.
Errors are alike from pixel to pixel: the covariance was 0.5 to 1 of t on photographs. So the risk
is estimated as ``-2 w c + w^2 r``, with c the covariance divided by `ALIKE` for that share, and r
the squares of the same residuals, which hold t and the noise as it is. No noise level has a say but
in the weights themselves. `fit` chooses by that among widths and strictnesses, and does not use the
pixel unless it wins clearly. On pixels that training never had as targets, Stein's estimate must
not speak against it: since neither weight nor prediction knows the noise of the pixel, the risk is
known without bias, ``E (y - x)^2 + 2 w s - s`` (Stein 1981; affine as in Cha and Moon, N-AIDE
2018).

Where noise is correlated f knows a part of the noise n of its pixel. Stein's change of the risk is
then too high by ``2 w E f n``, so it errs towards not using the pixel; products are taken along
axes without correlation only, and without any such axis the pixel is not used.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unnoise.models.model import Model
from unnoise.models.posterior import Posterior
from unnoise.models.record import PosteriorTest
from unnoise.noise.density import NoiseModel
from unnoise.noise.local_mean import local_mean
from unnoise.noise.noise_models import VarianceCurve
from unnoise.noise.planes import calmest
from unnoise.quality.region import Region

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


def with_posterior(
    model: Model, pieces: Sequence[Sequence[Region]], noise: Sequence[NoiseModel]
) -> Model:
    """The model with the center pixel used, where held-out pixels show that it helps.

    Parameters
    ----------
    model : Model
        Trained with a method that hides single pixels.
    pieces : sequence of sequences of Region
        From `unnoise.training.held_out_regions.regions`.
    noise : sequence of noise models
        One per denoised channel.
    """
    posterior, test = fit(noise, pieces)
    return replace(model, posterior=posterior, posterior_test=test)


def fit(
    models: Sequence[NoiseModel], regions: Sequence[Sequence[Region]]
) -> tuple[Posterior | None, PosteriorTest]:
    """Choose how to use each pixel's own value, or not to.

    Parameters
    ----------
    models : sequence of noise models
        One per denoised channel.
    regions : sequence of sequences of Region
        For each channel, pieces of the images.

    Returns
    -------
    Posterior or None
        None where the pixel does not win.
    PosteriorTest
        Why.
    """
    first = Posterior(tuple(models), tuple(map(ceiling_of, regions)), (), WIDTHS[0], 0.0)
    scatter = []
    for c, pieces in enumerate(regions):
        ratios = np.concatenate(
            [((p.noisy - p.seen) ** 2 / first.noise(c, p.seen)).ravel()[::3] for p in pieces]
        )
        scatter.append(float(np.clip(ratios.var() / max(ratios.mean() ** 2, 1e-12), 1.0, 50.0)))
    options = [
        replace(first, scatter=tuple(scatter), width=width, strictness=strictness)
        for width, strictness in itertools.product(WIDTHS, STRICTNESS)
    ]
    changes = [_change(option, regions) for option in options]
    (change, error), centre = min(zip(changes, options, strict=True), key=lambda found: found[0][0])
    stein, doubt = _stein(centre, regions)
    wins = change + CERTAIN * error < 0
    used = wins and stein < 2 * doubt
    if used:
        why = (
            f"each pixel's own value is used beside its blind prediction (posterior mean): by "
            f"pairs of neighbours the estimated squared error falls by {-change:.1%} of the noise "
            f"variance"
        )
    elif wins:
        why = (
            "each pixel's own value is not used: on held-out pixels the estimated squared error "
            "rises with it"
        )
    elif np.isnan(change):
        why = "each pixel's own value is not used: along no axis is noise known to be independent"
    else:
        why = "each pixel's own value is not used: pairs of neighbours do not show that it helps"
    blind = _blind_risk(centre, regions)
    verdict = PosteriorTest(used, blind, blind + stein, change, error, why)
    return (centre if used else None), verdict


def ceiling_of(pieces: Sequence[Region]) -> VarianceCurve:
    """Variance of the residuals by intensity, from the pixels of the calmest surroundings.

    Which pixels those are is told by their neighbours, so their own noise has no say.
    """
    squares = [(piece.noisy - piece.seen) ** 2 for piece in pieces]
    signal = [piece.seen for piece in pieces]
    around = [local_mean(square, 3.0)[0] for square in squares]
    s, q, a = (np.concatenate([part.ravel() for part in x]) for x in (signal, squares, around))
    n_bins = int(np.clip(len(s) // 500, 1, BINS))
    knots: list[tuple[float, float]] = []
    for group in np.array_split(np.argsort(s, kind="stable"), n_bins):
        calm = group[calmest(a[group], CALM)]
        knots.append((float(s[group].mean()), max(float(q[calm].mean()), 1e-12)))
    rising = [knots[0], *(b for a, b in itertools.pairwise(knots) if b[0] > a[0])]
    if len(rising) == 1:
        rising.append((rising[0][0] + 1.0, rising[0][1]))
    levels, variances = (np.array(column) for column in zip(*rising, strict=True))
    return VarianceCurve(levels, variances)


def _change(centre: Posterior, regions: Sequence[Sequence[Region]]) -> tuple[float, float]:
    """By how much the risk changes by pairs of neighbours, and its standard error.

    As a share of the noise variance; NaN without pairs. Neither weight knows its own pixel.
    """
    changes = []
    for c, piece in _each(regions):
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
    return _mean(changes)


def _stein(centre: Posterior, regions: Sequence[Sequence[Region]]) -> tuple[float, float]:
    """By how much the risk changes on held-out pixels, and its standard error.

    As a share of the noise variance. With x the estimate and w its slope in the pixel it is
    (y - x)^2 - (y - f)^2 + 2 w s.
    """
    changes = []
    for c, piece in _each(regions):
        at = piece.held_out
        prior = centre.prior(c, piece.noisy, piece.seen)[at]
        y, f = piece.noisy[at].astype(np.float64), piece.blind[at].astype(np.float64)
        noise = centre.noise(c, f)
        step = 0.05 * np.sqrt(noise)
        x = centre.models[c].posterior(y, f, prior)[0]
        slope = (centre.models[c].posterior(y + step, f, prior)[0] - x) / step
        # Units of the noise, so that channels of any brightness count alike.
        changes.append(((y - x) ** 2 - (y - f) ** 2 + 2 * slope * noise) / noise.mean())
    return _mean(changes)


def _blind_risk(centre: Posterior, regions: Sequence[Sequence[Region]]) -> float:
    """Mean squared error of the blind prediction as a share of the noise variance."""
    risks = []
    for c, piece in _each(regions):
        at = piece.held_out
        noise = centre.noise(c, piece.blind[at])
        risks.append(((piece.noisy - piece.blind)[at] ** 2 - noise) / noise.mean())
    return _mean(risks)[0]


def _each(regions: Sequence[Sequence[Region]]) -> list[tuple[int, Region]]:
    """Every piece with its channel."""
    return [(c, piece) for c, pieces in enumerate(regions) for piece in pieces]


def _mean(parts: Sequence[NDArray]) -> tuple[float, float]:
    """Mean of values in pieces and its standard error, NaN where there are none."""
    values = np.concatenate([np.empty(0), *parts])
    if not len(values):
        return np.nan, np.nan
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))
