"""Laws of multiplied electrons: densities against draws, and halves that are independent."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from oracles import within
from unnoise.noise.electron_multiplication import density, halves, log_density


def drawn(electrons: float, read: float, n: int, seed: int = 0) -> NDArray[np.float64]:
    """Noisy values, in electrons, by the recipe of the register."""
    rng = np.random.default_rng(seed)
    many = rng.poisson(electrons, n)
    register = np.where(many > 0, rng.standard_gamma(np.maximum(many, 1)), 0.0)
    return register + rng.normal(0, np.sqrt(read), n)


@pytest.mark.parametrize("electrons", [0.1, 1.0, 8.0, 60.0])
@pytest.mark.parametrize("read", [0.03, 0.5])
def test_the_density_has_the_cumulants_of_the_register(electrons: float, read: float) -> None:
    for share in (1.0, 0.2):
        x, p = density(electrons, read, share)
        step = x[1] - x[0]
        mean = (p * x).sum() * step
        variance, third = ((p * (x - mean) ** k).sum() * step for k in (2, 3))
        assert p.sum() * step == pytest.approx(1, abs=1e-6)
        assert mean == pytest.approx(share * electrons, rel=1e-4)
        assert variance == pytest.approx(share * (2 * electrons + read), rel=1e-3)
        assert third == pytest.approx(share * 6 * electrons, rel=5e-3)


def test_beside_read_noise_the_density_is_that_of_basden() -> None:
    """Compound Poisson: ``sqrt(m / x) exp(-m - x) I1(2 sqrt(m x))`` where electrons came out."""
    m, read = 3.0, 1e-3
    x, p = density(m, read)
    at = np.linspace(1, 15, 29)
    root = 2 * np.sqrt(m * at)
    exact = np.sqrt(m / at) * np.exp(-m - at + root) * special.ive(1, root)
    np.testing.assert_allclose(np.interp(at, x, p), exact, rtol=2e-3)


@pytest.mark.parametrize(("electrons", "read"), [(0.3, 0.05), (5.0, 0.1), (20.0, 0.5), (90.0, 1.0)])
def test_the_likelihood_is_the_density_of_draws(electrons: float, read: float) -> None:
    y = drawn(electrons, read, 400_000)
    inside = np.quantile(y, [0.02, 0.2, 0.4, 0.6, 0.8, 0.95, 0.995])
    for low, high in itertools.pairwise(inside):
        at = np.linspace(low, high, 2001)
        p = np.exp(log_density(at, np.full(at.shape, electrons), read))
        expected = float(((p[1:] + p[:-1]) / 2 * np.diff(at)).sum())
        assert ((y >= low) & (y < high)).mean() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("share", [0.04, 0.2])
def test_the_mean_of_the_second_part_is_its_share_whatever_the_mean_of_the_pixel(
    share: float,
) -> None:
    table = halves(0.1, share)
    middle = (table.second[..., 1:] + table.second[..., :-1]).astype(np.float64) / 2
    mean = (middle * np.diff(table.levels)).sum(-1)
    np.testing.assert_allclose(mean, share * np.broadcast_to(table.values, mean.shape), atol=2e-3)
    assert (np.diff(table.second, axis=-1) > -1e-3).all(), "quantiles rise"


def test_a_value_far_from_its_mean_is_still_split_fairly() -> None:
    table = halves(0.1, 0.2)
    dim, bright = 5, np.searchsorted(table.values, 200.0)
    spread = table.second[dim, bright]
    assert 0.2 * table.values[bright] == pytest.approx(spread[32], rel=0.1)
    assert spread[0] > 0


def test_draws_have_the_excess_noise_factor() -> None:
    y = drawn(4.0, 0.2, 300_000)
    assert within(y, 4.0)
    assert within((y - 4.0) ** 2, 8.2)
