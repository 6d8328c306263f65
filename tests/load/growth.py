"""Whether a process grows: its memory, threads and open files, and the slope with its interval."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
from numpy.typing import NDArray
from scipy import optimize, stats

CORRELATIONS = np.arange(100) / 100
"""From one value to the next."""


@dataclass(frozen=True)
class Growth:
    """A slope, and between which values it lies with a confidence of 95 %."""

    slope: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.slope:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def is_none(self) -> bool:
        """Whether the interval holds 0."""
        return self.low <= 0 <= self.high


def growth(at: Sequence[float], values: Sequence[float]) -> Growth:
    """The slope of a series of evenly spaced values that remember those before them.

    Memory does not scatter: it stays where it is for a while, then steps. Least squares would take
    n such values for n independent ones, and find an interval that is far too narrow. Here the
    deviations are an autoregressive process of first order, whose correlation r is not known
    either: every r below 1 is as likely beforehand, its residual likelihood says how likely it is
    after these values, and the slope has Student's distribution for each, of which all together
    have 2.5 % on both sides of the interval (Bayesian regression with the usual priors). In 150
    simulated series of 18 values it held the truth in 100, 99, 93, 90 and 85 % at an r of 0, 0.3,
    0.6, 0.8 and 0.9, and in 92 to 98 % where they switch between two sizes; of 120 values in 93 to
    98 % at each of these.

    Parameters
    ----------
    at : sequence of float
        Times, or counts of what was done.
    values : sequence of float
    """
    t, y = np.asarray(at, float), np.asarray(values, float)
    n = len(t)
    if n < 8:
        raise ValueError(f"{n} values tell no growth; 8 are the fewest")
    x, unit = t - t.mean(), max(np.ptp(y), 1e-12 * max(np.abs(y).max(), 1))
    line = (x * (y - y.mean())).sum() / (x**2).sum()
    if np.ptp(y - line * x) <= 1e-9 * max(np.abs(y).max(), 1):  # it never left its line
        return Growth(float(line), float(line), float(line))
    slopes, errors, logs = _fits(x, (y - y.mean()) / unit)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()

    def below(slope: float) -> float:
        return float(weights @ stats.t.cdf((slope - slopes) / errors, n - 2))

    low, high = (slopes + side * 1000 * errors for side in (-1, 1))
    ends = [
        optimize.brentq(lambda s, p=p: below(s) - p, low.min(), high.max())
        for p in (0.5, 0.025, 0.975)
    ]
    return Growth(*(float(end * unit) for end in ends))


def _fits(x: NDArray, y: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Slopes, their errors and logarithms of the residual likelihood, one for each correlation."""
    r = CORRELATIONS[:, None]

    def white(v: NDArray) -> NDArray:
        """Without what is known from the value before."""
        return np.concatenate([np.sqrt(1 - r**2) * v[0], v[1:] - r * v[:-1]], 1)

    one, u, w = white(np.ones_like(x)), white(x), white(y)
    level = (one**2).sum(1, keepdims=True)
    u, w = (v - one * (one * v).sum(1, keepdims=True) / level for v in (u, w))
    square = (u**2).sum(1)
    slopes = (u * w).sum(1) / square
    left, free = ((w - slopes[:, None] * u) ** 2).sum(1), len(x) - 2
    likely = np.log1p(-(CORRELATIONS**2)) - np.log(level[:, 0] * square) - free * np.log(left)
    return slopes, np.sqrt(left / free / square), likely / 2


@dataclass(frozen=True)
class Size:
    """What a process holds.

    Attributes
    ----------
    memory : int
        Bytes, with those of files that are in memory for it, and for others.
    threads, files : int
        Threads, open files.
    own : int
        Bytes without those of files, which the system takes and gives as it likes.
    used : int
        Bytes that are in use, of those that Python and C have taken.
    """

    memory: int
    threads: int
    files: int
    own: int = 0
    used: int = 0


def size(process: psutil.Process) -> Size:
    """What a process holds now, without those that it started."""
    with process.oneshot():
        files = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
        memory = process.memory_info()
        own = memory.rss - getattr(memory, "shared", 0)  # which Linux tells
        return Size(memory.rss, process.num_threads(), files, own)


def alive(process: psutil.Process) -> Size | None:
    """The same, or None where it has ended."""
    with contextlib.suppress(psutil.Error):
        return size(process)
    return None
