"""Frames that differ in brightness are matched whatever their noise; what changed is seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from synthetic import averaged, blurred, smooth, white
from unnoise.noise.frame_comparison import (
    changes,
    compare,
    is_blank,
    is_copy,
    match,
)

SEEDS = range(3)


def points(seed: int) -> np.ndarray:
    """Small bright points in the dark: blocks beside each other have nothing in common."""
    rng = np.random.default_rng(seed)
    scene = np.zeros((192, 192))
    scene.flat[rng.integers(0, scene.size, 400)] = 6000
    return ndimage.gaussian_filter(scene, 1.5) + 5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8, 1.05, 1.25, 2, 10])
def test_gain_and_offset_of_an_exposure_are_found_through_noise(seed: int, ratio: float) -> None:
    """Noise in both frames would pull the slope of least squares down; means must agree to 1 %."""
    rng = np.random.default_rng(seed)
    for scene in (smooth((128, 128), 3, seed, mean=60, sd=20).clip(1), points(seed)):
        first, second = scene, ratio * scene
        a, b = (rng.poisson(s) + rng.normal(100, 3, s.shape) for s in (first, second))
        found = match(a, b)
        assert found.differs
        assert found.structured
        assert found.gain == pytest.approx(1 / ratio, rel=0.1)
        mean = (100 + second.mean()) * found.gain + found.offset - 100
        assert mean == pytest.approx(first.mean(), rel=0.01)


@pytest.mark.parametrize("noise", ["white", "blurred", "rows"])
def test_the_gain_has_no_bias(noise: str) -> None:
    """The mean over many draws, where least squares finds too little."""
    scene = smooth((96, 96), 9, 1, sd=2)
    made = {
        "white": lambda seed: 10 * white(scene.shape, seed),
        "blurred": lambda seed: 4 * blurred(scene.shape, seed),
        "rows": lambda seed: white(scene.shape, seed) + 3 * white((96, 1), seed + 500),
    }[noise]
    gains = []
    for seed in range(30):
        found = match(2 * scene + made(seed), scene + made(1000 + seed))
        gains.append(found.gain)
    error = np.std(gains) / len(gains) ** 0.5
    assert np.mean(gains) == pytest.approx(2, abs=max(4 * error, 0.04))
    assert error < 0.1


def test_equally_bright_frames_are_left_as_they_are() -> None:
    differing = 0
    for seed in range(60):
        scene = smooth((96, 96), 2, seed, mean=30, sd=10).clip(0)
        rng = np.random.default_rng(seed)
        found = match(rng.poisson(scene), rng.poisson(scene))
        differing += found.differs
        assert found.differs or (found.gain, found.offset) == (1, 0)
    assert differing <= 2


def test_frames_without_structure_differ_by_an_offset() -> None:
    found = match(white((64, 64)) + 105, white((64, 64), 1) + 100)
    assert found.differs
    assert not found.structured
    assert (found.gain, found.offset) == (1, pytest.approx(5, abs=0.1))


def test_what_fires_does_not_change_the_brightness_of_the_rest() -> None:
    scene = smooth((128, 128), 3, 0, mean=100, sd=30).clip(1)
    fired = scene.copy()
    fired[40:56, 40:56] *= 3
    rng = np.random.default_rng(0)
    found = match(rng.poisson(scene), rng.poisson(1.25 * fired))
    assert found.gain == pytest.approx(0.8, abs=0.02)
    after = found.gain * 1.25 * scene + found.offset
    assert after.mean() == pytest.approx(scene.mean(), rel=0.005)


@pytest.mark.parametrize("value", [np.nan, 0.0, 7.0])
@pytest.mark.parametrize("shape", [(16, 16), (5, 7), (40, 33)])
def test_empty_and_tiny_frames_give_finite_answers(shape: tuple[int, int], value: float) -> None:
    frame = np.full(shape, value)
    for other in (frame, white(shape)):
        found = match(frame, other)
        assert np.isfinite([found.gain, found.offset]).all()
    assert is_blank(frame)
    assert is_copy(frame, frame.copy())
    assert not is_blank(white(shape))
    assert not is_copy(white(shape), white(shape, 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_changed_places_are_found_and_noise_is_not_one(seed: int) -> None:
    shape = (128, 128)
    scene = smooth(shape, 3, seed, mean=100, sd=30)
    for made in (white, lambda s, k: averaged(s, 4, 1, k), blurred):
        a, b = scene + 10 * made(shape, seed), scene + 10 * made(shape, seed + 9)
        still = compare(a, b)
        assert still.changed == 0
        b[32:44, 64:76] += 60
        found = changes(b - a, still.spread)
        assert found[32:44, 64:76].all()
        assert not found[64:].any()
        assert compare(a, b).changed < 0.1
    assert compare(a, smooth(shape, 3, seed + 50, mean=100, sd=30)).changed > 0.5


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**-66, 2.0**100])
def test_units_change_nothing(unit: float) -> None:
    scene = smooth((64, 64), 3, 0, mean=100, sd=30)
    a, b = scene + 10 * white((64, 64), 0), scene + 10 * white((64, 64), 1)
    found = compare(a, b)
    assert compare(unit * a, unit * b).correlation == found.correlation > 0.5
    constant = np.full((64, 64), 0.1 * unit)
    assert compare(constant, constant).correlation == 0


def test_offsets_of_lines_are_no_changes() -> None:
    for seed in range(20):
        rows, columns = 3 * white((64, 1), seed), 2 * white((1, 64), seed + 50)
        assert not changes(4 * white((64, 64), seed + 100) + rows + columns, 1.0).any()
    assert not changes(white((9, 64)), 1.0).any(), "too small to tell"
