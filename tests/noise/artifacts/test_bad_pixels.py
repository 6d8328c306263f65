from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from unnoise.noise.artifacts import bad_pixels
from unnoise.noise.artifacts import histogram as levels
from unnoise.noise.channel import sentence

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", [(128, 128), (5, 64, 64)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_clipping_is_found_at_either_end_and_shares_are_counts(seed, shape, dtype) -> None:
    noisy = np.random.default_rng(seed).normal(128, 60, shape)
    clipped = noisy.clip(0, 255).astype(dtype)
    result = levels.saturation(clipped)
    assert result.clipped_top
    assert result.clipped_bottom
    assert result.top_share == np.mean(clipped == clipped.max())
    assert result.bottom_share == np.mean(clipped == clipped.min())
    assert "clipped" in result.line()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [0.02, 0.2, 1, 5, 100])
def test_counts_of_photons_are_not_called_clipped(seed, rate) -> None:
    counts = np.random.default_rng(seed).poisson(rate, (256, 256))
    for dtype in (np.uint8, np.uint16, np.float32):
        assert not levels.saturation(counts.astype(dtype)).found


@pytest.mark.parametrize("seed", SEEDS)
def test_rare_extremes_are_not_clipping(seed) -> None:
    rng = np.random.default_rng(seed)
    for image in (
        rng.normal(0, 1, (256, 256)),
        rng.normal(1000, 30, (256, 256)).astype(np.uint16),
        np.kron(np.arange(256), np.ones((8, 8))),  # a ramp has no tail, and no spike
        rng.random((64, 64)) > 0.5,
    ):
        result = levels.saturation(image)
        assert not result.found
        assert sentence(result) is None


def test_stretched_to_eight_bits_has_spikes_at_0_and_255() -> None:
    raw = np.random.default_rng(0).poisson(1000, (256, 256)).astype(float)
    low, high = np.percentile(raw, (1, 99))
    result = levels.saturation((255 * (raw - low) / (high - low)).clip(0, 255).astype(np.uint8))
    assert (result.top, result.bottom) == (255, 0)
    assert result.clipped_top
    assert result.clipped_bottom


@pytest.mark.parametrize("step", [1, 16])
@pytest.mark.parametrize("level", [2**54, 2**64 - 10_000, -(2**62)])
def test_steps_of_levels_that_no_float_holds(step: int, level: int) -> None:
    counts = np.random.default_rng(0).poisson(50, (64, 64)) * step
    dtype = np.uint64 if level > 2**63 else np.int64
    far = counts.astype(dtype) + dtype(level)
    assert levels.quantisation(far) == levels.quantisation(counts)
    assert levels.quantisation(far).step == step


@pytest.mark.parametrize("step", [2, 16, 64])
def test_step_of_a_camera_of_fewer_bits(step) -> None:
    raw = np.random.default_rng(0).poisson(300, (3, 64, 64))
    result = levels.quantisation((raw * step).astype(np.uint16))
    assert (result.step, result.regular) == (step, True)
    assert result.distinct == len(np.unique(raw))
    assert result.found
    assert levels.quantisation((raw * step / 4096).astype(np.float32)).step == pytest.approx(
        step / 4096
    )


def test_stretching_leaves_irregular_gaps() -> None:
    raw = np.random.default_rng(0).poisson(100, (256, 256))
    stretched = np.floor(raw * 1.7).astype(np.uint8)
    result = levels.quantisation(stretched)
    assert not result.regular
    assert result.step == pytest.approx(1.7, abs=0.1)
    assert result.empty == pytest.approx(1 - 1 / 1.7, abs=0.04)
    assert result.found


def test_plain_images_have_no_unusual_steps() -> None:
    rng = np.random.default_rng(0)
    assert not levels.quantisation(rng.poisson(100, (128, 128))).found
    assert not levels.quantisation(rng.integers(0, 65535, (64, 64))).found
    continuous = levels.quantisation(rng.normal(size=(64, 64)))
    assert continuous.step == 0
    assert not continuous.found


def test_steps_matter_when_coarser_than_the_noise() -> None:
    smooth = np.linspace(0, 50, 128 * 128).reshape(128, 128)
    noisy = (smooth + np.random.default_rng(0).normal(0, 0.3, smooth.shape)).round().clip(0)
    for image in (noisy, noisy.astype(np.uint8)):
        assert levels.quantisation(image, noise=0.3).coarse
        assert not levels.quantisation(image, noise=3.0).coarse


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [0.02, 0.2, 0.5, 2, 5, 100])
def test_poisson_noise_has_no_bad_pixels(seed, rate) -> None:
    assert not bad_pixels.bad_pixels(np.random.default_rng(seed).poisson(rate, (256, 256))).found


@pytest.mark.parametrize("seed", SEEDS)
def test_heavy_but_exponential_tails_have_no_bad_pixels(seed) -> None:
    rng = np.random.default_rng(seed)
    emccd = rng.gamma(np.maximum(rng.poisson(3, (256, 256)), 1e-9), 30) + rng.normal(
        0, 5, (256, 256)
    )
    for image in (emccd, rng.exponential(1, (256, 256)), rng.laplace(0, 1, (256, 256))):
        assert not bad_pixels.bad_pixels(image).found


@pytest.mark.parametrize("rate", [0.2, 1, 5, 100, 1000])
def test_planted_hot_and_dead_pixels_are_found_where_they_are(rate) -> None:
    rng = np.random.default_rng(1)
    image = rng.poisson(rate, (256, 256)).astype(np.int32)
    places = [(y, x) for y in range(10, 250, 24) for x in range(10, 250, 24)]
    for y, x in places:
        image[y, x] = rate + 20 * np.sqrt(max(rate, 1)) + 10
    image[5, 5] = -1000
    result = bad_pixels.bad_pixels(image)
    assert result.dead == 1
    assert len(set(places) & set(result.coordinates)) >= 0.95 * len(places)
    assert result.hot <= len(places) + 1
    assert result.found


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5])
def test_point_sources_and_edges_are_not_bad_pixels(sigma) -> None:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:256, :256]
    image = np.where(y > 1.5 * x, 200.0, 20.0)
    for cy, cx in rng.uniform(5, 250, (60, 2)):
        image += 300 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
    assert not bad_pixels.bad_pixels(rng.poisson(image)).found


def test_recurring_pixels_are_hot_and_others_outliers() -> None:
    frames = np.random.default_rng(3).poisson(20, (6, 64, 64))
    frames[:, 10, 20] += 300
    frames[:, 30, 40] -= 300
    for t in range(6):
        frames[t, 50, 8 * t + 5] += 500
    result = bad_pixels.bad_pixels(frames)
    assert (result.hot, result.dead, result.outliers) == (1, 1, 6)
    assert result.coordinates[:2] == ((10, 20), (30, 40))
    assert "stay at their place" in result.line()


def test_sorting_network_gives_the_median_of_eight_neighbours() -> None:
    rows = np.random.default_rng(4).normal(size=(8, 500))
    lanes = list(rows)
    for i, j in bad_pixels._SORT8:
        lanes[i], lanes[j] = np.minimum(lanes[i], lanes[j]), np.maximum(lanes[i], lanes[j])
    np.testing.assert_array_equal(np.array(lanes), np.sort(rows, axis=0))


@pytest.mark.parametrize("stack", [False, True])
def test_padding_is_found_with_its_box(stack) -> None:
    image = np.random.default_rng(0).poisson(50, (96, 128))
    image[:, 90:] = 7
    result = bad_pixels.background(np.stack([image] * 3) if stack else image)
    assert result.box == (0, 96, 90, 128)
    assert result.value == 7
    assert result.sides == ("top", "bottom", "right")
    assert result.share == pytest.approx(38 / 128)
    assert result.found


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.2, 5])
def test_sparse_photons_are_no_padding(rate) -> None:
    for seed in SEEDS:
        image = np.random.default_rng(seed).poisson(rate, (256, 256))
        assert not bad_pixels.background(image).found
        image[:, :128] = 0
        assert bad_pixels.background(image).share == pytest.approx(0.5, abs=0.05)


def test_constant_regions_are_a_morphological_opening() -> None:
    image = np.random.default_rng(5).integers(0, 1000, (80, 80))
    image[10:40, 20:60] = 3
    image[30:55, 50:52] = 3  # too thin
    side = 16
    expected = ndimage.binary_opening(image == 3, np.ones((side, side)))
    np.testing.assert_array_equal(bad_pixels.constant(image), expected)


IMAGES = {
    "zeros": lambda shape: np.zeros(shape),
    "full": lambda shape: np.full(shape, 65535, np.uint16),
    "high": lambda shape: np.random.default_rng(0).integers(65300, 65536, shape, np.uint16),
    "offset": lambda shape: (1e6 + np.random.default_rng(0).normal(size=shape)).astype(np.float32),
    "bool": lambda shape: np.random.default_rng(0).random(shape) > 0.5,
    "nan": lambda shape: np.full(shape, np.nan),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 16), (2, 16, 16), (1, 200)])
def test_degenerate_images_give_finite_answers(name, shape) -> None:
    image = IMAGES[name](shape)
    for result in (
        levels.saturation(image),
        levels.quantisation(image),
        bad_pixels.bad_pixels(image),
    ):
        assert isinstance(result.found, bool)
    assert not bad_pixels.bad_pixels(image).found
    assert not levels.saturation(image).found
    assert 0 <= bad_pixels.background(image).share <= 1


def test_real_microscope_pictures_have_few_bad_pixels(shared_data) -> None:
    from skimage.io import imread

    files = sorted(shared_data.glob("w2s/*__noisy.png"))
    assert files
    assert sum(bad_pixels.bad_pixels(imread(file)).found for file in files) == 0
