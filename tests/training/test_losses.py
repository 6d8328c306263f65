"""Losses against the densities of SciPy, and calibration on samples that are drawn right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from unnoise.config.sections import SPREADS
from unnoise.training.losses import COVERAGE, ERRORS, INTERVALS, coverage, mean

DENSITIES = {"gaussian": stats.norm, "laplace": stats.laplace}
CONSTANTS = {"gaussian": 0.5 * math.log(2 * math.pi), "laplace": math.log(2)}


@pytest.mark.parametrize("name", SPREADS)
@pytest.mark.parametrize("shape", [(2, 1, 7, 8), (2, 3, 4, 5, 6)])
def test_likelihoods_are_those_of_scipy_up_to_a_constant(name: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    target, centre = rng.normal(size=(2, *shape))
    scale = rng.uniform(0.01, 3, shape)
    # Means of all channels first, then their scales.
    prediction = torch.from_numpy(np.concatenate([centre, scale], 1))
    ours = ERRORS[name](prediction, torch.from_numpy(target))
    assert ours.shape == shape
    expected = -DENSITIES[name].logpdf(target, centre, scale)
    np.testing.assert_allclose(ours.numpy() + CONSTANTS[name], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SPREADS)
def test_likelihoods_are_least_at_the_right_mean_and_scale(name: str) -> None:
    samples = torch.from_numpy(DENSITIES[name].rvs(2, 0.5, 20_000, random_state=0))

    def loss(centre: float, scale: float) -> float:
        full = torch.full_like(samples, 1).view(-1, 1)
        y = torch.cat([centre * full, scale * full], 1)
        return ERRORS[name](y, samples.view(-1, 1)).mean().item()

    best = loss(2, 0.5)
    assert all(best < loss(2 + a, 0.5 * b) for a, b in [(0.1, 1), (-0.1, 1), (0, 1.15), (0, 0.87)])


def test_errors_are_those_of_numpy() -> None:
    y, t = np.random.default_rng(0).normal(size=(2, 2, 1, 5, 6))
    given = torch.from_numpy(y), torch.from_numpy(t)
    np.testing.assert_allclose(ERRORS["mse"](*given), np.square(y - t))
    np.testing.assert_allclose(ERRORS["mae"](*given), np.abs(y - t))
    assert set(ERRORS) == {"mse", "mae", *SPREADS}


def test_the_mean_is_over_the_weights() -> None:
    rng = np.random.default_rng(0)
    error, weight = rng.random((2, 3, 1, 6, 7))
    ours = mean(torch.from_numpy(error), torch.from_numpy(weight)).item()
    assert ours == pytest.approx(np.average(error, weights=weight))
    pixels = weight > 0.7
    ours = mean(torch.from_numpy(error), torch.from_numpy(pixels.astype(float))).item()
    assert ours == pytest.approx(error[pixels].mean())
    # A batch may have no spot at all; it must not end the training.
    assert mean(torch.ones(4), torch.zeros(4)) == 0


# ---- Calibration ----


@pytest.mark.parametrize("name", SPREADS)
def test_right_scales_are_told_calibrated(name: str) -> None:
    z = torch.from_numpy(DENSITIES[name].rvs(size=200_000, random_state=0))
    found = coverage(z, name)
    assert tuple(found) == COVERAGE == ("variance_ratio", "inside_50", "inside_95")
    assert list(found.values()) == pytest.approx([1, 0.5, 0.95], abs=0.02)
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize("name", SPREADS)
@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_wrong_scales_are_told_by_how_much(name: str, factor: float) -> None:
    """The predicted scale is `factor` times the true one."""
    density = DENSITIES[name]
    z = torch.from_numpy(density.rvs(size=200_000, random_state=0) / factor)
    found = coverage(z, name)
    assert found["variance_ratio"] == pytest.approx(factor**-2, rel=0.03)
    for share in (0.5, 0.95):
        limit = density.ppf((1 + share) / 2) * factor
        inside = density.cdf(limit) - density.cdf(-limit)
        assert found[f"inside_{share * 100:.0f}"] == pytest.approx(inside, abs=0.01)
        assert (inside < share) == (factor < 1), "a scale too small covers too little"


@pytest.mark.parametrize("name", SPREADS)
def test_spreads_are_the_variances_of_the_distributions(name: str) -> None:
    assert SPREADS[name] == pytest.approx(DENSITIES[name].var())


def test_every_likelihood_has_its_check() -> None:
    assert set(INTERVALS) == set(SPREADS)
