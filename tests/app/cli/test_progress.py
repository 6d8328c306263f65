"""What people see of a running job: a bar in a terminal, lines in a log, nothing if quiet."""

from __future__ import annotations

import io
import json
from collections.abc import Generator
from pathlib import Path

import pytest
from rich.console import Console

from unnoise.app.cli import progress
from unnoise.app.events import Event, Judged, Message, Predicting, Saved
from unnoise.errors import Interrupted
from unnoise.training.loop import Progress

EVENTS = [
    Message("cells.tif: axes [YX], 2D net"),
    Progress(10, 100, 0.1, 2.0, 18.0, 0.5, None),
    Progress(100, 100, 1.0, 20.0, 0.0, 0.4, 0.45),
    Predicting(Path("out.tif"), 1, 4),
    Predicting(Path("out.tif"), 4, 4),
    Saved(Path("out.tif")),
]


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, quiet: bool = False) -> str:
    text = io.StringIO()
    options = {"width": 200, "soft_wrap": True, "highlight": False}
    console = Console(file=text, force_terminal=terminal, **options)
    monkeypatch.setattr("rich.console.Console", lambda **options: console)
    with progress.reporter(quiet) as report:
        for event in EVENTS:
            report(event)
    return text.getvalue()


def test_plain_lines_tell_phase_rate_losses_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, terminal=False).splitlines()
    assert lines == [
        "cells.tif: axes [YX], 2D net",
        "training: step 10/100  5.0 steps/s  loss 0.5000  held-out -  0:18 left",
        "training: step 100/100  5.0 steps/s  loss 0.4000  held-out 0.4500  0:00 left",
        "denoising out.tif: 1/4 tiles  0:00 left",
        "denoising out.tif: 4/4 tiles  0:00 left",
        "wrote out.tif",
    ]


def test_plain_lines_are_not_one_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **options: Console(file=text, width=200))
    with progress.reporter(False) as report:
        for step in range(1, 1000):
            report(Progress(step, 1000, step / 1000, step / 50, 1.0, 0.5, None))
    assert len(text.getvalue().splitlines()) == 1


def test_terminal_shows_a_bar_and_keeps_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, terminal=True)
    assert "cells.tif: axes [YX], 2D net" in text
    assert "wrote out.tif" in text
    assert "%" in text


def test_quiet_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, terminal=True, quiet=True) == ""


def test_what_is_only_calibrated_is_not_said_to_be_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = Progress(1, 60, 1 / 60, 0.1, 5.9, None, None, "calibrating")
    monkeypatch.setattr(f"{__name__}.EVENTS", [calibration, EVENTS[1]])
    assert shown(monkeypatch, terminal=False).splitlines() == [
        "calibrating: step 1/60  10.0 steps/s  0:05 left",
        "training: step 10/100  5.0 steps/s  loss 0.5000  held-out -  0:18 left",
    ]


@pytest.mark.parametrize(
    ("error", "told"),
    [(Interrupted("2 of 6 pieces are kept"), "2 of 6"), (KeyboardInterrupt(), "stop")],
)
def test_a_document_is_printed_where_a_job_is_interrupted(
    capsys: pytest.CaptureFixture[str], error: BaseException, told: str
) -> None:
    def job() -> Generator[Event]:
        yield Saved(Path("a.tif"))
        raise error

    with pytest.raises(type(error)):
        progress.show(job(), quiet=True, as_json="predict")
    found = json.loads(capsys.readouterr().out)
    assert found["written"] == ["a.tif"]
    assert told in found["stopped"]
    with pytest.raises(type(error)):
        progress.show(job(), quiet=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("in/a.tif", "a.tif"),
        ("in/a.h5 (/raw/data)", "a.h5 (/raw/data)"),
        ("x (series 1)", "x (series 1)"),
    ],
)
def test_warnings_name_their_image(monkeypatch: pytest.MonkeyPatch, image: str, name: str) -> None:
    warned = Judged(image, "n2v", "unknown", warnings=("mind the gap",))
    monkeypatch.setattr(f"{__name__}.EVENTS", [warned])
    assert shown(monkeypatch, terminal=False, quiet=True) == f"warning: {name}: mind the gap\n"
