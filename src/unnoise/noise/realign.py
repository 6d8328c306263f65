"""Odd rows moved back onto even ones, where a scan in both directions has shifted them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.images import axes as ax
from unnoise.images.image import Image, as_part, masked_as
from unnoise.images.pixel_types import cast
from unnoise.images.robust_sigma import noise_sigma
from unnoise.noise.artifacts.scan import ScanShift, scan_shift
from unnoise.noise.excluded_pixels import with_mask
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

    Reads the whole image. Pixels that are known to be no measurement move with their rows as they
    are, by whole pixels; the image is to be searched again.
    """
    found = measured(image)
    text = "no shift of odd rows against even ones was found, so none was undone"
    if found.found:
        text = f"odd rows, shifted by {found.shift:+.2f} pixels against even ones, were moved back"
    note = "; ".join([*filter(None, [image.metadata.get("note")]), text])
    image = replace(image, metadata={**image.metadata, "note": note})
    if not found.found:
        return image
    block = np.array(image.original(), order="C")
    colours = [c for c in range(block.shape[2]) if c != image.alpha]
    whole = image.dtype.kind in "bui" and noise_sigma(_plane(image, 0, 0, colours[0], 0)) < FEW
    for key in np.ndindex(*block.shape[:4]):
        if key[2] in colours:
            moved_back = cast(
                straightened(_plane(image, *key), found.shift, whole=whole), image.dtype
            )
            excluded = image.excluded(dict(zip("STCZ", key, strict=True)))
            if excluded is not None:
                gone = by_pixels(excluded[0, 0, 0, 0], found.shift)
                moved_back = np.where(gone, by_pixels(block[key], found.shift), moved_back)
            block[key] = moved_back

    def marks_moved(marks: NDArray) -> NDArray:
        planes = ax.to_canonical(marks, image.axes)
        return ax.from_canonical(by_pixels(planes, found.shift), image.axes)

    return as_part(image, ax.from_canonical(block, image.axes), image.axes, marks_moved)


def _plane(image: Image, s: int, t: int, c: int, z: int) -> NDArray:
    """A plane, filled where nothing was measured, so that no invention spoils what is beside it."""
    return np.asarray(image.read({"S": s, "T": t, "C": c, "Z": z})[0, 0, 0, 0])


def fix_scan(image: Image | NDArray, *, axes: str | None = None) -> NDArray:
    """An array whose odd rows are moved back onto even ones, where they are shifted.

    Such a shift comes from scanning in both directions (confocal and two-photon microscopes). It
    is measured (`unnoise.inspect` names it), one for all planes; nothing is moved where none is
    found. Shifts that are no whole numbers are interpolated by a windowed sinc, which leaves the
    noise nearly as it is; where integers count single photons the next whole number is taken.
    Pixels that are no measurement (`unnoise.with_mask`) are not looked at, and come back as they
    are, with their rows moved by whole pixels.

    Parameters
    ----------
    image : Image or ndarray
        Any image.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.

    Returns
    -------
    ndarray
        Pixels of the same shape, axes and dtype; a masked array for a masked array, whose mask
        moves with the rows.

    Raises
    ------
    InputError
        If no pixel is a measurement.

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
    opened = realigned(with_mask(image, axes=axes))
    return masked_as(opened, np.array(opened.data[(slice(None),) * len(opened.shape)]))


def straightened(plane: NDArray, shift: float, *, whole: bool = False) -> NDArray:
    """A plane (y, x) with its odd rows moved to the left by so many pixels.

    What was not scanned of them at one end is the mean of the rows above and below. Beside pixels
    that are NaN rows are moved by whole pixels.
    """
    result = plane.astype(np.float64)
    result[1::2] = moved(plane[1::2], shift, whole=whole)
    end = _not_scanned(plane.shape[1], shift)
    above = result[:-1:2, end]
    below = np.concatenate([result[2::2, end], above[-1:]])[: len(above)]
    result[1::2, end] = (above + below) / 2
    return result


def by_pixels(planes: NDArray, shift: float) -> NDArray:
    """Planes (..., y, x) with their odd rows moved by whole pixels, and nothing computed.

    What was not scanned of them is that of the row above.
    """
    out = np.array(planes)
    rows = planes[..., 1::2, :]
    flat = moved(rows.reshape(-1, rows.shape[-1]), round(shift), whole=True)
    out[..., 1::2, :] = flat.reshape(rows.shape)
    end = _not_scanned(planes.shape[-1], shift)
    out[..., 1::2, end] = planes[..., : 2 * rows.shape[-2] : 2, end]
    return out


def _not_scanned(size: int, shift: float) -> slice:
    """The end of odd rows that a scan did not reach."""
    far = int(np.ceil(abs(shift) - NEAR))
    return slice(size - far, None) if shift > 0 else slice(0, far)


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
