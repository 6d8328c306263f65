"""Signal or none: mere noise of any kind is none, and the faintest scene is some."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.quality.signal import has_signal

NOISE: dict[str, Callable[[Generator, tuple[int, ...]], NDArray]] = {
    "normal": lambda rng, shape: rng.normal(100, 5, shape),
    "photons": lambda rng, shape: rng.poisson(20, shape),
    "rare photons": lambda rng, shape: rng.poisson(0.05, shape),
    "speckle": lambda rng, shape: rng.exponential(1, shape),
    "hot pixels": lambda rng, shape: rng.normal(size=shape) + 50 * (rng.random(shape) < 3e-4),
}

SPOT = np.zeros((128, 128))
SPOT[40, 70] = 1


@pytest.mark.parametrize("kind", NOISE)
def test_noise_alone_is_no_signal(kind: str) -> None:
    found = [has_signal(NOISE[kind](np.random.default_rng(i), (96, 112))) for i in range(40)]
    assert sum(found) <= 1


@pytest.mark.parametrize(
    "scene",
    [
        np.linspace(0, 0.3, 128)[None, :].repeat(128, 0),  # a shade below a tenth of the noise
        np.where(np.arange(128) < 64, 0.0, 0.3)[:, None].repeat(128, 1),
        8 * 2 * np.pi * 1.44 * ndimage.gaussian_filter(SPOT, 1.2),
    ],
)
def test_faint_scenes_and_single_spots_are(scene: NDArray) -> None:
    found = [has_signal(scene + np.random.default_rng(i).normal(size=(128, 128))) for i in range(9)]
    assert all(found)


@pytest.mark.parametrize("shape", [(4, 4), (16, 16), (1, 64), (3, 32, 32)])
def test_small_and_constant_planes(shape: tuple[int, ...]) -> None:
    assert not has_signal(np.full(shape, 3.0))
    assert not has_signal(np.random.default_rng(0).normal(size=shape))
