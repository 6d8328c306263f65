"""A process of a job, from outside."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from unnoise.app.events import Saved, Stopped
from unnoise.app.session.child import Child
from unnoise.app.session.frames import Problem

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
