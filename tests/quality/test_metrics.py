"""PSNR against scikit-image, its scale-invariant kin against least squares."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from unnoise.quality.metrics import psnr, scale_invariant_psnr


def pair(seed: int, shape: tuple[int, ...] = (31, 40)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(20, 220, shape)
    return 0.7 * truth + 12 + rng.normal(0, 25, shape), truth


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("data_range", [1.0, 255.0, 65535.0])
@pytest.mark.parametrize("shape", [(50,), (31, 40), (5, 12, 13)])
def test_psnr_is_that_of_scikit_image(seed: int, data_range: float, shape: tuple[int, ...]) -> None:
    image, truth = pair(seed, shape)
    expected = peak_signal_noise_ratio(truth, image, data_range=data_range)
    assert psnr(image, truth, data_range=data_range) == pytest.approx(expected, rel=1e-12)
    assert psnr(truth, image, data_range=data_range) == pytest.approx(expected, rel=1e-12)


def test_unsigned_integers_do_not_wrap_around() -> None:
    dark, bright = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    assert psnr(dark, bright, data_range=255) == pytest.approx(0)
    assert psnr(dark, np.ones((8, 8), np.uint8), data_range=255) == pytest.approx(48.1308, abs=1e-4)


def test_noise_of_known_size_gives_the_published_number() -> None:
    # BSD68 with sigma 25: 10 log10(255^2 / 25^2) = 20.17 dB before any clipping.
    noise = np.random.default_rng(0).normal(0, 25, (1000, 1000))
    assert psnr(noise, 0 * noise, data_range=255) == pytest.approx(20.17, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_scale_invariant_psnr_is_psnr_after_least_squares(seed: int) -> None:
    image, truth = pair(seed)
    design = np.stack([image.ravel(), np.ones(image.size)], 1)
    coefficients = np.linalg.lstsq(design, truth.ravel(), rcond=None)[0]
    np.testing.assert_allclose(coefficients, np.polyfit(image.ravel(), truth.ravel(), 1))
    fitted = (design @ coefficients).reshape(truth.shape)
    expected = peak_signal_noise_ratio(truth, fitted, data_range=float(np.ptp(truth)))
    assert scale_invariant_psnr(image, truth) == pytest.approx(expected, rel=1e-10)
    # No other map comes closer to the truth.
    slope, offset = coefficients
    for a, b in [(1, 0), (1 / 0.7, -12 / 0.7), (slope * 1.01, offset), (slope, offset + 1)]:
        other = psnr(a * image + b, truth, data_range=float(np.ptp(truth)))
        assert other < scale_invariant_psnr(image, truth)


@pytest.mark.parametrize(("a", "b"), [(3.0, 7.0), (1e-4, 0.0), (-2.0, 500.0), (1.0, 1e6)])
def test_scale_and_offset_of_the_image_do_not_matter(a: float, b: float) -> None:
    image, truth = pair(0)
    score = scale_invariant_psnr(image, truth)
    assert scale_invariant_psnr(a * image + b, truth) == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize(("a", "b"), [(3.0, 7.0), (1e-4, 0.0), (1.0, 1e6)])
def test_scale_and_offset_of_the_truth_do_not_matter(a: float, b: float) -> None:
    image, truth = pair(0)
    score = scale_invariant_psnr(image, truth)
    assert scale_invariant_psnr(image, a * truth + b) == pytest.approx(score, rel=1e-6)


def test_a_constant_image_scores_as_the_mean_of_the_truth() -> None:
    _, truth = pair(0)
    expected = 20 * math.log10(float(np.ptp(truth) / truth.std()))
    assert scale_invariant_psnr(np.full(truth.shape, 3.0), truth) == pytest.approx(expected)
