from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from scipy import ndimage

import unnoise
from unnoise.noise.channel import sentence
from unnoise.noise.fixed_pattern import fixed_pattern
from unnoise.noise.still_frames import repeats

SEEDS = range(3)


def smooth_scene(seed: int, side: int = 192) -> np.ndarray:
    waves = np.random.default_rng(seed).normal(0, 100, (side, side))
    return np.clip(ndimage.gaussian_filter(waves, 2) + 50, 1, None)


def photo() -> np.ndarray:
    return skimage.data.camera()[100:292, 100:292].astype(float) / 5 + 5


def still(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    scene = smooth_scene(seed)
    shape = (6, *scene.shape)
    bleaching = 0.9 ** np.arange(6)[:, None, None]
    outliers = rng.poisson(scene, shape)
    outliers.reshape(-1)[rng.integers(0, outliers.size, 200)] += 1000
    return {
        "poisson": rng.poisson(scene, shape).astype(np.uint16),
        "photo": rng.poisson(photo(), shape).astype(np.uint16),
        "bleaching": rng.poisson(scene * bleaching),
        "correlated": scene + ndimage.gaussian_filter(rng.normal(0, 20, shape), (0, 1, 1)),
        "rows": scene + ndimage.gaussian_filter(rng.normal(0, 20, shape), (0, 0, 2)),
        "sparse": rng.poisson(0.2, shape),
        "dim": rng.poisson(scene / 100, shape),
        "empty": rng.normal(1e6, 3, shape).astype(np.float32),
        "outliers": outliers,
        "row noise": rng.poisson(scene, shape) + rng.normal(0, 1, (6, len(scene), 1)),
        "fixed pattern": rng.poisson(scene, shape) + rng.normal(0, 2, scene.shape),
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_still_scenes_are_repeats(seed) -> None:
    for name, frames in still(seed).items():
        result = repeats(frames)
        assert result.verdict == "repeats", (name, result)
        assert result.still
        assert result.drift < 0.05
        assert repeats(frames[:2]).still, name


def drifting(image: np.ndarray, step: tuple[float, float]) -> np.ndarray:
    shifts = [(step[0] * t, step[1] * t) for t in range(6)]
    return np.stack([ndimage.shift(image, s, order=3, mode="reflect") for s in shifts]).clip(0)


@pytest.mark.parametrize("seed", SEEDS)
def test_moving_scenes_are_not_repeats(seed) -> None:
    rng = np.random.default_rng(seed)
    scene = smooth_scene(seed)
    passing = np.stack([scene] * 6)
    for t in range(6):
        passing[t, 100:112, 20 * t : 20 * t + 12] += 60
    turning = np.stack(
        [ndimage.rotate(photo(), t, reshape=False, mode="reflect") for t in range(4)]
    )
    cases = {
        "drift of a pixel": rng.poisson(drifting(photo(), (0, 1))),
        "drift of a noisy scene": drifting(scene, (1, 0)) + rng.normal(0, 30, (6, *scene.shape)),
        "drift of a fifth": rng.poisson(drifting(photo(), (0, 0.2))),
        "an object passes": rng.poisson(passing),
        "turning": rng.poisson(turning.clip(0)),
        "uneven bleaching": rng.poisson(
            scene * np.linspace(1, 0.4, 192) ** np.arange(6)[:, None, None]
        ),
    }
    for name, frames in cases.items():
        result = repeats(frames)
        assert not result.still, (name, result)
        assert result.verdict == "slowly changing", (name, result)
        assert not result.found
    assert repeats(cases["drift of a pixel"]).drift == pytest.approx(1, abs=0.1)
    assert repeats(cases["drift of a fifth"]).drift == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("seed", SEEDS)
def test_independent_scenes_are_different(seed) -> None:
    rng = np.random.default_rng(seed)
    scenes = np.stack([smooth_scene(10 * seed + k) for k in range(5)])
    result = repeats(rng.poisson(scenes))
    assert result.verdict == "different"
    assert abs(result.correlation) < 0.3
    assert result.changed > 0.2
    assert result.line() is None


def test_copies_are_told_apart_from_repeats() -> None:
    frame = np.random.default_rng(0).poisson(smooth_scene(0))
    for copies in (np.stack([frame] * 3), np.zeros((4, 64, 64))):
        result = repeats(copies)
        assert result.verdict == "duplicates"
        assert not result.still
        assert "copies" in (result.line() or "")


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_of_any_brightness_are_repeats_and_it_is_told(seed) -> None:
    rng = np.random.default_rng(seed)
    scene = smooth_scene(seed)
    k = np.arange(12)[:, None, None]

    def seen(light):
        return repeats(rng.poisson(scene * light) + 100)

    flicker = seen(np.where(k % 2, 1.0, 1.25))
    assert (flicker.verdict, flicker.trend) == ("repeats", 0)
    assert flicker.flicker == pytest.approx(0.25, abs=0.02)
    assert "flickers by 25 %" in flicker.line() or "flickers by 24 %" in flicker.line()
    lamp = seen(rng.uniform(0.7, 1.3, k.shape))
    assert lamp.verdict == "repeats"
    assert lamp.flicker > 0.1
    fading = seen(np.exp(-k / 8))
    assert (fading.verdict, fading.flicker < 0.02) == ("repeats", True)
    assert fading.trend == pytest.approx(np.exp(-1 / 8) - 1, abs=0.01)
    assert "falls by 12 % a frame" in fading.line()
    slow = seen(1 - 0.01 * k)
    assert slow.trend == pytest.approx(-0.0106, abs=0.003)
    exposures = repeats(rng.poisson([scene, 2 * scene]))
    assert exposures.verdict == "repeats"
    assert "2 times as bright" in exposures.line()
    plain = seen(1.0)
    assert (plain.trend, plain.flicker, plain.peculiarities) == (0, 0, ())


def running(noise: np.ndarray, n: int) -> np.ndarray:
    total = np.cumsum(noise, axis=0)
    return (total[n:] - total[:-n]) / n


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_that_share_noise_are_no_repeats(seed) -> None:
    rng = np.random.default_rng(seed)
    scene = photo()[:96, :96]
    noise = rng.normal(0, 20, (40, *scene.shape))
    for n in (2, 4, 8):
        result = repeats(scene + running(noise, n)[:16])
        assert (result.verdict, result.still) == ("dependent", True)
        assert result.averaged == pytest.approx(n, rel=0.25)
        assert n - 1 <= result.step <= n + 1
        assert f"running means over about {n} frames" in result.line()
        assert repeats(scene + running(noise, n)[:5]).verdict == "dependent"
    recursive = [noise[0]]
    for frame in noise[1:]:
        recursive.append(0.7 * recursive[-1] + 0.3 * frame)
    assert repeats(scene + np.array(recursive[-16:])).verdict == "dependent"
    # Long means show no step that is large enough.
    assert repeats(scene + running(noise, 24)[:8]).step == 0
    alike = scene + running(noise, 16)[:2]
    assert repeats(alike).verdict == "dependent"
    # A steady drift, too small to be seen, is no shared noise.
    slow = drifting(photo(), (0, 0.03)) + rng.normal(0, 5, (6, 192, 192))
    assert repeats(slow).averaged == 1


def test_copied_and_dropped_frames_are_passed_over() -> None:
    rng = np.random.default_rng(0)
    frames = rng.poisson(smooth_scene(0, 96), (16, 96, 96)).astype(np.uint16)
    twice = frames.copy()
    twice[1::2] = twice[::2]
    result = repeats(twice)
    assert (result.verdict, result.still, result.copies) == ("duplicates", True, 0.5)
    assert result.distinct == tuple(range(0, 16, 2))
    assert "50 % of the frames are exact copies" in result.line()
    dropped = frames.copy()
    dropped[3], dropped[11], dropped[14] = 0, 0, dropped[13]
    result = repeats(dropped)
    assert (result.verdict, result.blank, result.copies) == ("repeats", 2 / 16, 1 / 16)
    assert {3, 11, 14}.isdisjoint(result.distinct)
    assert "12 % of the frames are blank" in result.line()


def test_frames_between_blank_ones_are_not_called_copies() -> None:
    frames = np.random.default_rng(0).normal(100, 5, (9, 64, 64))
    frames[::2] = 0
    result = repeats(frames)
    assert (result.found, result.copies, result.distinct) == (True, 0, (1, 3, 5, 7))
    assert "blank frame lies between any two others" in (result.line() or "")
    assert "copies" not in (result.line() or "")
    assert repeats(frames[1::2]).verdict == "repeats"


@pytest.mark.parametrize("shape", [(1, 64, 64), (4, 8, 8), (64, 64), (3, 1, 1)])
def test_too_little_to_compare(shape) -> None:
    result = repeats(np.zeros(shape))
    assert result.verdict == "too few"
    assert not result.found


@pytest.mark.parametrize("seed", SEEDS)
def test_fixed_pattern_is_measured(seed) -> None:
    rng = np.random.default_rng(seed)
    pattern = rng.normal(0, 2, (192, 192))
    for scene in (np.full((192, 192), 30.0), smooth_scene(seed)):
        frames = rng.poisson(scene, (8, 192, 192)) + pattern
        result = fixed_pattern(frames)
        assert result.found
        assert result.sd == pytest.approx(2, rel=0.25)
    assert result.share == pytest.approx(4 / (4 + scene.mean()), rel=0.5)
    assert "fixed pattern" in result.line()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_fixed_pattern_where_there_is_none(seed) -> None:
    rng = np.random.default_rng(seed)
    cases = still(seed)
    del cases["fixed pattern"]
    cases["moving"] = rng.poisson(drifting(photo(), (0, 1)))
    cases["copies"] = np.stack([rng.poisson(photo())] * 5)
    cases["few"] = rng.normal(size=(3, 64, 64)) + rng.normal(size=(64, 64))
    for name, frames in cases.items():
        result = fixed_pattern(frames)
        assert not result.found, (name, result)
        assert sentence(result) is None


@pytest.mark.parametrize("shape", [(4, 1, 1), (4, 5, 7), (4, 16, 16), (2, 40, 40)])
@pytest.mark.parametrize("value", [0, 65535, np.nan])
def test_constant_and_tiny_stacks_give_finite_answers(shape, value) -> None:
    frames = np.full(shape, value, np.float32)
    assert not fixed_pattern(frames).found


def test_real_repeats_and_depth(shared_data) -> None:
    import tifffile

    shots = tifffile.imread(shared_data / "fmd" / "repeats_BPAE_B_fov1_t16__noisy.tif")
    assert repeats(shots).verdict == "repeats"
    depth = tifffile.imread(shared_data / "stack3d" / "cells3d_nuclei_20x128x128__noisy.tif")
    assert repeats(depth).verdict == "slowly changing"


def test_dropped_frames_are_blank_though_they_are_excluded_pixels_too() -> None:
    """What is filled in for a frame without a measurement is no copy of its neighbour."""
    frames = np.random.default_rng(0).poisson(smooth_scene(0, 64), (16, 64, 64)).astype(np.uint16)
    frames[3] = frames[11] = 0
    frames[14] = frames[13]
    report = unnoise.inspect(frames, axes="TYX")
    assert report.repeats.verdict == "repeats"
    assert (report.repeats.blank, report.repeats.copies) == (2 / 16, 1 / 16)
    masked = np.ma.masked_array(
        frames, np.isin(np.arange(16), (5, 6))[:, None, None] | (frames < 0)
    )
    assert unnoise.inspect(masked, axes="TYX").repeats.blank == 4 / 16
