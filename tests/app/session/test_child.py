"""A process of a job, from outside."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from unnoise.app.events import Saved, Stopped
from unnoise.app.session.child import Child
from unnoise.app.session.frames import Problem, decode

from .noisy_files import filtered, noisy_file


def test_nothing_of_the_current_folder_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of images may hold a file that is called like a module."""
    for name in ("json", "torch", "unnoise", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    child = Child()
    child.begin(filtered(noisy_file(tmp_path)), tmp_path / "last")
    events = list(child.events())
    assert any(isinstance(event, Saved) for event in events)
    assert not any(isinstance(event, Problem) for event in events)
    assert not (tmp_path / "last").exists()
    assert not child.is_alive


def test_a_stop_before_it_began_is_heard(tmp_path: Path) -> None:
    child = Child()
    child.begin(filtered(noisy_file(tmp_path)), tmp_path / "last")
    child.stop()
    child.stop()
    events = list(child.events())
    assert isinstance(events[-1], Stopped)
    assert not (tmp_path / "cells_denoised.tif").exists()


def test_what_it_refuses_names_options_as_they_are_typed(tmp_path: Path) -> None:
    path = noisy_file(tmp_path)
    child = Child()
    child.begin(filtered(path, out=str(noisy_file(tmp_path, "clean.tif"))), tmp_path / "last")
    (problem,) = (event for event in child.events() if isinstance(event, Problem))
    assert "--overwrite" in problem.text
    assert problem.misuse


def test_leaving_its_events_ends_it(tmp_path: Path) -> None:
    child = Child()
    child.begin(filtered(noisy_file(tmp_path)), tmp_path / "last")
    with contextlib.closing(child.events()) as events:
        next(events)
    assert not child.is_alive


INTERRUPTED = """
import signal
from unnoise.app import problems
from unnoise.app.session import worker
problems.sentence = lambda error: signal.raise_signal(signal.SIGINT)
worker.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_stop_while_it_tells_what_went_wrong_is_told(tmp_path: Path) -> None:
    """Once nothing was told, and the job was done without a result."""
    order = {"request": filtered(tmp_path / "none.tif").to_dict(), "last": str(tmp_path / "last")}
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()  # and open: its end is the wish to stop
        events = []
        while (event := decode(process.stdout)) is not None:
            events.append(event)
        process.stdin.close()
        assert process.wait(60) == 0
    assert [type(event) for event in events[-1:]] == [Stopped]
