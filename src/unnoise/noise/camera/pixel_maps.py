"""Cameras whose pixels differ (sCMOS): offset, gain and read noise of every pixel, and their use.

Huang and others, *Video-rate nanoscopy using sCMOS camera-specific single-molecule localization
algorithms*, Nature Methods 2013: the offset is the mean of dark frames, the read noise their
variance. Gain is told by evenly lit frames, and only from pixel to pixel: what is smooth in them is
the light. An image that is corrected by these has pixels that are alike, so methods and curves that
know one camera for all pixels fit it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.pixel_types import cast
from unnoise.images.robust_sigma import robust_sigma
from unnoise.noise.artifacts.histogram import sample
from unnoise.noise.camera.repeats import check_finite

HOT_OFFSET, HOT_VARIANCE = 6.0, 25.0
"""Robust deviations of the offset, and times the median read variance, of a hot pixel."""
DEAD = 0.25
"""Response over that of pixels nearby below which a pixel is dead: what it saw is mostly noise."""
FEWEST = 8
"""Dark frames at least: a variance of eight is known to a factor of two."""
SMOOTH = 8.0
"""Standard deviation in pixels above which evenly lit frames show the light, not the pixels."""
ALIKE = 0.3
"""Correlation of neighbouring gains from which bright frames show a scene."""


@dataclass(frozen=True, eq=False)
class PixelMaps:
    """What every pixel of a camera does.

    Attributes
    ----------
    offset, gain, read_variance : ndarray of float32, shape (y, x)
        Grey level without light; response over that of the average pixel, 1 where it is not known;
        variance without light.
    hot : ndarray of bool, shape (y, x)
        Hot and dead pixels, that are replaced by those around.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pattern = rng.normal(100, 5, (64, 64))
    >>> maps = PixelMaps.from_frames(pattern + rng.normal(0, 2, (100, 64, 64)))
    >>> bool(np.abs(maps.offset - pattern).max() < 1.5), int(maps.hot.sum())
    (True, 0)
    """

    offset: NDArray[np.float32]
    gain: NDArray[np.float32]
    read_variance: NDArray[np.float32]
    hot: NDArray[np.bool_]

    @classmethod
    def from_frames(cls, dark: NDArray, flat: NDArray | None = None) -> PixelMaps:
        """The maps of dark frames (t, y, x) and, for the gain, of evenly lit ones.

        Raises
        ------
        InputError
            If there are too few frames, they differ in size or hold NaN, or bright ones show a
            scene.
        """
        dark = _frames(dark, "the dark frames")
        offset = dark.mean(axis=0, dtype=np.float64)
        variance = dark.var(axis=0, ddof=1, dtype=np.float64)
        far, vary = hot_pixels(offset, variance, dark)
        hot = (far != 0) | vary
        gain = np.ones(offset.shape)
        if flat is not None:
            flat = _frames(flat, "the evenly lit frames")
            if flat.shape[1:] != dark.shape[1:]:
                raise InputError(
                    f"the dark frames have {dark.shape[1]}x{dark.shape[2]} pixels but the evenly "
                    f"lit ones {flat.shape[1]}x{flat.shape[2]}; record both with the same region"
                )
            gain, dead = _gain(flat, offset, hot)
            hot |= dead
        single = np.float32
        return cls(offset.astype(single), gain.astype(single), variance.astype(single), hot)

    def lines(self) -> list[str]:
        """What the maps say, for people."""
        good = ~self.hot
        noise = np.sqrt(self.read_variance[good])
        told = [
            f"offset {np.median(self.offset):.5g}, from pixel to pixel by "
            f"{float(self.offset[good].std()):.3g} grey levels; read noise "
            f"{float(np.sqrt(np.mean(noise**2))):.3g}, of the noisiest hundredth of pixels "
            f"{float(np.percentile(noise, 99)):.3g} or more; {int(self.hot.sum()):,} hot or dead "
            f"pixels"
        ]
        if (self.gain != 1).any():
            spread = float(self.gain[good].std())
            told.append(f"gain from pixel to pixel by {spread:.2%}")
        return told

    def corrected(self, image: Image) -> Image:
        """The image as a camera of equal pixels would have seen it, read when it is asked for.

        Offsets become their median and gains 1; hot pixels become the median of those around. Type
        and units stay. Read noise that is stronger in some pixels stays so, and methods take it to
        be that of the average pixel.

        Raises
        ------
        InputError
            If image and maps differ in size.
        """
        n = image.sizes
        if (n["Y"], n["X"]) != self.offset.shape:
            raise InputError(
                f"{image.name} has {n['Y']}x{n['X']} pixels in Y and X but the camera frames "
                f"{self.offset.shape[0]}x{self.offset.shape[1]}: pixels are told by their place, "
                f"so record dark frames with the region of the image"
            )
        if image.is_rgb:
            raise InputError(
                f"{image.name} is a colour image, whose pixels were interpolated; correct the "
                f"frames of a monochrome camera"
            )
        return replace(image, data=_Corrected(image, self), mask=None)


def hot_pixels(
    offset: NDArray[np.float64], variance: NDArray[np.float64], dark: NDArray
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Where the offset lies far above (1) or below (-1) that of most, and the noise is far above.

    Where the noise is small against the steps of the grey levels, a pixel's values are all alike or
    not by where its offset lies between two levels: rounding, whose variance is a twelfth of a
    squared step, says no more there than that it is no outlier.

    Parameters
    ----------
    offset, variance : ndarray, shape (..., y, x)
        Mean and variance of dark frames over time.
    dark : ndarray, shape (t, ..., y, x)
        The frames as they were recorded.
    """
    levels = np.unique(sample(dark)).astype(np.float64)
    rounding = float(np.diff(levels).min(initial=np.inf)) ** 2 / 12 if len(levels) > 1 else 0.0
    typical = float(np.median(variance))
    scatter = max(robust_sigma(offset), float(np.sqrt(variance.mean() / len(dark))))
    if typical < rounding:
        scatter, typical = max(scatter, float(np.sqrt(rounding))), rounding
    apart = offset - float(np.median(offset))
    far = np.where(np.abs(apart) > HOT_OFFSET * scatter, np.sign(apart), 0).astype(np.int8)
    return far, variance > HOT_VARIANCE * typical


class _Corrected:
    """An array of equal pixels, computed when it is asked for."""

    def __init__(self, image: Image, maps: PixelMaps) -> None:
        self._image, self._maps = image, maps
        self.shape, self.dtype = image.shape, image.dtype

    def __getitem__(self, index: Any, /) -> Any:
        axes, maps = self._image.axes, self._maps
        sides = {k: axes.index(k) for k in "YX"}
        starts, wide, inner = {}, list(index), [slice(None)] * len(axes)
        for k, axis in sides.items():
            places = range(self.shape[axis])[index[axis]]
            low, high = places.start, places[-1] + 1 if len(places) else places.start
            starts[k] = slice(max(low - 1, 0), min(high + 1, self.shape[axis]))
            wide[axis] = starts[k]
            first = low - starts[k].start
            inner[axis] = slice(first, first + high - low, places.step)
        block = np.asarray(self._image.data[tuple(wide)])
        order = [sides["Y"], sides["X"]]
        planes = np.moveaxis(block, order, (-2, -1)).astype(np.float64)
        part = (starts["Y"], starts["X"])
        offset, gain, hot = maps.offset[part], maps.gain[part], maps.hot[part]
        planes = (planes - offset) / gain + float(np.median(maps.offset))
        if hot.any():
            planes = _filled(planes, hot)
        return cast(np.moveaxis(planes, (-2, -1), order)[tuple(inner)], self.dtype)


def _filled(planes: NDArray[np.float64], hot: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Planes (..., y, x) whose hot pixels are the median of the good ones around."""
    known = np.where(hot, np.nan, planes)
    wide = np.pad(known, [(0, 0)] * (planes.ndim - 2) + [(1, 1)] * 2, constant_values=np.nan)
    rows, columns = np.nonzero(hot)
    around = np.stack([wide[..., rows + i, columns + j] for i in range(3) for j in range(3)])
    lonely = np.isnan(around).all(axis=0)
    around = np.where(lonely, np.nanmedian(known, axis=(-2, -1))[..., None], around)
    result = planes.copy()
    result[..., rows, columns] = np.nanmedian(around, axis=0)
    return result


def _frames(frames: NDArray, name: str) -> NDArray:
    frames = np.asarray(frames)
    if frames.ndim != 3 or len(frames) < FEWEST:
        raise InputError(
            f"{name} have shape {frames.shape}; give {FEWEST} or more frames, (t, y, x), as pixel "
            f"by pixel fewer say too little"
        )
    return check_finite(frames, name)


def _gain(
    flat: NDArray, offset: NDArray, hot: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Response over that of pixels nearby, shrunk by as much as it is noise, and dead pixels."""
    signal = flat.mean(axis=0, dtype=np.float64) - offset
    if float(np.median(signal)) <= 0:
        raise InputError(
            "the evenly lit frames are no brighter than the dark ones; record them with light"
        )
    noise = float(flat.var(axis=0, ddof=1, dtype=np.float64).mean()) / len(flat)
    light = _light(signal, hot)
    apart = np.where(hot, 0.0, signal / light - 1)
    beside = float((apart[:, 1:] * apart[:, :-1]).mean()) / max(float((apart**2).mean()), 1e-300)
    if beside > ALIKE:
        raise InputError(
            "the evenly lit frames show a scene or dust, not the pixels: neighbours are alike; "
            "record them out of focus, or leave them out"
        )
    dead = ~hot & (signal < DEAD * light) & (light - signal > HOT_OFFSET * np.sqrt(noise))
    if dead.any():
        hot = hot | dead
        light = _light(signal, hot)
        apart = np.where(hot, 0.0, signal / light - 1)
    error = noise / light**2
    known = max(float(apart[~hot].var()) - float(error[~hot].mean()), 0.0)
    return np.asarray(1 + apart * known / (known + error + 1e-300)), dead


def _light(signal: NDArray, hot: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The light on every pixel, by the good ones around."""
    good = (~hot).astype(np.float64)
    smooth, share = (ndimage.gaussian_filter(v, SMOOTH) for v in (signal * good, good))
    return np.asarray(np.maximum(smooth / np.maximum(share, 1e-6), 1e-12))
