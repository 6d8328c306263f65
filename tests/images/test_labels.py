"""Masks and label images are told from noisy ones, sparse counts among them."""

from __future__ import annotations

import numpy as np
import pytest

import unnoise
from unnoise.errors import InputError
from unnoise.images.image import Image, as_image
from unnoise.images.labels import is_flat, warning

RNG = np.random.default_rng(0)


def blobs(count: int, side: int = 10) -> np.ndarray:
    """Squares with a number each on an empty ground."""
    rng = np.random.default_rng([count, side])
    plane = np.zeros((256, 256), np.uint16)
    for number in range(1, count + 1):
        y, x = rng.integers(0, 256 - side, 2)
        plane[y : y + side, x : x + side] = number
    return plane


@pytest.mark.parametrize("plane", [blobs(3), blobs(60), blobs(200, 30), blobs(9) > 0])
def test_areas_of_one_value_are_flat(plane: np.ndarray) -> None:
    plane = plane.astype(np.uint16)
    assert is_flat(plane)
    assert "looks like labels" in (warning(Image.from_array(plane)) or "")


@pytest.mark.parametrize("level", [0.01, 0.2, 1, 10, 100])
def test_counts_are_not(level: float) -> None:
    plane = RNG.poisson(level * (1 + (blobs(20) > 0)))
    assert not is_flat(plane)
    assert warning(Image.from_array(plane.astype(np.uint16))) is None


def test_constant_real_and_coloured_images_are_left_alone() -> None:
    assert not is_flat(np.zeros((40, 40), int))
    assert warning(Image.from_array(blobs(3).astype(np.float32))) is None
    assert warning(Image.from_array(np.stack([blobs(3)] * 3, axis=-1).astype(np.uint8))) is None


def test_an_array_of_booleans_is_refused() -> None:
    with pytest.raises(InputError, match="holds booleans: a mask has no noise to remove"):
        as_image(blobs(3) > 0)


def test_scripts_are_warned_too() -> None:
    cells = blobs(90)[:64, :64]
    with pytest.warns(UserWarning, match="the image: few distinct values .* looks like labels"):
        unnoise.denoise(cells, method="gaussian")
