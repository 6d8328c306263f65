"""Laws of the gain: the truth lies in the interval, which is open where nothing more is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.errors import InputError
from unnoise.quality.gain import gain
from unnoise.quality.metrics import psnr

WEIGHTS = np.array([1.0, 2.0, 1.0]) / 4


def scene(seed: int, shape: tuple[int, ...], width: float = 3) -> NDArray:
    x = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return np.asarray(20 + 6 * x / x.std())


def noised(truth: NDArray, noise: str, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    if noise == "poisson":
        return rng.poisson(np.maximum(truth, 0.1)).astype(float), np.maximum(truth, 0.1)
    return truth + rng.normal(0, 4, truth.shape), np.full(truth.shape, 16.0)


def blurred(x: NDArray, blind: bool) -> tuple[NDArray, float]:
    """A blur and its weight on the pixel itself, which a blind one lacks."""
    own = 0.5**x.ndim
    smooth = x
    for axis in range(x.ndim):
        smooth = ndimage.convolve1d(smooth, WEIGHTS, axis=axis, mode="wrap")
    return ((smooth - own * x) / (1 - own), 0.0) if blind else (smooth, own)


def simulated(seed: int, noise: str, shape: tuple[int, ...], blind: bool, error: float) -> tuple:
    rng = np.random.default_rng(seed + 1000)
    truth = scene(seed, shape)
    noisy, v = noised(truth, noise, rng)
    if noise == "poisson":
        truth = v
    clean, own = blurred(noisy, blind)
    believed = v * (1 + error * rng.normal())
    correction = 2 * own * float(believed.mean())
    result = gain(noisy, clean, believed, relative_error=error, correction=correction)
    true = 10 * math.log10(v.mean() / np.mean((clean - truth) ** 2))
    return result, true


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
@pytest.mark.parametrize("blind", [True, False])
@pytest.mark.parametrize("error", [0.0, 0.05])
@pytest.mark.parametrize("shape", [(128, 128), (16, 32, 48)])
def test_the_truth_lies_inside(noise: str, blind: bool, error: float, shape: tuple) -> None:
    hits, values, truths = [], [], []
    for seed in range(40):
        result, true = simulated(seed, noise, shape, blind, error)
        hits.append(result.psnr.low <= true <= result.psnr.high)
        values.append(result.psnr.value)
        truths.append(true)
        assert result.psnr.low <= result.psnr.value <= result.psnr.high
    assert np.mean(hits) >= 0.9
    assert np.median(values) == pytest.approx(np.median(truths), abs=0.5)


def test_it_agrees_with_psnr_where_the_noise_is_known() -> None:
    truth = scene(0, (512, 512), width=8)
    noisy, v = noised(truth, "gaussian", np.random.default_rng(0))
    clean, _ = blurred(noisy, blind=True)
    result = gain(noisy, clean, v, relative_error=0)
    expected = psnr(clean, truth, data_range=1) - psnr(noisy, truth, data_range=1)
    assert result.psnr.value == pytest.approx(expected, abs=0.3)
    assert result.snr == pytest.approx(clean.var() / np.mean((clean - truth) ** 2), rel=0.1)


def test_a_perfect_result_is_open_above() -> None:
    open_above = []
    for seed in range(20):
        truth = scene(seed, (128, 128))
        noisy, v = noised(truth, "gaussian", np.random.default_rng(seed))
        result = gain(noisy, truth, v, relative_error=0.02)
        open_above.append(math.isinf(result.psnr.high) and 8 < result.psnr.low < math.inf)
        assert "at least" in str(result) or not open_above[-1]
    assert np.mean(open_above) >= 0.9


def test_more_uncertainty_means_a_wider_interval() -> None:
    truth = scene(0, (128, 128))
    noisy, v = noised(truth, "gaussian", np.random.default_rng(0))
    clean, _ = blurred(noisy, blind=True)
    lows = [gain(noisy, clean, v, relative_error=e).psnr.low for e in (0, 0.02, 0.1, 0.3)]
    assert lows == sorted(lows, reverse=True)
    unknown = gain(noisy, clean, v, relative_error=1)
    assert (unknown.psnr.low, unknown.psnr.high) == (-math.inf, math.inf)
    assert "uncertain" in str(unknown)


def test_fiellers_interval_is_where_the_test_does_not_reject() -> None:
    truth = scene(0, (128, 128))
    noisy, v = noised(truth, "gaussian", np.random.default_rng(0))
    clean, _ = blurred(noisy, blind=True)
    result = gain(noisy, clean, v, relative_error=0.03)
    m, reach = result.mse.value, (result.mse.high - result.mse.low) / 2
    level, dv = 16.0, 0.03 * 16  # reach^2 = q^2 (dm^2 + dv^2), with q from 15 degrees of freedom
    q = 2.131449545559323
    dm2 = (reach / q) ** 2 - dv**2
    for decibel in (result.psnr.low, result.psnr.high):
        rho = 10 ** (decibel / 10)
        error = math.sqrt(dv**2 * (1 + rho) ** 2 + dm2 * rho**2)
        assert abs(level - rho * m) / error == pytest.approx(q, rel=1e-6)


@pytest.mark.parametrize("unit", [2.0**-133, 2.0**-57, 2.0**133])
def test_a_unit_changes_nothing(unit: float) -> None:
    truth = scene(0, (64, 64))
    noisy, v = noised(truth, "gaussian", np.random.default_rng(0))
    clean, _ = blurred(noisy, blind=True)
    a, b = (gain(u * noisy, u * clean, u**2 * v, relative_error=0.03) for u in (1.0, unit))
    assert (a.psnr, a.snr) == (b.psnr, b.snr)


def test_a_residual_below_the_noise_is_inconsistent() -> None:
    truth = scene(0, (128, 128))
    noisy, v = noised(truth, "gaussian", np.random.default_rng(0))
    result = gain(noisy, 0.7 * noisy + 0.3 * truth, v, relative_error=0.05)
    assert not result.consistent
    assert "unknown" in str(result)
    assert (result.psnr.low, result.psnr.high) == (-math.inf, math.inf)


@pytest.mark.parametrize("shape", [(16, 16), (2, 16, 16), (1, 4)])
@pytest.mark.parametrize("variance", [0, 1])
def test_constants_give_no_nan(shape: tuple[int, ...], variance: float) -> None:
    x = np.full(shape, 65535, np.uint16)
    result = gain(x, x, variance, relative_error=0.1)
    numbers = [result.mse.value, result.psnr.low, result.psnr.value, result.psnr.high, result.snr]
    assert not np.isnan(numbers).any()
    assert str(result)


def test_misuse_is_refused() -> None:
    x = np.zeros((16, 16))
    with pytest.raises(InputError, match="relative error"):
        gain(x, x, 1, relative_error=-1)
