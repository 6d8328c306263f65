"""Noise that is cut off: moments against scipy and draws, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oracles import within
from unnoise.noise.artifacts.histogram import saturation
from unnoise.noise.clipping import declipping, latent, seen
from unnoise.noise.photon_transfer import measure

ENDS = [(0.0, np.inf), (-np.inf, 5.0), (0.0, 5.0), (-np.inf, np.inf)]


@pytest.mark.parametrize(("low", "high"), ENDS)
@pytest.mark.parametrize("signal", [-3.0, 0.0, 0.7, 4.0, 9.0])
@pytest.mark.parametrize("variance", [0.25, 4.0])
def test_moments_are_those_of_a_truncated_normal_number_and_what_piles_up_at_the_ends(
    low: float, high: float, signal: float, variance: float
) -> None:
    sd = variance**0.5
    a, b = (low - signal) / sd, (high - signal) / sd
    below, above = stats.norm.cdf(a), stats.norm.sf(b)
    inside = stats.truncnorm(a, b, signal, sd)
    ends = (0 if below == 0 else below * low) + (0 if above == 0 else above * high)
    squares = (0 if below == 0 else below * low**2) + (0 if above == 0 else above * high**2)
    share = 1 - below - above
    mean = share * inside.mean() + ends
    square = share * (inside.var() + inside.mean() ** 2) + squares
    found = seen(signal, variance, low, high)
    np.testing.assert_allclose(found[0], mean, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found[1], square - mean**2, rtol=1e-4, atol=1e-6)


def test_moments_are_those_of_draws() -> None:
    y = np.random.default_rng(0).normal(3.0, 8.0, 400_000).clip(0, 12)
    mean, variance = (float(v) for v in seen(3.0, 64.0, 0.0, 12.0))
    assert within(y, mean)
    assert within((y - mean) ** 2, variance)


@pytest.mark.parametrize("offset", [-0.9, -0.3, 0.0, 1.0, 3.0, 20.0])
def test_signal_and_noise_come_back_from_mean_and_variance(offset: float) -> None:
    sd = 7.0
    for low, high, signal in ((10, np.inf, 10 + offset * sd), (-np.inf, 90, 90 - offset * sd)):
        found = latent(*seen(signal, sd**2, low, high), low, high)
        np.testing.assert_allclose(found, (signal, sd**2), rtol=1e-3, atol=0.02)
    assert latent(5.0, 2.0) == (5.0, 2.0)


@pytest.mark.parametrize("gain", [0.0, 4.0])
def test_dark_signals_come_back_from_a_picture_that_was_cut_off_at_0(gain: float) -> None:
    rng = np.random.default_rng(0)
    clean = np.tile(np.linspace(0, 80, 256), (256, 1))
    variance = 300 + gain * clean
    y = rng.normal(clean, np.sqrt(variance)).clip(0).round()[None]
    curve = measure(y)
    assert curve is not None
    shift = declipping(curve, saturation(y))
    assert shift is not None
    means = seen(clean, variance, 0.0)[0]
    back = means + np.interp(means, shift.at, shift.add)
    assert np.abs(means - clean).max() > 6
    assert np.abs(back - clean).max() < 1.5
    assert shift.most[0] == pytest.approx(float((means - clean).max()), rel=0.15)
    assert shift.most[1] == 0


def test_bright_signals_come_back_from_saturation() -> None:
    rng = np.random.default_rng(0)
    clean = np.tile(np.linspace(100, 250, 256), (256, 1))
    y = rng.normal(clean, 20).clip(0, 255).round()[None]
    curve = measure(y)
    assert curve is not None
    shift = declipping(curve, saturation(y))
    assert shift is not None
    means = seen(clean, 400.0, 0.0, 255.0)[0]
    back = means + np.interp(means, shift.at, shift.add)
    assert np.abs(back - clean).max() < 1.5 < np.abs(means - clean).max()


@pytest.mark.parametrize("unit", [1e-17, 1e30])
def test_the_other_end_lies_beyond_all_values(unit: float) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(np.tile(np.linspace(0, 60, 128), (128, 1)), 10).clip(0)[None] * unit
    curve = measure(y)
    assert curve is not None
    shift = declipping(curve, saturation(y))
    assert shift is not None
    model = shift.model()
    assert (model.low, model.high > 100 * unit) == (0, True)
    at = 40 * unit
    expected = -np.log(2 * np.pi * model.variance(at)) / 2
    assert float(model.log_likelihood(at, at)) == pytest.approx(float(expected))


def test_where_nothing_is_cut_off_nothing_is_done() -> None:
    rng = np.random.default_rng(0)
    for y in (rng.normal(100, 5, (1, 96, 96)), rng.poisson(0.3, (1, 96, 96)).astype(float)):
        curve = measure(y)
        assert curve is not None
        assert declipping(curve, saturation(y)) is None
