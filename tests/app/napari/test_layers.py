"""Layers as images: which of their samples are colours."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

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
