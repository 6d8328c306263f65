"""Laws of mean preservation: truth is unbiased at any count, shifts and shrinkage are found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.errors import InputError
from unnoise.quality.bias import BINS, mean_preservation


def scene(seed: int, shape: tuple[int, ...] = (128, 128), mean: float = 0.2) -> NDArray:
    """Smooth light of a wide range of brightness."""
    x = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    x = np.exp(x / x.std())
    return np.asarray(x / x.mean() * mean)


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (16, 64, 64)])
def test_truth_is_unbiased_at_a_fifth_of_a_photon(shape: tuple[int, ...]) -> None:
    inside, relative, bins = [], [], []
    for seed in range(40):
        truth = scene(seed, shape)
        noisy = np.random.default_rng(seed + 100).poisson(truth)
        bias = mean_preservation(noisy, truth)
        inside.append(bias.total.low <= 0 <= bias.total.high)
        relative.append(bias.total_relative)
        bins.append(np.mean((bias.low <= 0) & (bias.high >= 0)))
        assert (np.diff(bias.centre) > 0).all()
    assert abs(np.mean(relative)) < 0.02
    assert np.std(relative) < 1.5 / np.sqrt(0.2 * truth.size)  # that of the photons alone: 1
    assert np.mean(inside) >= 0.9
    assert np.mean(bins) >= 0.9


@pytest.mark.parametrize("shape", [(128, 128), (16, 64, 64)])
def test_a_shift_of_a_tenth_is_found(shape: tuple[int, ...]) -> None:
    truth = scene(0, shape, mean=20)
    noisy = np.random.default_rng(1).poisson(truth)
    bias = mean_preservation(noisy, 1.1 * truth)
    assert bias.total.significant
    assert bias.total.high < 0
    assert bias.total_relative == pytest.approx(-0.1, abs=0.02)
    assert (bias.high[-8:] < 0).all()
    assert bias.mean[-8:] / (bias.centre + bias.mean)[-8:] == pytest.approx([-0.1] * 8, abs=0.025)


def test_bins_equal_a_loop() -> None:
    truth = scene(0)
    noisy = np.random.default_rng(0).poisson(truth)
    bias = mean_preservation(noisy, truth)
    assert len(bias.mean) == BINS
    ends = np.quantile(truth, np.sin(np.linspace(0, np.pi / 2, BINS + 1)) ** 2)
    ends[-1] = np.inf
    for i, (start, end) in enumerate(itertools.pairwise(ends)):
        chosen = (truth >= start) & (truth < end)
        assert bias.centre[i] == pytest.approx(truth[chosen].mean())
        assert bias.mean[i] == pytest.approx((noisy - truth)[chosen].mean(), abs=1e-12)
    assert bias.total.value == pytest.approx((noisy - truth).mean())


def test_shrinkage_is_found_in_the_tails_though_the_total_is_right() -> None:
    truth = scene(0, mean=5)
    noisy = np.random.default_rng(0).poisson(truth)
    bias = mean_preservation(noisy, truth.mean() + 0.7 * (truth - truth.mean()))
    assert not bias.total.significant
    assert bias.low[-1] > 0
    assert bias.high[0] < 0


def test_binning_by_the_noisy_image_would_accuse_the_truth() -> None:
    truth = scene(0, mean=5)
    noisy = np.random.default_rng(0).poisson(truth).astype(float)
    bright = noisy >= np.quantile(noisy, 0.9)
    assert (noisy - truth)[bright].mean() > 1  # the trap
    bias = mean_preservation(noisy, truth)
    assert np.mean((bias.low <= 0) & (bias.high >= 0)) >= 0.9


def test_intervals_hold_for_correlated_errors() -> None:
    hits = []
    for seed in range(40):
        noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(256, 256)), 3)
        bias = mean_preservation(noise, scene(seed, noise.shape))  # mean of noise - clean is -0.2
        hits.append(bias.total.low <= -0.2 <= bias.total.high)
    assert np.mean(hits) >= 0.85


@pytest.mark.parametrize("value", [0, 7, 65535])
@pytest.mark.parametrize("shape", [(16, 16), (2, 16, 16)])
def test_constants_are_unbiased(value: int, shape: tuple[int, ...]) -> None:
    x = np.full(shape, value, np.uint16)
    bias = mean_preservation(x, x)
    assert not bias.total.significant
    assert bias.total_relative == 0
    assert bias.mean.tolist() == bias.low.tolist() == bias.high.tolist() == [0]
    assert (mean_preservation(x, x.astype(float) + 1).high < 0).all()


def test_misuse_is_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        mean_preservation(np.zeros((16, 16)), np.zeros((16, 17)))
