"""Judging results whose truth is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.images.image import Image
from unnoise.models.record import TrainingRecord
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import PoissonGauss, VarianceCurve
from unnoise.quality.assess import Assessment, assess, expected_error
from unnoise.quality.training_record import record

SIGMA = 4.0
FLAT = VarianceCurve((0.0,), (SIGMA**2,))


def scene(size: int = 192, seed: int = 0, sigma: float = 6.0, contrast: float = 20.0) -> NDArray:
    z = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), sigma)
    return np.asarray(100 + contrast * z / z.std())


def noisy_of(truth: NDArray, seed: int = 1) -> NDArray:
    return truth + SIGMA * np.random.default_rng(seed).normal(size=truth.shape)


def known_of(
    noisy: NDArray, noise: Any = FLAT, axes: str = "", dependence: float = 0.0
) -> tuple[ImageNoise, TrainingRecord]:
    found = ImageNoise((noise,), (0.01,), (axes,))
    return found, record([Image.from_array(noisy)], (0,), [dependence])


def blind(noisy: NDArray, sigma: float = 1.5) -> NDArray:
    """A Gaussian blur without the pixel itself: what a perfect blind spot could be."""
    ball = np.zeros((13, 13))
    ball[6, 6] = 1
    kernel = ndimage.gaussian_filter(ball, sigma)
    kernel[6, 6] = 0
    return np.asarray(ndimage.convolve(noisy, kernel / kernel.sum(), mode="mirror"))


def judge(noisy: NDArray, clean: NDArray, **options: Any) -> Assessment:
    known = options.pop("known", None) or known_of(noisy)
    return assess(noisy, clean, *known, 0, **options)


def psnr_gain(truth: NDArray, noisy: NDArray, clean: NDArray) -> float:
    return float(10 * math.log10(((noisy - truth) ** 2).mean() / ((clean - truth) ** 2).mean()))


def test_a_good_result_gets_no_warning_and_its_true_gain() -> None:
    inside = 0
    for seed in range(6):
        truth = scene(seed=seed)
        noisy = noisy_of(truth, seed + 100)
        clean = blind(noisy)
        found = judge(noisy, clean)
        assert found.gain is not None
        inside += found.gain.psnr.low <= psnr_gain(truth, noisy, clean) <= found.gain.psnr.high
        assert found.warnings == ()
        assert found.whiteness is not None
    assert inside >= 5


def test_the_gain_of_a_result_that_keeps_part_of_the_pixel() -> None:
    """With the dependence that a divergence gives: a tenth of the pixel itself."""
    truth = scene()
    noisy = noisy_of(truth)
    clean = 0.9 * blind(noisy) + 0.1 * noisy
    found = judge(noisy, clean, known=known_of(noisy, dependence=0.1))
    assert found.gain is not None
    assert found.gain.psnr.low <= psnr_gain(truth, noisy, clean) <= found.gain.psnr.high


def test_a_shifted_mean_is_said() -> None:
    truth = scene()
    noisy = noisy_of(truth)
    for factor, text in ((1.1, "+10.0%"), (0.9, "-10.0%")):
        found = judge(noisy, factor * blind(noisy))
        (warning,) = [w for w in found.warnings if "mean changed" in w]
        assert text in warning
    assert not [w for w in judge(noisy, blind(noisy)).warnings if "mean changed" in w]


def test_an_oversmoothed_result_leaks() -> None:
    truth = np.full((192, 192), 80.0)
    for y, x in np.random.default_rng(3).integers(0, 160, (12, 2)):
        truth[y : y + 20, x : x + 20] += 30
    noisy = noisy_of(truth)
    found = judge(noisy, ndimage.gaussian_filter(noisy, 3))
    assert any("structure of the specimen" in w for w in found.warnings)
    assert found.residual_structure is not None
    assert found.residual_structure.map.shape == noisy.shape


def test_a_result_worse_than_the_noisy_image() -> None:
    truth = scene(sigma=1.2, contrast=40.0)
    noisy = noisy_of(truth)
    found = judge(noisy, np.full_like(noisy, noisy.mean()))
    assert any("farther from the clean image" in w for w in found.warnings)


def test_a_result_that_kept_the_noise() -> None:
    """The claim of a blind result is false: less was removed than the noise."""
    noisy = noisy_of(scene())
    found = judge(noisy, 0.7 * noisy + 0.3 * blind(noisy))
    assert any("less was removed than the measured noise" in w for w in found.warnings)


def test_correlated_residuals_are_said_unless_the_noise_is_correlated() -> None:
    truth = scene()
    white = np.random.default_rng(0).normal(size=(192, 196))
    rows = truth + SIGMA * sum(white[:, k : k + 192] for k in range(4)) / 2
    assert any("not white" in w for w in judge(rows, truth).warnings)
    found = judge(rows, truth, known=known_of(rows, axes="X"))
    assert not any("not white" in w for w in found.warnings)
    assert found.gain is None  # its formula is for independent noise
    assert found.before is None


def test_an_image_unlike_the_training_data() -> None:
    noisy = noisy_of(scene())
    known = known_of(noisy)
    other = noisy_of(5 * scene(sigma=1.0, seed=9))
    found = judge(other, blind(other), known=known)
    assert found.novel_share > 0.5
    assert any("unlike the training images" in w for w in found.warnings)
    assert judge(noisy, blind(noisy), known=known).novel_share < 0.05


def test_without_a_net_no_image_is_strange() -> None:
    noisy, other = noisy_of(scene()), noisy_of(5 * scene(sigma=1.0, seed=9))
    kept = record([Image.from_array(noisy)], (0,), [0.0], has_net=False)
    found = judge(other, blind(other), known=(ImageNoise((FLAT,), (0.01,), ("",)), kept))
    assert found.novelty is found.novel_share is None
    assert not any("training images" in w for w in found.warnings)


def test_only_one_corner_is_strange() -> None:
    noisy = noisy_of(scene())
    changed = noisy.copy()
    changed[:64, :64] += 400
    found = judge(changed, blind(changed), known=known_of(noisy))
    assert (found.novelty[16:48, 16:48] > 1).all()
    assert (found.novelty[128:, 128:] > 1).mean() < 0.1


@pytest.mark.parametrize(("rounded", "level"), [(True, 0.2), (True, 100.0), (False, 0.2)])
def test_integers_of_dim_counts(rounded: bool, level: float) -> None:
    truth = np.full((96, 96), level)
    noisy = np.random.default_rng(0).poisson(truth).astype(float)
    known = known_of(noisy, PoissonGauss(1.0, 0.0, 0.0))
    found = judge(noisy, blind(noisy, 3), known=known, rounded=rounded)
    said = any("--dtype float32" in w for w in found.warnings)
    assert said == (rounded and level < 10)


@pytest.mark.parametrize("mean", [-630.0, -2.0])
def test_integers_around_zero_are_no_dim_counts(mean: float) -> None:
    """Hounsfield units: what is rounded is far below the noise."""
    noisy = mean + 30 * np.random.default_rng(0).normal(size=(96, 96))
    known = known_of(noisy, VarianceCurve((0.0,), (900.0,)))
    found = judge(noisy, blind(noisy, 3), known=known, rounded=True)
    assert not any("--dtype float32" in w for w in found.warnings)


@pytest.mark.parametrize("filled", [0.0, 100.0, 5000.0])
def test_pixels_that_are_no_measurement_have_no_say(filled: float) -> None:
    """Half of the plane is excluded: numbers and warnings are those of the other half."""
    truth = scene(256)
    noisy = noisy_of(truth)
    clean = blind(noisy)
    excluded = np.arange(256)[None, :].repeat(256, 0) >= 128
    excluded[5, 7] = True
    known = known_of(noisy)
    half = judge(noisy[:, :128], clean[:, :128], known=known)
    other_noisy, other = np.where(excluded, filled, noisy), np.where(excluded, filled + 3, clean)
    found = judge(other_noisy, other, known=known, excluded=excluded)
    assert found.gain is not None
    assert half.gain is not None
    assert found.gain.psnr.value == pytest.approx(half.gain.psnr.value, abs=0.15)
    assert found.gain.mse.value == pytest.approx(half.gain.mse.value, rel=0.03)
    assert found.bias.total_relative == pytest.approx(half.bias.total_relative, abs=1e-4)
    assert found.whiteness is not None
    assert half.whiteness is not None
    assert found.whiteness.largest == pytest.approx(half.whiteness.largest, abs=0.02)
    assert found.has_signal
    if filled == 100:  # as from around: a step of its own is novel on this side too
        assert found.warnings == half.warnings == ()


def test_noise_around_what_is_no_measurement_is_no_signal() -> None:
    noisy = noisy_of(np.full((128, 128), 100.0))
    excluded = np.zeros(noisy.shape, bool)
    excluded[:, :40] = True
    noisy[excluded] = 100
    found = judge(noisy, np.full_like(noisy, 100.0), excluded=excluded)
    assert not found.has_signal


def test_noise_that_was_not_measured_leaves_the_rest() -> None:
    noisy = noisy_of(scene())
    found = judge(noisy, blind(noisy), known=known_of(noisy, None))
    assert (found.gain, found.whiteness, found.residual_structure, found.error) == (None,) * 4
    assert found.bias.total_relative == pytest.approx(0, abs=0.01)
    assert found.novelty.shape == noisy.shape


def test_the_fourier_ring_correlation_of_a_blur() -> None:
    noisy = noisy_of(scene(sigma=1.5))
    found = judge(noisy, blind(noisy), denoise=lambda y: ndimage.gaussian_filter(y, 1.5))
    assert found.before is not None
    assert found.after is not None
    assert found.resolution_before is not None
    again = judge(noisy, blind(noisy), denoise=lambda y: y)
    assert again.before is not None
    assert again.after is not None
    assert np.allclose(again.before.correlation, again.after.correlation)  # the same two halves


def test_the_expected_error_is_the_true_error() -> None:
    """A prediction off by 3 on the left and right on the right."""
    truth = np.full((128, 128), 50.0)
    noisy = noisy_of(truth)
    side = np.where(np.arange(128) < 64, 3.0, 0.0)
    signs = np.where(np.random.default_rng(5).random((128, 128)) < 0.5, -1, 1)
    error = expected_error(noisy, truth + side * signs, np.full((128, 128), SIGMA**2))
    assert np.sqrt((error[:, :40] ** 2).mean()) == pytest.approx(3, rel=0.15)
    assert np.median(error[:, 96:]) < 1
    assert judge(noisy, truth + side * signs).error is not None


@pytest.mark.parametrize("kept", [0.4, 0.8])  # squares well above their scatter
def test_the_noise_that_a_result_repeats_is_part_of_its_error(kept: float) -> None:
    """The residual of truth + kept * noise shows 1 - kept of the noise, and hides the rest."""
    truth = np.full((128, 128), 50.0)
    noisy = noisy_of(truth)
    result = truth + kept * (noisy - truth)
    error = expected_error(noisy, result, np.full(truth.shape, SIGMA**2), kept)
    assert np.sqrt((error**2).mean()) == pytest.approx(kept * SIGMA, rel=0.15)


def test_a_given_error_is_kept() -> None:
    noisy = noisy_of(scene())
    given = np.ones(noisy.shape)
    assert judge(noisy, blind(noisy), error=given).error is given


@pytest.mark.parametrize("shape", [(16, 16), (16, 70), (33, 20)])
@pytest.mark.parametrize("offset", [0.0, 65000.0, 1e6])
def test_tiny_images_and_offsets(shape: tuple[int, ...], offset: float) -> None:
    noisy = offset + SIGMA * np.random.default_rng(0).normal(size=shape)
    found = judge(noisy, np.full(shape, noisy.mean()), denoise=lambda y: y)
    assert np.isfinite(found.novelty).all()
    assert found.error is not None
    assert np.isfinite(found.error).all()


@pytest.mark.parametrize("value", [0.0, 65535.0])
def test_constant_planes(value: float) -> None:
    noisy = np.full((48, 48), value)
    for noise in (None, FLAT):
        found = judge(noisy, noisy, known=known_of(noisy, noise), denoise=lambda y: y)
        assert np.isfinite(found.bias.total_relative)


def test_the_same_seed_judges_the_same() -> None:
    noisy = noisy_of(scene(96))
    one, two, other = (
        judge(noisy, blind(noisy), denoise=lambda y: ndimage.gaussian_filter(y, 1), seed=seed)
        for seed in (0, 0, 1)
    )
    assert one.after is not None
    assert two.after is not None
    assert other.after is not None
    assert np.array_equal(one.after.correlation, two.after.correlation)
    assert not np.array_equal(one.after.correlation, other.after.correlation)
