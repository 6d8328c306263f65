"""Every method trains in 2D and 3D, on one channel and three, and denoises."""

from __future__ import annotations

import ast
import inspect
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from synthetic import clean_and_noisy
from tiny import finish, pair, run_of, start, tiny
from unnoise.config.methods import METHODS
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.quality.metrics import psnr
from unnoise.training import loop

TRAINED = [name for name, entry in METHODS.items() if "net" in entry.defaults]


def test_the_loop_never_asks_which_method_it_runs() -> None:
    tree = ast.parse(inspect.getsource(loop))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert texts.isdisjoint(METHODS)
    read = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not {text for text in read if text.endswith("config.method")}


def test_it_denoises_smooth_signal_in_white_noise() -> None:
    truth, x = clean_and_noisy(128)
    clean = predict_array(finish(start(x, steps=400)), x, dtype=np.float64)
    peak = float(np.ptp(truth))
    gain = psnr(clean, truth, data_range=peak) - psnr(x, truth, data_range=peak)
    assert gain > 5


def test_it_denoises_a_stack_in_3d() -> None:
    rng = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(rng.normal(size=(16, 48, 48)), 3, mode="wrap")
    truth /= truth.std()
    x = truth + 0.5 * rng.normal(size=truth.shape)
    model = finish(start(x, "ZYX", steps=200))
    assert model.ndim == 3
    peak = float(np.ptp(truth))
    clean = predict_array(model, x, axes="ZYX", dtype=np.float64)
    assert psnr(clean, truth, data_range=peak) - psnr(x, truth, data_range=peak) > 4


@pytest.mark.parametrize("method", TRAINED)
def test_every_method_learns(method: str) -> None:
    truth, x = clean_and_noisy(64)
    other = {"n2n": clean_and_noisy(64)[0] + 0.5 * np.random.default_rng(5).normal(size=x.shape)}
    config = tiny(method, steps=60, validate_every=20, learning_rate=5e-3)
    if method == "structn2v":  # as easy as the others: few pixels are hidden beside a spot
        config = config.set("mask.struct=horizontal:3").set("mask.percent=10")
    if method == "r2r":  # the noise of late targets, 26 times the image's, would hide the fall
        config = config.set("recorruption.decay=1")
    run = run_of(config, x, {**other, "care": truth}.get(method))
    clean = predict_array(finish(run), x, dtype=np.float64)
    losses = [line["held_out"] for line in run.history]
    assert losses[-1] < 0.8 * losses[0]
    assert np.mean((clean - truth) ** 2) < 0.9 * np.var(truth)


# ---- Every method, in 2D and 3D, with one channel and with three ----


def quick(method: str, x: NDArray, axes: str, channels: str = "independent") -> Model:
    config = tiny(method, net={"channels": channels}, steps=2, patch=16, patch_z=8)
    run = run_of(config, x, pair(method, x), axes)
    model = finish(run)
    assert run.step == 2
    (line,) = run.history
    assert math.isfinite(line["held_out"])
    return model


@pytest.mark.parametrize("method", [m for m in TRAINED if m != "refined"])  # works on planes
def test_every_method_trains_in_3d(method: str) -> None:
    x = np.random.default_rng(0).normal(size=(16, 24, 20)).astype(np.float32)
    model = quick(method, x, "ZYX")
    assert (model.ndim, model.patch) == (3, (8, 16, 16))
    clean = predict_array(model, x, axes="ZYX")
    assert clean.shape == x.shape
    assert np.isfinite(clean).all()


@pytest.mark.parametrize("channels", ["independent", "separate", "joint"])
@pytest.mark.parametrize("method", TRAINED)
def test_every_method_trains_on_colours(method: str, channels: str) -> None:
    x = np.random.default_rng(0).normal(100, 20, size=(24, 30, 3)).clip(0, 255).astype(np.uint8)
    model = quick(method, x, "YXC", channels)
    assert model.channels == (0, 1, 2)
    n = len([name for name in model.weights if name.endswith("head.weight")])
    assert n == (3 if channels == "separate" else 1)
    clean = predict_array(model, x, axes="YXC")
    assert clean.shape == x.shape


@pytest.mark.parametrize("axis", ["S", "T", "Z"])
def test_repeats_along_an_axis_are_pairs(axis: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 32, 32))
    config = tiny("n2n", steps=2, patch=16).set(f"pairs.axis={axis}")
    model = finish(run_of(config, x, axes=f"{axis}YX"))
    assert model.ndim == 2
    assert predict_array(model, x, axes=f"{axis}YX").shape == x.shape


def test_clean_targets_give_the_result_their_units() -> None:
    truth, x = clean_and_noisy(64)
    config = tiny("care", steps=60, learning_rate=5e-3)
    clean = predict_array(
        finish(run_of(config, 1000 + 50 * x, truth)), 1000 + 50 * x, dtype=np.float64
    )
    assert np.mean((clean - truth) ** 2) < 0.5 * np.var(truth)
