"""A dry run refuses what the real one refuses, tells what it would do, and leaves nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from synthetic import photons
from unnoise.app.cli.main import main
from unnoise.app.dry_run import leaving_no_folders

Run = Callable[..., tuple[int, str, str]]
GAUSSIAN = ("--method", "gaussian")
TINY = ("--method", "n2v", "--steps", "2", "--set", "net.filters=4", "--set", "net.depth=1")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("a", 0), ("b", 1)):
        np.save(f"{name}.npy", photons((40, 48), seed=seed))
    Path("broken.npy").write_bytes(b"nothing")
    np.save("two.npy", photons((2, 32, 32)))
    np.save("dark.npy", np.random.default_rng(0).normal(5, 2, (8, 40, 48)).astype(np.float32))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unnoise", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        text = capsys.readouterr()
        return int(stop.value.code or 0), text.out, text.err

    return call


def everything() -> dict[str, bytes | None]:
    """All files and folders that there are."""
    return {str(p): p.read_bytes() if p.is_file() else None for p in Path().rglob("*")}


@pytest.mark.parametrize(
    "arguments",
    [
        ("denoise", "gone.npy"),
        ("denoise", "broken.npy"),
        ("denoise", "a.npy", "-o", "a.npy"),
        ("denoise", "a.npy", "-o", "b.npy", *GAUSSIAN),
        ("denoise", "a.npy", "-o", "deep/down/a.jpg", *GAUSSIAN),
        ("denoise", "a.npy", "--uncertainty", "s.npy", *GAUSSIAN),
        ("denoise", "two.npy"),
        ("denoise", "a.npy", "--dtype", "complex64"),
        ("denoise", "a.npy", "--save-model", "a.npy", *GAUSSIAN),
        ("train", "a.npy", "-o", "a.npy", *TINY),
        ("train", "a.npy", "--targets", "gone.npy", "-o", "m", "--method", "care"),
        ("train", "a.npy"),
        ("train", "a.npy", "-o", "m", *TINY, "--log", "paper"),
        ("predict", "nowhere", "a.npy"),
        ("correct", "a.npy", "--dark", "dark.npy", "-o", "b.npy"),
        ("correct", "a.npy", "--dark", "two.npy", "-o", "c.npy"),
    ],
    ids=" ".join,
)
def test_refusals_are_those_of_the_real_run(run: Run, arguments: tuple[str, ...]) -> None:
    before = everything()
    code, _, told = run(*arguments, "--dry-run")
    assert everything() == before
    real, _, text = run(*arguments)
    assert (code, told.splitlines()[-1]) == (real, text.splitlines()[-1])
    assert code == 2


def test_results_that_are_shared_are_refused_as_by_the_real_run(run: Run) -> None:
    for model in ("m", "other"):
        training = ("train", "a.npy", "-o", model, *TINY, "--no-report", "-q")
        assert run(*training, "--seed", str(len(model)))[0] == 0
    assert run("predict", "m", "a.npy", "-o", "laid.zarr", "--prepare")[0] == 0
    for words, text in (
        ("m a.npy -o x.tif --prepare", "a folder of chunks"),
        ("m a.npy -o x.tif --part 0/2", "a folder of chunks"),
        ("m a.npy -o x.zarr --part 0/2", "is not prepared"),
        ("m a.npy -o x.zarr --finish", "is not prepared"),
        ("m a.npy -o laid.zarr --finish", "1 of 1 pieces"),
        ("other a.npy -o laid.zarr --part 0/2", "of another model"),
        ("other a.npy -o laid.zarr --resume", "of another model"),
        ("m b.npy -o laid.zarr --prepare", "of another image"),
    ):
        before = everything()
        code, _, told = run("predict", *words.split(), "--dry-run")
        assert (code, everything()) == (2, before), words
        assert text in told
        assert run("predict", *words.split())[2].splitlines()[-1] == told.splitlines()[-1]
    before = everything()
    for words in (
        "m a.npy -o laid.zarr --part 0/2",
        "m a.npy -o laid.zarr --resume",
        "other a.npy -o laid.zarr --prepare --overwrite",
        "m a.npy -o x.zarr --prepare",
        "m a.npy -o x.tif --resume",
    ):
        assert run("predict", *words.split(), "--dry-run")[0] == 0, words
        assert everything() == before


def test_what_is_told_is_what_then_happens(run: Run) -> None:
    line = ("denoise", "a.npy", "b.npy", "-o", "out/deep", *GAUSSIAN, "--no-report")
    before = everything()
    code, out, text = run(*line, "--dry-run", "--json")
    assert code == 0, text
    assert everything() == before
    told = json.loads(out)
    assert (told["results"], told["written"]) == ([], [])
    plan = told["dry_run"]
    assert plan["files"][0] == {
        "input": "a.npy",
        "axes": "YX",
        "shape": [40, 48],
        "dtype": "uint16",
        "output": "out/deep/a.npy",
        "output_dtype": "uint16",
        "uncertainty": None,
    }
    (group,) = plan["groups"]
    assert (group["method"], group["images"]) == ("gaussian", ["a.npy", "b.npy"])
    assert plan["memory"] > 1e8
    assert "nothing was written" in text
    assert "a.npy (YX 40x48, uint16) would give out/deep/a.npy (uint16)" in text
    _, out, _ = run(*line, "--json")
    assert [r["output"] for r in json.loads(out)["results"]] == [f["output"] for f in plan["files"]]


def test_a_training_and_its_use(run: Run) -> None:
    before = everything()
    code, out, _ = run("train", "a.npy", "-o", "new/m", *TINY, "--dry-run", "--json")
    assert code == 0
    assert everything() == before
    plan = json.loads(out)["dry_run"]
    assert (plan["model"], plan["files"][0]["output"]) == ("new/m", None)
    assert plan["seconds"] > 0
    assert "2 steps" in plan["groups"][0]["plan"][0]
    assert run("train", "a.npy", "-o", "m", *TINY, "--no-report", "-q")[0] == 0
    code, _, text = run("train", "--resume", "m", "--dry-run")
    assert code == 2
    assert "leave it out" in text
    before = everything()
    code, out, text = run("predict", "m", "b.npy", "broken.npy", "-o", "x", "--dry-run", "--json")
    assert (code, everything()) == (1, before)
    assert "1 of 2 images would fail" in text
    document = json.loads(out)
    assert [entry["input"] for entry in document["failed"]] == ["broken.npy"]
    assert [entry["output"] for entry in document["dry_run"]["files"]] == ["x/b.npy"]


def test_corrected_images(run: Run) -> None:
    before = everything()
    line = ("correct", "a.npy", "--dark", "dark.npy", "-o", "even/a.npy", "--dry-run")
    code, _, text = run(*line)
    assert code == 0, text
    assert everything() == before
    assert "would give even/a.npy" in text


def test_only_empty_folders_that_were_not_there_go(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with leaving_no_folders(tmp_path / "old" / "new" / "x.tif", tmp_path / "kept" / "y", None):
        (tmp_path / "old" / "new").mkdir()
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "file").touch()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "kept", "old"]
