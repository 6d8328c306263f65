"""Neighbouring frames as one: their mean, pixel by pixel, over those that show the same scene.

Frames have noise of known strength, so whether the scene changed between two of them is a test, and
the mean of n frames that pass it has noise of variance 1/n. Frames are added outwards from the
centre until a change is seen: that of a mean of frames against that of the next ones, at five
scales of smoothing. So a change of few pixels, or of one frame, is told as surely as a wide or
lasting one (growing neighbourhoods of agreeing estimates: Polzehl and Spokoiny, Journal of the
Royal Statistical Society B 2000; of movies: Boulanger, Kervrann, Bouthemy, TPAMI 2007, ND-SAFIR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unnoise.nets.gaussian_denoiser import lags

SCALES = 5
"""No smoothing, and up to four rounds of it, to a standard deviation of 6.5 pixels."""
SPREAD = 2
"""A change counts this many pixels around where it is seen: its rim is fainter."""
REACH = 2 ** (SCALES - 1) - 1 + SPREAD
"""How far in pixels the weight of a pixel looks."""
COMPARED = ((0, 4), (2, 4), (8, 1), (8, 4))
"""What is compared across the place between two frames: the frames from there to the centre and so
many beyond it, with so many on the other side. A flash in the centre is told by the first, a step
by the second, a flash elsewhere by the third."""
SEEN = (3.2, 4.7)
"""Standard errors of a change from which frames beyond count less, and not at all. Of flashes of
peak SNR 3, 1.5 pixels wide, 0.15 % of the light came into the frames beside them and as much stayed
as frame by frame, up to (3.5, 5.0), where single scenes kept 0.7 % less; (3.0, 4.5) cost 0.5 dB of
still scenes (development scenes of benchmarks/movies.py)."""
LEAST = 1e-6
"""Share of the variance of white noise that smoothing always leaves: nothing is divided by 0."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of one channel around a centre, in the order of time or depth.

    Attributes
    ----------
    values : Tensor, shape (n, y, x)
        With noise of the strength 1 in the centre, as bright as that.
    centre : int
        Which of them it is.
    strength : sequence of float
        Variance of the noise of every frame.
    used : Tensor of bool, shape (n, y, x), optional
        Pixels that are measurements.
    """

    values: Tensor
    centre: int
    strength: Sequence[float]
    used: Tensor | None = None


def joined(
    frames: Frames,
    *,
    inside: Sequence[NDArray[np.bool_]] | None = None,
    shared: float = 0.0,
    rho: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The mean of frames that agree with the centre, and the variance of its noise.

    Parameters
    ----------
    frames : Frames
        Of one channel.
    inside : sequence of ndarray of bool, shape (y,) and (x,), optional
        Rows and columns that are not mirrored: mirrored noise is no noise of its own.
    shared : float
        Share of the variance of the noise that all frames have in common.
    rho : Tensor, shape (lags,), optional
        Correlation of the noise at `unnoise.nets.gaussian_denoiser.lags`.

    Returns
    -------
    tuple of Tensor, shape (y, x)
        Mean, and variance, 1 where a pixel of the centre is alone.

    Examples
    --------
    >>> values = torch.randn(5, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> mean, variance = joined(Frames(values, 2, [1.0] * 5))
    >>> round(float(variance.median()), 2), round(float(mean.var()), 1)
    (0.2, 0.2)
    """
    weights = _weights(frames, inside, shared, rho)
    if frames.used is not None:
        weights = weights * frames.used
        alone = weights.sum(0) == 0
        weights[frames.centre] = torch.where(alone, 1.0, weights[frames.centre])
    strength = frames.values.new_tensor(frames.strength)[:, None, None]
    weights = weights / strength
    weights = weights / weights.sum(0)
    mean = (weights * frames.values).sum(0)
    return mean, shared + (1 - shared) * (weights.square() * strength).sum(0)


def _weights(
    frames: Frames,
    inside: Sequence[NDArray[np.bool_]] | None,
    shared: float,
    rho: Tensor | None,
) -> Tensor:
    """By frame and pixel, 1 as far as no change is seen from the centre on, else down to 0."""
    values, centre = frames.values, frames.centre
    shape = values.shape[1:]
    inside = inside or [np.ones(n, np.bool_) for n in shape]
    rows, columns = (torch.from_numpy(part).to(values) for part in inside)
    # What one round of smoothing carries beyond the border comes back in the next.
    beyond = 2 ** (SCALES - 2) - 1
    smooth = F.pad(values * rows[:, None] * columns, (beyond,) * 4)
    strength = np.asarray(frames.strength)
    told = (1 / torch.from_numpy(strength).to(values))[:, None, None]
    seen: dict[tuple[int, int, int, int], tuple[int, ...]] = {}
    for k in _places(len(values), centre):
        for comparison in _compared(k, centre, len(values)):
            seen[comparison] = (*seen.get(comparison, ()), k)
    most = {k: values.new_zeros(shape) for k in _places(len(values), centre)}
    for scale, kernel in enumerate(kernels()):
        if scale:
            smooth = _smoother(smooth, 2 ** (scale - 1))
        error = _error(kernel, inside, rho).to(values) * (1 - shared) ** 0.5
        within = smooth[:, beyond : beyond + shape[0], beyond : beyond + shape[1]]
        sums = torch.cumsum(within / error * told, 0)
        sums = torch.cat([torch.zeros_like(sums[:1]), sums])
        counts = np.concatenate([[0.0], np.cumsum(1 / strength)])
        for (a, b, c, d), places in seen.items():
            own, other = counts[b] - counts[a], counts[d] - counts[c]
            change = (sums[b] - sums[a]) / own - (sums[d] - sums[c]) / other
            change = change.abs_() / float(np.sqrt(1 / own + 1 / other))
            for k in places:
                most[k] = torch.maximum(most[k], change)
    weights = torch.zeros_like(values)
    weights[centre] = 1
    for steps in (range(centre + 1, len(values)), range(centre - 1, -1, -1)):
        kept = torch.ones_like(values[0])
        for k in steps:
            change = F.max_pool2d(most[k][None], 2 * SPREAD + 1, 1, SPREAD)[0]
            kept = kept * ((SEEN[1] - change) / (SEEN[1] - SEEN[0])).clamp(0, 1)
            weights[k] = kept
    return weights


def _places(n: int, centre: int) -> list[int]:
    """The frames beside the centre: each stands for the place on its inner side."""
    return [k for k in range(n) if k != centre]


def _compared(k: int, centre: int, n: int) -> list[tuple[int, int, int, int]]:
    """Ranges of frames, from and to, on the side of the centre and on that of a frame."""
    found = []
    for beyond, across in COMPARED:
        if k > centre:
            found.append((max(centre - beyond, 0), k, k, min(k + across, n)))
        else:
            found.append((k + 1, min(centre + beyond + 1, n), max(k + 1 - across, 0), k + 1))
    return found


def kernels() -> list[NDArray[np.float64]]:
    """What smoothing does along one axis, at every scale: [1, 2, 1] / 4 with growing holes.

    The algorithme a trous (Holschneider et al., in Wavelets, Springer 1989) of a linear spline.
    """
    found = [np.ones(1)]
    for scale in range(SCALES - 1):
        step = np.zeros(2 ** (scale + 1) + 1)
        step[:: 2**scale] = 0.25, 0.5, 0.25
        found.append(np.convolve(found[-1], step))
    return found


def _smoother(values: Tensor, step: int) -> Tensor:
    """One more round of smoothing; beyond the borders there is nothing."""
    for axis in (-2, -1):
        n = values.shape[axis]
        border = (0, 0, step, step) if axis == -2 else (step, step)
        wide = F.pad(values, border)
        sides = wide.narrow(axis, 0, n) + wide.narrow(axis, 2 * step, n)
        values = values / 2 + sides / 4
    return values


def _error(
    kernel: NDArray[np.float64], inside: Sequence[NDArray[np.bool_]], rho: Tensor | None
) -> Tensor:
    """Standard deviation of smoothed noise of the strength 1, shape (y, x)."""
    half = len(kernel) // 2
    wide = (np.convolve(part.astype(np.float64), kernel**2) for part in inside)
    parts = [whole[half : len(whole) - half] for whole in wide]
    alike = 1.0
    if rho is not None and rho.any():
        # A lag counts by how much the kernel overlaps itself there, along Y times along X.
        overlap = np.correlate(kernel, kernel, "full") / (kernel**2).sum()

        def at(lag: int) -> float:
            return float(overlap[len(kernel) - 1 + lag]) if abs(lag) < len(kernel) else 0.0

        shares = (at(y) * at(x) * r for (y, x), r in zip(lags(), rho.tolist(), strict=True))
        alike = max(1 + 2 * sum(shares), 0.0)
    variance = np.outer(*parts) * alike
    return torch.from_numpy(np.sqrt(np.maximum(variance, LEAST)))
