"""Laws of calibration, on simulated cameras whose numbers are known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage, stats

import unnoise
from unnoise.errors import InputError
from unnoise.noise.camera.calibrate import CHOICES, Fit, from_stacks
from unnoise.noise.density import NoiseModel
from unnoise.noise.noise_models import EMCCD, PoissonGauss

GAIN, OFFSET, READ = 2.0, 100.0, 3.0


def from_repeats(frames: np.ndarray, kind: str = "auto") -> tuple[NoiseModel, Fit]:
    """The camera of one stack."""
    return from_stacks([frames], kind=kind)


def scene(shape: tuple[int, ...], low: float = 2, high: float = 300, seed: int = 0) -> np.ndarray:
    """Smooth electrons per pixel between two levels."""
    z = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return low + (high - low) * (z - z.min()) / np.ptp(z)


def record(electrons: np.ndarray, frames: int, seed: int = 0) -> np.ndarray:
    """Frames of a camera, rounded to whole grey levels."""
    rng = np.random.default_rng(seed)
    shape = (frames, *electrons.shape)
    counts = rng.poisson(np.broadcast_to(electrons, shape))
    return np.rint(OFFSET + GAIN * counts + rng.normal(0, READ, shape)).astype(np.uint16)


def film(electrons: np.ndarray) -> np.ndarray:
    """One frame of each of several scenes."""
    return np.concatenate([record(e, 1, seed) for seed, e in enumerate(electrons)])


def variance(signal: np.ndarray) -> np.ndarray:
    return GAIN * (signal - OFFSET) + READ**2 + 1 / 12


@pytest.mark.parametrize("kind", CHOICES)
def test_repeats_give_gain_and_variance(kind: str) -> None:
    model, fit = from_repeats(record(scene((192, 192)), 16), kind)
    assert model.kind == (kind if kind != "auto" else "poisson_gauss")
    assert fit.gain.value == pytest.approx(GAIN, rel=0.03)
    assert fit.gain.low < GAIN < fit.gain.high
    assert not fit.offset_known
    assert fit.offset.low < OFFSET < fit.offset.high
    assert fit.read_noise.low < READ < fit.read_noise.high
    assert fit.intercept.low < READ**2 - GAIN * OFFSET < fit.intercept.high
    levels = np.linspace(*fit.signal, 200)
    limit = (
        0.04 if kind in ("auto", "poisson_gauss", "emccd") else 0.08
    )  # curves follow their own noise
    assert np.abs(model.variance(levels) / variance(levels) - 1).max() < limit
    assert fit.warnings == ()


def test_dark_frames_give_offset_and_read_noise() -> None:
    dark = record(np.zeros((128, 128)), 16, seed=1)
    bright = [record(np.full((128, 128), level), 8, seed=int(level)) for level in (40.0, 250.0)]
    model, fit = from_stacks(bright, dark=dark)
    assert isinstance(model, PoissonGauss)
    assert model.gain == pytest.approx(GAIN, rel=0.02)
    assert model.offset == pytest.approx(OFFSET, abs=0.05)
    assert model.read_variance == pytest.approx(READ**2 + 1 / 12, rel=0.02)
    assert fit.offset_known
    assert fit.hot_pixels == 0
    assert fit.fixed_pattern == pytest.approx(0, abs=0.2)
    assert fit.frames == 32


def test_overexposed_frames_are_refused() -> None:
    rng = np.random.default_rng(0)
    dark, light = (rng.normal(level, 10, (16, 64, 64)) for level in (50, 270))
    light = light.clip(0, 255).astype(np.uint8)
    for black in (None, dark.astype(np.uint8)):
        with pytest.raises(InputError, match=r"overexposed: 9\d% of the values"):
            from_stacks([light], dark=black)


def test_frames_whose_pixels_all_saturate_at_times_still_have_a_curve() -> None:
    frames = np.random.default_rng(0).normal(230, 10, (500, 16, 16)).clip(0, 255)
    frames[0] = 255  # so that there is no pixel without
    _, fit = from_stacks([frames.astype(np.uint8)])
    assert fit.kurtosis is None
    assert fit.read_noise.value == pytest.approx(10, rel=0.1)
    with pytest.raises(InputError, match="pixels that never saturate"):
        from_stacks([frames.astype(np.uint8)], kind="histogram")


def test_dark_frames_of_coarse_steps_hold_no_hot_pixels() -> None:
    """Nearly all pixels of 8 bits show one level in all frames, and the others are no outliers."""
    rng = np.random.default_rng(0)

    def frames(electrons: np.ndarray) -> np.ndarray:
        shape = (16, *electrons.shape)
        y = 10 + 0.1 * rng.poisson(electrons, shape) + rng.normal(0, 0.2, shape)
        return np.rint(y).astype(np.uint8)

    dark = frames(np.zeros((64, 64)))
    _, fit = from_stacks([frames(np.tile(np.linspace(50, 1500, 64), (64, 1)))], dark=dark)
    assert fit.hot_pixels == 0
    assert fit.read_noise.value == pytest.approx(dark.astype(float).std(), rel=0.05)


def multiplied(electrons: np.ndarray, frames: int, seed: int = 0) -> np.ndarray:
    """Frames of a camera that multiplies electrons: each comes out as an exponential number."""
    rng = np.random.default_rng(seed)
    shape = (frames, *electrons.shape)
    many = rng.poisson(np.broadcast_to(electrons, shape))
    register = GAIN * rng.standard_gamma(many + 1e-9)
    return np.rint(OFFSET + register + rng.normal(0, READ, shape)).astype(np.uint16)


def test_multiplied_electrons_are_told_from_photons_by_dark_frames_and_skewness() -> None:
    electrons = np.tile(np.linspace(2, 60, 128), (128, 1))
    for make, kind in ((multiplied, "emccd"), (record, "poisson_gauss")):
        model, _ = from_stacks([make(electrons, 16)], dark=make(np.zeros((128, 128)), 16, 1))
        assert model.kind == kind
        if isinstance(model, EMCCD):
            assert model.gain == pytest.approx(GAIN, rel=0.03)
            assert model.offset == pytest.approx(OFFSET, abs=0.1)
            assert model.read_variance == pytest.approx(READ**2 + 1 / 12, rel=0.05)
    noise = np.random.default_rng(0).normal(100, 5, (8, 96, 96))
    with pytest.raises(InputError, match="does not grow with the signal"):
        from_stacks([noise], kind="emccd")


def test_fixed_pattern_and_hot_pixels_are_counted() -> None:
    rng = np.random.default_rng(5)
    pattern = rng.normal(0, 4, (96, 96))
    pattern.flat[rng.choice(pattern.size, 12, replace=False)] = 500
    dark = np.rint(OFFSET + pattern + rng.normal(0, READ, (24, 96, 96)))
    light = scene((96, 96), 20, 200)
    bright = pattern + OFFSET + GAIN * rng.poisson(light, (8, 96, 96))
    bright = np.rint(bright + rng.normal(0, READ, bright.shape))
    _, fit = from_stacks([bright], dark=dark)
    assert fit.hot_pixels == 12
    assert fit.fixed_pattern == pytest.approx(4, rel=0.1)
    assert fit.gain.value == pytest.approx(GAIN, rel=0.05)
    assert any("12 hot pixels" in line for line in fit.lines())


def test_intervals_of_the_gain_hold_what_they_promise() -> None:
    electrons = scene((64, 64))
    fits = [from_repeats(record(electrons, 8, seed), "poisson_gauss")[1] for seed in range(60)]
    inside = np.mean([fit.gain.low < GAIN < fit.gain.high for fit in fits])
    gains = np.array([fit.gain.value for fit in fits])
    widths = np.array([fit.gain.high - fit.gain.low for fit in fits])
    assert inside >= 0.85
    assert gains.mean() == pytest.approx(GAIN, rel=0.01)
    assert 0.7 < np.median(widths) / (2 * 1.96 * gains.std()) < 1.5


@pytest.mark.parametrize("frames", [2, 3, 4, 5])
def test_few_frames_are_unbiased(frames: int) -> None:
    gains = [
        from_repeats(record(scene((96, 96)), frames, seed))[1].gain.value for seed in range(12)
    ]
    error = np.std(gains) / np.sqrt(len(gains))
    assert abs(np.mean(gains) - GAIN) < max(3 * error, 0.02)


def test_volumes() -> None:
    model, fit = from_repeats(record(scene((12, 64, 64)), 8))
    assert model.kind == "poisson_gauss"
    assert fit.gain.value == pytest.approx(GAIN, rel=0.03)
    assert fit.pixels == 12 * 64 * 64


def test_saturated_pixels_are_left_out() -> None:
    frames = record(scene((192, 192)), 16).clip(0, 450)
    for pixels in (frames, frames / 450.0 * 450.0):
        model, fit = from_repeats(pixels)
        assert fit.saturation == 450
        assert fit.signal[1] < 430
        assert fit.gain.value == pytest.approx(GAIN, rel=0.03)
        assert model.kind == "poisson_gauss"


@pytest.mark.parametrize("scale", [1 / 65535, 1.0, 1000.0])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_gain_follows_the_units(scale: float, offset: float) -> None:
    frames = record(scene((96, 96)), 8)
    plain, moved = from_repeats(frames)[1], from_repeats((frames + offset) * scale)[1]
    assert moved.gain.value == pytest.approx(scale * plain.gain.value, rel=2e-3)


def test_bleaching_and_flicker_are_taken_out() -> None:
    rng = np.random.default_rng(7)
    light = np.linspace(1.15, 0.85, 16) * rng.normal(1, 0.02, 16)
    electrons = scene((128, 128)) * light[:, None, None]
    frames = OFFSET + GAIN * rng.poisson(electrons) + rng.normal(0, READ, electrons.shape)
    _, fit = from_repeats(frames)
    assert fit.gain.value == pytest.approx(GAIN, rel=0.03)
    assert any("drifts" in warning for warning in fit.warnings)


def test_noise_cut_off_at_zero_is_reported() -> None:
    rng = np.random.default_rng(16)
    electrons = scene((96, 96), 0, 2)
    frames = GAIN * rng.poisson(electrons, (8, 96, 96)) + rng.normal(0, READ, (8, 96, 96))
    _, fit = from_repeats(np.rint(frames).clip(0, 255).astype(np.uint8))
    assert any("cuts off" in line for line in fit.lines())


def stripes(phase: float) -> np.ndarray:
    x = np.arange(96) + phase
    return 150 + 100 * np.sin(x / 5)[None] * np.cos(np.arange(96) / 7)[:, None]


def test_scenes_that_move_are_refused() -> None:
    rng = np.random.default_rng(8)
    jitter = np.stack([stripes(phase) for phase in rng.normal(0, 1, 10)])
    drift = np.stack([stripes(phase) for phase in np.arange(10) * 2.0])
    several = np.stack([scene((96, 96), seed=i) for i in range(10)])
    for electrons in (jitter, drift, several):
        with pytest.raises(InputError, match=r"still|shift|moves"):
            from_repeats(film(electrons))


def test_small_motion_is_reported_and_local_motion_left_out() -> None:
    rng = np.random.default_rng(9)
    jitter = np.stack([stripes(phase) for phase in rng.normal(0, 0.25, 10)])
    _, fit = from_repeats(film(jitter))
    assert any("shift" in warning for warning in fit.warnings)
    local = np.tile(scene((128, 128)), (10, 1, 1))
    local[::2, 40:60, 40:60] *= 1.8
    _, fit = from_repeats(film(local))
    assert any("moves" in warning for warning in fit.warnings)
    assert fit.gain.value == pytest.approx(GAIN, rel=0.05)


def test_correlated_noise_is_reported() -> None:
    frames = record(scene((128, 128)), 8).astype(float)
    _, fit = from_repeats(ndimage.uniform_filter(frames, (0, 2, 2)))
    assert any("correlated" in warning for warning in fit.warnings)


def test_constant_noise_has_no_gain() -> None:
    rng = np.random.default_rng(10)
    frames = scene((96, 96)) + rng.normal(0, 5, (12, 96, 96))
    model, fit = from_repeats(frames)
    assert isinstance(model, PoissonGauss)
    assert model.gain == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(model.variance([0.0, 150.0, 300.0]), 25, rtol=0.03)
    assert "constant" in fit.lines()[0] or model.gain > 0


def test_a_flat_scene_gives_its_variance_but_no_gain() -> None:
    model, fit = from_repeats(record(np.full((64, 64), 50.0), 12))
    assert float(model.variance(OFFSET + 100)) == pytest.approx(200 + READ**2, rel=0.05)
    assert fit.gain.low <= 0 or fit.gain.low < GAIN < fit.gain.high


def test_a_bent_curve_is_found_and_a_straight_one_is_not() -> None:
    rng = np.random.default_rng(11)
    signal = scene((128, 128))
    bent = signal + rng.normal(size=(16, 128, 128)) * np.sqrt(20 + signal**2 / 100)
    model, fit = from_repeats(bent)
    assert (model.kind, fit.is_curved) == ("curve", True)
    levels = np.linspace(fit.signal[0], fit.signal[1], 50)
    np.testing.assert_allclose(model.variance(levels), 20 + levels**2 / 100, rtol=0.12)
    straight = [from_repeats(record(scene((64, 64)), 8, seed))[1].is_curved for seed in range(40)]
    assert np.mean(straight) <= 0.075


def test_noise_that_is_not_of_a_camera_gets_a_mixture() -> None:
    rng = np.random.default_rng(12)
    signal = scene((128, 128), 50, 200)
    heavy = rng.normal(size=(16, 128, 128)) * np.where(rng.random((16, 128, 128)) < 0.05, 5, 1)
    model, fit = from_repeats(signal + 4 * heavy)
    assert model.kind == "mixture"
    assert fit.kurtosis is not None
    assert fit.kurtosis > 3
    z = np.linspace(-60, 60, 241)
    found = np.exp(model.log_likelihood(125 + z, 125.0))
    exact = 0.95 * stats.norm.pdf(z, 0, 4) + 0.05 * stats.norm.pdf(z, 0, 20)
    assert np.abs(found - exact).sum() * 0.5 < 0.06  # total variation distance 3 %


def test_low_counts_are_poisson_not_a_mixture() -> None:
    for seed in range(3):
        frames = np.random.default_rng(seed).poisson(scene((96, 96), 0.05, 4), (16, 96, 96))
        model, fit = from_repeats(frames)
        assert model.kind == "poisson_gauss"
        assert fit.gain.value == pytest.approx(1, rel=0.03)
        assert float(model.variance(0.5)) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("kind", ["histogram", "mixture"])
def test_fitted_densities_have_the_shape_of_the_noise(kind: str) -> None:
    rng = np.random.default_rng(13)
    signal = scene((160, 160), 10, 60)
    noise = rng.exponential(1, (24, 160, 160)) - 1
    model, _ = from_repeats(signal + np.sqrt(signal) * noise, kind)
    level = 35.0
    edges = np.linspace(-2, 4, 25)
    p = np.array(
        [
            np.exp(model.log_likelihood(level + np.linspace(a, b, 41) * np.sqrt(level), level))
            for a, b in pairwise(edges)
        ]
    ).mean(axis=1) * np.diff(edges) * np.sqrt(level)  # fmt: skip
    exact = np.diff(stats.expon.cdf(edges, loc=-1))
    assert np.abs(p - exact).sum() / 2 < 0.12
    assert np.abs(p - np.diff(stats.norm.cdf(edges))).sum() / 2 > 0.15


def test_several_stacks_are_one_camera() -> None:
    stacks = [record(scene((64, 64), seed=i), 6, i) for i in range(3)]
    _, one = from_repeats(stacks[0])
    _, all_ = from_stacks(stacks)
    assert all_.gain.value == pytest.approx(GAIN, rel=0.03)
    assert all_.gain.high - all_.gain.low < one.gain.high - one.gain.low


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_dtypes_and_small_images(dtype: str) -> None:
    frames = np.random.default_rng(15).poisson(scene((16, 16), 5, 60), (12, 16, 16)).astype(dtype)
    model, fit = from_repeats(frames)
    assert fit.gain.value == pytest.approx(1, rel=0.25)
    assert np.isfinite(model.variance(np.arange(100.0))).all()
    assert all("nan" not in line for line in fit.lines())


def test_results_repeat() -> None:
    frames = record(scene((64, 64)), 6)
    assert from_repeats(frames) == from_repeats(frames)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: from_repeats(np.zeros((8, 32, 32), np.uint8)), "do not differ"),
        (lambda: from_repeats(np.full((8, 32, 32), 1e6)), "do not differ"),
        (lambda: from_repeats(np.tile(scene((32, 32)), (4, 1, 1))), "do not differ"),
        (lambda: from_repeats(record(scene((32, 32)), 1)), "single frame"),
        (lambda: from_repeats(np.zeros((32, 32))), "axes"),
        (lambda: from_repeats(np.zeros((4, 3, 3))), "too few"),
        (lambda: from_repeats(np.full((4, 32, 32), np.nan)), "NaN"),
        (lambda: from_repeats(np.zeros((4, 32, 32), complex)), "real"),
        (lambda: from_repeats(record(scene((32, 32)), 4), "magic"), "poisson_gauss"),
        (lambda: from_repeats(record(scene((32, 32)), 3), "mixture"), "4 or more"),
        (lambda: from_stacks([], dark=record(scene((32, 32)), 4)), "no bright frames"),
    ],
)
def test_what_cannot_be_measured_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_real_repeats_follow_a_line(shared_data: Path) -> None:
    path = shared_data / "fmd" / "repeats_BPAE_B_fov1_t16__noisy.tif"
    if not path.exists():
        pytest.skip("the repeats are not among the real images")
    frames = unnoise.open(path, axes="TYX").read()[0, :, 0, 0]
    model, fit = from_repeats(frames)
    assert model.kind == "poisson_gauss"
    # Oracle: mean variance in two ranges of signal, by hand.
    mean, var = frames.mean(axis=0), frames.var(axis=0, ddof=1)
    dim, bright = (mean > 5) & (mean < 10), (mean > 60) & (mean < 90)
    slope = (var[bright].mean() - var[dim].mean()) / (mean[bright].mean() - mean[dim].mean())
    assert fit.gain.value == pytest.approx(slope, rel=0.05)
    assert float(model.variance(75.0)) == pytest.approx(
        var[(mean > 70) & (mean < 80)].mean(), rel=0.05
    )
