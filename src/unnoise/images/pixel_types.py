"""Which values and which types of numbers can be the pixels of an image, and one in another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unnoise.errors import InputError, first_line, kind_of

MOST_BYTES = 2**60
"""An exabyte; NumPy makes no arrays of 2^63 bytes, not even those that are one number repeated."""


def as_pixels(value: Any, name: str) -> Any:
    """What has pixels of numbers, as it is or as a NumPy array; InputError for all else."""
    if isinstance(getattr(value, "dtype", None), np.dtype) and len(getattr(value, "shape", ())):
        data = value
        _check_kind(value, name)
    else:
        try:
            data = np.asarray(value)
        except Exception as error:  # whatever the conversion of an unknown class raises
            raise InputError(
                f"{name} is {kind_of(value)} that is no array of numbers ({first_line(error)}); "
                f"give a NumPy array"
            ) from error
        if data.dtype.kind not in "buifc" or not data.ndim:
            raise InputError(
                f"{name} is {kind_of(value)}, not an image; give a NumPy array of numbers"
            )
    check_pixels(tuple(data.shape), np.dtype(data.dtype), name)
    return data


def _check_kind(value: Any, name: str) -> None:
    """Refuse what looks like an array and gives none, before whatever fails on it later."""
    if not all(isinstance(side, int | np.integer) for side in value.shape):
        raise InputError(
            f"{name} has sides that are not known yet (shape {tuple(value.shape)}); have them "
            f"computed, with compute_chunk_sizes of Dask, or give a NumPy array"
        )
    if hasattr(value, "todense"):
        raise InputError(f"{name} is {kind_of(value)}, which is sparse; give it as a NumPy array")
    if hasattr(type(value), "__cuda_array_interface__"):
        raise InputError(f"{name} lies on a GPU ({kind_of(value)}); give it as a NumPy array")


def pixel_type(dtype: DTypeLike) -> np.dtype:
    """A type that an image can have.

    Raises
    ------
    InputError
        For everything else.

    Examples
    --------
    >>> pixel_type("float32")
    dtype('float32')
    """
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:
        raise InputError(f"unknown dtype '{dtype}'; try uint8, uint16 or float32") from error
    if found.kind not in "buif":
        raise InputError(f"an image cannot have dtype {found}; try uint8, uint16 or float32")
    return found


def check_pixels(shape: tuple[int, ...], dtype: np.dtype, name: str) -> None:
    """Refuse what no denoiser can use: complex, object and text pixels, empty and endless arrays.

    Raises
    ------
    InputError
    """
    if dtype.kind == "c":
        raise InputError(
            f"{name} holds complex numbers ({dtype}); save its magnitude, or its real and "
            f"imaginary parts as channels, and denoise those"
        )
    if dtype.kind not in "buif":
        raise InputError(f"{name} holds {dtype} values, not numbers; convert them to float32 first")
    if 0 in shape:
        raise InputError(f"{name} is empty (shape {shape}); give an image with pixels")
    if math.prod(shape) * dtype.itemsize > MOST_BYTES:
        raise InputError(
            f"{name} tells of more pixels than any disk holds (shape {shape}); it may be damaged: "
            f"copy or export it again"
        )


def unchanged(pixels: NDArray, dtype: DTypeLike) -> NDArray:
    """Pixels in another type, bit for bit where it is their own; NaN is 0 in integers."""
    dtype = np.dtype(dtype)
    if pixels.dtype.kind == "f" and dtype.kind in "bui":
        pixels = np.nan_to_num(pixels, posinf=np.inf, neginf=-np.inf)
    return pixels if pixels.dtype == dtype else cast(pixels, dtype)


def cast(block: NDArray, dtype: DTypeLike) -> NDArray:
    """Convert floats to an image type: rounded and clipped to the range for integers.

    Examples
    --------
    >>> cast(np.array([-3.0, 1.6, 300.0]), np.uint8)
    array([  0,   2, 255], dtype=uint8)
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.asarray(block >= 0.5)
    if dtype.kind in "ui":
        info = np.iinfo(dtype)
        # The largest float64 that still fits: 2**64 - 1 rounds up to 2**64 and would wrap around.
        top = np.nextafter(float(info.max), 0) if float(info.max) > info.max else float(info.max)
        block = np.asarray(np.rint(block.astype(np.float64, copy=False)))
        np.clip(block, float(info.min), top, out=block)
    elif dtype.kind == "f" and dtype.itemsize < block.dtype.itemsize:
        top = float(np.finfo(dtype).max)  # beyond, finite values would become infinite
        block = np.where(np.isfinite(block), np.clip(block, -top, top), block)
    return np.asarray(block.astype(dtype))
