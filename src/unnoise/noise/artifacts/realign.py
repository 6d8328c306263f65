"""Odd rows moved back onto even ones, where a scan in both directions has shifted them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.images import axes as ax
from unnoise.images.image import Image, as_image, cast
from unnoise.images.robust_sigma import noise_sigma
from unnoise.noise.artifacts.scan import ScanShift, scan_shift
from unnoise.noise.planes import sampled

MOST_CHANNELS = 4
"""Channels that are looked at: all are scanned at once."""
FEW = 2.0
"""Noise in grey levels below which integers are moved by whole pixels."""
NEAR = 0.1
"""Shifts so near to a whole number are taken for it: interpolation would cost more."""
RADIUS, KAISER = 12, 4.0
"""Pixels to either side, and the shape of the window, of the interpolation of a row."""


def measured(image: Image) -> ScanShift:
    """The shift of odd rows in the channel that shows it best."""
    channels = [c for c in range(image.sizes["C"]) if c != image.alpha][:MOST_CHANNELS]
    found = [scan_shift(sampled(image, c).filled) for c in channels]
    return max(found, key=lambda one: (one.found, one.significance))


def realigned(image: Image) -> Image:
    """The image with odd rows moved back, if they are shifted, and a note for people.

    Reads the whole image.
    """
    found = measured(image)
    text = "no shift of odd rows against even ones was found, so none was undone"
    if found.found:
        text = f"odd rows, shifted by {found.shift:+.2f} pixels against even ones, were moved back"
    note = "; ".join([*filter(None, [image.metadata.get("note")]), text])
    image = replace(image, metadata={**image.metadata, "note": note})
    if not found.found:
        return image
    block = np.array(image.read(), order="C")
    colours = [c for c in range(block.shape[2]) if c != image.alpha]
    whole = block.dtype.kind in "bui" and noise_sigma(block[0, 0, colours[0], 0]) < FEW
    for s, t, c, z in np.ndindex(*block.shape[:4]):
        if c in colours:
            plane = block[s, t, c, z]
            plane[...] = cast(
                straightened(plane, found.shift, whole=whole, nodata=image.nodata), block.dtype
            )
    return image.with_data(ax.from_canonical(block, image.axes))


def fix_scan(image: Image | NDArray, *, axes: str | None = None) -> NDArray:
    """An array whose odd rows are moved back onto even ones, where they are shifted.

    Such a shift comes from scanning in both directions (confocal and two-photon microscopes). It
    is measured (`unnoise.inspect` names it), one for all planes; nothing is moved where none is
    found. Shifts that are no whole numbers are interpolated by a windowed sinc, which leaves the
    noise nearly as it is; where integers count single photons the next whole number is taken.

    Parameters
    ----------
    image : Image or ndarray
        Any image.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.

    Returns
    -------
    ndarray
        Pixels of the same shape, axes and dtype.

    Examples
    --------
    >>> import unnoise
    >>> from scipy import ndimage
    >>> scene = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 9, (128, 128)), 2)
    >>> scanned = scene.copy()
    >>> scanned[1::2] = np.roll(scene[1::2], 3, axis=1)
    >>> bool(np.allclose(unnoise.fix_scan(scanned)[:, 3:-3], scene[:, 3:-3]))
    True
    """
    opened = realigned(as_image(image, axes))
    return np.asarray(opened.data[(slice(None),) * len(opened.shape)])


def straightened(
    plane: NDArray, shift: float, *, whole: bool = False, nodata: float | None = None
) -> NDArray:
    """A plane (y, x) with its odd rows moved to the left by so many pixels.

    What was not scanned of them at one end is the mean of the rows above and below. Beside pixels
    that are NaN or `nodata` rows are moved by whole pixels.
    """
    gone = np.zeros(plane.shape, np.bool_) if nodata is None else plane == nodata
    plane = np.where(gone, np.nan, plane) if gone.any() else plane
    result = plane.astype(np.float64)
    result[1::2] = moved(plane[1::2], shift, whole=whole)
    far = int(np.ceil(abs(shift) - NEAR))
    end = slice(plane.shape[1] - far, None) if shift > 0 else slice(0, far)
    above = result[:-1:2, end]
    below = np.concatenate([result[2::2, end], above[-1:]])[: len(above)]
    result[1::2, end] = (above + below) / 2
    return result if nodata is None else np.where(np.isnan(result) & gone.any(), nodata, result)


def moved(rows: NDArray, shift: float, *, whole: bool = False) -> NDArray:
    """Rows (n, x) moved to the left by so many pixels; mirrored at their ends."""
    step = round(shift)
    reach = RADIUS + abs(step)
    wide = np.pad(rows, [(0, 0), (reach, reach)], "reflect" if reach < rows.shape[1] else "edge")
    start = reach + step
    exact = wide[:, start : start + rows.shape[1]]
    part = shift - step
    if whole or abs(part) < NEAR:
        return exact
    # A sinc in a Kaiser window: of white noise it keeps 0.95 of the variance or more, and it
    # makes neighbours alike by 0.06 at most; splines of order 5 keep 0.83 and make 0.18.
    at = np.arange(-RADIUS, RADIUS + 1)
    inside = np.sqrt(np.clip(1 - ((at - part) / (RADIUS + 1)) ** 2, 0, 1))
    kernel = np.sinc(at - part) * np.i0(KAISER * inside)
    near = wide[:, start - RADIUS : start + rows.shape[1] + RADIUS].astype(np.float64)
    result = ndimage.correlate1d(near, kernel / kernel.sum(), axis=1)[:, RADIUS:-RADIUS]
    # What is missing would be missing in all that is near.
    return np.where(np.isfinite(result) | ~np.isfinite(exact), result, exact)
