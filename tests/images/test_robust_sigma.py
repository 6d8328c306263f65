"""Laws of the quick standard deviations: right for noise, and deaf to what is no noise."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.images.robust_sigma import noise_sigma, robust_sigma


@pytest.mark.parametrize("shape", [(200, 300), (3, 100, 200)])
def test_neither_scene_nor_lines_nor_outliers_count_as_noise(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, shape)
    rows, columns = rng.normal(0, 50, (shape[-2], 1)), rng.normal(0, 50, shape[-1])
    edges = 500.0 * (np.arange(shape[-1]) // 20 % 2)
    hot = 1e4 * (rng.random(shape) < 0.002)
    assert noise_sigma(noise) == pytest.approx(3, rel=0.02)
    assert noise_sigma(noise + rows + columns + edges + hot) == pytest.approx(3, rel=0.04)


def test_few_photons_are_measured_by_their_mean_square() -> None:
    photons = np.random.default_rng(0).poisson(0.02, (400, 400)).astype(np.uint16)
    assert noise_sigma(photons) == pytest.approx(0.02**0.5, rel=0.05)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_types(dtype: type) -> None:
    y = np.random.default_rng(0).normal(100, 9, (128, 128)).astype(dtype)
    assert noise_sigma(y) == pytest.approx(noise_sigma(y.astype(float)), rel=1e-6)


def test_nothing_differs() -> None:
    assert noise_sigma(np.full((8, 8), 7)) == 0
    assert noise_sigma(np.zeros((1, 9))) == 0
    assert robust_sigma(np.array([2.0, 2.0, 9.0])) == 0
