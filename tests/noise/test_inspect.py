"""Verdicts of `unnoise.inspect` on simulated noise of known kind."""

import json

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

import unnoise
from synthetic import averaged, blurred, jpeg, specimen, white

SEEDS = [0, pytest.param(1, marks=pytest.mark.slow)]
NAMES = ["camera", pytest.param("coins", marks=pytest.mark.slow)]
PICTURES = {"camera": data.camera()[100:356, 100:356], "coins": data.coins()[:256, :256]}


def said(report):
    return " ".join((*report.sentences(), *report.advice.warnings, report.advice.why))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize(
    "sigma", [10, 25, *(pytest.param(s, marks=pytest.mark.slow) for s in (5, 50))]
)
def test_white_noise(picture, sigma, seed):
    scene = PICTURES[picture]
    report = unnoise.inspect(scene + sigma * white(scene.shape, seed))
    assert not report.correlated
    assert report.correlation_axes == ()
    assert report.method == "n2v"
    assert report.channels[0].curve.level == pytest.approx(sigma**2, rel=0.12)
    assert report.advice.mask is None
    assert not report.advice.near_clean


@pytest.mark.parametrize("picture", NAMES)
@pytest.mark.parametrize("mean", [0.2, 1, 10, 200])
def test_counts(picture, mean):
    scene = PICTURES[picture].astype(float)
    report = unnoise.inspect(np.random.default_rng(0).poisson(scene / scene.mean() * mean))
    assert not report.correlated
    assert report.method == "n2v"
    if mean > 1:
        assert report.channels[0].curve.is_signal_dependent


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("length", [3, 5])
@pytest.mark.parametrize("axis", ["X", "Y"])
def test_stripes(picture, length, axis, seed):
    scene = PICTURES[picture]
    report = unnoise.inspect(scene + 25 * averaged(scene.shape, length, "YX".index(axis), seed))
    assert report.correlation_axes == (axis,)
    assert report.method == "structn2v"
    mask = np.array(report.advice.mask)
    assert mask.shape["XY".index(axis)] == 1
    assert mask.size >= 2 * length - 3  # the last lag, 1 / length, may be missed
    assert mask.all()
    assert f"mask.struct={json.dumps(mask.tolist())}".replace(" ", "") in report.advice.settings


@pytest.mark.parametrize("picture", NAMES)
@pytest.mark.parametrize("axis", ["X", "Y"])
def test_shifted_lines(picture, axis):
    scene = PICTURES[picture]
    shape = (256, 1) if axis == "X" else (1, 256)
    report = unnoise.inspect(scene + 10 * white(scene.shape) + 10 * white(shape, 1))
    assert report.correlation_axes == (axis,)
    assert report.method == "structn2v"
    assert "shifted as a whole" in said(report)
    assert np.array(report.advice.mask).shape["YX".index(axis)] >= 9


@pytest.mark.parametrize("picture", PICTURES)
def test_blurred_noise(picture):
    scene = PICTURES[picture]
    report = unnoise.inspect(scene + 40 * blurred(scene.shape))
    assert report.correlation_axes == ("Y", "X")
    mask = np.array(report.advice.mask)
    assert min(mask.shape) >= 3
    assert max(mask.shape) <= 7


@pytest.mark.parametrize("quality", [25, 75])
@pytest.mark.parametrize("picture", PICTURES)
def test_jpeg(picture, quality):
    scene = PICTURES[picture]
    report = unnoise.inspect(jpeg(scene + 15 * white(scene.shape), quality))
    assert "JPEG" in said(report)
    if quality == 25:
        assert report.correlated


def test_enlarged():
    small = PICTURES["camera"][:128, :128] + 20 * white((128, 128))
    report = unnoise.inspect(ndimage.zoom(small, 2, order=1))
    assert report.correlation_axes == ("Y", "X")
    assert "interpolated" in said(report)


@pytest.mark.parametrize("picture", NAMES)
def test_clipping(picture):
    scene = PICTURES[picture]
    dark = unnoise.inspect(np.maximum(0.3 * scene + 20 * white(scene.shape), 0))
    assert not dark.correlated
    assert "clipped at the dark end" in said(dark)
    bright = unnoise.inspect(np.minimum(scene + 25 * white(scene.shape), 200))
    assert not bright.correlated
    assert "saturated" in said(bright)


def test_coarse_steps():
    scene = PICTURES["camera"]
    report = unnoise.inspect(np.round((scene + 10 * white(scene.shape)) / 16) * 16)
    assert not report.correlated
    assert "Grey levels are 16 apart" in said(report)


@pytest.mark.parametrize("picture", PICTURES)
def test_hot_pixels(picture):
    y = PICTURES[picture] + 10 * white((256, 256))
    rng = np.random.default_rng(5)
    hot = rng.random(y.shape) < 0.003
    y[hot] = rng.uniform(500, 1000, hot.sum())
    report = unnoise.inspect(y)
    assert not report.correlated
    assert report.method == "n2v"
    assert "hot" in said(report)
    assert report.channels[0].curve.level == pytest.approx(100, rel=0.15)


@pytest.mark.parametrize("n", [4, 20])
@pytest.mark.parametrize("kind", ["white", "counts"])
def test_independent_noise_in_stacks(n, kind):
    scene = specimen(n)
    noisy = scene + 15 * white(scene.shape)
    if kind == "counts":
        noisy = np.random.default_rng(0).poisson(scene.clip(0) / 10)
    report = unnoise.inspect(noisy, axes="ZYX")
    assert not report.correlated
    assert report.method == "n2v"


@pytest.mark.parametrize("n", [4, 20])
@pytest.mark.parametrize("axis", ["Z", "Y", "X"])
def test_stripes_in_stacks(n, axis):
    scene = specimen(n)
    noise = averaged(scene.shape, 3, "ZYX".index(axis)) * 25
    report = unnoise.inspect(scene + noise, axes="ZYX")
    assert report.correlation_axes == (axis,)
    if axis != "Z":
        assert report.method == "structn2v"
        assert np.array(report.advice.mask).shape["XY".index(axis)] == 1
    elif n >= 16:  # a 3D net
        assert report.method == "structn2v"
        assert np.array(report.advice.mask).shape == (5, 1, 1)
    else:  # slice by slice, where the noise is independent
        assert report.method == "n2v"


@pytest.mark.parametrize("frames", [2, 8])
@pytest.mark.parametrize("picture", NAMES)
@pytest.mark.parametrize("kind", ["white", "weak", "counts", "stripes", "blurred"])
def test_repeats(picture, frames, kind):
    scene = PICTURES[picture].astype(float)
    shape = (frames, *scene.shape)
    noisy = {
        "white": lambda: scene + 20 * white(shape),
        "weak": lambda: scene + 5 * white(shape),
        "counts": lambda: np.random.default_rng(0).poisson(np.broadcast_to(scene / 2, shape)),
        "stripes": lambda: scene + 20 * averaged(shape, 3, 1),
        "blurred": lambda: scene + 20 * blurred(shape),
    }[kind]()
    report = unnoise.inspect(noisy, axes="TYX")
    if frames > 2 and kind in ("white", "weak", "counts"):
        assert report.method == "n2v"
        assert report.advice.context.axis == "T"
    else:
        assert report.method == "n2n"
        assert report.advice.pairs == "T"
        assert "pairs.axis=T" in report.advice.settings
    assert "T" not in report.correlation_axes
    assert report.repeats_axis == "T"


@pytest.mark.parametrize("frames", [2, 8])
def test_a_fixed_pattern_speaks_against_pairs(frames):
    scene = PICTURES["camera"].astype(float)
    fixed = 10 * white(scene.shape, 7)
    report = unnoise.inspect(scene + fixed + 10 * white((frames, *scene.shape)), axes="TYX")
    assert report.correlation_axes == ("T",)
    assert report.method == "n2v"
    if frames >= 4:
        assert "fixed pattern" in said(report)


@pytest.mark.parametrize("step", [1, 5])
def test_moving_scenes_are_no_repeats(step):
    scene = PICTURES["camera"].astype(float)
    moving = np.stack([np.roll(scene, step * i, 1) for i in range(8)])
    report = unnoise.inspect(moving + 15 * white(moving.shape), axes="TYX")
    assert report.method == "n2v"
    assert report.advice.pairs is None
    assert not report.correlated


def test_samples_of_different_scenes():
    pictures = np.stack([PICTURES["camera"], PICTURES["coins"], PICTURES["camera"].T])
    report = unnoise.inspect(pictures + 10 * white(pictures.shape), axes="SYX")
    assert report.method == "n2v"
    assert report.repeats_axis == "S"
    assert not report.repeats.found
