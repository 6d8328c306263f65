"""Layers as images: which of their samples are colours, and what is black and white at first."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from unnoise import Image
from unnoise.app.napari import layers
from unnoise.config.config import Config
from unnoise.training.plan import plan


@pytest.mark.parametrize(("samples", "alpha", "denoised"), [(3, None, 3), (4, 3, 3)])
def test_the_transparency_of_a_photograph_is_no_colour(
    samples: int, alpha: int | None, denoised: int
) -> None:
    """It was denoised as the colours are, of layers that are in no file."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, samples)).astype(np.uint8)
    layer = SimpleNamespace(
        data=pixels, rgb=True, multiscale=False, metadata={}, scale=(1.0, 1.0), name="a"
    )
    image = layers.image_of(layer)
    assert image.alpha == alpha
    assert plan([image], Config(method="gaussian")).channels == tuple(range(denoised))


def test_pixels_without_data_are_not_black() -> None:
    pixels = np.random.default_rng(0).normal(300, 10, (64, 64))
    known = layers.limits(Image.from_array(pixels[3:]))
    pixels[:3] = -9999
    assert layers.limits(replace(Image.from_array(pixels), nodata=-9999.0)) == known
    nothing = replace(Image.from_array(np.full((64, 64), -9999.0)), nodata=-9999.0)
    assert layers.limits(nothing) == (0, 1)


@pytest.mark.parametrize("value", [0.0, -5.0, 1e20, -1e20, 1e-20])
def test_white_is_above_black_where_all_pixels_are_alike(value: float) -> None:
    low, high = np.float32(layers.limits(Image.from_array(np.full((64, 64), value))))
    assert low == np.float32(value) < high
