"""Laws of noise that is drawn anew."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unnoise.noise.density import NoiseModel
from unnoise.noise.noise_models import EMCCD, Clipped, PoissonGauss, VarianceCurve
from unnoise.noise.simulation import simulate

CAMERAS = [
    PoissonGauss(2.0, 100.0, 9.0),
    PoissonGauss(0.0, 0.0, 4.0),
    EMCCD(10.0, 100.0, 9.0),
    VarianceCurve([100.0, 200.0], [4.0, 80.0]),
]


@pytest.mark.parametrize("noise", CAMERAS)
@pytest.mark.parametrize("signal", [103.0, 180.0])
def test_mean_and_variance_are_those_of_the_model(noise: NoiseModel, signal: float) -> None:
    y = simulate(noise, np.full(200_000, signal), np.random.default_rng(0))
    variance = float(noise.variance(signal))
    assert abs(y.mean() - signal) < 4 * np.sqrt(variance / y.size)
    assert y.var() == pytest.approx(variance, rel=0.03)


def test_multiplied_electrons_have_their_tails() -> None:
    # Third cumulants over variances: the gain for photons, 1.5 times twice of it here.
    for noise, ratio in [(EMCCD(10.0, 0.0, 0.0), 30.0), (PoissonGauss(10.0, 0.0, 0.0), 10.0)]:
        y = simulate(noise, np.full(400_000, 40.0), np.random.default_rng(1))
        assert stats.moment(y, 3) / y.var() == pytest.approx(ratio, rel=0.05)
        assert (y == 0).mean() == pytest.approx(np.exp(-4), rel=0.05)  # no electron, no noise


def test_ends_are_cut_off_and_darkness_has_no_electrons() -> None:
    rng = np.random.default_rng(2)
    y = simulate(Clipped([0.0, 9.0], [4.0, 4.0], 0.0, 9.0), np.full((50, 50), 1.0), rng)
    assert y.shape == (50, 50)
    assert y.min() == 0
    assert (y == 0).mean() == pytest.approx(stats.norm.cdf(-0.5), abs=0.05)
    assert (simulate(PoissonGauss(2.0, 5.0, 0.0), np.zeros(9), rng) == 5).all()
