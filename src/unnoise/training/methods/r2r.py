"""Recorrupted-to-Recorrupted: split a noisy image into two whose noise is independent.

Pang, Zheng, Quan, Ji: Recorrupted-to-Recorrupted, CVPR 2021 (normal noise).
Monroy, Bacca, Tachella: Generalized Recorrupted-to-Recorrupted, CVPR 2025 (photon counts).
No pixel is hidden: the net sees the pixel itself, which is worth most where it predicts worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.noise.correlated_noise import root, wide
from unnoise.noise.electron_multiplication import Halves, halves
from unnoise.training.methods.b2u import donut_mean
from unnoise.training.methods.step import Batch, Step

FIRST, LAST = -6.0, 8.0
SIGNALS = np.sinh(np.linspace(FIRST, LAST, 1401))
"""Signals of the noise tables, from -200 to 1,490 standard deviations, dense around the mean."""


@dataclass(frozen=True)
class NoiseTable:
    """The noise of one denoised channel, in normalised units.

    Attributes
    ----------
    variance : ndarray, shape (len(SIGNALS),)
        At `SIGNALS`; linear between them.
    gain, offset : float
        The line ``variance = gain * (signal - offset)``: a photon and the darkness of a camera
        whose read noise counts as light, which keeps the variance. A gain of 0: no such line.
    autocorrelation : ndarray with odd sides, shape (y, x) or (z, y, x), optional
        By lag, 1 in the centre.
    read_variance : float, optional
        Where electrons were multiplied (EMCCD): that of the register's output, while `gain` is
        what an electron gives on average, and `offset` the darkness.
    ends : (float, float), optional
        Values at which noise was cut off.
    signals : ndarray, shape (len(SIGNALS),), optional
        With `ends`: the signals whose clipped pixels have the means `SIGNALS`.
    """

    variance: NDArray[np.float64]
    gain: float = 0.0
    offset: float = 0.0
    autocorrelation: NDArray[np.float64] | None = None
    read_variance: float | None = None
    ends: tuple[float, float] | None = None
    signals: NDArray[np.float64] | None = None


WEAKENS = (0.3, 0.9)
"""Shares of a run between which the recorruption weakens."""


@dataclass(frozen=True)
class Recorrupted:
    """One part as input, the other as target: as if they were two images of the scene.

    The prediction is one pass over the image itself, which has less noise than y1. The papers
    average over many y1 instead; so nothing random is left in a prediction. For that the
    recorruption weakens towards the end of a run: strong at first, for targets of little noise,
    then weak, so that the net meets the noise of the image itself. From 0.5 to 0.2 gained 0.2 dB
    over 0.5 throughout (BSD68 after 4 CPU minutes, docs/benchmarks.md).

    Its validation is the risk ``|f(y1) - y2|^2`` at the held-out pixels, which is the true risk of
    f(y1) plus the variance of y2, whatever the net makes of the pixel itself. There the split is
    the last one, as only risks of the same split compare; and every split comes with its mirror
    image around y, since the noise that was added, five times as strong in y2, then cancels. Around
    what was split, that is: clipped pixels were drawn anew before.

    Attributes
    ----------
    split : Additive, Thinning or Multiplied
        Two images of the same mean out of one.
    decay : float
        Share of the recorruption that is left at the end.
    """

    split: Additive | Thinning | Multiplied
    decay: float = 1.0

    def batch(self, step: Step) -> Batch:
        """Turn noisy patches into (input, target, weight), with other draws in every step."""
        first, second, _ = self._parts(step, step.fraction)
        return first, second, (~step.held_out).to(step.x.dtype)

    def validation(self, step: Step) -> Batch:
        """The same, compared at the held-out pixels only, and always as at the end."""
        first, second, centre = self._parts(step, 1.0)
        parts = [torch.cat([part, 2 * centre - part]) for part in (first, second)]
        return parts[0], parts[1], torch.cat([step.held_out] * 2).to(step.x.dtype)

    def _parts(self, step: Step, fraction: float) -> tuple[Tensor, Tensor, Tensor]:
        """Both parts, and what was split: the image, but for clipped pixels that are drawn anew."""
        start, end = WEAKENS
        done = min(max((fraction - start) / (end - start), 0.0), 1.0)
        split = self.split.weaker(1 + (self.decay - 1) * done)
        y = step.x.flatten(0, 1)
        if isinstance(split, Additive):
            parts = split.parts(y, step.channel_of_planes, step.generator)
        else:
            parts = (*split(y, step.channel_of_planes, step.generator), y)
        first, second, centre = (part.view_as(step.x) for part in parts)
        return first, second, centre


@dataclass(frozen=True)
class Additive:
    """Normal noise: ``y1 = y + a D z``, ``y2 = y - D z / a`` with D D' the covariance of the noise.

    The covariance of the parts is that of the noise less D D', so nothing.

    D is the standard deviation of the noise at a local estimate of the signal, times the square
    root of the autocorrelation. The estimate is the mean of the neighbours without the pixel: with
    the pixel in it, bright noise would get larger draws, and the size of |y1 - y| would tell the
    net the noise that is left in y2. Its own noise does no harm, as the mean of a line is the line
    at the mean.

    Attributes
    ----------
    alpha : float
        a: small values leave y1 close to y, large ones leave little noise in y2.
    variance : Tensor, shape (channels, len(SIGNALS))
        NoiseTable tables.
    rho : tuple of ndarray, optional
        Autocorrelation per channel, all of the same shape.
    ends, signals : Tensor, shape (channels, 2) and (channels, len(SIGNALS)), optional
        As those of `NoiseTable`. Clipped pixels are drawn anew first, from the tail beyond their
        end: they lack the noise that would be split.
    """

    alpha: float
    variance: Tensor
    rho: tuple[NDArray[np.float64], ...] | None = None
    ends: Tensor | None = None
    signals: Tensor | None = None

    def __call__(
        self, y: Tensor, channel: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Planes (n, *space) and their channels (n,) to (y1, y2)."""
        return self.parts(y, channel, generator)[:2]

    def parts(
        self, y: Tensor, channel: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same, and the y that was split, in which no pixel is clipped."""
        sd = self.deviation(y, channel)
        if self.ends is not None:
            y = self._restored(y, sd, channel, generator)
        noise = sd * self._draw(y, channel, generator)
        return y + self.alpha * noise, y - noise / self.alpha, y

    def weaker(self, share: float) -> Additive:
        """With this share of alpha."""
        return replace(self, alpha=self.alpha * share)

    def deviation(self, y: Tensor, channel: Tensor) -> Tensor:
        """Standard deviation of the noise of every pixel, from its neighbours alone."""
        return self._looked_up(self.variance, self._signal(y, channel), channel).clamp(min=0).sqrt()

    def _signal(self, y: Tensor, channel: Tensor) -> Tensor:
        """What the neighbours tell of the signal."""
        mean = donut_mean(y[:, None])[:, 0]
        return mean if self.signals is None else self._looked_up(self.signals, mean, channel)

    def _restored(
        self, y: Tensor, sd: Tensor, channel: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Pixels with a draw beyond the end in the place of clipped ones."""
        assert self.ends is not None
        low, high = self.ends.to(y)[channel].view(-1, 2, *(1,) * (y.ndim - 1)).unbind(1)
        signal = self._signal(y, channel)
        level = torch.rand(y.shape, generator=generator, device=y.device, dtype=y.dtype)
        tails = []
        for side, end in ((1, low), (-1, high)):
            beyond = level * torch.special.ndtr(side * (end - signal) / sd)
            tails.append(side * torch.special.ndtri(beyond.clamp(min=1e-6)))
        below, above = (signal + sd * tail for tail in tails)
        y = torch.where(y <= low, torch.minimum(below, low), y)
        return torch.where(y >= high, torch.maximum(above, high), y)

    def _looked_up(self, values: Tensor, signal: Tensor, channel: Tensor) -> Tensor:
        """Values at `SIGNALS`, linear between them, at a signal."""
        table, y = values.to(signal), signal
        signals = torch.from_numpy(SIGNALS).to(y)
        place = (torch.asinh(signal) - FIRST) * ((len(SIGNALS) - 1) / (LAST - FIRST))
        low = place.floor().clamp(0, len(SIGNALS) - 2).long()
        share = ((signal - signals[low]) / (signals[low + 1] - signals[low])).clamp(0, 1)
        row = channel.view(-1, *(1,) * (y.ndim - 1)).expand_as(low)
        return torch.lerp(table[row, low], table[row, low + 1], share)

    def _draw(self, y: Tensor, channel: Tensor, generator: torch.Generator) -> Tensor:
        """Standard normal numbers, shaped by the autocorrelation."""
        sides = tuple(y.shape[1:])
        if self.rho is not None:
            sides = wide(sides, self.rho[0].shape)
        z = torch.randn((len(y), *sides), generator=generator, device=y.device, dtype=y.dtype)
        if self.rho is None:
            return z
        roots = torch.from_numpy(np.stack([root(rho, sides) for rho in self.rho])).to(y)
        axes = tuple(range(1, y.ndim))
        spectrum = torch.fft.rfftn(z, dim=axes) * roots[channel]
        shaped: Tensor = torch.fft.irfftn(spectrum, s=sides, dim=axes)
        return shaped[(slice(None), *map(slice, y.shape[1:]))]


@dataclass(frozen=True)
class Thinning:
    """Photon counts: every photon goes to the target with probability p, or else to the input.

    ``y1 = (y - gain w) / (1 - p)`` and ``y2 = (y - (1 - p) y1) / p = gain w / p`` above the offset,
    with w binomial out of ``(y - offset) / gain`` photons. The parts of a Poisson number are
    independent; with rounded read noise in it they are still uncorrelated.

    Attributes
    ----------
    share : float
        p. The variances are those of `Additive` with ``alpha**2 = p / (1 - p)``.
    gain, offset : Tensor, shape (channels,)
        A photon and the darkness, in normalised units.
    """

    share: float
    gain: Tensor
    offset: Tensor

    def __call__(
        self, y: Tensor, channel: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Planes (n, *space) and their channels (n,) to (y1, y2)."""
        ones = (1,) * (y.ndim - 1)
        gain, offset = (t.to(y)[channel].view(-1, *ones) for t in (self.gain, self.offset))
        counts = ((y - offset) / gain).round().clamp(min=0)
        p = torch.full_like(counts, self.share)
        taken = gain * torch.binomial(counts, p, generator=generator)
        return offset + (y - offset - taken) / (1 - self.share), offset + taken / self.share

    def weaker(self, share: float) -> Thinning:
        """With this share of the noise that is added, as ``alpha**2 = p / (1 - p)``."""
        return replace(self, share=_weaker(self.share, share))


@dataclass(frozen=True)
class Multiplied:
    """Multiplied electrons (EMCCD): two parts that are independent, as `Thinning` is of photons.

    The second part is drawn by `unnoise.noise.electron_multiplication.halves` from the noisy value
    and a mean that the neighbours tell. Normal noise that is added instead leaves parts that are
    uncorrelated but not independent, as bright outliers are in both: nets that were trained so
    lost up to 1.7 dB on W2S (docs/benchmarks.md).

    Attributes
    ----------
    share : float
        p of the light, and of the read noise, goes to the target.
    gain, offset, read_variance : tuple of float
        By channel, in normalised units.
    """

    share: float
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    read_variance: tuple[float, ...]

    def __call__(
        self, y: Tensor, channel: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Planes (n, *space) and their channels (n,) to (y1, y2)."""
        mean = donut_mean(y[:, None])[:, 0]
        level = torch.rand(y.shape, generator=generator, device=y.device, dtype=y.dtype)
        first, second = torch.empty_like(y), torch.empty_like(y)
        for c, (gain, offset, read) in enumerate(
            zip(self.gain, self.offset, self.read_variance, strict=True)
        ):
            own = channel == c
            if not own.any():
                continue
            value, electrons = (y[own] - offset) / gain, (mean[own] - offset) / gain
            part = _second_part(value, electrons, level[own], halves(read / gain**2, self.share))
            first[own] = offset + gain * (value - part) / (1 - self.share)
            second[own] = offset + gain * part / self.share
        return first, second

    def weaker(self, share: float) -> Multiplied:
        """As that of `Thinning`, in steps of a fifteenth, as every share has a table of its own."""
        return replace(self, share=_weaker(self.share, round(15 * share) / 15))


def _weaker(p: float, share: float) -> float:
    """The share of the target that leaves so much of ``alpha``, as ``alpha**2 = p / (1 - p)``."""
    odds = p / (1 - p) * share**2
    return odds / (1 + odds)


def _second_part(value: Tensor, electrons: Tensor, level: Tensor, table: Halves) -> Tensor:
    """What goes to the target: the quantile `level` of the table, linear between its places."""
    second = torch.from_numpy(table.second).to(value)
    inside = value.clamp(float(table.values[0]), float(table.values[-1]))
    i, a = _place(electrons, table.electrons)
    j, b = _place(inside, table.values)
    k, c = _place(level, table.levels)

    def at(row: Tensor) -> Tensor:
        low = torch.lerp(second[row, j, k], second[row, j, k + 1], c)
        return torch.lerp(low, torch.lerp(second[row, j + 1, k], second[row, j + 1, k + 1], c), b)

    return torch.lerp(at(i), at(i + 1), a) + table.share * (value - inside)


def _place(values: Tensor, known: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Index of the place below, and the share of the way to the next; ends are held."""
    places = torch.from_numpy(known).to(values)
    low = torch.searchsorted(places, values.contiguous()).clamp(1, len(places) - 1) - 1
    share = (values - places[low]) / (places[low + 1] - places[low])
    return low, share.clamp(0, 1)


def additive(alpha: float, noise: Sequence[NoiseTable]) -> Additive:
    """The split of normal noise, one `NoiseTable` per channel."""
    variance = torch.from_numpy(np.stack([n.variance for n in noise]))
    found = [n.autocorrelation for n in noise if n.autocorrelation is not None]
    split = Additive(alpha, variance, tuple(found) if len(found) == len(noise) else None)
    if all(n.ends is None for n in noise):
        return split
    ends = torch.tensor([n.ends or (-np.inf, np.inf) for n in noise], dtype=torch.float64)
    signals = [SIGNALS if n.signals is None else n.signals for n in noise]
    return replace(split, ends=ends, signals=torch.from_numpy(np.stack(signals)))


def thinning(share: float, noise: Sequence[NoiseTable]) -> Thinning:
    """The split of photon counts, one `NoiseTable` per channel."""
    gain, offset = (torch.tensor(v) for v in zip(*[(n.gain, n.offset) for n in noise], strict=True))
    return Thinning(share, gain, offset)


def multiplied(share: float, noise: Sequence[NoiseTable]) -> Multiplied:
    """The split of multiplied electrons, one `NoiseTable` per channel."""
    read = tuple(n.read_variance or 0.0 for n in noise)
    return Multiplied(share, tuple(n.gain for n in noise), tuple(n.offset for n in noise), read)


def build(config: Config, ndim: int, noise: Sequence[NoiseTable] = ()) -> Recorrupted:
    """The method of the settings, which needs the noise of every channel.

    Raises
    ------
    InputError
        Without it.
    """
    r2r = config.recorruption
    assert r2r is not None
    if not noise:
        raise InputError("r2r needs the noise of every channel; train with unnoise.train")
    if r2r.kind == "thinning":
        return Recorrupted(thinning(r2r.share, noise), r2r.decay)
    if r2r.kind == "multiplied":
        return Recorrupted(multiplied(r2r.share, noise), r2r.decay)
    return Recorrupted(additive(r2r.alpha, noise), r2r.decay)
