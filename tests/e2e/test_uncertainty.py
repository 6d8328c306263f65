"""Uncertainties are written beside the result."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

import unnoise

from .commands import TINY, Run, Write, assert_refused, facts, files
from .family import KINDS, scene

pytestmark = pytest.mark.usefixtures("few_candidates")


@pytest.mark.parametrize("kind", KINDS)
def test_uncertainty_is_written_beside_the_result(run: Run, write: Write, kind: str) -> None:
    more = (*scene(write, "n2v", kind), *TINY, "--steps", 2)
    done = run("denoise", "x.tif", "-o", "d.tif", "--uncertainty", "s.tif", *more)
    assert done.code == 0, done.err
    line = r"uncertainty on held-out pixels: \d+% inside the 50 % interval, \d+% inside the 95 %"
    assert re.search(line, done.err)
    assert "wrote s.tif" in done.err
    assert facts("d.tif") == facts("x.tif")
    kind_of, *others = facts("x.tif")
    spread, *spread_others = facts("s.tif")
    assert others[1:] == spread_others[1:]
    assert tifffile.imread("s.tif").shape == tifffile.imread("x.tif").shape
    assert unnoise.open("s.tif").axes == unnoise.open("x.tif").axes
    assert kind_of[4] == spread[4]  # type: ignore[index]
    std = tifffile.imread("s.tif")
    assert std.dtype == np.float32
    assert (std > 0).all()
    assert np.isfinite(std).all()


def test_uncertainty_of_a_model_goes_to_a_folder_for_several_inputs(run: Run, write: Write) -> None:
    for i, name in enumerate(("in/a.tif", "in/b.tif")):
        write(name, (24, 28), "YX", seed=i)
    more = ("--set", "training.loss=laplace", *TINY, "--steps", 2)
    trained = run("train", "in", "-o", "m", *more)
    assert trained.code == 0
    assert "uncertainty on held-out pixels" in trained.err
    calibrated = yaml.safe_load(Path("m/config.yaml").read_text())["coverage"]
    assert set(calibrated) == {"variance_ratio", "inside_50", "inside_95"}
    for place in ("std", "std2/"):
        result = run("predict", "m", "in", "-o", "out", "--uncertainty", place, "--overwrite")
        assert result.code == 0, result.err
        for name in ("a.tif", "b.tif"):
            std = tifffile.imread(Path(place, name))
            assert std.dtype == np.float32
            assert std.min() > 0
    clean, std = unnoise.load("m").uncertainty(tifffile.imread("in/a.tif"))
    assert np.array_equal(std, tifffile.imread("std/a.tif"))
    assert np.array_equal(clean, tifffile.imread("out/a.tif"))


def test_places_and_models_without_uncertainty(run: Run, write: Write) -> None:
    for i, name in enumerate(("in/a.tif", "in/b.tif")):
        write(name, (24, 28), "YX", seed=i)
    assert run("train", "in", "-o", "mse", *TINY, "--steps", 1).code == 0
    assert run("train", "in", "-o", "filter", "--method", "gaussian").code == 0
    before = files()
    for model in ("mse", "filter"):
        result = run("predict", model, "in", "-o", "out", "--uncertainty", "std")
        assert_refused(result, "predicts no uncertainty", "--set training.loss=gaussian")
    ask = ("--uncertainty", "std", "-o", "out")
    result = run("denoise", "in", "--method", "tv", *ask)
    assert_refused(result, "tv predicts no uncertainty", "choose n2v")
    result = run("denoise", "in", "--method", "b2u", *ask)
    assert_refused(result, "b2u predicts no uncertainty", "choose n2v")
    result = run("denoise", "in", "--set", "training.loss=mae", *ask)
    assert_refused(result, "mae predicts no uncertainty", "gaussian or laplace")
    a = "in/a.tif"
    for place in ("s.tif", "./s.tif"):
        result = run("denoise", a, "-o", "s.tif", "--uncertainty", place)
        assert_refused(result, "both be written to", "--uncertainty")
    assert_refused(run("denoise", "in", "-o", "out", "--uncertainty", "out"), "both be written to")
    assert_refused(run("denoise", "in", "-o", "out", "--uncertainty", "s.tif"), "several inputs")
    result = run("denoise", a, "-o", "o.tif", "--uncertainty", a, "--overwrite")
    assert_refused(result, "never overwritten")
    assert_refused(run("denoise", a, "-o", "o.tif", "--uncertainty", "s.png"), "float32", ".tif")
    result = run("denoise", a, "-o", "o.tif", "--uncertainty", "in/b.tif")
    assert_refused(result, "exists", "--overwrite")
    assert files() == before


def test_constant_channels_are_certain(run: Run) -> None:
    x = np.random.default_rng(0).poisson(20, (2, 24, 28)).astype(np.uint16)
    x[0] = 7
    tifffile.imwrite("x.tif", x, imagej=True, metadata={"axes": "CYX"})
    more = ("-o", "d.tif", "--uncertainty", "s.tif", *TINY, "--steps", 1)
    assert run("denoise", "x.tif", *more).code == 0
    assert (tifffile.imread("d.tif")[0] == 7).all()
    std = tifffile.imread("s.tif")
    assert (std[0] == 0).all()
    assert (std[1] > 0).all()
