"""Laws of the loggers: records arrive, what fails falls silent, and missing packages are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from unnoise.errors import InputError
from unnoise.training.loggers import LOGGERS, Logger, check, make

RECORDS: list[dict[str, float]] = [
    {"step": 50, "seconds": 1.5, "loss": 0.5, "held_out": 0.625},
    {"step": 100, "seconds": 3.0, "loss": 0.25, "held_out": float("nan")},
]
SETTINGS: dict[str, Any] = {"method": "n2v", "training": {"steps": 100}}


class Sink:
    """Stands for a writer or run of either package."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.args, self.settings = args, settings
        self.seen: list[tuple[int, str, float]] = []
        self.text = ""
        self.n_closed = 0
        self.fails: type[Exception] | None = None

    def _note(self, step: int, name: str, value: float) -> None:
        if self.fails is not None:
            raise self.fails("no space left\nand more")
        self.seen.append((step, name, value))

    def add_text(self, name: str, text: str) -> None:
        self.text = text

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self._note(step, name, value)

    def flush(self) -> None:
        pass

    def log(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._note(step, name, value)

    def close(self) -> None:
        self.n_closed += 1
        if self.fails is not None:
            raise self.fails("no space left")

    finish = close


@pytest.fixture(params=["tensorboard", "wandb"])
def opened(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Logger, Sink]:
    """A logger and the sink that takes the place of its package."""
    sinks: list[Sink] = []

    def start(*args: Any, **settings: Any) -> Sink:
        sinks.append(Sink(*args, **settings))
        return sinks[-1]

    for name in ("tensorboard", "torch.utils.tensorboard", "wandb"):
        fake = ModuleType(name)
        fake.SummaryWriter = fake.init = start  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, fake)
    return make(request.param, tmp_path / "my-model", SETTINGS), sinks[0]


def test_finite_numbers_arrive_at_their_step(opened: tuple[Logger, Sink]) -> None:
    logger, sink = opened
    for record in RECORDS:
        logger.log(record)
    logger.close()
    logger.close()
    logger.log(RECORDS[0])  # after the end: nothing
    assert sink.seen == [
        (50, "seconds", 1.5),
        (50, "loss", 0.5),
        (50, "held_out", 0.625),
        (100, "seconds", 3.0),
        (100, "loss", 0.25),
    ]
    assert sink.n_closed == 1
    assert logger.problem is None


def test_settings_and_name_are_passed_on(opened: tuple[Logger, Sink], tmp_path: Path) -> None:
    _, sink = opened
    folder = tmp_path / "my-model"
    if sink.args:
        assert sink.args == (str(folder / "tensorboard"),)
        assert "| method | n2v |" in sink.text
    else:
        assert sink.settings == {
            "project": "unnoise",
            "dir": str(folder),
            "config": SETTINGS,
            "name": "my-model",
        }


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyError])
def test_a_failing_sink_falls_silent(opened: tuple[Logger, Sink], error: type[Exception]) -> None:
    logger, sink = opened
    logger.log(RECORDS[0])
    sink.fails = error
    logger.log(RECORDS[1])
    assert logger.problem is not None
    assert logger.problem.startswith(f"logging stopped at step 100 ({error.__name__}: ")
    assert "no space left" in logger.problem
    assert "the training goes on" in logger.problem
    sink.fails = None
    before, problem = list(sink.seen), logger.problem
    logger.log(RECORDS[0])  # silent from now on, with the first reason
    assert sink.seen == before
    sink.fails = error
    logger.close()
    assert logger.problem == problem


def test_failing_at_the_end_is_told(opened: tuple[Logger, Sink]) -> None:
    logger, sink = opened
    sink.fails = OSError
    logger.close()
    assert logger.problem == (
        "the log may lack its end (OSError: no space left); the model is not affected"
    )


def test_interrupting_is_no_failure_of_the_sink(
    opened: tuple[Logger, Sink], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    logger, sink = opened
    monkeypatch.setattr(sink, "_note", interrupt)
    with pytest.raises(KeyboardInterrupt):
        logger.log(RECORDS[0])


@pytest.mark.parametrize("record", [{}, {"step": float("nan")}, {"step": 1, "note": "text"}])
def test_odd_records_do_no_harm(opened: tuple[Logger, Sink], record: dict[str, Any]) -> None:
    logger, sink = opened
    logger.log(record)
    assert sink.seen == []


def test_errors_teach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown logger 'mlflow'; choose tensorboard or wandb"):
        make("mlflow", tmp_path, {})
    for name in LOGGERS:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(InputError) as caught:
            make(name, tmp_path, {})
        assert str(caught.value) == f"--log {name} needs the package {name}: pip install {name}"
        with pytest.raises(InputError, match=f"pip install {name}"):
            check([name])  # before any work
    fake = ModuleType("wandb")
    fake.init = lambda **settings: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with pytest.raises(InputError, match=r"--log wandb cannot start .ZeroDivisionError"):
        make("wandb", tmp_path, {})


def test_importing_costs_no_package() -> None:
    code = (
        "import sys, unnoise.training.loggers; "
        "assert not {'torch', 'tensorboard', 'wandb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_itself_reads_the_records(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the package tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = make("tensorboard", tmp_path, SETTINGS)
    for record in RECORDS:
        logger.log(record)
    logger.close()
    assert logger.problem is None
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"seconds", "loss", "held_out"}
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(50, 0.5), (100, 0.25)]


@pytest.mark.filterwarnings("ignore")
def test_wandb_itself_keeps_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs the package wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = make("wandb", tmp_path, SETTINGS)
    for record in RECORDS:
        logger.log(record)
    logger.close()
    assert logger.problem is None
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
