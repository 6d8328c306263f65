"""Faults of scanning line by line: odd rows shifted against even ones, rows written twice.

A laser that scans to the right in even rows and back in odd ones leaves edges like combs when the
two ways are not aligned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unnoise.noise.planes import centred

WIDTH = 64
"""Pixels of a row that are transformed at once: the texture may lean differently elsewhere."""
BAND = 2
"""Rows that count as one independent place."""
FARTHEST = 12.0
"""Largest shift that is looked for, in pixels; a fifth of narrower pieces."""
LEAN = 3.0
"""Shift of rows against the next, on average, that a picture with shifted odd rows may have."""
GRID = 16
"""Shifts are tried in steps of one over this."""
HIGHEST = 0.4
"""Frequencies above, in cycles per pixel, are left out: mosaics of colours live there."""
LEAST, CERTAIN = 0.15, 5.0
"""Smallest shift in pixels, and standard errors, from which one is named."""
AGREEING = 0.5
"""Planes may differ by so many pixels ..."""
MOST = 0.7
"""... in at least this share of those that say anything."""
FEWEST, MOST_PIXELS = 4, 2**20
"""Planes that are looked at, or as many as have so many pixels."""


@dataclass(frozen=True)
class ScanShift:
    """How far odd rows lie to the right of even ones, in pixels; negative to the left.

    ``significance`` is in standard errors.
    """

    shift: float
    significance: float
    found: bool

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        return (
            f"Odd rows are shifted by {self.shift:+.2f} pixels against even ones, as when a laser "
            "scans in both directions: denoising would keep or blur the combs at edges; "
            "--fix-scan (in Python unnoise.fix_scan) moves the rows back first."
        )


@dataclass(frozen=True)
class CopiedLines:
    """Whether every second line copies the one before: ``rows``, ``columns`` or ``none``."""

    direction: str

    @property
    def found(self) -> bool:
        """Whether lines are copies."""
        return self.direction != "none"

    def line(self) -> str:
        """One sentence for the user, where something was found."""
        return (
            f"Every second {self.direction[:-1]} is a copy of the one before: it tells nothing, "
            "and neighbours share their noise; denoise the picture without it."
        )


def scan_shift(planes: ArrayLike) -> ScanShift:
    """How far odd rows are shifted against even ones.

    The cross-correlation of every row with the next one peaks where the picture leans, and, if odd
    rows are shifted by ``s``, at ``+s`` and ``-s`` of this in turns. Correlations are weighted by
    frequency for the least error (Knapp and Carter, IEEE Trans. ASSP 24, 1976). Noise of rows is
    independent and has no part in it. Errors come from the spread over bands of rows, and planes
    must agree.

    Parameters
    ----------
    planes : (n, y, x) or (y, x)
        Planes of at least 32 x 32 pixels; smaller ones show nothing.

    Examples
    --------
    >>> from scipy import ndimage
    >>> scene = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 9, (128, 128)), 2)
    >>> scanned = scene.copy()
    >>> scanned[1::2] = np.roll(scene[1::2], 3, axis=1)
    >>> scan_shift(scene).found, scan_shift(scanned).found, round(scan_shift(scanned).shift)
    (False, True, 3)
    """
    stack = np.asarray(planes)
    stack = stack if stack.ndim == 3 else stack[None]
    nothing = ScanShift(0.0, 0.0, False)
    if min(stack.shape[1:]) < 32 or copied_lines(stack[len(stack) // 2]).direction == "rows":
        return nothing
    wanted = max(FEWEST, MOST_PIXELS // stack[0].size)
    if len(stack) > wanted:
        stack = stack[np.linspace(0, len(stack) - 1, wanted).astype(int)]
    x = np.stack([centred(plane) for plane in stack])
    first = _measured(x)
    if first is None or abs(first[0]) < LEAST or first[1] < CERTAIN:
        return nothing if first is None else ScanShift(first[0], first[1], False)
    # Rows in a window share less of the picture the larger the shift: measure once more what is
    # left of it.
    whole = round(first[0])
    if whole:
        x[:, 1::2] = np.roll(x[:, 1::2], -whole, axis=2)
    rest = _measured(x) if whole else None
    shift = whole + rest[0] if rest and abs(rest[0]) < 1 else first[0]
    return ScanShift(shift, first[1], first[2] and abs(shift) >= LEAST)


def _measured(x: NDArray[np.float64]) -> tuple[float, float, bool] | None:
    """The shift, its significance, and whether planes agree; None where there is nothing."""
    spectra = [_spectra(plane) for plane in x]
    products = np.concatenate([p for p, _ in spectra])  # (places, parity, frequency)
    power = np.mean([own for _, own in spectra], axis=0)
    width = min(WIDTH, x.shape[2])
    f = np.fft.rfftfreq(width)
    used = (f >= 2 / width) & (f <= HIGHEST)
    if not (power[used] > 0).all():
        return None
    weighted = np.asarray(products[..., used] * _weights(products[..., used], power[used]), complex)
    s = np.arange(-round(GRID * _farthest(width)), round(GRID * _farthest(width)) + 1) / GRID
    wave = np.exp(2j * np.pi * np.outer(f[used], s))
    strength = np.abs(weighted).sum(axis=(1, 2))
    shift, gain = _best(weighted, wave, s)
    # Places with little structure say little: theirs counts as it is, or by the root of its size.
    t = max(_certainty(gain), _certainty(gain / np.sqrt(np.maximum(strength, 1e-300))))
    return shift, t, _planes_agree(weighted, wave, s, planes=len(x), shift=shift)


def _farthest(width: int) -> float:
    """The largest shift that is looked for."""
    return min(FARTHEST, width / 5)


def _spectra(x: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Products of the spectra of neighbouring rows, summed over places by parity, and the power."""
    width = min(WIDTH, x.shape[1])
    pieces = x.shape[1] // width
    rows = x[:, : pieces * width].reshape(len(x), pieces, width)
    rows = rows - rows.mean(axis=2, keepdims=True)
    spectrum = np.fft.rfft(rows * np.hanning(width), axis=2)
    product = np.conj(spectrum[:-1]) * spectrum[1:]
    bands = max(len(product) // BAND, 1)
    side = min(BAND, len(product)) // 2 * 2
    product = product[: bands * side].reshape(bands, side // 2, 2, pieces, -1).sum(axis=1)
    places = product.transpose(0, 2, 1, 3).reshape(bands * pieces, 2, -1)
    return places, np.mean(np.abs(spectrum) ** 2, axis=(0, 1))


def _weights(products: NDArray[np.complex128], power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of frequencies by their coherence (Hannan and Thomson, 1973)."""
    pairs = BAND // 2 * len(products)
    coherence = np.abs(products.sum(axis=0)).mean(axis=0) / (pairs * power)
    coherence = np.clip(coherence, 0, 0.95)
    return np.asarray(coherence / (1 - coherence**2) / power)


def _best(
    weighted: NDArray[np.complex128], wave: NDArray[np.complex128], s: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """The shift, and by place how much speaks for it: shape (2, places).

    How much more alike rows are with it than without; and the slope without it, which says more of
    shifts below a pixel, where the former is small.
    """
    first, second = np.real(weighted.sum(axis=0) @ wave)
    plain = int(np.clip(np.argmax(first + second), 1, len(s) - 2))  # all rows lean alike
    lean = np.abs(s[:, None] + s[None, :]) / 2
    both = np.where(lean <= LEAN, first[:, None] + second[None, :], -np.inf)
    i, j = divmod(int(np.argmax(both)), len(s))
    shift = (_summit(first, i, s) - _summit(second, j, s)) / 2
    # Of every place only what is needed: all shifts of all places would take seconds.
    a, b = (
        np.real(weighted[:, k] @ wave[:, np.array([at, plain, plain - 1, plain + 1])]).T
        for k, at in enumerate((i, j))
    )
    slope = (a[3] - a[2]) - (b[3] - b[2])
    return shift, np.stack([a[0] + b[0] - a[1] - b[1], np.sign(shift) * slope * (abs(shift) < 1)])


def _summit(curve: NDArray[np.float64], i: int, s: NDArray[np.float64]) -> float:
    """Where a parabola through the highest point and its neighbours peaks."""
    if not 0 < i < len(s) - 1:
        return float(s[i])
    low, top, high = curve[i - 1 : i + 2]
    bend = low - 2 * top + high
    return float(s[i]) + (float((low - high) / (2 * bend)) / GRID if bend < 0 else 0.0)


def _certainty(evidence: NDArray[np.float64]) -> float:
    """The larger of two sums over places, over their standard errors, were they zero on average."""
    return float(
        np.max(evidence.sum(axis=1) / np.maximum(np.sqrt((evidence**2).sum(axis=1)), 1e-300))
    )


def _planes_agree(
    weighted: NDArray[np.complex128],
    wave: NDArray[np.complex128],
    s: NDArray[np.float64],
    *,
    planes: int,
    shift: float,
) -> bool:
    """Whether most planes that say anything show the same shift."""
    votes = []
    for own in np.split(weighted, planes):
        single, gain = _best(own, wave, s)
        if _certainty(gain) > 3:
            votes.append(abs(single - shift) <= AGREEING)
    return not votes or float(np.mean(votes)) >= MOST


def copied_lines(plane: ArrayLike) -> CopiedLines:
    """Whether every second row or column repeats the one before.

    Examples
    --------
    >>> y = np.random.default_rng(0).normal(size=(64, 64))
    >>> copied_lines(y).direction, copied_lines(y.repeat(2, axis=0)).direction
    ('none', 'rows')
    """
    x = np.asarray(plane)
    for direction, lines in (("rows", x), ("columns", x.T)):
        if min(lines.shape) < 32:
            continue
        alive = (lines[:-1] != lines[:-1, :1]).any(axis=1)  # constant lines are no copies
        same = (lines[1:] == lines[:-1]).all(axis=1)
        for phase in (0, 1):
            if alive[phase::2].sum() >= 8 and same[phase::2][alive[phase::2]].mean() > 0.95:
                return CopiedLines(direction)
    return CopiedLines("none")
