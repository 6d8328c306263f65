"""What the load of the page counts: turns, results, and elements as a page has them."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest
import tifffile

from load.visitor import Page, Visitor
from load.visits import Diary, Pending, checked, content, digest, image, unfair


def record(owner: str, created: float, started: float | None, ended: float) -> dict[str, Any]:
    """What the queue keeps of a job."""
    times = {"created": created, "started": started, "ended": ended}
    return {"id": f"{owner}{created}", "owner": owner, "state": "done", "error": "", **times}


@pytest.mark.parametrize(
    ("others", "passed"),
    [
        ([record("b", 0, 2, 3)], 0),
        ([record("b", 0, 4, 5)], 1),  # two of a came first
        ([record("b", 1.5, 4, 5)], 0),  # it came later
        ([record("b", 0, None, 2)], 0),  # it was stopped before
        ([record("b", 0, None, 9)], 1),
        ([record("b", 0, 2, 3), record("c", 0, 5, 6)], 1),
    ],
)
def test_who_waits_between_two_jobs_of_another_is_found(others: list, passed: int) -> None:
    own = [record("a", 0, 1, 2), record("a", 0, 3, 4)]
    pairs, found = unfair(own + others)
    assert pairs == 1
    assert len(found) == passed


def test_a_wrong_or_lost_result_is_a_loss() -> None:
    book, job = Diary([digest(image(0))]), Pending("1", "a.tif", 0)
    done = record("a", 0, 1, 2)
    checked(book, job, done, content(0))
    assert book.losses == []
    checked(book, job, done, content(1))
    checked(book, job, done | {"state": "failed"}, None)
    assert [text.partition(" ")[0] for text in book.losses] == ["the", "job", "job"]
    assert tifffile.imread(io.BytesIO(content(0))).dtype == "uint16"


def test_a_page_follows_what_the_server_sends() -> None:
    elements = {
        "0": {"tag": "div", "children": [1, 2, 4]},
        "1": {"tag": "p", "class": ["verdict"], "text": "Noise < signal & more"},
        "2": {"tag": "label", "children": [3, 5]},
        "3": {"tag": "span", "text": "Method"},
        "4": {"tag": "button", "text": "Denoise"},
        "5": {"tag": "select"},
        "6": {"tag": "button", "text": "Stop"},  # which has been taken out
    }
    raw = json.dumps(elements).replace("&", "&amp;").replace("<", "&lt;")
    query = "{'client_id': 'x', 'next_message_id': 3, 'implicit_handshake': True}"
    html = f"parseElements(String.raw`{raw}`)\n query: {query},\n"

    async def follow() -> None:
        page = Page(Visitor("http://127.0.0.1:1/?token=x"), html)
        key = page.find("p", "Noise < signal &", "verdict")
        assert (key, page.field("Method"), page.find("button", "Stop")) == ("1", "5", None)
        await page._update({"_id": 3, "1": None, "4": {"tag": "button", "text": "Stop"}})
        assert (page.find("p"), page.find("button", "Stop")) == (None, "4")

    asyncio.run(follow())
