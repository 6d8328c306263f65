"""Neighbouring frames as one: their mean, pixel by pixel, over those that show the same scene.

Frames have noise of known strength, so whether the scene changed between two of them is a test, and
the mean of n frames that pass it has noise of variance 1/n. Frames are added outwards from the
centre until a change is seen: that of a mean of frames against that of the next ones, at five
scales of smoothing. So a change of few pixels, or of one frame, is told as surely as a wide or
lasting one. Where the centre differs from the mean of the frames on both sides, which a drift does
not change, it has an event of its own (growing neighbourhoods of agreeing estimates: Polzehl and
Spokoiny, Journal of the Royal Statistical Society B 2000; of movies: Boulanger, Kervrann, Bouthemy,
TPAMI 2007, ND-SAFIR).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
COMPARED = ((2, 4), (8, 1), (8, 4))
"""What is compared across the place between two frames: the frames from there to the centre and so
many beyond it, with so many on the other side. A step is told by the first, a flash elsewhere by
the second."""
AROUND = 4
"""Frames on a side, at least, with which the centre is compared, if there are as many."""
SEEN = (3.2, 4.7)
"""Standard errors of a change from which frames beyond count less, and not at all. With the
skewness of noise, flashes of peak SNR 3, a pixel wide, keep as much as frame by frame and leave
0.9 % in the frames beside; with (3.0, 4.4) for events 0.25 dB of still scenes are lost, with
(3.5, 5.0) for changes, before skewness was known, a fifth more of a flash came into the frames
beside (development scenes of benchmarks/movies.py)."""
SMALL = 3
"""Scales that tell where: at coarser ones bright events reach further than their rim."""
NEAR = 8
"""Within so many pixels ..."""
CROWDED = (0.5, 0.9)
"""... shares of pixels with an event from which less comes back, and nothing: a flash 1.5 pixels
wide fills 0.3. Where all is in motion the residual is noise (frames of unrelated scenes lost
2 dB)."""
LEAST = 1e-6
"""Share of the variance of white noise that smoothing always leaves: nothing is divided by 0."""


@dataclass(frozen=True)
class ChangeTest:
    """When a frame is said to show something else than the centre.

    Attributes
    ----------
    seen : (float, float)
        Standard errors of a change from which frames beyond count less, and not at all.
    scales : int
        At how many scales it is looked for, two or more.
    more : tuple of float
        Standard errors that it must have beyond these at every scale: at fine ones there are more
        places for a chance.
    """

    seen: tuple[float, float] = SEEN
    scales: int = SCALES
    more: tuple[float, ...] = (0.0,) * SCALES

    @property
    def reach(self) -> int:
        """How far in pixels weights and events look."""
        return int(2 ** (self.scales - 1)) - 1 + SPREAD + NEAR


JOINING = ChangeTest()


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
    skewness : float
        Of the noise: a transform that evens out the strength of photon noise leaves it a tail
        towards the dark, which is no change, while less light than normal noise asks for is one.
    plain : Tensor, shape (n, y, x), optional
        The same frames without a transform.
    """

    values: Tensor
    centre: int
    strength: Sequence[float]
    used: Tensor | None = None
    skewness: float = 0.0
    plain: Tensor | None = None


class Joined(NamedTuple):
    """Frames as one, each of shape (y, x).

    Attributes
    ----------
    mean : Tensor
    variance : Tensor
        Of its noise; 1 where a pixel of the centre is alone.
    event : Tensor
        How surely the centre shows an event of its own, 0 to 1.
    plain : Tensor or None
        The mean of the frames without a transform.
    """

    mean: Tensor
    variance: Tensor
    event: Tensor
    plain: Tensor | None = None


def joined(
    frames: Frames,
    *,
    inside: Sequence[NDArray[np.bool_]] | None = None,
    shared: float = 0.0,
    rho: Tensor | None = None,
) -> Joined:
    """The mean of frames that agree with the centre, the variance of its noise, and events.

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
    Joined
        The mean without a transform where the frames have such values.

    Examples
    --------
    >>> values = torch.randn(5, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> one = joined(Frames(values, 2, [1.0] * 5))
    >>> round(float(one.variance.median()), 2), round(float(one.mean.var()), 1)
    (0.2, 0.2)
    """
    weights, event = _weights(frames, inside, shared, rho)
    if frames.used is not None:
        weights = weights * frames.used
        alone = weights.sum(0) == 0
        weights[frames.centre] = torch.where(alone, 1.0, weights[frames.centre])
    strength = frames.values.new_tensor(frames.strength)[:, None, None]
    weights = weights / strength
    weights = weights / weights.sum(0)
    mean = (weights * frames.values).sum(0)
    variance = shared + (1 - shared) * (weights.square() * strength).sum(0)
    plain = None if frames.plain is None else (weights * frames.plain).sum(0)
    return Joined(mean, variance, event, plain)


def agreement(
    frames: Frames,
    test: ChangeTest,
    *,
    inside: Sequence[NDArray[np.bool_]] | None = None,
    rho: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """By frame and pixel whether it shows what the centre shows, and events of the centre.

    Parameters
    ----------
    frames : Frames
        Of one channel.
    test : ChangeTest
        When they are said not to.
    inside, rho
        As for `joined`.

    Returns
    -------
    tuple of Tensor, shape (n, y, x) and (y, x)
        1 as far as no change is seen from the centre on, else down to 0; how surely the centre
        shows an event of its own.

    Examples
    --------
    >>> values = torch.randn(5, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> values[2, 10:13, 10:13] += 20  # a flash
    >>> weights, event = agreement(Frames(values, 2, [1.0] * 5), ChangeTest(scales=2))
    >>> [round(float(weight)) for weight in weights[:, 11, 11]], round(float(event[11, 11]))
    ([0, 0, 1, 0, 0], 1)
    """
    return _weights(frames, inside, 0.0, rho, test)


def _weights(
    frames: Frames,
    inside: Sequence[NDArray[np.bool_]] | None,
    shared: float,
    rho: Tensor | None,
    test: ChangeTest = JOINING,
) -> tuple[Tensor, Tensor]:
    """By frame and pixel, 1 as far as no change is seen from the centre on, else down to 0.

    And by pixel how surely the centre shows an event of its own.
    """
    values, centre = frames.values, frames.centre
    shape = values.shape[1:]
    inside = inside or [np.ones(n, np.bool_) for n in shape]
    rows, columns = (torch.from_numpy(part).to(values) for part in inside)
    # What one round of smoothing carries beyond the border comes back in the next.
    beyond = 2 ** (test.scales - 2) - 1
    smooth = F.pad(values * rows[:, None] * columns, (beyond,) * 4)
    strength = np.asarray(frames.strength)
    told = (1 / torch.from_numpy(strength).to(values))[:, None, None]
    seen: dict[tuple[int, int, int, int], tuple[int, ...]] = {}
    for k in _places(len(values), centre):
        for comparison in _compared(k, centre, len(values)):
            seen[comparison] = (*seen.get(comparison, ()), k)
    most = {k: values.new_zeros(shape) for k in _places(len(values), centre)}
    own_event = small = values.new_zeros(shape)
    for scale, kernel in enumerate(kernels()[: test.scales]):
        more = test.more[scale]
        if scale:
            smooth = smoother(smooth, 2 ** (scale - 1))
        error = _error(kernel, inside, rho).to(values) * (1 - shared) ** 0.5
        within = smooth[:, beyond : beyond + shape[0], beyond : beyond + shape[1]]
        sums = torch.cumsum(within / error * told, 0)
        sums = torch.cat([torch.zeros_like(sums[:1]), sums])
        counts = np.concatenate([[0.0], np.cumsum(1 / strength)])
        skewness = frames.skewness * float((kernel**3).sum() / (kernel**2).sum() ** 1.5) ** 2
        for (a, b, c, d), places in seen.items():
            inner, outer = ((sums[j] - sums[i], counts[j] - counts[i]) for i, j in ((a, b), (c, d)))
            change = _change(inner, outer, skewness) - more
            for k in places:
                most[k] = torch.maximum(most[k], change)
        a, b = _around(centre, len(values))
        single = sums[centre + 1] - sums[centre], counts[centre + 1] - counts[centre]
        others = sums[b] - sums[a] - single[0], counts[b] - counts[a] - single[1]
        if others[1] > 0:
            own_event = torch.maximum(own_event, _change(single, others, skewness) - more)
        if scale < SMALL:
            small = own_event
    event = _sure(own_event, test)
    weights = torch.zeros_like(values)
    weights[centre] = 1
    for steps in (range(centre + 1, len(values)), range(centre - 1, -1, -1)):
        kept = 1 - event
        for k in steps:
            kept = kept * (1 - _sure(most[k], test))
            weights[k] = kept
    small, used = _sure(small, test), rows[:, None] * columns
    return weights, small * _rare(small, used)


def _rare(event: Tensor, inside: Tensor) -> Tensor:
    """1 where few pixels around have an event, down to 0 where the whole scene changes."""
    side = 2 * NEAR + 1
    parts = (F.avg_pool2d(part[None], side, 1, NEAR)[0] for part in (event * inside, inside))
    share, counted = parts
    share = share / counted.clamp(min=1 / side**2)
    return ((CROWDED[1] - share) / (CROWDED[1] - CROWDED[0])).clamp(0, 1)


def _change(one: tuple[Tensor, float], other: tuple[Tensor, float], skewness: float) -> Tensor:
    """Standard errors between the means of two groups of frames, by their sums and counts.

    The third cumulant of a mean of n frames is that of one by n squared.
    """
    (first, n), (second, m) = one, other
    error = float(np.sqrt(1 / n + 1 / m))
    change = (first / n - second / m) / error
    return as_normal(change, skewness * (1 / n**2 - 1 / m**2) / error**3).abs_()


def as_normal(z: Tensor, skewness: float) -> Tensor:
    """Values as improbable under normal noise as `z` is under noise of some skewness, nearly.

    To second order ``z - skewness * (z**2 - 1) / 6`` (Cornish and Fisher, Revue de l'Institut
    International de Statistique 1938), without its constant, and on the side of the longer tail as
    a logarithm, which goes on rising.

    Examples
    --------
    >>> as_normal(torch.tensor([-4.0, 4.0]), -0.6)
    tensor([-2.9389,  5.6000])
    """
    if abs(skewness) < 1e-6:
        return z
    short = z * (1 + abs(skewness) / 6 * z.abs())
    long = z.sign() * torch.log1p(abs(skewness) / 3 * z.abs()) * (3 / abs(skewness))
    return torch.where(z * skewness < 0, short, long)


def _sure(change: Tensor, test: ChangeTest) -> Tensor:
    """From standard errors, 0 where no change is seen, to 1 where one is, or close by."""
    near = F.max_pool2d(change[None], 2 * SPREAD + 1, 1, SPREAD)[0]
    return ((near - test.seen[0]) / (test.seen[1] - test.seen[0])).clamp(0, 1)


def _around(centre: int, n: int) -> tuple[int, int]:
    """The frames with which the centre is compared, from and to: as many on both sides."""
    reach = max(min(centre, n - 1 - centre), AROUND)
    return max(centre - reach, 0), min(centre + reach + 1, n)


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


def smoother(values: Tensor, step: int) -> Tensor:
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
