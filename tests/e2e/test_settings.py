"""Settings by file, option and preset; what is listed and explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from unnoise import Config
from unnoise.config.methods import METHODS

from .commands import PACKAGES, QUICK, TINY, Run, Write, assert_refused, nothing_new


def of(folder: str) -> dict[str, object]:
    """The settings in a model folder."""
    values: dict[str, object] = yaml.safe_load(Path(folder, "config.yaml").read_text())["config"]
    return values


def test_methods_lists_every_method_with_assumption_and_cost(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("methods")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    for name, entry in METHODS.items():
        assert [line for line in lines if line.split()[:1] == [name]], name
        flat = " ".join(result.out.split())
        assert f"Assumes {' '.join(entry.assumes.split())}" in flat
        assert f"Time: {entry.cost}" in flat
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", METHODS)
def test_printed_settings_are_complete_and_train(run: Run, write: Write, name: str) -> None:
    printed = run("config", name)
    assert (printed.code, printed.err) == (0, "")
    config = Config.from_yaml(printed.out)
    assert config == Config.preset(method=name)
    assert yaml.safe_load(printed.out) == config.values()
    comments = [line for line in printed.out.splitlines() if line.lstrip().startswith("#")]
    assert len(comments) >= len(config.values())
    assert max(len(line) for line in printed.out.splitlines()) <= 100
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    write("x.tif", (3, 20, 20), "TYX")
    more = QUICK if config.net is not None else ()
    if name == "adapted":
        more = ("--steps", "2")
    if config.needs_pairs:
        write("y.tif", (3, 20, 20), "TYX", seed=1)
        more = (*more, "--targets", "y.tif")
    Path("run.yaml").write_text(printed.out)
    from_file = run("train", "x.tif", "--config", "run.yaml", "-o", "a", *more)
    assert from_file.code == 0, from_file.err
    assert run("train", "x.tif", "--method", name, "-o", "b", *more).code == 0
    weights = "weights.safetensors"
    assert Path("a", weights).read_bytes() == Path("b", weights).read_bytes()
    assert of("a") == of("b")
    assert of("a")["ndim"] == 2
    if config.is_trained:  # what ran, with everything that was left open
        training = of("a")["training"]
        assert isinstance(training, dict)
        assert (training["steps"], training["patch"]) == (2, 64)
        assert yaml.safe_load(Path("a/config.yaml").read_text())["patch"] == [16, 16]


def test_the_settings_of_a_model_folder_train_the_same_model(run: Run, cells: Path) -> None:
    more = ("--method", "n2v2", *QUICK, "--set", "training.loss=laplace", "--seed", 3)
    assert run("train", cells, "-o", "a", *more).code == 0
    assert run("train", cells, "-o", "b", "--config", "a/config.yaml").code == 0
    weights = "weights.safetensors"
    assert Path("a", weights).read_bytes() == Path("b", weights).read_bytes()
    assert of("a") == of("b")


def test_options_win_over_the_settings_file(run: Run, cells: Path) -> None:
    Path("run.yaml").write_text(
        "method: n2v\nmask: {percent: 9, radius: 3}\nnet: {filters: 2, depth: 1}\n"
        "training: {minutes: 90, seed: 5, learning_rate: 0.001}\n"
    )
    more = ("--set", "mask.percent=7", "--steps", 2, "--seed", 8)
    assert run("train", cells, "-o", "m", "--config", "run.yaml", *more).code == 0
    config = Config.parse(of("m"))
    assert config.mask is not None
    assert config.net is not None
    assert (config.mask.percent, config.mask.radius, config.net.filters) == (7, 3, 2)
    t = config.training
    assert (t.steps, t.minutes, t.seed, t.learning_rate) == (2, None, 8, 0.001)
    assert run("denoise", cells, "--config", "run.yaml", *more).code == 0


def test_a_settings_file_for_another_method(run: Run, cells: Path, tmp_path: Path) -> None:
    Path("run.yaml").write_text(run("config", "n2v2").out)
    more = ("-o", "m", "--config", "run.yaml")
    refused = run("train", cells, "--method", "n2v", *more)
    assert_refused(refused, "for the method n2v2, not n2v", "leave out")
    assert_refused(run("train", cells, "--preset", "paper", *more), "one of the two")
    assert_refused(run("train", cells, "--struct", "cross:3", *more), "structn2v, not n2v2")
    assert_refused(run("train", cells, "--pairs", "T", *more), "no settings 'pairs'")
    assert nothing_new(tmp_path, "cells.tif", "run.yaml")
    assert run("train", cells, "--method", "n2v2", *more, *QUICK).code == 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("mask.percent", ["'mask.percent' is no setting", "mask.percent=5"]),
        ("=5", ["write it as mask.percent=5"]),
        ("", ["write it as mask.percent=5"]),
        ("mask.percnt=5", ["mask.percnt", "did you mean 'percent'"]),
        ("masks.percent=5", ["masks", "did you mean 'mask'"]),
        ("steps=5", ["'steps'", "no such setting"]),
        ("mask.percent.deep=5", ["no such setting"]),
        ("mask.percent=", ["mask.percent", "number"]),
        ("mask.percent=many", ["mask.percent", "number"]),
        ("mask.percent=0", ["mask.percent", "0.05"]),
        ("mask.percent=51", ["mask.percent", "50"]),
        ("mask.percent=.nan", ["mask.percent", "finite"]),
        ("mask.percent=[1", ["mask.percent", "no value"]),
        ("mask=3", ["mask"]),
        ("mask=null", ["n2v needs the settings 'mask'"]),
        ("mask.replacement=mode", ["mask.replacement", "'median'"]),
        ("mask.replacement=mean", ["mask.percent", "6.25"]),
        ("mask.struct=cross:3", ["structn2v, not n2v"]),
        ("method=n2v2", ["use --method"]),
        ("net.depth=7", ["net.depth", "6"]),
        ("net.z_poolings=3", ["net.z_poolings", "net.depth"]),
        ("net.unshuffle=3", ["net.unshuffle", "1, 2 or 4"]),
        ("pairs.axis=T", ["n2v has no settings 'pairs'", "n2n"]),
        ("b2u.side=4", ["n2v has no settings 'b2u'"]),
        ("ndim=4", ["ndim", "2 or 3"]),
        ("training.loss=huber", ["training.loss", "'laplace'"]),
        ("training.patience=3", ["training.patience", "cosine", "plateau"]),
        ("training.patch=8", ["training.patch", "16"]),
        ("training.seed=-1", ["training.seed", "0"]),
        ("training.learning_rate=.inf", ["training.learning_rate", "finite"]),
    ],
)
def test_settings_that_cannot_be(
    run: Run, cells: Path, tmp_path: Path, option: str, words: list[str]
) -> None:
    assert_refused(run("train", cells, "-o", "m", "--set", option), *words)
    assert nothing_new(tmp_path, "cells.tif")


def test_the_order_of_set_does_not_count(run: Run, cells: Path) -> None:
    for i, more in enumerate(
        (
            ("--set", "mask.replacement=mean", "--set", "mask.percent=5"),
            ("--set", "training.patience=3", "--set", "training.schedule=plateau"),
        )
    ):
        assert run("train", cells, "-o", f"m{i}", *QUICK, *more).code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["name: value"]),
        (b"- a\n- b\n", ["name: value"]),
        (b"method: [n2v\n", ["not valid YAML"]),
        (b"method:\tn2v\n\tndim: 2\n", ["not valid YAML"]),
        (b"? [1, 2]\n: 3\n", ["not valid YAML"]),
        (b"!!python/object:os.system {}\n", ["not valid YAML"]),
        (b"\xff\xfe\x00x", ["run.yaml", "unnoise config"]),
        (b"1: 2\n", ["1"]),
        (b"methd: n2v\n", ["methd", "did you mean 'method'"]),
        (b"method: 5\n", ["unknown method", "n2v2"]),
        (b"method: null\n", ["unknown method", "n2v2"]),
        (b"method: [n2v]\n", ["unknown method", "n2v2"]),
        (b"method: n2v\nmask: 3\n", ["mask"]),
        (b"mask: {percnt: 5}\n", ["mask.percnt", "did you mean 'percent'"]),
        (b"method: nlm\nnet: {depth: 2}\n", ["nlm has no settings 'net'"]),
        (b"method: nlm\ntraining: {steps: 5}\n", ["calibrated, not trained"]),
        (b"training: {steps: 5, minutes: 5}\n", ["one of the two"]),
        (b"training: {seed: 99999999999999999999}\n", ["training.seed"]),
        (b"training: {betas: [0.9]}\n", ["training.betas"]),
        (b"format: 1\nconfig: 5\n", ["format"]),
    ],
)
def test_settings_files_that_cannot_be(
    run: Run, cells: Path, tmp_path: Path, text: bytes, words: list[str]
) -> None:
    (tmp_path / "run.yaml").write_bytes(text)
    assert_refused(run("train", cells, "-o", "m", "--config", "run.yaml"), *words)
    assert nothing_new(tmp_path, "cells.tif", "run.yaml")


def test_settings_files_that_are_none(run: Run, cells: Path, tmp_path: Path) -> None:
    Path("folder").mkdir()
    for place in ("nowhere.yaml", "folder"):
        result = run("train", cells, "-o", "m", "--config", place)
        assert_refused(result, place, "unnoise config n2v > run.yaml")
    assert nothing_new(tmp_path, "cells.tif")


def test_struct_and_pairs_choose_their_method(run: Run, write: Write) -> None:
    write("t.tif", (3, 20, 24), "TYX")
    said = run("train", "t.tif", "--struct", "vertical:5", "-o", "s", *QUICK).err
    assert "structn2v (hides 5x1 pixels)" in said
    assert of("s")["method"] == "structn2v"
    assert of("s")["mask"]["struct"] == "vertical:5"  # type: ignore[index]
    assert run("train", "t.tif", "--struct", "[[0,1],[1]]", "-o", "never").code == 2
    listed = run("train", "t.tif", "--struct", "[[0,1,0],[1,1,1],[0,1,0]]", "-o", "l", *QUICK)
    assert "hides 3x3 with 5 pixels" in listed.err
    for axis in ("T", "t"):
        more = ("--pairs", axis, "-o", "p", "--overwrite")
        assert run("train", "t.tif", *more, *QUICK).code == 0
        assert of("p")["method"] == "n2n"
        assert of("p")["pairs"]["axis"] == "T"  # type: ignore[index]


def test_config_prints_presets_and_changes(run: Run) -> None:
    paper = run("config", "b2u", "--preset", "paper")
    assert Config.from_yaml(paper.out) == Config.preset("paper", "b2u")
    changed = run("config", "--set", "mask.percent=7", "--set", "net.depth=3")
    assert Config.from_yaml(changed.out) == Config().set("mask.percent=7").set("net.depth=3")
    assert_refused(run("config", "n2v3"), "unknown method 'n2v3'", "n2v2")
    assert_refused(run("config", "--preset", "slow"), "unknown preset 'slow'", "fast, paper")
    assert_refused(run("config", "structn2v", "--set", "mask.struct=null"), "horizontal:9")


@pytest.mark.parametrize(
    "more",
    [
        ["--method", "n2v"],
        ["--set", "mask.percent=5"],
        ["--config", "m/config.yaml"],
        ["--preset", "paper"],
        ["--pairs", "T"],
        ["--struct", "cross:3"],
        ["--context", "T:1"],
        ["--noise-model", "camera.json"],
        ["--log", "wandb"],
        ["--steps", "9"],
        ["--minutes", "9"],
        ["--seed", "0"],
        ["--axes", "YX"],
        ["--nan", "fill"],
        ["--overwrite"],
        ["--2d"],
        ["-o", "other"],
    ],
    ids=" ".join,
)
def test_resume_goes_with_no_other_settings(run: Run, more: list[str]) -> None:
    assert_refused(run("train", "--resume", "m", *more), "--resume", "leave out")


def test_a_model_folder_from_inside(
    run: Run, cells: Path, stop_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", cells, "-o", "whole", *TINY, "--steps", 4).code == 0
    stop_after(2)
    assert run("train", cells, "-o", "m", *TINY, "--steps", 4).code == 130
    stop_after(0)
    weights = "weights.safetensors"
    monkeypatch.chdir("m")
    assert run("train", "--resume", ".").code == 0
    assert run("plot-history", ".").code == 0
    assert run("predict", ".", cells, "-o", "../c.tif").code == 0
    assert Path(weights).read_bytes() == Path("..", "whole", weights).read_bytes()
    Path("../empty").mkdir()
    monkeypatch.chdir("../empty")
    assert_refused(run("train", cells, "-o", ".", *QUICK), "current folder", "-o")
    assert [p.name for p in Path().iterdir()] == []


HELP = {
    (): ["denoise", "train", "predict", "methods", "config", "plot-history", "demo"],
    ("denoise",): ["--method", "--targets", "--pairs", "--struct", "--context", "--uncertainty"],
    ("train",): ["--resume", "--method", "--targets", "--config", "--set", "--log", "--preset"],
    ("predict",): ["--uncertainty", "--axes", "--tta", "--overwrite"],
    ("methods",): ["assume"],
    ("config",): ["--set", "--preset", "run.yaml"],
    ("plot-history",): ["--out", "CSV"],
    ("demo",): ["--steps"],
}


def test_the_context_is_a_setting_of_every_method(run: Run, cells: Path) -> None:
    for method in ("n2v", "gaussian"):
        more = ("--method", method, *(QUICK if method == "n2v" else ()))
        assert run("train", cells, "-o", method, "--context", "t:0", *more).code == 0
        assert of(method)["context"] == {"T": 0}
    for wrong in ("2", "T", "T:", "T:-1", "T:two", ":2"):
        assert_refused(run("train", cells, "-o", "m", "--context", wrong), "T:2")
    assert_refused(run("train", cells, "-o", "m", "--context", "S:1"), "context")


@pytest.mark.parametrize("command", HELP, ids=" ".join)
def test_help_names_the_options(run: Run, command: tuple[str, ...]) -> None:
    everything = "--help-all" if command in {("denoise",), ("train",), ("predict",)} else "--help"
    result = run(*command, everything)
    assert (result.code, result.err) == (0, "")
    for word in HELP[command]:
        assert word in result.out, word
    assert max(len(line) for line in result.out.splitlines()) <= 100
