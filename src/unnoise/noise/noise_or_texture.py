"""Noise told from texture in one channel: is it correlated, and how, and how strong is it.

A block and its half turn have a symmetric and an antisymmetric part. Under any stationary noise
the two are uncorrelated, however the noise itself is correlated; texture fills both. So blocks are
chosen by one part and measured in the other, without any bias to their noise, and what both parts
have in common over the blocks of a picture is texture. From the autocovariances of the calmest
blocks and of busier ones, and from how much both parts have in common, a small net tells which of
the two it was, and which mixture of the measured autocovariances is that of the noise. It was
trained on simulated noise over scenes that are known (`recipes/verdict.py`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, ndimage

from unnoise.noise.autocovariance import mixing, without_surface
from unnoise.noise.block_features import coarse, common, energies
from unnoise.noise.sparse_counts import at_an_end

SIDE, REACH = 16, 6
"""Side of the blocks, and the largest lag."""
NEAR = 3
"""Off the axes lags up to this are told apart; beyond, the product of the axes is taken."""
CALM, CALMER, BUSY, BUSIER = (0.0, 0.1), (0.0, 0.03), (0.1, 0.4), (0.4, 0.9)
GROUPS = (CALMER, CALM, BUSY, BUSIER)
"""Shares of the blocks, from the calmest on, whose autocovariances are compared."""
PAIRS = ((0, 3), (1, 3), (1, 2))
"""Groups of which the calm one loses what the busy one shows."""
FEWEST, ENOUGH, MOST = 16, 60, 5000
"""Blocks without which nothing is measured; that are enough to leave clipped ones out; from which
they are cut without overlap."""


@dataclass(frozen=True)
class Judgement:
    """What blocks say of the noise.

    Attributes
    ----------
    odds : float
        Logarithm of the odds that the noise is correlated with the next pixel along an axis.
    rho : ndarray, shape (13, 13)
        Autocorrelation of the noise alone, by lag in (y, x).
    signal, variance : ndarray, shape (blocks,)
        Intensity, and variance of the noise alone, of the calmest blocks.
    whole : ndarray, shape (all blocks,)
        Intensity of every block.
    """

    odds: float
    rho: NDArray[np.float64]
    signal: NDArray[np.float64]
    variance: NDArray[np.float64]
    whole: NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What the net is told, and what its answer is about.

    Attributes
    ----------
    features : ndarray
        Numbers without unit.
    candidates : ndarray, shape (7, lags)
        Autocorrelations that the answer is a mixture of, at `told`.
    signal, power : ndarray, shape (blocks,)
        Intensity and mean square of the calm blocks.
    whole : ndarray, shape (all blocks,)
        Intensity of every block.
    calm : tuple of two ndarray
        The symmetric and antisymmetric parts of these blocks are in `CALM`.
    step : int
        Pixels from block to block.
    """

    features: NDArray[np.float64]
    candidates: NDArray[np.float64]
    signal: NDArray[np.float64]
    power: NDArray[np.float64]
    whole: NDArray[np.float64]
    calm: tuple[NDArray[np.intp], NDArray[np.intp]]
    step: int


def judge(planes: NDArray, excluded: NDArray[np.bool_] | None = None) -> Judgement | None:
    """Whether the noise of a channel is correlated, how, and how strong it is.

    Parameters
    ----------
    planes, excluded : ndarray, shape (n, y, x)
        Noisy planes of at least 64x64 pixels, and which of them are no measurement.

    Returns
    -------
    Judgement or None
        None where too few blocks are not constant or clipped.

    Examples
    --------
    >>> white = np.random.default_rng(0).normal(0, 5, (1, 256, 256))
    >>> spread = ndimage.gaussian_filter(white, (0, 0.8, 0.8))
    >>> judge(white).odds < 0, judge(spread).odds > 0
    (True, True)
    >>> round(float(judge(spread).rho[6, 7]), 1)
    0.7
    """
    found = measured(planes, excluded)
    if found is None:
        return None
    odds, share, near = _answer(found)
    rho = _whole(near)
    # The surface of a block takes a part of its noise with it, more of correlated noise.
    lags, matrix = mixing(SIDE, REACH)
    kept = float(matrix[0] @ np.array([rho[REACH + y, REACH + x] for y, x in lags])) / SIDE**2
    variance = found.power * share / max(kept, 0.2)
    return Judgement(odds, rho, found.signal, variance, found.whole)


def told() -> list[tuple[int, int]]:
    """Lags of which the net is told and tells: a half plane within `NEAR`, and the axes."""
    return [
        (y, x)
        for y, x in mixing(SIDE, REACH)[0]
        if (y, x) > (0, 0) and ((y <= NEAR and abs(x) <= NEAR) or 0 in (y, x))
    ]


def measured(planes: NDArray, excluded: NDArray[np.bool_] | None = None) -> Measured | None:
    """What the net is told of a channel."""
    planes = planes.astype(np.float64)
    many = len(planes) * (planes.shape[1] // 8) * (planes.shape[2] // 8) > MOST
    step = SIDE if many else SIDE // 2
    blocks, mean, grid = _cut(planes, step)
    usable = _usable(planes, blocks, excluded, step)
    if usable.sum() < FEWEST:
        return None
    even = (blocks + blocks[:, ::-1, ::-1]) / 2
    parts = (even, blocks - even)
    energy = np.stack([energies(part) for part in parts])  # (part, kind, block)
    tiny = 1e-9 * float(energy[:, 0].sum(0).max())
    logs, both = np.log(energy + tiny), np.log(energy.sum(0) + 2 * tiny)
    around = _around(1.5 * both[0] - both[1], usable.reshape(grid), SIDE // step)
    # Texture of a part is judged by the other part and by the blocks around.
    scores = [1.5 * logs[1 - k, 0] - logs[1 - k, 1] + around for k in (0, 1)]
    groups = [[_group(score, usable, *ends) for score in scores] for ends in GROUPS]
    rho = _autocorrelations(parts, energy, groups)
    strength = np.log(
        [sum(energy[k][:, chosen[k]].mean(1) for k in (0, 1)) + 1e-300 for chosen in groups]
    )
    contrasts, cleaned = _contrasts(rho)
    half = usable & (around <= np.median(around[usable]))
    busy = np.quantile((both[0] - both[1])[usable], (0.02, 0.1, 0.3, 0.5, 0.7, 0.9))
    pixels = planes.ravel()[:: max(planes.size // 20000, 1)]
    sizes = [sum(map(len, chosen)) / 2 for chosen in groups[:2]]
    counts = np.log([usable.sum(), *sizes, len(np.unique(pixels))])
    at = [mixing(SIDE, REACH)[0].index(lag) for lag in told()]
    calm = (groups[1][0], groups[1][1])
    return Measured(
        features=np.concatenate(
            [
                rho[:, at].ravel(),
                contrasts,
                (strength[1:] - strength[0]).ravel(),
                strength[0, 1:] - strength[0, 0],
                common(logs[:, :, usable]),
                common(logs[:, :, half]),
                busy,
                counts[:1],
                [usable.mean()],
                counts[1:],
                coarse(parts, energy, groups, usable, tiny),
            ]
        ),
        candidates=np.concatenate([rho[:, at], cleaned]),
        signal=np.concatenate([mean[chosen] for chosen in calm]),
        power=np.concatenate([2 * energy[k, 0, calm[k]] for k in (0, 1)]),
        whole=mean[usable],
        calm=calm,
        step=step,
    )


def _cut(planes: NDArray, step: int) -> tuple[NDArray, NDArray, tuple[int, ...]]:
    """Blocks without their quadratic surface, their means, and how they lie."""
    views = np.stack([_windows(plane, step) for plane in planes])
    flat = views.reshape(-1, SIDE * SIDE)
    mean = flat.mean(1)
    flat = without_surface(flat - mean[:, None], SIDE)
    return flat.reshape(-1, SIDE, SIDE), mean, views.shape[:3]


def _windows(plane: NDArray, step: int) -> NDArray:
    return sliding_window_view(plane, (SIDE, SIDE))[::step, ::step]


def _usable(
    planes: NDArray, blocks: NDArray, excluded: NDArray[np.bool_] | None, step: int
) -> NDArray[np.bool_]:
    """Blocks that are not constant, not clipped, and all measurement, if there are enough."""
    power = (blocks**2).mean((1, 2))
    alive = power > 1e-6 * float(np.median(power[power > 0])) if power.any() else power > 0
    ends = at_an_end(planes)
    share = np.concatenate([_windows(p, step).mean((2, 3)).ravel() for p in ends])
    if excluded is not None:
        gone = np.concatenate([_windows(p, step).mean((2, 3)).ravel() for p in excluded])
        alive = measured if (measured := alive & (gone < 0.05)).sum() >= ENOUGH else alive
    usable = alive & (share < 0.05)
    return np.asarray(usable if usable.sum() >= ENOUGH else alive & (share < 0.98))


def _around(score: NDArray, usable: NDArray, gap: int) -> NDArray[np.float64]:
    """Mean score of the eight blocks around that share no pixel; alone, that of the block."""
    kernel = np.zeros((1, 2 * gap + 1, 2 * gap + 1))
    kernel[0, ::gap, ::gap] = 1
    kernel[0, gap, gap] = 0
    score = score.reshape(usable.shape)
    weight = ndimage.convolve(usable.astype(np.float64), kernel, mode="constant")
    total = ndimage.convolve(np.where(usable, score, 0), kernel, mode="constant")
    return np.asarray(np.where(weight > 0, total / np.maximum(weight, 1e-9), score).ravel())


def _group(score: NDArray, usable: NDArray, first: float, last: float) -> NDArray[np.intp]:
    """Blocks between two shares of a score; of few blocks twelve at least."""
    values = score[usable]
    ends = np.quantile(values, (first, max(last, min(12 / len(values), 1))))
    return np.flatnonzero(usable & (score >= ends[0]) & (score <= ends[1]))


def _autocorrelations(
    parts: tuple[NDArray, NDArray], energy: NDArray, groups: list[list[NDArray[np.intp]]]
) -> NDArray[np.float64]:
    """Autocorrelation of every group at the lags of `mixing`, each block scaled by its other part.

    Sums of lagged products of both parts are those of the blocks, since the mixed ones cancel.
    """
    lags, matrix = mixing(SIDE, REACH)
    size = fft.next_fast_len(SIDE + REACH, real=True)
    # By a power of two, which is exact: 32 bits do not hold the squares of 1e20 or 1e-25.
    unit = 2.0 ** np.round(np.log2(max(float(energy[:, 0].max()), 1e-300)) / 2)
    power = [np.abs(fft.rfft2((p / unit).astype(np.float32), (size, size))) ** 2 for p in parts]
    found = []
    for chosen in groups:
        total = sum(
            np.tensordot(1 / np.maximum(energy[1 - k, 0, at], 1e-300), power[k][at], 1) / len(at)
            for k, at in enumerate(chosen)
        )
        sums = fft.irfft2(total, (size, size))
        values = np.linalg.solve(matrix, [sums[y % size, x % size] for y, x in lags])
        found.append(values / values[0])
    return np.array(found)


def _contrasts(rho: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is left of calm groups without the texture of busy ones, for the net and to be mixed.

    As much is taken away as makes far lags vanish; or as makes all of them, as if noise were white.
    """
    lags = mixing(SIDE, REACH)[0]
    at = [lags.index(lag) for lag in told()]
    far = np.array([max(abs(y), abs(x)) >= 5 for y, x in lags])
    told_of, cleaned = [], []
    for calm, busy in ((rho[i], rho[j]) for i, j in PAIRS):
        share = np.clip(_fit(calm[far], busy[far]), 0, 0.9)
        left = calm - share * busy
        left = np.clip(left[at] / max(left[0], 0.1), -1, 1.5)
        white = np.clip(_fit(calm[1:], busy[1:]), -1, 2)
        told_of += [*left, share, white, *(calm - white * busy)[at]]
        cleaned.append(left)
    return np.array(told_of), np.array(cleaned)


def _fit(y: NDArray, x: NDArray) -> float:
    """The factor of x that is nearest to y."""
    return float(y @ x / max(x @ x, 1e-9))


@functools.cache
def _weights() -> dict[str, NDArray[np.float64]]:
    """The layers of the net, and mean and spread of its inputs."""
    path = resources.files("unnoise.noise") / "noise_or_texture.npz"
    with path.open("rb") as file, np.load(file) as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}


def _answer(found: Measured) -> tuple[float, float, NDArray[np.float64]]:
    """Log odds, share of the power of calm blocks that is noise, and correlations at `told`."""
    w = _weights()
    x = np.clip((found.features - w["mean"]) / w["spread"], -5, 5)
    for layer in ("first", "second"):  # of every member of the ensemble
        x = np.maximum(np.einsum("...oi,...i->...o", w[layer], x) + w[f"{layer}_bias"], 0)
    out = np.einsum("moi,mi->mo", w["last"], x) + w["last_bias"]
    lags = len(told())
    shift, odds, share = out[:, :lags], out[:, lags], out[:, lags + 1]
    gates = np.exp(out[:, lags + 2 :] - out[:, lags + 2 :].max(1, keepdims=True))
    rho = gates / gates.sum(1, keepdims=True) @ found.candidates + shift
    return float(odds.mean()), float(np.exp(share.mean())), rho.mean(0)


def _whole(near: NDArray) -> NDArray[np.float64]:
    """Correlation at all lags from that at `told`; far off the axes it is their product."""
    rho = np.zeros((2 * REACH + 1, 2 * REACH + 1))
    rho[REACH, REACH] = 1
    for (y, x), value in zip(told(), np.clip(near, -1, 0.99), strict=True):
        rho[REACH + y, REACH + x] = rho[REACH - y, REACH - x] = value
    known = np.zeros(rho.shape, np.bool_)
    middle = slice(REACH - NEAR, REACH + NEAR + 1)
    known[middle, middle] = known[REACH] = known[:, REACH] = True
    return np.where(known, rho, np.outer(rho[:, REACH], rho[REACH]))
