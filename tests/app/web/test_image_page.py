"""What the page of an image says of how it was read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from unnoise.app.session.job import Job
from unnoise.app.session.look import Look
from unnoise.app.session.request import Request
from unnoise.app.web import image_page
from unnoise.app.web.image_page import _ImagePage, read_facts, verdict_facts
from unnoise.app.web.site import Choices
from unnoise.app.web.workspace import Workspace

LOOK = Look(
    images=1,
    name="cells.lif",
    axes="CYX",
    shape=(2, 64, 48),
    dtype="uint8",
    scale={"Y": 0.14},
    units={"Y": "µm"},
    channels=("0", "1"),
    noise=("independent",),
    method="instant",
    why="as asked for",
    seconds=None,
    memory=490_100_000,
)


@pytest.mark.parametrize(
    ("names", "told"), [(("0", "1"), "2, not named"), (("DAPI", "1"), "DAPI, 1")]
)
def test_numbers_are_no_names_of_channels(names: tuple[str, ...], told: str) -> None:
    facts = dict(read_facts(replace(LOOK, channels=names)))
    assert facts["Channels"] == told
    assert facts["Pixel size"] == "Y 0.14 µm"
    assert "Channels" not in dict(read_facts(replace(LOOK, channels=("0",))))


def test_the_page_is_for_images_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.npy", "sub/b.npy"):
        (tmp_path / name).touch()
    pages = []
    monkeypatch.setattr(image_page, "el", MagicMock())
    monkeypatch.setattr(image_page, "_ImagePage", lambda site, files, *_: pages.append(files))
    site: Any = SimpleNamespace(workspace=Workspace(tmp_path))
    for places in (["sub"], ["a.npy", "sub"], [""], ["sub/../a.npy"], []):
        image_page.build(site, places, "", "")
    assert pages == []
    image_page.build(site, ["a.npy", "sub/b.npy"], "", "")
    assert pages == [[tmp_path / "a.npy", tmp_path / "sub" / "b.npy"]]


def test_more_images_than_can_be_chosen_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of the first ones alone would look like one of all."""
    monkeypatch.setattr(image_page, "MOST_PLACES", 2)
    shown, said = MagicMock(), []
    shown.notice = said.append
    pages = []
    monkeypatch.setattr(image_page, "el", shown)
    monkeypatch.setattr(image_page, "_ImagePage", lambda site, files, *_: pages.append(files))
    site: Any = SimpleNamespace(workspace=Workspace(tmp_path))
    places = [f"{n}.npy" for n in range(3)]
    for name in places:
        (tmp_path / name).touch()
    image_page.build(site, places, "", "")
    assert pages == []
    assert "3 images were chosen, and at most 2" in said[0]
    image_page.build(site, places[:2], "", "")
    assert len(pages[0]) == 2


def test_memory_is_told_as_well_as_it_is_known() -> None:
    facts = dict(verdict_facts(LOOK))
    assert facts["Memory"] == "up to 500 MB"
    assert facts["Time"] == "not known before it runs"


def test_a_double_click_starts_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []

    def submit(request: Request, owner: str) -> Job:
        jobs.append(Job(str(len(jobs)), request, owner))
        return jobs[-1]

    queue = SimpleNamespace(jobs=lambda: list(jobs), submit=submit)
    requests = lambda files, choices: [Request(("a.tif",), budget=choices.budget)]  # noqa: E731
    page: Any = object.__new__(_ImagePage)
    page._site = SimpleNamespace(queue=queue, requests=requests)
    page._files, page._owner, page._problem = [Path("a.tif")], "me", MagicMock()
    page._choices = Choices()
    page._begun = page._choices, []
    ui = MagicMock()
    monkeypatch.setattr(image_page, "ui", ui)

    def press() -> str:
        asyncio.run(page._denoise())
        return str(ui.navigate.to.call_args[0][0])

    assert [press(), press()] == ["/job/0", "/job/0"]
    page._choices.budget = "five"
    assert [press(), press()] == ["/job/1", "/job/1"]
    jobs[1].state = "done"
    assert press() == "/job/2"
    del jobs[2]  # removed while it waited
    assert press() == "/job/2"
    assert len(jobs) == 3
