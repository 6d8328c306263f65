"""Which values and which types of numbers can be the pixels of an image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from unnoise.errors import InputError, first_line, kind_of

MOST_BYTES = 2**60
"""An exabyte; NumPy makes no arrays of 2^63 bytes, not even those that are one number repeated."""


def as_pixels(value: Any, name: str) -> Any:
    """What has pixels of numbers, as it is or as a NumPy array; InputError for all else."""
    if isinstance(getattr(value, "dtype", None), np.dtype) and len(getattr(value, "shape", ())):
        data = value
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
