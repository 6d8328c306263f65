"""The list of jobs stays short, however many there were."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("nicegui")

from nicegui import Client, ui

from unnoise.app.session.job import Job
from unnoise.app.session.request import Request
from unnoise.app.web import home_page


def job(number: int, state: str) -> Job:
    found = Job(f"j{number}", Request((f"{number}.tif",)), number=number)
    found.state, found.ended = state, 1000.0 + number if state == "done" else None
    return found


def texts(element: Any, tag: str) -> list[str]:
    """The texts of all elements of a kind below one."""
    return [e.text for e in element.descendants() if e.tag == tag and getattr(e, "text", "")]


def test_jobs_that_ended_first_are_shown_when_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(home_page, "SHOWN", 3)
    monkeypatch.setattr(ui, "timer", lambda *_: None)  # which needs a loop
    ended = [job(n, "done") for n in range(1, 8)]
    waiting = [job(0, "waiting"), *(job(n, "waiting") for n in (8, 9))]
    queue = SimpleNamespace(jobs=lambda: [waiting[0], *ended, *waiting[1:]])
    with Client(ui.page("/jobs")), ui.element() as shown:
        jobs = home_page._Jobs(SimpleNamespace(queue=queue))  # type: ignore[arg-type]
        wanted = ["9.tif", "8.tif", "7.tif", "6.tif", "5.tif", "0.tif"]
        assert texts(shown, "a") == wanted
        assert "Show 3 of 4 older jobs" in texts(shown, "button")
        jobs._more()
        assert texts(shown, "a") == [*wanted[:-1], "4.tif", "3.tif", "2.tif", "0.tif"]
        assert "Show 1 of 1 older jobs" in texts(shown, "button")
        jobs._more()
        assert len(texts(shown, "a")) == 10
        assert not [text for text in texts(shown, "button") if "older" in text]
