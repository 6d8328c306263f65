"""Every method of the family from file to file: train, predict, denoise, resume, refuse."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile
import yaml
from scipy import ndimage

import unnoise
from unnoise.training import filter_search as calibration

from .conftest import TINY, Run, facts
from .test_bad_input import assert_refused

Write = Callable[..., Path]

TRAINED: dict[str, tuple[str, ...]] = {
    "n2v": (),
    "n2v2": ("--method", "n2v2"),
    "structn2v": ("--struct", "horizontal:3"),
    "n2n": ("--method", "n2n", "--targets", "again.tif"),
    "n2n along T": ("--pairs", "T"),
    "care": ("--method", "care", "--targets", "clean.tif"),
    "b2u": ("--method", "b2u"),
    "r2r": ("--method", "r2r"),
}
CLASSICAL = {name: ("--method", name) for name in ("gaussian", "nlm", "tv", "wavelet", "bm3d")}
PACKAGES = {"wavelet": "pywt", "bm3d": "bm3d"}

KINDS: dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]] = {
    "2D": ("YX", (24, 28), ()),
    "3D": ("ZYX", (6, 20, 24), ("--3d",)),
    "RGB": ("YXS", (20, 24, 3), ()),
    "two channels": ("CYX", (2, 20, 24), ()),
}
"""Axes, shape and options."""


def options(name: str) -> tuple[str, ...]:
    """What chooses the method, and a length that is over at once."""
    if name in CLASSICAL:
        if name in PACKAGES:
            pytest.importorskip(PACKAGES[name])
        return CLASSICAL[name]
    return (*TRAINED[name], *TINY, "--steps", "2")


def scene(write: Write, name: str, kind: str) -> tuple[str, ...]:
    """Write x.tif and what the method learns from; returns the options of the kind of image."""
    axes, shape, more = KINDS[kind]
    dtype = "uint8" if kind == "RGB" else "uint16"
    if name == "n2n along T":
        if kind == "RGB":
            pytest.skip("an RGB file has no T")
        axes, shape = f"T{axes}", (3, *shape)
    write("x.tif", shape, axes, dtype=dtype)
    write("again.tif", shape, axes, seed=1, dtype=dtype)
    write("clean.tif", shape, axes, seed=2, dtype=dtype if kind == "RGB" else "float32")
    return more


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let classic filters try four parameters instead of up to twelve."""
    every = calibration.candidates

    def some(*arguments: object) -> list[dict[str, float]]:
        return every(*arguments)[::3]  # type: ignore[arg-type]

    monkeypatch.setattr(calibration, "candidates", some)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*TRAINED, *CLASSICAL])
def test_train_predict_and_denoise_keep_everything_but_the_noise(
    run: Run, write: Write, name: str, kind: str
) -> None:
    if name == "bm3d" and kind == "3D":
        pytest.skip("bm3d works on planes")
    more = (*options(name), *scene(write, name, kind))
    before = files()
    for command in (
        ("train", "x.tif", "-o", "m", *more),
        ("predict", "m", "x.tif", "-o", "predicted.tif"),
        ("denoise", "x.tif", "-o", "denoised.tif", "--no-tta", *more),
    ):
        result = run(*command)
        assert result.code == 0, result.err
    assert {k: v for k, v in files().items() if k in before} == before
    wanted = facts("clean.tif" if name == "care" else "x.tif")
    assert facts("predicted.tif") == facts("denoised.tif") == wanted
    clean = tifffile.imread("denoised.tif")
    assert np.array_equal(tifffile.imread("predicted.tif"), clean)
    assert np.isfinite(clean).all()
    assert not np.array_equal(clean, tifffile.imread("x.tif"))
    method = yaml.safe_load(Path("m/config.yaml").read_text())["config"]["method"]
    assert method == name.split()[0]
    assert ("3D" in result.err) == (kind == "3D")


@pytest.mark.parametrize("name", [*TRAINED, *CLASSICAL])
def test_resume_equals_the_uninterrupted_run(
    run: Run, write: Write, stop_after: Callable[[int], None], name: str
) -> None:
    """Also where the second images of pairs are only known by their path."""
    more = options(name)
    if name in TRAINED:
        more = (*more, "--steps", "5", "--set", "training.validate_every=2")
    scene(write, name, "2D")
    assert run("train", "x.tif", "-o", "whole", *more).code == 0
    stop_after(2)
    stopped = run("train", "x.tif", "-o", "broken", *more)
    assert stopped.code == 130, stopped.err
    assert "unnoise train --resume broken" in stopped.err
    assert run("predict", "broken", "x.tif", "-o", "early.tif").code == 0
    stop_after(0)
    resumed = run("train", "--resume", "broken")
    assert resumed.code == 0, resumed.err
    assert "going on after step 2" in resumed.err
    weights = "weights.safetensors"
    assert Path("whole", weights).read_bytes() == Path("broken", weights).read_bytes()
    whole, broken = (
        [json.loads(line) for line in Path(m, "log.jsonl").read_text().splitlines()]
        for m in ("whole", "broken")
    )
    assert [{**line, "seconds": 0} for line in whole] == [{**line, "seconds": 0} for line in broken]
    assert not Path("broken/resume.pt").exists()
    assert "nothing is left to train" in run("train", "--resume", "broken").err


@pytest.mark.parametrize(
    "settings",
    [
        ["net.batch_norm=true", "training.schedule=plateau", "training.plateau_patience=1"],
        ["training.schedule=halving", "training.patience=6", "training.loss=laplace"],
        ["training.optimizer=sgd", "training.ema=0", "net.channels=separate", "net.pool=blur"],
        ["net.dropout=0.4"],
    ],
    ids=lambda settings: settings[0],
)
def test_resume_with_other_settings(
    run: Run, write: Write, stop_after: Callable[[int], None], settings: list[str]
) -> None:
    write("x.tif", (2, 24, 28), "CYX")
    more = [*TINY, "--steps", "6", "--set", "training.validate_every=1"]
    for setting in settings:
        more += ["--set", setting]
    assert run("train", "x.tif", "-o", "whole", *more).code == 0
    stop_after(3)
    assert run("train", "x.tif", "-o", "broken", *more).code == 130
    stop_after(0)
    assert run("train", "--resume", "broken").code == 0
    weights = "weights.safetensors"
    assert Path("whole", weights).read_bytes() == Path("broken", weights).read_bytes()


def test_resume_of_pairs_whose_targets_moved(
    run: Run, write: Write, stop_after: Callable[[int], None]
) -> None:
    scene(write, "care", "2D")
    more = (*options("care"), "--steps", "4")
    assert run("train", "x.tif", "-o", "whole", *more).code == 0
    stop_after(2)
    assert run("train", "x.tif", "-o", "m", *more).code == 130
    stop_after(0)
    os.rename("clean.tif", "moved.tif")
    gone = run("train", "--resume", "m")
    assert_refused(gone, "clean.tif, which is gone", "unnoise train IMAGES --targets TARGETS")
    other = run("train", "--resume", "m", "--targets", "again.tif")
    assert_refused(other, "not the ones m was trained on")
    write("two/a.tif", (24, 28), "YX")
    write("two/b.tif", (24, 28), "YX")
    assert_refused(run("train", "--resume", "m", "--targets", "two"), "(1)", "(2)")
    assert run("train", "--resume", "m", "--targets", "moved.tif").code == 0
    weights = "weights.safetensors"
    assert Path("whole", weights).read_bytes() == Path("m", weights).read_bytes()


def test_stopped_denoise_of_pairs_goes_on(
    run: Run, write: Write, stop_after: Callable[[int], None]
) -> None:
    scene(write, "care", "2D")
    more = (*options("care"), "--steps", "4")
    stop_after(2)
    assert run("denoise", "x.tif", "-o", "d.tif", *more).code == 130
    assert not Path("d.tif").exists()
    stop_after(0)
    assert run("train", "--resume", "d.model").code == 0
    assert run("predict", "d.model", "x.tif", "-o", "d.tif").code == 0
    assert facts("d.tif") == facts("clean.tif")


def test_real_ctrl_c_while_a_filter_is_calibrated(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first one ends after the candidate and keeps the best so far, a second one at once."""
    write("x.tif", (24, 28), "YX")
    risk = calibration.risk

    def interrupted(times: int) -> None:
        signals = [signal.SIGINT] * times

        def act(*arguments: object) -> float:
            while signals:
                signal.raise_signal(signals.pop())
            return risk(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(calibration, "risk", act)

    for command in (("train", "x.tif", "-o", "m"), ("denoise", "x.tif", "-o", "d.tif")):
        interrupted(1)
        stopped = run(*command, "--method", "gaussian")
        assert stopped.code == 130, stopped.err
        assert "stopped at step 1" in stopped.err
        interrupted(2)
        stopped = run(*command, "--method", "gaussian", "--overwrite")
        assert stopped.code == 130, stopped.err
        assert "Traceback" not in stopped.err
    monkeypatch.setattr(calibration, "risk", risk)
    assert not Path("d.tif").exists()
    for folder in ("m", "d.model"):
        assert run("predict", folder, "x.tif", "-o", f"{folder}.tif").code == 0
        assert run("train", "--resume", folder).code == 0


# What cannot be


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
        ([x, "--method", "care", "--targets", "nan.npy"], ["nan.npy has 1 NaN", "--nan fill"]),
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


def test_bm3d_passes_thick_stacks_plane_by_plane(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the package, which is not free for all."""
    stand_in = ModuleType("bm3d")
    stand_in.bm3d = lambda x, sigma: ndimage.gaussian_filter(x, 1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bm3d", stand_in)
    write("x.tif", (16, 20, 24), "ZYX")
    result = run("denoise", "x.tif", "--method", "bm3d", "-o", "d.tif")
    assert result.code == 0, result.err
    assert "bm3d, axes ZYX, slice by slice" in result.err
    assert facts("d.tif") == facts("x.tif")
    assert tifffile.imread("d.tif").std() < tifffile.imread("x.tif").std()


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
    for changes in ({"config": {"method": "tv"}}, {"origin": None}, {"origin": 3}):
        Path("m/config.yaml").write_text(yaml.safe_dump(values | changes))
        assert_refused(run("predict", "m", "x.tif"), "damaged", "train again")
    assert not Path("x_denoised.tif").exists()


# Pairs


def test_targets_are_paired_by_name_or_else_in_order_with_a_message(run: Run, write: Write) -> None:
    """Who is whose target is read from the model folder."""

    def trained(*targets: str) -> tuple[list[str], str]:
        shutil.rmtree("m", ignore_errors=True)
        named = [word for target in targets for word in ("--targets", target)]
        result = run("train", "in", "--method", "n2n", *named, "-o", "m", *TINY, "--steps", 1)
        assert result.code == 0, result.err
        origin = yaml.safe_load(Path("m/config.yaml").read_text())["origin"]
        assert [Path(entry["path"]).name for entry in origin["data"]] == ["t2.tif", "t10.tif"]
        return [Path(entry["path"]).name for entry in origin["targets"]], result.err

    for i, name in enumerate(
        ("in/t2.tif", "in/t10.tif", "by/t10.tif", "by/t2.tif", "at/u1.tif", "at/u2.tif")
    ):
        write(name, (24, 28), "YX", seed=i)
    order = "in order, not by name"
    names, said = trained("by")
    assert (names, order in said) == (["t2.tif", "t10.tif"], False)
    names, said = trained("by/t10.tif", "by/t2.tif")
    assert (names, order in said) == (["t2.tif", "t10.tif"], False)
    names, said = trained("at")
    assert names == ["u1.tif", "u2.tif"]
    assert f"{order}: t2.tif with u1.tif, t10.tif with u2.tif" in said
    names, said = trained("at/u1.tif", "by/t2.tif")  # one name is there, but not for all
    assert (names, order in said) == (["u1.tif", "t2.tif"], True)
    # Two looks at one scene in one folder: each is the target of the other, never of itself.
    names, said = trained("in/t10.tif", "in/t2.tif")
    assert (names, order in said) == (["t10.tif", "t2.tif"], True)


def test_one_name_in_several_folders_is_no_pairing_by_name(run: Run, write: Write) -> None:
    for i, name in enumerate(("a/x.tif", "b/x.tif", "c/x.tif", "c/y.tif")):
        write(name, (24, 28), "YX", seed=i)
    inputs = ("a/x.tif", "b/x.tif")
    more = ("--method", "n2n", "--targets", "c", *TINY, "--steps", 1)
    result = run("train", *inputs, "-o", "m", *more)
    assert result.code == 0, result.err
    assert "x.tif with x.tif, x.tif with y.tif" in result.err


def test_groups_keep_their_own_targets(run: Run, write: Write) -> None:
    """Images of different kinds need several models; each learns from its own pairs."""
    write("in/a.tif", (24, 28), "YX")
    write("in/b.tif", (2, 24, 28), "CYX")
    write("gt/a.tif", (24, 28), "YX", seed=1)
    write("gt/b.tif", (2, 24, 28), "CYX", seed=2)
    more = ("--method", "care", "--targets", "gt", *TINY, "--steps", 1, "--no-tta")
    for extra in ((), ("--each",)):
        result = run("denoise", "in", "-o", "out", "--overwrite", *more, *extra)
        assert result.code == 0, result.err
        assert facts("out/a.tif") == facts("in/a.tif")
        assert facts("out/b.tif") == facts("in/b.tif")


def test_clean_images_are_never_overwritten(run: Run, write: Write) -> None:
    for name in ("in/a.tif", "in/b.tif", "gt/a.tif", "gt/b.tif"):
        write(name, (24, 28), "YX", seed=len(name))
    before = files()
    more = ("--method", "care", "--targets", "gt", "--overwrite", *TINY, "--steps", 1)
    assert_refused(run("denoise", "in", "-o", "gt", *more), "gt/a.tif", "never overwritten")
    spread = run("denoise", "in", "-o", "out", "--uncertainty", "gt", *more)
    assert_refused(spread, "gt/a.tif", "never overwritten")
    assert files() == before


def test_care_has_the_type_and_the_units_of_the_clean_images(run: Run, write: Write) -> None:
    x = tifffile.imread(write("x.tif", (24, 28), "YX"))
    tifffile.imwrite("clean.tif", (x / 1000 - 5).astype(np.float32))
    more = ("--method", "care", "--targets", "clean.tif", *TINY, "--steps", 2)
    assert run("denoise", "x.tif", "-o", "d.tif", "--uncertainty", "s.tif", *more).code == 0
    d, s = tifffile.imread("d.tif"), tifffile.imread("s.tif")
    assert (d.dtype, s.dtype) == (np.float32, np.float32)
    assert abs(d.mean() + 4.98) < 0.02
    assert 0 < s.min() <= s.max() < 0.1
    assert run("denoise", "x.tif", "-o", "i.tif", "--dtype", "int16", *more).code == 0
    assert tifffile.imread("i.tif").dtype == np.int16


def test_missing_pixels_in_pairs_are_filled(run: Run, write: Write) -> None:
    x = tifffile.imread(write("x.tif", (24, 28), "YX")).astype(np.float32)
    x[5, 5] = np.nan
    np.save("clean.npy", x)
    more = ("--method", "care", "--targets", "clean.npy", *TINY, "--steps", 1)
    assert run("denoise", "x.tif", "--nan", "fill", "-o", "d.tif", *more).code == 0
    assert np.isfinite(tifffile.imread("d.tif")).all()


def test_pairs_along_z_and_s(run: Run, write: Write) -> None:
    """Slices that are pairs need a 2D net, which thick stacks get too, and no offer of a 3D one."""
    write("z.tif", (16, 20, 24), "ZYX")
    result = run("denoise", "z.tif", "--pairs", "z", "-o", "o.tif", "--no-tta", *TINY, "--steps", 1)
    assert result.code == 0, result.err
    assert "2D net slice by slice (16 Z slices)," in result.err
    assert facts("o.tif") == facts("z.tif")
    np.save("s.npy", np.random.default_rng(0).normal(size=(3, 20, 24)))
    more = ("--axes", "SYX", "--pairs", "S", "--no-tta", *TINY, "--steps", 1)
    assert run("denoise", "s.npy", *more).code == 0
    assert np.load("s_denoised.npy").shape == (3, 20, 24)


# Uncertainty


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
    calibrated = yaml.safe_load(Path("m/config.yaml").read_text())["origin"]["calibration"]
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


# Odd but possible


@pytest.mark.parametrize(
    "settings",
    [
        ["--struct", "horizontal:63"],
        ["--struct", "square:63", "--set", "mask.percent=50"],
        ["--method", "n2v2", "--set", "mask.percent=50"],
        ["--set", "mask.percent=0.05", "--set", "mask.radius=15"],
        ["--set", "net.filters=1", "--set", "net.depth=6"],
        ["--set", "net.unshuffle=4", "--set", "net.depth=4"],
        ["--set", "net.unshuffle=4", "--set", "net.depth=4", "--set", "net.batch_norm=true"],
        ["--set", "training.batch_size=1", "--method", "b2u", "--set", "b2u.phases=4"],
        ["--method", "b2u", "--set", "b2u.side=8", "--set", "b2u.phases=64"],
        ["--set", "net.kernel=7", "--set", "net.convs=4", "--set", "net.upsample=linear"],
        ["--set", "net.last_activation=relu", "--set", "net.residual=true"],
    ],
    ids=" ".join,
)
def test_extreme_settings_on_a_tiny_image(run: Run, write: Write, settings: list[str]) -> None:
    write("x.tif", (20, 20), "YX")
    small = () if any("filters" in word for word in settings) else ("--set", "net.filters=2")
    result = run("denoise", "x.tif", "-o", "d.tif", "--steps", 2, "--no-tta", *small, *settings)
    assert result.code == 0, result.err
    assert facts("d.tif") == facts("x.tif")


@pytest.mark.parametrize(
    "settings",
    [
        ["net.z_poolings=0"],
        ["net.z_poolings=1", "net.depth=3"],
        ["net.unshuffle=4", "net.pool=blur", "net.channels=joint"],
    ],
)
def test_3d_nets_for_thin_stacks(run: Run, write: Write, settings: list[str]) -> None:
    write("x.tif", (4, 20, 20), "ZYX")
    more = [word for setting in reversed(settings) for word in ("--set", setting)]
    small = ("--set", "net.filters=2", "--steps", 1, "--no-tta")
    result = run("denoise", "x.tif", "--3d", "-o", "d.tif", *small, *more)
    assert result.code == 0, result.err
    assert facts("d.tif") == facts("x.tif")


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


def test_the_python_calls_agree_with_the_command_line(run: Run, write: Write) -> None:
    x, y = (
        tifffile.imread(write(n, (24, 28), "YX", seed=i)) for i, n in enumerate(("x.tif", "y.tif"))
    )
    more = ("--method", "n2n", "--targets", "y.tif", *TINY, "--steps", 2)
    assert run("denoise", "x.tif", "-o", "d.tif", *more).code == 0
    config = unnoise.Config(method="n2n").set("net.filters=4").set("net.depth=1")
    clean = unnoise.denoise(x, y, config=config, steps=2)
    assert np.array_equal(clean, tifffile.imread("d.tif"))
    with pytest.raises(ValueError, match="not n2v"):
        unnoise.train(x, y, method="n2v", config=config)
