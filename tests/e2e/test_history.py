"""What a training tells while it runs and afterwards: plots of its history, loggers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from unnoise.training import loggers

from .commands import QUICK, TINY, Run, assert_refused


@pytest.fixture
def model(run: Run, cells: Path) -> str:
    more = (*TINY, "--steps", 3, "--set", "training.validate_every=1")
    assert run("train", cells, "-o", "m", *more).code == 0
    return "m"


def test_plot_history_writes_a_picture_and_a_table(run: Run, cells: Path, model: str) -> None:
    result = run("plot-history", model)
    assert result.code == 0, result.err
    assert sorted(result.out.split()[1::2]) == ["m/history.csv", "m/history.png"]
    assert Path("m/history.png").read_bytes().startswith(b"\x89PNG")
    header, *rows = Path("m/history.csv").read_text().splitlines()
    assert header.split(",")[0] == "step"
    assert {"loss", "held_out", "held_out_low", "held_out_high"} <= set(header.split(","))
    log = [json.loads(line) for line in Path("m/log.jsonl").read_text().splitlines()]
    assert [row.split(",")[0] for row in rows] == [str(line["step"]) for line in log]
    elsewhere = run("plot-history", model, "-o", "h.svg")
    assert elsewhere.code == 0
    assert Path("h.csv").read_text() == Path("m/history.csv").read_text()
    assert "<svg" in Path("h.svg").read_text()
    assert run("predict", model, cells, "-o", "c.tif").code == 0  # more files do no harm


def test_plot_history_of_a_filter(run: Run, cells: Path) -> None:
    assert run("train", cells, "--method", "gaussian", "-o", "m").code == 0
    assert run("plot-history", "m").code == 0
    assert "sigma" in Path("m/history.csv").read_text()


def test_plot_history_without_a_log(run: Run, cells: Path, model: str) -> None:
    Path("empty").mkdir()
    for place in ("nowhere", "empty"):
        assert_refused(run("plot-history", place), place, "log.jsonl")
    assert_refused(run("plot-history", cells), "log.jsonl", "model folder")
    assert_refused(run("plot-history", model, "-o", "h.txt"), "h.txt", ".png")
    assert_refused(run("plot-history", model, "-o", "no/h.png"), "no/h.png")
    assert_refused(run("plot-history", model, "-o", "cells.tif/h.png"), "cells.tif")
    log = Path(model, "log.jsonl")
    for text in ("", "\n", "broken\n"):
        log.write_text(text)
        assert_refused(run("plot-history", model), "log.jsonl", "wait")
    log.write_text("broken\n" + '{"step": 1}\n')
    assert_refused(run("plot-history", model), "line 1", "damaged")
    log.unlink()
    assert_refused(run("plot-history", model), "no log.jsonl")
    assert sorted(p.name for p in Path().rglob("history.*")) == []


class Writer:
    """What unnoise uses of TensorBoard's SummaryWriter."""

    made: list[Writer]

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.texts, self.closed = folder, [], [], 0
        self.made.append(self)

    def add_text(self, name: str, text: str) -> None:
        self.texts.append(text)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, step))

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    """A TensorBoard that keeps what it is told."""
    Writer.made = []
    module = SimpleNamespace(SummaryWriter=Writer)

    def pretend(name: str, package: str) -> object:
        return module if name.startswith("torch") else ModuleType(name)

    monkeypatch.setattr(loggers, "_import", pretend)
    return Writer.made


def test_tensorboard_gets_every_validation_also_after_resuming(
    run: Run, cells: Path, board: list[Writer], stop_after: Callable[[int], None]
) -> None:
    more = (*TINY, "--steps", 4, "--set", "training.validate_every=1", "--log", "tensorboard")
    stop_after(2)
    assert run("train", cells, "-o", "m", *more).code == 130
    stop_after(0)
    assert run("train", "--resume", "m").code == 0
    first, second = board
    assert {Path(writer.folder).parent.name for writer in board} == {"m.logs"}
    assert [step for name, step in first.scalars if name == "held_out"] == [1, 2]
    assert [step for name, step in second.scalars if name == "held_out"] == [3, 4]
    assert (first.closed, second.closed) == (1, 1)
    assert "n2v" in first.texts[0]
    assert sorted(p.name for p in Path("m").iterdir()) == [
        "config.yaml",
        "log.jsonl",
        "report.html",
        "weights.safetensors",
    ]


def test_a_logger_that_breaks_does_not_end_the_training(
    run: Run, cells: Path, board: list[Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Writer, name: str, value: float, step: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Writer, "add_scalar", full)
    result = run("train", cells, "-o", "m", *QUICK, "--log", "tensorboard")
    assert result.code == 0, result.err
    assert "no space left on device" in result.err
    assert run("predict", "m", cells, "-o", "c.tif").code == 0


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_logger_whose_package_is_missing(
    run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    result = run("train", cells, "-o", "m", "--log", name, *QUICK)
    assert_refused(result, f"pip install {name}")
    assert "training: step" not in result.err
    assert [p.name for p in Path().iterdir()] == ["cells.tif"]


def test_an_unknown_logger(run: Run, cells: Path) -> None:
    result = run("train", cells, "-o", "m", "--log", "paper", *QUICK)
    assert_refused(result, "unknown logger 'paper'", "tensorboard or wandb")
    assert [p.name for p in Path().iterdir()] == ["cells.tif"]
