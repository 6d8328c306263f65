"""The noise that r2r splits, as tables in normalised units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.models.model import Model
from unnoise.noise.clipping import seen
from unnoise.noise.correlation import Correlation
from unnoise.noise.density import NoiseModel
from unnoise.noise.inspect import NoiseReport
from unnoise.noise.noise_models import EMCCD, Clipped, PoissonGauss
from unnoise.training.methods.r2r import SIGNALS, NoiseTable

GROWTH = 1.1
"""Photon noise has at least this ratio of variances a standard deviation beside the mean signal."""

COUNTED = 0.1
"""Share by which the noise of counts may miss that of photons."""


def with_split_noise(model: Model, name: str, reports: Sequence[NoiseReport] = ()) -> Model:
    """The model of a run that splits noise (r2r) with the noise it needs; others as they are.

    So a run that goes on has the noise of its beginning, whatever is measured by then.

    Parameters
    ----------
    model : Model
        Untrained, with the noise of its images.
    name : str
        How messages call the first image.
    reports : sequence of NoiseReport
        What was measured of the images.

    Raises
    ------
    InputError
        If the noise of a channel cannot be measured, or does not suit the kind of split.
    """
    settings = model.config.recorruption
    if settings is None:
        return model
    assert model.noise is not None
    noise = model.noise.models
    known = [n for n in noise if n is not None]
    if len(known) < len(noise):
        channel = model.channels[noise.index(None)] + 1
        which = f" of channel {channel}" if model.n_channels > 1 else ""
        raise InputError(
            f"the noise{which} of {name} could not be measured, which r2r needs; give it with "
            f"--noise-model (unnoise calibrate), or choose the method n2v"
        )
    measured = settings.kind == "auto" and model.config.noise_model is None
    photons = _photons(model, reports) if measured else None
    stored = replace(model.noise, models=tuple(photons)) if photons else model.noise
    known = photons or known
    unshaped: list[NDArray | None] = [None for _ in known]
    shapes = unshaped if settings.correlated is False else _autocorrelations(reports, model)
    correlated = any(rho is not None for rho in shapes)
    if settings.correlated and not correlated:
        raise InputError(
            f"the noise of {name} is not correlated as far as can be measured; leave "
            f"recorruption.correlated out"
        )
    multiplied = all(isinstance(n, EMCCD) for n in known) and not correlated
    kind = settings.kind
    if kind == "auto":
        kind = "multiplied" if multiplied else "gaussian"
        kind = "thinning" if photons and not correlated else kind
    if kind == "thinning":
        _check_photons(model, name, known, correlated=correlated)
    if kind == "multiplied" and not multiplied:
        raise InputError(
            f"the noise of {name} is not that of a camera which multiplies electrons (EMCCD), so "
            f"it cannot be split like that; set recorruption.kind to gaussian, or give the noise "
            f"with --noise-model"
        )
    config = model.config.replace(recorruption={"correlated": correlated, "kind": kind})
    return replace(model, config=config, noise=replace(stored, autocorrelation=tuple(shapes)))


def with_autocorrelation(model: Model, reports: Sequence[NoiseReport]) -> Model:
    """The model of a run with the autocorrelation of the noise of its images, if it has any."""
    if model.noise is None:
        return model
    shapes = _autocorrelations(reports, model)
    if all(rho is None for rho in shapes):
        return model
    return replace(model, noise=replace(model.noise, autocorrelation=tuple(shapes)))


def noise_tables(model: Model) -> tuple[NoiseTable, ...]:
    """The noise of every denoised channel in normalised units; empty for other methods."""
    if model.config.recorruption is None or model.noise is None or not model.noise.known:
        return ()
    found = []
    shapes = model.noise.autocorrelation or (None,) * len(model.channels)
    for c, noise, rho in zip(model.channels, model.noise.known, shapes, strict=True):
        mean, std = float(model.affine.mean[c]), float(model.affine.std[c])
        gain, offset, read = *_line(noise, mean, std), None
        if model.config.recorruption.kind == "multiplied" and isinstance(noise, EMCCD):
            gain, offset, read = noise.gain, noise.offset, noise.read_variance / std**2
        ends = signals = None
        if isinstance(noise, Clipped):
            ends = ((noise.low - mean) / std, (noise.high - mean) / std)
            at = np.linspace(noise.knots[0], noise.knots[-1], 1001)
            means = seen(at, noise.variance(at), noise.low, noise.high)[0]
            inside = np.interp(mean + std * SIGNALS, np.maximum.accumulate(means), at)
            beyond = (mean + std * SIGNALS > means[-1]) & (noise.high > mean + std * SIGNALS)
            signals = (np.where(beyond, mean + std * SIGNALS, inside) - mean) / std
        found.append(
            NoiseTable(
                variance=noise.variance(mean + std * SIGNALS) / std**2,
                gain=gain / std,
                offset=(offset - mean) / std,
                autocorrelation=rho,
                read_variance=read,
                ends=ends,
                signals=signals,
            )
        )
    return tuple(found)


def _line(noise: NoiseModel, mean: float, std: float) -> tuple[float, float]:
    """Gain and offset of ``variance = gain * (signal - offset)``; a gain of 0 where none grows.

    Read noise enters the offset: a Poisson number that is shifted by as much as it has too much
    variance has the variance of both (Snyder, Hammoud, White, JOSA A 1993).
    """
    if isinstance(noise, PoissonGauss) and noise.gain > 0:
        return noise.gain, noise.offset - noise.read_variance / noise.gain
    at = np.linspace(-1, 1, 33)
    variance = noise.variance(mean + std * at)
    slope, middle = np.polyfit(at, variance, 1)
    if slope <= 0 or variance[-1] < GROWTH * variance[0]:
        return 0.0, 0.0
    return float(slope / std), float(mean - std * middle / slope)


def _photons(model: Model, reports: Sequence[NoiseReport]) -> list[NoiseModel] | None:
    """The noise of channels that hold nothing but counted photons; None where one does not.

    Counts begin at 0, lie a step apart, and their variance is that step times their mean. Normal
    noise that is added to few of them is no second look: at 0.2 photons a net that learned from it
    passed half of the noise.
    """
    found: list[NoiseModel] = []
    for c in model.channels:
        steps = set()
        for channel in (x for report in reports for x in report.channels if x.index == c):
            excess, step = channel.found["excess_noise"], channel.found["quantisation"].step
            bottom = channel.found["saturation"]
            if excess.variance == 0 or step <= 0 or bottom.bottom != 0 or bottom.clipped_bottom:
                return None
            if abs(excess.variance / step / excess.signal - 1) > COUNTED:
                return None
            steps.add(step)
        if len(steps) != 1:
            return None
        found.append(PoissonGauss(steps.pop(), 0.0, 0.0))
    return found


def _check_photons(
    model: Model, name: str, noise: Sequence[NoiseModel], *, correlated: bool
) -> None:
    """Refuse to thin what are no photons."""
    if correlated:
        raise InputError(
            f"the noise of {name} is correlated, which photons are not, so it cannot be thinned; "
            f"set recorruption.kind to gaussian (or recorruption.correlated to false)"
        )
    for c, n in zip(model.channels, noise, strict=True):
        gain, _ = _line(n, float(model.affine.mean[c]), float(model.affine.std[c]))
        if gain <= 0:
            raise InputError(
                f"the noise of {name} does not grow with the signal as that of photons does, so "
                f"it cannot be thinned; set recorruption.kind to gaussian"
            )


def _autocorrelations(reports: Sequence[NoiseReport], model: Model) -> list[NDArray | None]:
    """By channel: the mean of what the reports say; None for all where no channel has any."""
    found = []
    for c in model.channels:
        measured = [
            channel.correlation
            for report in reports
            for channel in report.channels
            if channel.index == c and channel.correlation is not None
        ]
        found.append([_lags(acf, model.ndim) for acf in measured])
    every = [rho for channel in found for rho in channel]
    if not any(np.count_nonzero(rho) > 1 for rho in every):
        return [None for _ in found]
    sides = tuple(np.max([rho.shape for rho in every], axis=0).tolist())
    alone = _padded(np.ones((1,) * model.ndim), sides)
    return [
        np.mean([_padded(rho, sides) for rho in channel], axis=0) if channel else alone
        for channel in found
    ]


def _lags(acf: Correlation, ndim: int) -> NDArray[np.float64]:
    """Autocorrelation of the noise alone at the lags where it is certain, of odd sides.

    Between the slices of a stack it is taken as a product, and for 3D nets only.
    """
    rho: NDArray = np.where(np.abs(acf.neighbours) > 3 * acf.error, acf.believed, 0.0)
    if ndim == 2:
        return rho
    reach = acf.reach("Z")
    along = np.array(acf.fine["Z"][: reach + 1]) if reach else np.ones(1)
    return np.asarray(np.concatenate([along[:0:-1], along])[:, None, None] * rho)


def _padded(rho: NDArray, sides: tuple[int, ...]) -> NDArray[np.float64]:
    """With zeros around, up to the given odd sides."""
    width = [((m - n) // 2,) * 2 for m, n in zip(sides, rho.shape, strict=True)]
    return np.asarray(np.pad(rho, width))
