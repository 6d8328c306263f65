"""The noise of calm places, against noise of known strength."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import smooth
from unnoise.quality.calm_noise import calm_variance


@pytest.mark.parametrize("seed", range(3))
def test_white_noise_on_a_smooth_scene(seed: int) -> None:
    scene = smooth((160, 160), 8, seed, mean=100, sd=20)
    noise = np.random.default_rng(seed).normal(0, 5, scene.shape)
    assert 20 < calm_variance(scene + noise).mean() < 27


@pytest.mark.parametrize("looks", [1, 4])
def test_multiplicative_noise_at_every_intensity(looks: int) -> None:
    scene = smooth((192, 192), 12, 0, mean=100, sd=25)
    noisy = scene * np.random.default_rng(1).gamma(looks, 1 / looks, scene.shape)
    found, truth = calm_variance(noisy), scene**2 / looks
    for part in (scene < np.quantile(scene, 0.3), scene > np.quantile(scene, 0.7)):
        assert found[part].mean() == pytest.approx(truth[part].mean(), rel=0.25)


def test_texture_only_adds() -> None:
    rng = np.random.default_rng(0)
    texture = 30 * rng.normal(size=(96, 96)).repeat(2, 0).repeat(2, 1)
    assert (calm_variance(texture + rng.normal(0, 5, texture.shape)) > 20).all()


def test_stacks_and_tiny_planes() -> None:
    rng = np.random.default_rng(0)
    assert calm_variance(rng.normal(size=(8, 64, 64))).mean() == pytest.approx(1, rel=0.1)
    assert calm_variance(rng.normal(size=(8, 8))).shape == (8, 8)
    assert (calm_variance(np.full((16, 16), 7.0)) == 0).all()
