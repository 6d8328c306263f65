"""Whether a process grows: its memory, threads and open files, and the slope with its interval."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
from scipy import stats


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
    deviations are an autoregressive process of first order, whose correlation is corrected for what
    the fit takes of it (about (2 + 4 r) / n), and the variance of the slope is the one that least
    squares has under it. In 300 simulated series of 360 values the interval held the truth in 95 %
    at correlations of 0 to 0.9, and in 91 % at 0.97.

    Parameters
    ----------
    at : sequence of float
        Times, or counts of what was done.
    values : sequence of float
    """
    t, y = np.asarray(at, float), np.asarray(values, float)
    n, x = len(t), t - t.mean()
    if n < 8:
        raise ValueError(f"{n} values tell no growth; 8 are the fewest")
    square = (x**2).sum()
    slope = (x * y).sum() / square
    left = y - y.mean() - slope * x
    variance = (left**2).sum() / (n - 2)
    if variance <= 1e-24 * max(y.max() ** 2, 1):  # it never moved
        return Growth(float(slope), float(slope), float(slope))
    r = (left[1:] * left[:-1]).sum() / (left**2).sum()
    r = float(np.clip(r + (2 + 4 * r) / n, 0, 0.995))
    shared = np.correlate(x, x, "full")[n - 1 :] * r ** np.arange(n)
    error = np.sqrt(variance * (2 * shared.sum() - shared[0])) / square
    freedom = max(n * (1 - r) / (1 + r) - 2, 2)
    half = float(stats.t.ppf(0.975, freedom) * error)
    return Growth(float(slope), float(slope - half), float(slope + half))


@dataclass(frozen=True)
class Size:
    """What a process holds: bytes of memory, threads, open files; bytes that are in use."""

    memory: int
    threads: int
    files: int
    used: int = 0


def size(process: psutil.Process) -> Size:
    """What a process holds now, without those that it started."""
    with process.oneshot():
        files = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
        return Size(process.memory_info().rss, process.num_threads(), files)


def alive(process: psutil.Process) -> Size | None:
    """The same, or None where it has ended."""
    with contextlib.suppress(psutil.Error):
        return size(process)
    return None
