"""Finding the pixels of an image that are no measurement: padding, nodata, NaN and outliers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image, as_image
from unnoise.images.pixel_mask import fill
from unnoise.noise.lazy_mask import LazyMask, Wanted
from unnoise.noise.mask_search import Search
from unnoise.noise.planes import BLOCK, WIDEST, run_places, spread_places

NAN = ("keep", "fill", "refuse")
ALL = 2**26
"""Images with more pixels are searched where they are read, and measures look at a part."""


def with_mask(
    image: Image | NDArray,
    mask: Image | NDArray | None = None,
    *,
    axes: str | None = None,
    nodata: float | None = None,
    nan: str = "keep",
    keep_outliers: bool = False,
) -> Image:
    """An image that knows which of its pixels are no measurement.

    They are what the mask excludes, what a masked array hides, nodata values, NaN and infinite
    pixels, regions of one constant value that noise makes improbable (padding), and outliers:
    single pixels far from all around, such as hot pixels. None of them is measured or learned
    from. In results outliers are replaced; all others come back bit for bit.

    Parameters
    ----------
    image : Image or ndarray
        Noisy image.
    mask : Image or ndarray, optional
        Nonzero where pixels are measurements, 0 where they are not or are to stay as they are (a
        time stamp, a scale bar); of the shape of the image or of its last dimensions, e.g. (Y, X).
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.
    nodata : float, optional
        A value that marks pixels without a measurement; that of the file by default.
    nan : str
        ``keep`` NaN and infinite pixels, ``fill`` them in results, or ``refuse`` such images.
    keep_outliers : bool
        Whether outliers come back as they were, instead of replaced.

    Raises
    ------
    InputError
        If the mask does not fit, or no pixel is a measurement, or some are NaN and to be refused.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(100, 5, (64, 64))
    >>> x[:, :20] = 0
    >>> image = with_mask(x)
    >>> image.mask.notes[0][:58]
    '31 % of the pixels lie in regions of constant value (0) an'
    >>> int(image.excluded().sum())
    1280
    """
    opened = as_image(image, axes)
    if nan not in NAN:
        raise InputError(f"unknown way '{nan}' to treat NaN; choose {', '.join(NAN)}")
    nothing_new = mask is None and nodata is None and nan == "keep" and not keep_outliers
    if opened.mask is not None and nothing_new:
        return opened
    given = _given(opened, mask)
    if math.prod(opened.shape) > ALL:
        value = opened.nodata if nodata is None else nodata
        wanted = Wanted(given, value, nan, keep_outliers)
        return replace(opened, mask=LazyMask(replace(opened, mask=None), wanted))
    search = Search(opened, given, nodata, nan)
    return replace(opened, mask=search.mask(keep_outliers))


def looked_at(image: Image) -> Image:
    """An image for measures that look at a part of it: of a huge one that part, which knows its
    excluded pixels; any other with all of them.

    Examples
    --------
    >>> looked_at(Image.from_array(np.zeros((9000, 9000), np.uint8))).shape
    (1448, 1448)
    """
    n = image.sizes
    if image.mask is not None or np.prod([float(size) for size in image.shape]) <= ALL:
        return with_mask(image)
    part = image.window({k: ax.middle(n[k], WIDEST, BLOCK) for k in "YX"})
    places = [*spread_places(part)]
    for axis in (k for k in "STZ" if n[k] > 1):
        places += run_places(part, axis)
    keys = {(p["S"], p["T"], c, p["Z"]) for p in places for c in range(n["C"])}
    search = Search(part, _given(part, None), None, "keep")
    return replace(part, mask=search.mask(keep_outliers=False, planes=keys))


def fill_missing(image: Image | NDArray, *, axes: str | None = None) -> NDArray:
    """An array with its NaN and infinite pixels filled from around, plane by plane.

    Parameters
    ----------
    image : Image or ndarray
        Any image.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.

    Returns
    -------
    ndarray
        Pixels of the same shape, axes and dtype; planes without any finite pixel get the mean.

    Raises
    ------
    InputError
        If no pixel is finite.

    Examples
    --------
    >>> x = np.ones((32, 32), np.float32)
    >>> x[3, 4] = np.nan
    >>> bool(np.isfinite(fill_missing(x)).all())
    True
    """
    opened = as_image(image, axes)
    block = np.array(opened.original(), order="C")  # so that reshape is a view
    known = np.isfinite(block)
    if not known.any():
        raise InputError(f"{opened.name} has no finite pixel, so there is nothing to denoise")
    for plane in block.reshape(-1, *block.shape[-2:]):
        plane[...] = fill(plane, ~np.isfinite(plane)) if np.isfinite(plane).any() else np.nan
    for c in range(block.shape[2]):
        channel = block[:, :, c]
        finite = np.isfinite(channel)
        channel[~finite] = channel[finite].mean() if finite.any() else 0
    return np.asarray(ax.from_canonical(block, opened.axes))


def _given(image: Image, mask: Image | NDArray | None) -> NDArray[np.bool_] | None:
    """Pixels that the caller or a masked array excludes, STCZYX without being copied."""
    n = image.sizes
    whole = tuple(n[k] for k in ax.CANONICAL)
    hidden = None
    if image.hidden is not None:
        hidden = ax.to_canonical(image.hidden, image.axes)
    if mask is None:
        return hidden
    if isinstance(mask, Image):
        pixels = np.asarray(mask.data[(slice(None),) * len(mask.shape)])
    else:
        pixels = np.asarray(mask)
    if pixels.dtype.kind not in "buif":
        raise InputError(
            f"a mask holds numbers or truth values, not {pixels.dtype}; give an array that is "
            f"nonzero where pixels are measurements"
        )
    if pixels.dtype.kind == "f" and np.isnan(pixels).any():
        raise InputError("the mask has pixels that are NaN; give 0 where nothing was measured")
    told = mask.axes if isinstance(mask, Image) else ""
    if pixels.ndim > 2:
        told = "".join(k for k, size in zip(told, pixels.shape, strict=False) if size > 1)
        pixels = pixels.squeeze()
    axes = _axes_of_mask(image, pixels.shape, told)
    if axes is None:
        raise InputError(
            f"the mask has shape {pixels.shape} but {image.name} has shape {image.shape} (axes "
            f"{image.axes}); give one of that shape, or of its planes ({n['Y']}, {n['X']})"
        )
    out = np.broadcast_to(ax.to_canonical(pixels == 0, axes), whole)
    return out if hidden is None else out | hidden


def _axes_of_mask(image: Image, shape: Sequence[int], told: str) -> str | None:
    """Letters of the dimensions of a mask: those that it tells if the image has them, all of the
    image, all that are longer than 1, the last ones, or Y and X.
    """
    n = image.sizes
    options = [told] if set(told) <= set(image.axes) else []
    options += [image.axes, "".join(k for k in image.axes if n[k] > 1)]
    without = [k for k in image.axes if k != "C"]
    options += ["".join(without[i:]) for i in range(len(without))]
    for option in options:
        if tuple(n[k] for k in option) == tuple(shape) and "Y" in option and "X" in option:
            return option
    return None
