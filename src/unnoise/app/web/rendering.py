"""From pixels to 8-bit colours: limits, colours of channels, differences and spreads.

Nothing here knows files or the web. The brightness is linear between two limits, without gamma, so
that equal differences of the pixels look equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unnoise.app.pyramid import PROBES, middles
from unnoise.images.acquisition import rgb
from unnoise.images.image import Image
from unnoise.report import colour

PERCENT = 0.1, 99.9
"""What is black and white at first: all but one pixel in a thousand at either end."""
WINDOWS, WINDOW = PROBES, 64
"""Windows along Y and X that tell the limits, and their pixels: 262,144 of each channel."""
SAMPLED = 2**22
"""Pixels of all channels that a sample has: windows of more than 16 channels are smaller."""
PLANES = 4
"""Planes over which they are spread, as formats without tiles decode whole planes."""
DEFAULTS = {
    1: ("FFFFFF",),
    2: ("00FF00", "FF00FF"),
    3: ("00D0FF", "FF00FF", "FFE000"),
}
"""Colours of channels without their own: pairs that people who do not see red or green can tell."""
MORE = (*DEFAULTS[3], "FFFFFF", "FF8000", "4060FF", "00FF60")


@dataclass(frozen=True)
class Shown:
    """A channel that is shown.

    Attributes
    ----------
    channel : int
        Index along C.
    low, high : float
        Values that become black and the full colour.
    color : str
        ``RRGGBB``.
    """

    channel: int
    low: float
    high: float
    color: str = "FFFFFF"


def colors(image: Image) -> tuple[str, ...]:
    """The colour of each channel, ``RRGGBB``: its own where it is known.

    Examples
    --------
    >>> colors(Image.from_array(np.zeros((2, 8, 8)), axes="CYX"))
    ('00FF00', 'FF00FF')
    """
    count = image.sizes["C"]
    if image.is_rgb:
        return ("FF0000", "00FF00", "0000FF", "FFFFFF")[:count]
    own = image.acquisition.colors
    shown = measured(image)
    ours = DEFAULTS.get(len(shown), MORE)
    if len(shown) == 1:  # grey: a colour tells channels apart, and costs brightness
        found = {}
    elif len(own) == count and any(own):
        found = {c: own[c] for c in shown}
    else:
        found = {c: ours[i % len(ours)] for i, c in enumerate(shown)}
    return tuple(found.get(c) or "FFFFFF" for c in range(count))


def measured(image: Image) -> tuple[int, ...]:
    """The channels that are no transparency."""
    return tuple(c for c in range(image.sizes["C"]) if c != image.alpha)


def sample(image: Image) -> list[NDArray]:
    """Some finite pixels of each channel, from places all over the image.

    At most `WINDOWS` x `WINDOWS` windows are read, so it takes as long for 1 GB as for 100 GB, and
    at most `SAMPLED` pixels of all channels together.
    """
    pixels = _windows(image)
    return [p[np.isfinite(p)] if p.dtype.kind == "f" else p for p in pixels]


def _windows(image: Image) -> NDArray:
    """The pixels of windows all over an image, (channel, pixel)."""
    n = image.sizes
    planes = [{k: (2 * i + 1) * n[k] // (2 * PLANES) for k in "STZ"} for i in range(PLANES)]
    share = SAMPLED / (n["C"] * (WINDOWS * WINDOW) ** 2)
    side = max(int(WINDOW * min(share, 1) ** 0.5), 1)
    rows, columns = (middles(n[k], WINDOWS, side) for k in "YX")
    parts = []
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            where = {"Y": slice(y, y + side), "X": slice(x, x + side)}
            block = image.original({**planes[(i + j) % PLANES], **where})
            parts.append(block[0, 0].reshape(n["C"], -1))
    return np.concatenate(parts, axis=1)


def limits(
    pixels: Sequence[NDArray], percent: tuple[float, float] = PERCENT, *, joint: bool = False
) -> list[tuple[float, float]]:
    """The percentiles of each channel, as what becomes black and white.

    Parameters
    ----------
    pixels : sequence of ndarray
        As `sample` gives them.
    percent : tuple of float
    joint : bool
        One pair for all channels, so that colours of a photograph stay.

    Examples
    --------
    >>> limits([np.arange(1001.0), np.zeros(5)], (0, 100))
    [(0.0, 1000.0), (-0.5, 0.5)]
    """
    if joint and len(pixels) > 1:
        return limits([np.concatenate(pixels)], percent) * len(pixels)
    found = []
    for some in pixels:
        if some.dtype.kind == "b":
            found.append((0.0, 1.0))
            continue
        low, high = map(float, np.percentile(some, percent)) if some.size else (0.0, 0.0)
        if not high > low and some.size:  # a few bright points on a flat background
            low, high = float(some.min()), float(some.max())
        if not high > low:
            half = max(0.5, abs(low) * 1e-6)
            low, high = low - half, low + half
        found.append((low, high))
    return found


def shown(image: Image, pixels: Sequence[NDArray] | None = None) -> list[Shown]:
    """How all channels are shown at first; transparency is not.

    Photographs of 8 bit are shown as they are.
    """
    if image.is_rgb and image.dtype == np.uint8:
        found = [(0.0, 255.0)] * image.sizes["C"]
    else:
        found = limits(sample(image) if pixels is None else pixels, joint=image.is_rgb)
    both = zip(found, colors(image), strict=True)
    return [Shown(c, *pair, color) for c, (pair, color) in enumerate(both) if c != image.alpha]


def difference_limit(noisy: Image, clean: Image) -> float:
    """The difference that gets the full colour: all but one in 200 stay below.

    Parameters
    ----------
    noisy, clean : Image
        Of the same sizes.
    """
    some = list(measured(noisy))
    with np.errstate(invalid="ignore"):
        found = (_windows(noisy).astype(np.float64) - _windows(clean))[some].mean(axis=0)
    return colour.signed_scale(found[None]).high


def amount_limit(image: Image) -> float:
    """The standard deviation that gets the brightest colour: all but one in 500 stay below."""
    some = _windows(image)[list(measured(image))].astype(np.float64)
    high = colour.positive_scale(some, "amount").high
    return high if high > 0 else 1.0


def composite(block: NDArray, channels: Sequence[Shown]) -> NDArray[np.uint8]:
    """The sum of channels in their colours, (y, x, 3); or (y, x) where all of them are grey.

    Parameters
    ----------
    block : ndarray, (channel, y, x)
        One plane for each of `channels`. NaN is shown as black.
    channels : sequence of Shown

    Examples
    --------
    >>> composite(np.array([[[10, 15, 20]]]), [Shown(0, 10, 20, "FF8000")]).tolist()
    [[[0, 0, 0], [128, 64, 0], [255, 128, 0]]]
    """
    planes = [_brightness(plane, one) for plane, one in zip(block, channels, strict=True)]
    if all(len(set(rgb(one.color))) == 1 for one in channels):
        grey = sum(plane * rgb(one.color)[0] for plane, one in zip(planes, channels, strict=True))
        return _bytes(np.broadcast_to(grey, block.shape[1:]))
    total = np.zeros((*block.shape[1:], 3), np.float32)
    for plane, one in zip(planes, channels, strict=True):
        for i, part in enumerate(rgb(one.color)):
            if part:
                total[..., i] += plane * part
    return _bytes(total)


def difference(noisy: NDArray, clean: NDArray, limit: float) -> NDArray[np.uint8]:
    """Noisy minus clean, (y, x, 3): blue below zero, red above, white where they are the same.

    Parameters
    ----------
    noisy, clean : ndarray, (channel, y, x)
        Their channels are averaged.
    limit : float
        The difference that has the full colour.

    Examples
    --------
    >>> difference(np.array([[[3.0, 5.0, 9.0]]]), np.full((1, 1, 3), 5.0), 4).tolist()
    [[[107, 172, 208], [247, 246, 246], [103, 0, 31]]]
    """
    with np.errstate(invalid="ignore"):  # infinite minus infinite
        values = (noisy.astype(np.float64) - clean).mean(axis=0)
    return _coloured(values, colour.Scale(-limit, limit, "difference"))


def amount(values: NDArray, high: float) -> NDArray[np.uint8]:
    """An uncertainty, (y, x, 3): dark where it is 0, bright yellow from `high` on.

    Parameters
    ----------
    values : ndarray, (channel, y, x)
        Standard deviations, whose channels are averaged.
    high : float

    Examples
    --------
    >>> amount(np.array([[[0.0, 2.0]]]), 2.0).tolist()
    [[[68, 1, 84], [253, 231, 36]]]
    """
    return _coloured(values.mean(axis=0), colour.Scale(0.0, high, "amount"))


def _coloured(values: NDArray, scale: colour.Scale) -> NDArray[np.uint8]:
    return np.asarray(colour.ramp_colours(scale.ramp)[scale.levels(values)])


def _brightness(plane: NDArray, one: Shown) -> NDArray[np.float32]:
    """0 at the lower limit, 1 at the upper one."""
    # In 64 bits where the pixels are, as a large offset would leave nothing of them in 32.
    kind = np.result_type(plane, np.float32)
    above = np.subtract(plane, one.low, dtype=kind)
    position = np.asarray(above / (one.high - one.low), np.float32)
    position = np.nan_to_num(position, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    return np.clip(position, 0, 1, out=position)


def _bytes(values: NDArray) -> NDArray[np.uint8]:
    return np.asarray(np.minimum(values + 0.5, 255).astype(np.uint8))
