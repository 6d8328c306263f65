"""What cannot be is refused with one sentence: images, packages, models."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from .commands import PACKAGES, TINY, Run, Write, assert_refused, files
from .family import options

pytestmark = pytest.mark.usefixtures("few_candidates")


def test_images_without_what_the_method_needs(run: Run, write: Write) -> None:
    x = write("in/a.tif", (24, 28), "YX")
    write("in/b.tif", (24, 28), "YX", seed=1)
    write("out/a.tif", (24, 28), "YX", seed=2)
    write("small.tif", (20, 20), "YX")
    write("t.tif", (3, 24, 28), "TYX")
    write("z.tif", (6, 24, 28), "ZYX")
    write("rgb.tif", (24, 28, 3), "YXS", dtype="uint8")
    nan = np.random.default_rng(0).normal(size=(24, 28)).astype(np.float32)
    nan[3, 4] = np.nan
    np.save("nan.npy", nan)
    Path("empty").mkdir()
    before = files()
    cases: list[tuple[list[object], list[str]]] = [
        (["in", "--method", "care"], ["care needs clean images", "--targets"]),
        (["in", "--method", "n2n"], ["--targets FOLDER", "--pairs T"]),
        (["in", "--method", "care", "--targets", "out"], ["images (2)", "targets (1)"]),
        (["in", "--method", "n2n", "--targets", "empty"], ["empty holds no image files"]),
        (["in", "--method", "n2n", "--targets", "nowhere"], ["no such file: nowhere"]),
        ([x, "--method", "care", "--targets", "small.tif"], ["(24, 28)", "(20, 20)", "pixels"]),
        ([x, "--method", "n2n", "--targets", "rgb.tif"], ["(24, 28, 3)", "differ in size"]),
        (
            [x, "--method", "care", "--targets", "nan.npy", "--nan", "refuse"],
            ["nan.npy has 1 NaN", "keep or fill"],
        ),
        ([x, "--method", "n2n", "--targets", x], ["its own target", "--targets"]),
        ([x, "--targets", "out"], ["learns from noisy images alone", "n2n", "care"]),
        ([x, "--method", "nlm", "--targets", "out"], ["nlm learns from noisy images alone"]),
        ([x, "--struct", "vertical:3", "--targets", "out"], ["leave out the targets"]),
        ([x, "--pairs", "T"], ["single position along T", "--axes"]),
        (["t.tif", "--pairs", "Z"], ["single position along Z", "--axes"]),
        (["t.tif", "--pairs", "C"], ["pairs.axis", "'T'"]),
        (["t.tif", "--pairs", "T", "--targets", "out"], ["give one of the two"]),
        (["t.tif", "--pairs", "T", "--method", "n2v"], ["no settings 'pairs'", "n2n"]),
        (["t.tif", "--pairs", "T", "--struct", "cross:3"], ["no settings 'mask'"]),
        (["z.tif", "--pairs", "Z", "--3d"], ["2D net", "--2d"]),
        (["z.tif", "--method", "bm3d", "--3d"], ["works on planes", "--2d"]),
        (["z.tif", "--struct", "z:3", "--2d"], ["z:3", "--3d"]),
        ([x, "--struct", "z:3"], ["z:3", "--3d"]),
        ([x, "--struct", "horizontal:4"], ["odd length", "horizontal:5"]),
        ([x, "--struct", "diagonal:3"], ["unknown structure", "horizontal:5"]),
        ([x, "--struct", "cross:3", "--method", "n2v2"], ["structn2v, not n2v2"]),
        ([x, "--method", "nlm", "--minutes", 1], ["calibrated, not trained", "leave out"]),
        ([x, "--method", "tv", "--steps", 5], ["calibrated, not trained", "leave out"]),
        ([x, "--method", "nope"], ["unknown method 'nope'", "n2v2", "bm3d"]),
    ]
    for arguments, words in cases:
        for command in (["train", "-o", "never"], ["denoise", "-o", "never/"]):
            result = run(*command, *arguments)
            assert_refused(result, *words)
            assert "training: step" not in result.err
    assert files() == before


@pytest.mark.parametrize(("name", "package"), [("wavelet", "PyWavelets"), ("bm3d", "bm3d")])
def test_a_filter_whose_package_is_missing(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    write("x.tif", (24, 28), "YX")
    before = files()
    real = importlib.import_module

    def missing(module: str, *rest: str) -> object:
        if module == PACKAGES[name]:
            raise ModuleNotFoundError(f"No module named '{module}'")
        return real(module, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    for command in (["train", "-o", "m"], ["denoise"]):
        assert_refused(run(*command, "x.tif", "--method", name), f"pip install {package}")
    assert files() == before


def test_a_model_of_another_kind_of_image(run: Run, write: Write) -> None:
    write("x.tif", (24, 28), "YX")
    write("rgb.tif", (24, 28, 3), "YXS", dtype="uint8")
    write("two.tif", (2, 24, 28), "CYX")
    write("z.tif", (6, 24, 28), "ZYX")
    for name in ("gaussian", "b2u"):
        assert run("train", "x.tif", "-o", name, *options(name)).code == 0
        for other in ("rgb.tif", "two.tif"):
            result = run("predict", name, other, "-o", "never.tif")
            assert_refused(result, "trained on 1 channel", other, "--axes")
        assert run("train", "z.tif", "--3d", "-o", f"{name}3", *options(name)).code == 0
        result = run("predict", f"{name}3", "x.tif", "-o", "never.tif")
        assert_refused(result, "three-dimensional", "--axes")
    assert not Path("never.tif").exists()


def test_damaged_models_of_filters(run: Run, write: Write) -> None:
    from safetensors.torch import load_file, save_file

    write("x.tif", (24, 28), "YX")
    assert run("train", "x.tif", "--method", "gaussian", "-o", "m").code == 0
    weights = load_file("m/weights.safetensors")
    for factor in (-1.0, 0.0, float("nan"), float("inf")):
        save_file({k: w * factor for k, w in weights.items()}, "m/weights.safetensors")
        assert_refused(run("predict", "m", "x.tif"), "damaged", "train again")
    save_file(weights, "m/weights.safetensors")
    values = yaml.safe_load(Path("m/config.yaml").read_text())
    for changes in ({"config": {"method": "tv"}}, {"provenance": None}, {"provenance": 3}):
        Path("m/config.yaml").write_text(yaml.safe_dump(values | changes))
        assert_refused(run("predict", "m", "x.tif"), "damaged", "train again")
    assert not Path("x_denoised.tif").exists()


def test_batch_norm_of_a_single_value_is_refused(run: Run, write: Write) -> None:
    write("x.tif", (20, 20), "YX")
    deep = ("--set", "net.unshuffle=4", "--set", "net.depth=2", "--set", "net.batch_norm=true")
    result = run("train", "x.tif", "-o", "m", *deep, "--set", "training.batch_size=1")
    assert_refused(result, "net.batch_norm", "training.batch_size=2", "net.depth")
    assert not Path("m").exists()


def test_a_training_that_diverges_ends_with_one_sentence(run: Run, write: Write) -> None:
    write("x.tif", (24, 28), "YX")
    more = (*TINY, "--steps", 20, "--set", "training.learning_rate=1e30")
    result = run("train", "x.tif", "-o", "m", *more)
    assert result.code == 1
    assert "diverged" in result.err.splitlines()[-1]
    assert "learning rate" in result.err.splitlines()[-1]
    assert "Traceback" not in result.err
    assert not Path("m").exists()
