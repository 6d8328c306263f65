"""The list of jobs stays short, however many there were."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("nicegui")

from nicegui import Client, ui

from unnoise.app.session.job import Job
from unnoise.app.session.request import Request
from unnoise.app.web import home_page, pages, server
from unnoise.app.web.settings import Settings
from unnoise.app.web.site import Site
from unnoise.app.web.workspace import Workspace


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


def test_all_images_of_a_large_folder_can_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home_page, "LISTED", 3)
    (tmp_path / "a b").mkdir()
    for n in range(7):
        (tmp_path / "a b" / f"{n}.npy").touch()
    site: Any = SimpleNamespace(workspace=Workspace(tmp_path))
    found, first = [], 0
    while True:
        with Client(ui.page("/folder")), ui.element() as shown:
            home_page._chooser(site, "a b", first)
        found += [text for text in texts(shown, "a") if text.endswith(".npy")]
        ways = {e.text: e.props["href"] for e in shown.descendants() if e.tag == "a"}
        assert f"{first + 1} to {len(found)} of 7" in texts(shown, "span")
        assert ("Earlier ones" in ways) == (first > 0)
        if "Later ones" not in ways:
            break
        query = parse_qs(urlsplit(ways["Later ones"]).query)
        assert query["folder"] == ["a b"]
        first = int(query["first"][0])
    assert found == [f"{n}.npy" for n in range(7)]
    for odd in (7, 10**9):
        with Client(ui.page("/folder")), ui.element() as shown:
            home_page._chooser(site, "a b", odd)
        assert "0.npy" in texts(shown, "a")


def test_records_that_cannot_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    (workspace.queue / "jobs").mkdir()
    for number in range(8):
        (workspace.queue / "jobs" / f"{number}.json").write_text("{")
    monkeypatch.setattr(ui, "timer", lambda *_: None)
    with (
        Site.opened(Settings(tmp_path), workspace) as site,
        Client(ui.page("/problems")),
        ui.element() as shown,
    ):
        home_page.build(site, "")
        alerts = [text for text in texts(shown, "p") if "problem" in text or "record" in text]
    assert len(alerts) == 6
    assert alerts[0].startswith("a job is not listed, as its record ")
    assert alerts[5] == "and 3 more problems of this kind"
    said: list[str] = []
    monkeypatch.setattr(pages, "application", lambda site: None)
    monkeypatch.setattr(server, "_serve", lambda *_: None)
    monkeypatch.setattr(server, "_tidy_after_pages", lambda: None)
    server.run(Settings(tmp_path, port=0), any_port=True, echo=said.append)
    assert said[:6] == alerts
