"""Missing values: NaN and infinite pixels are refused, or filled on request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image, as_image
from unnoise.images.normalization import planes


def count(image: Image) -> int:
    """Number of NaN and infinite pixels; integers have none and are not read."""
    if image.dtype.kind != "f":
        return 0
    return sum(int(plane.size - np.isfinite(plane).sum()) for plane in planes(image))


def checked(image: Image, nan: str = "refuse") -> Image:
    """The image if all its pixels are finite, or with the others filled.

    Parameters
    ----------
    image : Image
        Any image.
    nan : str
        ``refuse`` or ``fill``.

    Raises
    ------
    InputError
        With the number of missing pixels if they are to be refused, or if nothing else is left.

    Examples
    --------
    >>> x = np.ones((32, 32), np.float32)
    >>> x[3, 4] = np.nan
    >>> float(checked(Image.from_array(x), nan="fill").read()[0, 0, 0, 0, 3, 4])
    1.0
    """
    if nan not in ("refuse", "fill"):
        raise InputError(f"unknown way '{nan}' to treat missing pixels; choose refuse or fill")
    missing = count(image)
    if not missing:
        return image
    total = int(np.prod(image.shape))
    if nan == "refuse":
        raise InputError(
            f"{image.name} has {missing:,} NaN or infinite pixels of {total:,}; "
            f"use --nan fill (in Python unnoise.fill_missing) to interpolate them"
        )
    if missing == total:
        raise InputError(f"{image.name} has no finite pixel, so there is nothing to denoise")
    block = np.array(image.read(), order="C")  # so that reshape is a view
    for plane in block.reshape(-1, *block.shape[-2:]):
        plane[...] = fill(plane)
    for c in range(block.shape[2]):  # planes without a single finite pixel
        channel = block[:, :, c]
        finite = np.isfinite(channel)
        channel[~finite] = channel[finite].mean() if finite.any() else 0
    return image.with_data(ax.from_canonical(block, image.axes))


def fill_missing(image: Image | NDArray, *, axes: str | None = None) -> NDArray:
    """An array with its NaN and infinite pixels interpolated, plane by plane.

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
    filled = checked(as_image(image, axes), "fill")
    return np.asarray(filled.data[(slice(None),) * len(filled.shape)])


def fill(plane: NDArray) -> NDArray:
    """Interpolate the non-finite pixels of a plane (Y, X) from their surroundings.

    Normalised convolution (Knutsson and Westin, CVPR 1993) with Gaussians of growing width: every
    hole takes the weighted mean of the finite pixels around it, at the finest width that sees any;
    the middle of holes wider than about 20 pixels continues their rim.
    """
    known = np.isfinite(plane)
    if known.all() or not known.any():
        return plane
    result = np.where(known, plane, 0).astype(np.float64)
    values, todo = result.copy(), ~known
    sigma = 1.0
    while todo.any() and sigma <= 8:
        weight = ndimage.gaussian_filter(known.astype(np.float64), sigma, mode="constant")
        mean = ndimage.gaussian_filter(values, sigma, mode="constant") / np.maximum(weight, 1e-300)
        ready = todo & (weight > 1e-3)
        result[ready] = mean[ready]
        todo &= ~ready
        sigma *= 2
    if todo.any():  # holes too wide for that take their nearest finite or filled pixel
        nearest = ndimage.distance_transform_edt(todo, return_distances=False, return_indices=True)
        result = result[tuple(nearest)]
    return result.astype(plane.dtype)
