"""Whether neighbouring frames tell more of a pixel: what is known before any net is trained.

Pixels are predicted by least squares from their neighbours in the frame, and from the same place of
the frames beside it too. What a linear prediction gains a net gains as well: it learns from the
same pixels. Noise that frames share would be taken for such a gain, so there must be none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unnoise.images.image import Image
from unnoise.noise.frame_comparison import is_blank, is_copy
from unnoise.noise.planes import neighboring_planes

SAMPLES = 40_000
INSIDE, BESIDE = 3, 1
"""Half sides of the windows whose pixels predict: in the frame, and in those beside it."""
REACHES = (1, 2)
"""Frames before and after that are tried."""
WORTH = 0.1
"""Share of the squared error that the frames must save, and more of them than fewer."""
SURE = 4.0
"""Standard errors by which they must."""
SMALLEST = 16
"""Side of the frames from which that can be told."""


@dataclass(frozen=True)
class FrameContext:
    """Frames that are worth looking at.

    Attributes
    ----------
    axis : str
        ``T`` or ``Z``.
    reach : int
        So many before, and so many after.
    gain : float
        By how many dB they lower the squared error of a linear prediction.
    """

    axis: str
    reach: int
    gain: float

    @property
    def line(self) -> str:
        """What to tell the user, as a clause."""
        frames = "a frame" if self.reach == 1 else f"{self.reach} frames"
        return (
            f"{frames} before and after along {self.axis} are seen too, from which a linear "
            f"prediction gains {self.gain:.1f} dB"
        )

    @property
    def setting(self) -> str:
        """As for ``--set``."""
        return f"context={{{self.axis}: {self.reach}}}"


def frame_context(
    image: Image, variances: Mapping[int, float], axes: Sequence[str]
) -> FrameContext | None:
    """The frames that a net should see beside a frame; None where they tell too little.

    Parameters
    ----------
    image : Image
        Movie or stack.
    variances : mapping of int to float
        That of the noise, by channel.
    axes : sequence of str
        Those of ``T`` and ``Z`` along which noise is independent, the likeliest first.
    """
    for axis in axes:
        if image.sizes[axis] > 2 * REACHES[0]:
            found = _best(image, variances, axis)
            if found is not None:
                return found
    return None


def common(contexts: Sequence[FrameContext | None]) -> FrameContext | None:
    """What suits several images: as many frames as all are better with.

    Examples
    --------
    >>> found = common([FrameContext("T", 2, 3.0), FrameContext("T", 1, 2.0)])
    >>> found.reach, common([found, None])
    (1, None)
    """
    known = [context for context in contexts if context is not None]
    if not known or len(known) < len(contexts) or len({context.axis for context in known}) > 1:
        return None
    return min(known, key=lambda context: (context.reach, context.gain))


def _best(image: Image, variances: Mapping[int, float], axis: str) -> FrameContext | None:
    """As many frames along an axis as are worth it."""
    squares: dict[int, list[NDArray]] = {reach: [] for reach in (0, *REACHES)}
    for channel, variance in variances.items():
        frames = _distinct(neighboring_planes(image, channel, axis, alone=True))
        most = (len(frames) - 1) // 2
        if most < REACHES[0] or min(frames.shape[1:]) < SMALLEST or variance <= 0:
            return None
        for reach in squares:
            squares[reach].append(squared_errors(frames, min(reach, most)) / variance)
    if not squares[0]:
        return None
    errors = {reach: np.concatenate(parts) for reach, parts in squares.items()}
    best = 0
    for reach in REACHES:
        saved = errors[best] - errors[reach]
        risk = max(float(errors[best].mean()) - 1, 0.0)
        doubt = SURE * float(saved.std()) / math.sqrt(len(saved))
        if float(saved.mean()) > max(WORTH * risk, doubt):
            best = reach
    if not best:
        return None
    alone, risk = (max(float(errors[reach].mean()) - 1, 1e-3) for reach in (0, best))
    return FrameContext(axis, best, 10 * math.log10(alone / risk))


def _distinct(frames: NDArray) -> NDArray:
    """Frames without blank ones and without copies of the one before."""
    kept = [
        i
        for i, frame in enumerate(frames)
        if not is_blank(frame) and not (i and is_copy(frame, frames[i - 1]))
    ]
    return frames[kept]


def squared_errors(frames: NDArray, reach: int) -> NDArray[np.float64]:
    """Squared errors of the best linear prediction of pixels that it does not see.

    Parameters
    ----------
    frames : ndarray, shape (n, y, x)
        Neighbouring frames, at least three.
    reach : int
        So many before and after are seen beside the frame itself.

    Returns
    -------
    ndarray
        At the same pixels whatever the reach, `SAMPLES` / 2 at most; to others it was fitted.

    Examples
    --------
    >>> movie = np.random.default_rng(0).normal(size=(5, 64, 64))
    >>> round(float(squared_errors(movie, 1).mean()), 1)
    1.0
    """
    own = _lags(0, INSIDE)
    lags = [lag for lag in own if lag != (0, 0, 0)]
    lags += [lag for k in range(-reach, reach + 1) if k for lag in _lags(k, BESIDE)]
    rim = min(max(REACHES), (len(frames) - 1) // 2), INSIDE, INSIDE
    inner = [size - 2 * margin for size, margin in zip(frames.shape, rim, strict=True)]
    rng = np.random.default_rng(0)
    which = rng.permutation(math.prod(inner))[:SAMPLES]  # none twice, or errors would be too small
    places = zip(np.unravel_index(which, inner), rim, strict=True)
    at = [place + margin for place, margin in places]
    values = frames.astype(np.float64)
    target = values[tuple(at)]
    around = np.stack([values[at[0] + t, at[1] + y, at[2] + x] for t, y, x in lags], 1)
    middle = target.mean()
    target, around = target - middle, around - middle
    fit, rest = slice(len(which) // 2), slice(len(which) // 2, None)
    gram = around[fit].T @ around[fit]
    ridge = 1e-6 * np.trace(gram) / len(lags) + 1e-300
    weights = np.linalg.solve(gram + ridge * np.eye(len(lags)), around[fit].T @ target[fit])
    return np.asarray((target[rest] - around[rest] @ weights) ** 2)


def _lags(t: int, half: int) -> list[tuple[int, int, int]]:
    """A window of a frame so many frames away."""
    side = range(-half, half + 1)
    return [(t, y, x) for y in side for x in side]
