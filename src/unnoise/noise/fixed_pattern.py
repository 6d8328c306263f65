"""What still frames tell about the detector: its fixed pattern."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from unnoise.noise.frame_comparison import BLOCK
from unnoise.noise.planes import block_means, centred, middle


@dataclass(frozen=True)
class FixedPattern:
    """A pattern of the detector that is the same in all frames; ``sd`` in grey levels.

    ``share`` is its fraction of the variance of the noise. ``texture`` says that something fixed
    was seen which the fine structure of a still scene explains as well; it is not ``found`` then.
    """

    found: bool
    sd: float
    share: float
    significance: float
    texture: bool

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        return (
            f"A fixed pattern of {self.sd:.2g} grey levels ({100 * self.share:.2g} % of the noise "
            "variance) is the same in all frames: averaging or pairing frames keeps it."
        )


def fixed_pattern(frames: ArrayLike) -> FixedPattern:
    """Fixed pattern noise: what a checkerboard high-pass finds alike in all frames.

    The covariance of even with odd frames is the variance of the fixed part, free of the noise,
    which falls as ``1/n``. It is measured in the flattest half of the blocks. A pattern of the
    detector is white; the texture of a scene seen through optics is stronger at coarser scales
    and where the scene is not flat, and is told by that.

    Parameters
    ----------
    frames : (n, y, x)
        At least 4 frames, else nothing is found.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pattern = rng.normal(0, 1, (128, 128))
    >>> result = fixed_pattern(rng.normal(100, 2, (8, 128, 128)) + pattern)
    >>> result.found, abs(result.sd - 1) < 0.1, abs(result.share - 0.2) < 0.05
    (True, True, True)
    """
    stack = np.asarray(frames)
    nothing = FixedPattern(False, 0.0, 0.0, 0.0, False)
    if stack.ndim != 3 or len(stack) < 4 or min(stack.shape[1:]) < 32:
        return nothing
    stack = _cut(stack)
    even, odd = (np.asarray(stack[k::2].mean(axis=0)) for k in (0, 1))
    mean = ndimage.gaussian_filter((even + odd) / 2, 2)
    slope = block_means(np.hypot(*np.gradient(mean[1:-1, 1:-1])), BLOCK)
    flat = slope <= np.median(slope)
    fine, coarse = (block_means(f(even) * f(odd), BLOCK) for f in (_checker, _second))
    error = float(fine[flat].std()) / sqrt(flat.sum())
    fixed = float(np.mean(fine[flat]))
    both = (_checker(stack[0]) ** 2 + _checker(stack[-1]) ** 2) / 2
    total = float(np.mean(block_means(both, BLOCK)[flat]))
    if error <= 0 or fixed > 0.999 * total:  # no noise, or copies of one frame
        return nothing
    significance = fixed / error
    share = min(max(fixed / total, 0.0), 1.0)
    seen = significance > 6 and share > 0.01
    rough = float(np.mean(fine[~flat])) if (~flat).any() else fixed
    texture = float(np.mean(coarse[flat])) > 1.5 * fixed or rough > 2 * fixed
    sd = sqrt(max(fixed, 0.0))
    return FixedPattern(seen and not texture, sd, share, significance, seen and texture)


def _cut(stack: NDArray) -> NDArray[np.float64]:
    """At most 32 frames and 8 million pixels, evenly in time, from the middle; centred."""
    n = min(32, len(stack))
    chosen = np.linspace(0, len(stack) - 1, n).astype(int)
    side = max(128, int(sqrt((1 << 23) / n)))
    return np.array([centred(stack[i][middle(stack.shape, side)]) for i in chosen])


def _checker(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The high-pass [1 -2 1] x [1 -2 1] of unit variance for white noise."""
    rows = x[:-2] - 2 * x[1:-1] + x[2:]
    return np.asarray(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / 6


def _second(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The second difference along x of unit variance for white noise, cut to fit the checker."""
    rows = x[1:-1]
    return np.asarray(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / sqrt(6)
