"""Laws of what the noise of neighbouring frames has in common."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from synthetic import averaged
from unnoise.noise.noise_models import PoissonGauss
from unnoise.training.frame_noise import shared, skewness

SHAPE = (5, 1, 64, 64)


def even(signal: NDArray) -> NDArray:
    return np.ones(signal.shape)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
def test_the_share_that_was_given_is_found(share: float) -> None:
    rng = np.random.default_rng(0)
    own, common = rng.normal(size=SHAPE), rng.normal(size=SHAPE[1:])
    tile = (1 - share) ** 0.5 * own + share**0.5 * common
    assert shared([tile], [even]) == pytest.approx(share, abs=0.05)


def test_a_scene_that_changes_in_places_shares_no_less() -> None:
    tile = averaged(SHAPE, 2, 0)
    expected = shared([tile], [even])
    tile[2:, :, :20, :20] += 9
    assert expected > 0.4
    assert shared([tile], [even]) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("photons", [0.05, 0.5, 1.0, 20.0])
def test_photons_however_few_share_nothing(photons: float) -> None:
    camera = PoissonGauss(gain=2.0, offset=10.0, read_variance=0.0)
    rng = np.random.default_rng(0)
    tiles = [10 + 2.0 * rng.poisson(photons, SHAPE) for _ in range(3)]
    assert shared(tiles, [camera.variance]) < 0.1
    assert shared([tile[:1].repeat(5, 0) for tile in tiles], [camera.variance]) == 1.0


def test_pixels_that_are_no_measurement_and_padding_do_not_count() -> None:
    tile = np.random.default_rng(0).poisson(0.3, SHAPE).astype(float)
    tile[1, :, 3:9, 5:12] = np.nan
    tile[:, :, 32:] = 0
    assert shared([tile], [lambda signal: signal]) < 0.1


@pytest.mark.parametrize("shape", [2.0, 8.0])
def test_the_skewness_is_that_of_the_distribution(shape: float) -> None:
    noise = np.random.default_rng(0).gamma(shape, size=(9, 1, 128, 128))
    ramp = np.linspace(0, 50, 9)[:, None, None, None]
    expected = float(stats.gamma(shape).stats("s"))
    assert skewness([noise + ramp]) == pytest.approx(expected, rel=0.2)
    assert skewness([noise[:2]]) == 0
