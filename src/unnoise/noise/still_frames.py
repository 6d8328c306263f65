"""Whether frames along time, samples or depth are noisy looks at one scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, hypot, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.noise.frame_comparison import (
    BLOCK,
    CERTAIN,
    Brightness,
    Comparison,
    compare,
    is_blank,
    is_copy,
    match,
)
from unnoise.noise.planes import block_means, calmest

PAIRS = 8  # pairs of neighbouring frames looked at, fewer of large frames
NOTED = 0.01
"""Change of brightness from frame to frame that is worth a word."""
SHARED = 0.7
"""Frames whose differences show less than this of their noise share the rest of it."""
SHARED_OF_TWO = 0.35
"""The same where there are only two frames: fine structure of the scene looks like shared noise."""
MANY = 1 / 3
"""Share of copies from which frames are no repeats."""
WORST = ("different", "slowly changing", "too few", "duplicates", "dependent", "repeats")
"""Verdicts, from those that allow the least on."""
SHARING = ("dependent", "duplicates")
"""Those of frames that share noise."""
STEADY = 5
"""Differences from which their mean is known well enough to be taken out."""


@dataclass(frozen=True)
class Repeats:
    """Whether neighbouring frames are noisy looks at the same scene.

    Attributes
    ----------
    still : bool
        Whether nothing moves or changes but the brightness of whole frames.
    verdict : str
        ``repeats``, ``dependent`` (the same scene, but the frames share noise), ``slowly
        changing``, ``different``, ``duplicates`` and ``too few``.
    changed : float
        Share of 8x8 blocks that differ by more than noise.
    drift : float
        Shift in pixels per frame.
    correlation : float
        Correlation of the smoothed frames.
    trend, flicker : float
        Relative change of the brightness per frame, and the rest of its change from frame to frame
        (root mean square).
    averaged : float
        Over how many frames each seems to be a running mean: 1 where their noise is independent.
    step : int
        Frames so far apart have independent noise; 0 where none of those looked at do.
    copies : float
        Share of the frames that are copies of the one before.
    blank : float
        Share of the frames on which every pixel has the same value.
    distinct : tuple of int
        Positions, among the frames that were given, of those that are neither.
    """

    still: bool
    verdict: str
    changed: float
    drift: float
    correlation: float
    trend: float = 0.0
    flicker: float = 0.0
    averaged: float = 1.0
    step: int = 1
    copies: float = 0.0
    blank: float = 0.0
    distinct: tuple[int, ...] = ()

    @property
    def found(self) -> bool:
        """Whether the frames are repeats or copies of each other."""
        return self.verdict in ("repeats", "duplicates")

    def line(self) -> str | None:
        """What to tell the user, or None."""
        said = {
            "repeats": "Neighbouring frames show the same scene and differ by noise only: they "
            "can train each other (Noise2Noise), which also copes with correlated noise.",
            "dependent": "Neighbouring frames show the same scene but share noise: their noise "
            "is not independent, so they are no repeats.",
            "duplicates": "Frames are exact copies of each other: they carry no more information "
            "than one of them, and must not be used as repeats.",
            "partly duplicates": "The frames show one scene, but many are copies of others: they "
            "are no repeats.",
            "blank between": "A blank frame lies between any two others, so no neighbours can be "
            "compared or train each other; leave the blank ones out (such as with --time ::2).",
            "slowly changing": "Neighbouring frames are alike but the scene moves or changes: "
            "they are no repeats; Noise2Noise between them would blur what moves.",
        }.get(self._kind)
        peculiar = [f"{text[0].upper()}{text[1:]}." for text in self.peculiarities]
        return " ".join([said, *peculiar] if said else peculiar) or None

    @property
    def _kind(self) -> str:
        """The verdict, and what of it `line` tells apart."""
        if self.verdict == "duplicates" and self.still:
            return "partly duplicates"
        if self.verdict == "duplicates" and len(self.distinct) > 1:
            return "blank between"
        return self.verdict

    @property
    def peculiarities(self) -> tuple[str, ...]:
        """What is special about the frames and what is done about it, as clauses."""
        if self.verdict in ("too few", "different") or not self.distinct[1:]:
            return ()
        said = []
        kept = "every frame keeps its own brightness (Noise2Noise matches pairs in gain and offset)"
        if abs(self.trend) >= NOTED:
            how = "falls" if self.trend < 0 else "rises"
            said.append(f"the brightness {how} by {_percent(self.trend)} a frame")
        if self.flicker >= NOTED and len(self.distinct) == 2:
            said.append(f"one of the two is {1 + self.flicker:.2g} times as bright as the other")
        elif self.flicker >= NOTED:
            said.append(f"the brightness flickers by {_percent(self.flicker)} from frame to frame")
        if said:
            said = [f"{' and '.join(said)}: {kept}"]
        if self.verdict == "dependent":
            over = f"about {self.averaged:.0f}" if self.step else f"{self.averaged:.0f} or more"
            said.append(
                f"the frames look like running means over {over} frames, so Noise2Noise between "
                f"neighbours would keep the noise they share"
            )
        if self.copies:
            said.append(
                f"{_percent(self.copies)} of the frames are exact copies of the one before, and "
                f"are not paired with it"
            )
        if self.blank:
            said.append(f"{_percent(self.blank)} of the frames are blank, and are paired with none")
        return tuple(said)


def repeats(frames: ArrayLike) -> Repeats:
    """Whether neighbouring frames are repeats, so that Noise2Noise across them is possible.

    Two frames are made comparable by a gain and an offset (bleaching, flicker, exposures), and
    their difference must be noise (`frame_comparison.compare`). Frames that are copies of the one
    before or blank (dropped by the camera) are passed over. The noise must be independent from
    frame to frame, see `_dependence`.

    Parameters
    ----------
    frames : (n, y, x)
        Frames along T, S or Z of one channel.

    Examples
    --------
    >>> from scipy import ndimage
    >>> rng = np.random.default_rng(0)
    >>> scene = ndimage.gaussian_filter(rng.normal(0, 300, (128, 128)), 3) + 100
    >>> repeats(rng.poisson(scene.clip(0), (4, 128, 128))).verdict
    'repeats'
    >>> repeats(rng.poisson([scene.clip(0), scene.T.clip(0)])).verdict
    'different'
    >>> flicker = scene.clip(0) * np.array([1, 1.3, 1, 1.3])[:, None, None]
    >>> found = repeats(rng.poisson(flicker))
    >>> found.verdict, round(found.flicker, 1)
    ('repeats', 0.3)
    """
    stack = np.asarray(frames)
    if stack.ndim != 3 or len(stack) < 2 or min(stack.shape[1:]) < 2 * BLOCK:
        return Repeats(False, "too few", 0.0, 0.0, 0.0)
    blank = [is_blank(frame) for frame in stack]
    copy = [i > 0 and is_copy(stack[i], stack[i - 1]) for i in range(len(stack))]
    fresh = [not (c or b) for c, b in zip(copy, blank, strict=True)]
    distinct = tuple(int(i) for i in np.flatnonzero(fresh))
    peculiar: dict[str, Any] = {
        "copies": sum(c and not b for c, b in zip(copy, blank, strict=True)) / len(stack),
        "blank": sum(blank) / len(stack),
        "distinct": distinct,
    }
    usable = [i for i in range(len(stack) - 1) if fresh[i + 1] and not blank[i]]
    if not usable:
        return Repeats(False, "duplicates", 0.0, 0.0, 1.0, **peculiar)
    pairs = min(int(np.clip((1 << 22) // stack[0].size, 2, PAIRS)), len(usable))
    firsts = [usable[i] for i in np.unique(np.linspace(0, len(usable) - 1, pairs).astype(int))]
    tests = [compare(stack[i], stack[i + 1]) for i in firsts]
    trend, flicker = _brightness(stack, distinct)
    share = float(np.mean([test.changed for test in tests]))
    alike = float(np.median([test.correlation for test in tests]))
    drift, jitter, moving = _motion(tests)
    # By chance erfc(5 / sqrt 2) = 6e-7 of the blocks; 0.05 % allows for tails of the noise.
    blocks = (stack.shape[1] // BLOCK) * (stack.shape[2] // BLOCK)
    still = share <= max(0.0005, 1.5 / (blocks * len(tests)), erfc(5 / sqrt(2))) and not moving
    peculiar |= {"trend": trend, "flicker": flicker}
    if not still:
        verdict = "slowly changing" if alike > 0.5 else "different"
        return Repeats(False, verdict, share, max(drift, jitter), alike, **peculiar)
    averaged, step = _dependence(stack[list(distinct)])
    verdict = "repeats" if averaged == 1 else "dependent"
    if peculiar["copies"] >= MANY:
        verdict = "duplicates"
    return Repeats(True, verdict, share, drift, alike, averaged=averaged, step=step, **peculiar)


def worst(found: Sequence[Repeats]) -> Repeats:
    """Of several channels the one whose frames are the least of repeats.

    Frames of which one channel moves are no repeats, whichever of them comes first.

    Examples
    --------
    >>> still, moving = (Repeats(False, v, 0, 0, 1) for v in ("repeats", "different"))
    >>> worst([still, moving]).verdict, worst([moving, still]).verdict
    ('different', 'different')
    """
    return min(found, key=lambda each: WORST.index(each.verdict))


def shares_noise(found: Sequence[Repeats]) -> bool:
    """Whether frames share noise in any of several channels, as copies and running means do.

    Examples
    --------
    >>> moving, copies = (Repeats(False, v, 0, 0, 1) for v in ("different", "duplicates"))
    >>> shares_noise([moving, copies]), shares_noise([copies, moving]), shares_noise([moving])
    (True, True, False)
    """
    return any(each.verdict in SHARING for each in found)


def _motion(tests: list[Comparison]) -> tuple[float, float, bool]:
    """Steady and single shifts in pixels per frame, and whether anything moves."""
    shifts = np.array([test.drift for test in tests])
    errors = np.array([test.drift_error for test in tests])
    # A steady drift adds up over pairs, jitter does not cancel: take both.
    drift = hypot(*shifts.mean(axis=0))
    steady = float(np.sqrt((errors**2).sum())) / len(errors)
    single = np.hypot(*shifts.T)
    tiles = float(np.mean([test.moved for test in tests]))
    moving = (drift > 0.05 and drift > 5 * steady) or bool(
        np.mean((single > 0.15) & (single > 5 * errors)) > 0.25 or tiles >= 0.1
    )
    return drift, float(np.median(single)), moving


def _brightness(stack: NDArray, distinct: tuple[int, ...]) -> tuple[float, float]:
    """Relative change of the brightness per frame, and what else it changes between neighbours.

    By the gains of all frames against the first of them; where there is no structure to fit a gain
    to, by their means.
    """
    first = stack[distinct[0]]
    found = [match(stack[i], first) for i in distinct[1:]]
    if not found:
        return 0.0, 0.0
    level = abs(float(np.mean(first, dtype=np.float64))) or 1.0
    light = np.array([0.0, *(log(max(_ratio(f, level), 1e-3)) for f in found)])
    at = np.array(distinct) - distinct[0]
    slope, error = 0.0, np.inf
    if len(at) >= 4:  # fewer tell no trend
        (slope, _), covariance = np.polyfit(at, light, 1, cov=True)
        error = sqrt(covariance[0, 0])
    slope = float(slope) if abs(slope) > CERTAIN * error else 0.0
    rest = (np.diff(light) - slope * np.diff(at))[np.diff(at) == 1]
    doubt = 2 * float(np.mean([(f.error / f.gain) ** 2 for f in found]))
    square = float(np.mean(rest**2)) - doubt if len(rest) else 0.0
    return exp(slope) - 1, exp(sqrt(square)) - 1 if square > 2 * doubt else 0.0


def _percent(share: float) -> str:
    """A share of one for people."""
    percent = 100 * abs(share)
    return f"{percent:.0f} %" if percent >= 9.5 else f"{percent:.2g} %"


def _ratio(found: Brightness, level: float) -> float:
    """How bright a frame is relative to another."""
    return found.gain if found.structured else 1 + found.offset / level


def _dependence(stack: NDArray) -> tuple[float, int]:
    """Over how many frames each seems to be a running mean, and how far apart noise is independent.

    In a still scene with noise of variance ``v``, independent from frame to frame, one difference
    ``d`` of neighbouring frames has the covariance ``-v`` with the next one, and ``v`` is half the
    mean of their squares. Whatever frames share makes the former smaller: nothing is left of it in
    running means over any number of frames, and ``a`` in a recursive mean with the weight ``a`` of
    the newest frame. Then the variance of differences grows with their lag, up to that of
    independent frames. Two frames have no second difference; their noise is compared with that of
    the calmest places of each.

    Returns
    -------
    averaged : float
        1 where the noise is independent.
    step : int
        Lag from which it is; 0 if none.
    """
    centre = stack[len(stack) // 2]
    lights = [match(centre, frame) for frame in stack]
    pairs = zip(stack, lights, strict=True)
    x = np.stack([_high_pass(frame * light.gain + light.offset) for frame, light in pairs])
    if len(x) < 3:
        share = _calm_share(x) if len(x) == 2 else 1.0
        return (1.0, 1) if share > SHARED_OF_TWO else (1 / max(share, 0.01), 0)
    d = np.diff(x, axis=0)
    if len(d) >= STEADY:  # what drifts steadily, too little to be seen, is no noise
        d = d - d.mean(axis=0)
    limit = 5 * d.std(axis=(1, 2), keepdims=True)
    d = np.clip(d, -limit, limit)
    products = -(d[:-1] * d[1:])
    power = float(np.mean(d[:-1] ** 2 + d[1:] ** 2)) / 4
    # The high-pass makes neighbours alike: about one pixel in three counts.
    error = float(products.std()) * sqrt(3 / products.size)
    if power <= 0 or float(products.mean()) + CERTAIN * error > SHARED * power:
        return 1.0, 1
    # The largest lags have too few frames.
    lags = range(1, max(len(x) * 3 // 4, 3))
    growth = np.array([np.mean((x[lag:] - x[:-lag]) ** 2) for lag in lags])
    most = float(growth.max())
    step = 1 + int(np.argmax(growth > 0.93 * most))
    return max(most / float(growth[0]), 1.5), step if step < lags[-1] else 0


def _high_pass(frame: NDArray) -> NDArray[np.float64]:
    """Diagonal details, which hold the noise and little of the scene."""
    rows = np.diff(np.asarray(frame, np.float64), axis=0)
    return np.asarray(np.diff(rows, axis=1) / 2)


def _calm_share(x: NDArray[np.float64]) -> float:
    """Variance of the difference of two frames over that of both in their calmest places."""
    shown, own = ((block_means(v**2, BLOCK)).ravel() for v in (x[1] - x[0], x))
    own = own.reshape(2, -1).sum(axis=0)
    calm = calmest(own, 0.25, 4)
    return float(shown[calm].sum() / max(own[calm].sum(), 1e-300))
