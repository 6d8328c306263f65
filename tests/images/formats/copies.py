"""What tests of TIFF files share: pixels, copies, and what a copy must have kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.errors import AxesError
from unnoise.images import formats
from unnoise.images.image import Image


def pixels_of(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


def copy(image: Image, path: Path) -> Image:
    """Write an image plane by plane along its first axis, and open the result."""
    with formats.create(path, like=image, overwrite=True) as out:
        for i in range(image.shape[0]):
            out.write({image.axes[0]: i}, image.read({image.axes[0]: i}))
    return formats.open(path, labels=True)


def same(image: Image, other: Image) -> None:
    """Assert that nothing was lost."""
    assert (other.axes, other.shape, other.dtype) == (image.axes, image.shape, image.dtype)
    assert (other.is_rgb, other.alpha) == (image.is_rgb, image.alpha)
    assert dict(other.scale) == pytest.approx(dict(image.scale), rel=1e-6)
    assert dict(other.units) == dict(image.units)
    assert other.channel_names == image.channel_names
    np.testing.assert_array_equal(other.data[...], image.data[...])


def open_guessing(path: Path) -> Image:
    """Open a file, following the first suggestion of the error where its axes are ambiguous."""
    try:
        return formats.open(path, labels=True)
    except AxesError as error:
        axes = str(error).split("--axes ")[1].split()[0]
        return formats.open(path, axes=axes, labels=True)
