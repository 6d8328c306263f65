"""The roads behind a variance-stabilising transform, from file to file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from synthetic import smooth, white

from .commands import Run, Write, assert_refused, facts, nothing_new

pytestmark = pytest.mark.usefixtures("few_steps")

SMALL = ("--set", "training.patch=16", "--set", "training.batch_size=2")
ROADS: dict[str, tuple[str, ...]] = {
    "instant": ("--method", "instant"),
    "adapted": ("--method", "adapted", "--steps", "4", *SMALL),
    "nlridge": ("--method", "nlridge"),
}
KINDS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "2D": ("YX", (24, 28), "uint16"),
    "stack": ("ZYX", (5, 20, 24), "uint16"),
    "RGB": ("YXS", (20, 24, 3), "uint8"),
    "two channels": ("CYX", (2, 20, 24), "float32"),
}
"""Axes, shape and type."""


@pytest.mark.parametrize(
    ("road", "kind"),
    [
        *((road, kind) for road in ("instant", "nlridge") for kind in KINDS),
        ("adapted", "2D"),
        ("adapted", "RGB"),
    ],
)
def test_train_predict_and_denoise_keep_everything_but_the_noise(
    run: Run, write: Write, road: str, kind: str
) -> None:
    axes, shape, dtype = KINDS[kind]
    before = write("x.tif", shape, axes, dtype=dtype).read_bytes()
    for command in (
        ("train", "x.tif", "-o", "m", *ROADS[road]),
        ("predict", "m", "x.tif", "-o", "predicted.tif"),
        ("denoise", "x.tif", "-o", "denoised.tif", "--no-tta", *ROADS[road]),
    ):
        result = run(*command)
        assert result.code == 0, result.err
    assert Path("x.tif").read_bytes() == before
    assert facts("predicted.tif") == facts("denoised.tif") == facts("x.tif")
    clean = tifffile.imread("denoised.tif")
    assert np.array_equal(tifffile.imread("predicted.tif"), clean)
    assert np.isfinite(clean).all()
    assert clean.std() < tifffile.imread("x.tif").std()
    assert ("slice by slice" in result.err) == (kind == "stack")
    assert ("chosen: " in result.err) == (road == "adapted")
    values = yaml.safe_load(Path("m/config.yaml").read_text())
    chosen = values.get("choice", {}).get("candidate")
    assert values["config"]["method"] == ("n2v" if chosen == "self-trained" else road)


@pytest.mark.parametrize(
    ("road", "events"), [("instant", 2), ("adapted", 6), ("adapted", 8), ("nlridge", 2)]
)
def test_resume_equals_the_uninterrupted_run(
    run: Run, write: Write, stop_after: Callable[[int], None], road: str, events: int
) -> None:
    """Stopped in the calibration, at its last step, or while it trains."""
    write("x.tif", (24, 28), "YX")
    more = (*ROADS[road], *(("--steps", "8") if road == "adapted" else ()))
    assert run("train", "x.tif", "-o", "whole", *more).code == 0
    stop_after(events)
    stopped = run("train", "x.tif", "-o", "broken", *more)
    assert stopped.code == 130, stopped.err
    assert "unnoise train --resume broken" in stopped.err
    early = run("predict", "broken", "x.tif", "-o", "early.tif")
    assert early.code == 0, early.err
    stop_after(0)
    resumed = run("train", "--resume", "broken")
    assert resumed.code == 0, resumed.err
    weights = "weights.safetensors"
    assert Path("whole", weights).read_bytes() == Path("broken", weights).read_bytes()
    whole, broken = (
        [json.loads(line) for line in Path(m, "log.jsonl").read_text().splitlines()]
        for m in ("whole", "broken")
    )
    assert [{**line, "seconds": 0} for line in whole] == [{**line, "seconds": 0} for line in broken]
    whole_values, broken_values = (
        yaml.safe_load(Path(m, "config.yaml").read_text()) for m in ("whole", "broken")
    )
    assert whole_values["config"] == broken_values["config"]
    assert not Path("broken/resume.pt").exists()


def test_what_cannot_be(run: Run, write: Write) -> None:
    write("x.tif", (24, 28), "YX")
    write("y.tif", (24, 28), "YX", seed=1)
    write("z.tif", (6, 24, 28), "ZYX")
    write("small.tif", (12, 28), "YX")
    cases: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        (("x.tif", "--method", "instant", "--minutes", "1"), ("calibrated, not trained",)),
        (("x.tif", "--method", "instant", "--steps", "5"), ("calibrated, not trained",)),
        (("z.tif", "--method", "instant", "--3d"), ("works on planes", "--2d")),
        (("z.tif", "--method", "adapted", "--3d"), ("works on planes", "--2d")),
        (("z.tif", "--method", "nlridge", "--3d"), ("works on planes", "--2d")),
        (("x.tif", "--method", "nlridge", "--minutes", "1"), ("calibrated, not trained",)),
        (
            ("x.tif", "--method", "adapted", "--set", "training.loss=gaussian"),
            ("loss gaussian", "mse"),
        ),
        (("x.tif", "--method", "adapted", "--set", "net.filters=8"), ("no settings 'net'",)),
        (("x.tif", "--method", "instant", "--targets", "y.tif"), ("leave out the targets",)),
        (("small.tif", "--method", "instant"), ("12x28", "16 pixels")),
    ]
    for arguments, words in cases:
        for command in (("train", "-o", "never"), ("denoise", "-o", "never/")):
            assert_refused(run(*command, *arguments), *words)
    assert nothing_new(Path(), "x.tif", "y.tif", "z.tif", "small.tif")


@pytest.mark.parametrize("road", ROADS)
def test_a_model_is_for_its_kind_of_image(run: Run, write: Write, road: str) -> None:
    write("x.tif", (24, 28), "YX")
    write("two.tif", (2, 24, 28), "CYX")
    assert run("train", "x.tif", "-o", "m", *ROADS[road]).code == 0
    assert_refused(run("predict", "m", "two.tif", "-o", "never.tif"), "trained on 1 channel")
    write("wide.tif", (3, 20, 70), "ZYX")
    assert run("predict", "m", "wide.tif", "-o", "wide_clean.tif").code == 0
    assert facts("wide_clean.tif") == facts("wide.tif")


def test_correlated_noise_goes(run: Run) -> None:
    rng = np.random.default_rng(0)
    white = rng.normal(size=(128, 130))
    stripes = (white[:, 2:] + white[:, 1:-1] + white[:, :-2]) / np.sqrt(3)
    tifffile.imwrite("stripes.tif", (100 + 20 * stripes).astype(np.float32))
    run("denoise", "stripes.tif", "-o", "clean.tif", "--method", "instant")
    assert tifffile.imread("clean.tif").std() < 7


def test_a_movie_is_joined_from_file_to_file_and_says_so(run: Run) -> None:
    scene = 100 + 10 * smooth((64, 64), 1.5)
    movie = (scene + 8 * white((5, 64, 64))).astype(np.float32)
    tifffile.imwrite("x.tif", movie, metadata={"axes": "TYX"})
    denoise = ("denoise", "x.tif", "--method", "instant", "--no-tta")
    errors = {}
    for name, options in (("joined", ()), ("alone", ("--context", "T:0"))):
        result = run(*denoise, "-o", f"{name}.tif", *options)
        assert result.code == 0, result.err
        assert ("is joined with" in result.err) == (name == "joined")
        errors[name] = np.mean((tifffile.imread(f"{name}.tif") - scene) ** 2)
    assert errors["joined"] < 0.7 * errors["alone"]
    assert run("train", "x.tif", "-o", "m", "--method", "instant").code == 0
    result = run("predict", "m", "x.tif", "-o", "predicted.tif")
    assert "is joined with" in result.err
    assert np.array_equal(tifffile.imread("predicted.tif"), tifffile.imread("joined.tif"))
