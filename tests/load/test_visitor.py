"""A connection that breaks is made again, as browsers do."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from socketio.exceptions import ConnectionError as NoConnection

from load import visitor
from load.visitor import Broken, Lost, Page, Visitor

HTML = "parseElements(String.raw`{}`)\n query: {{'client_id': '{}', 'next_message_id': 3}},\n"
REFUSED = {"message": "Implicit handshake failed"}


class Line:
    """A server that answers as it is told: nothing, a refusal, or a connection."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked, self.connected = list(answers), [], False
        self.told: dict[str, Any] = {}

    def on(self, event: str, take: Any) -> None:
        self.told[event] = take

    async def connect(self, url: str, **options: Any) -> None:
        self.asked.append(url)
        answer = self.answers.pop(0)
        if answer == "refused":
            await self.told["connect_error"](REFUSED)
        if answer != "connected":
            raise NoConnection(answer)
        self.connected = True

    async def disconnect(self) -> None:
        self.connected = False

    shutdown = disconnect

    async def emit(self, event: str, told: dict[str, Any]) -> None:
        self.asked.append(event)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    found = Line()
    monkeypatch.setattr(visitor.socketio, "AsyncClient", lambda **options: found)
    monkeypatch.setattr(visitor.random, "random", lambda: -0.5)
    return found


def page_of(someone: Visitor, *, mends: bool = True) -> Page:
    """A page with a button whose server is served as long as it has answers."""
    button = '{"tag": "button", "events": [{"type": "click", "listener_id": 1}]}'
    other = f'{{"0": {{"tag": "p", "children": [1]}}, "1": {button}}}'
    button = f'{{"0": {button}}}'

    async def get(place: str) -> Any:  # where the button has another number
        return type("Answer", (), {"text": HTML.format(other, "second")})

    someone.get = get
    return Page(someone, HTML.format(button, "first"), "/job/1", mends=mends)


@pytest.mark.parametrize(
    ("answers", "mended"),
    [
        (["connected"], {"connected": 1}),
        (["nothing", "connected"], {"connected": 1}),
        (["refused", "connected"], {"connected": 1, "loaded": 1}),
    ],
)
def test_a_page_is_connected_again(line: Line, answers: list[str], mended: dict) -> None:
    async def follow() -> Page:
        someone = Visitor("http://127.0.0.1:1/?token=x")
        someone.is_served = lambda: asyncio.sleep(0, True)
        page = page_of(someone)
        line.answers = answers
        await page.press("")
        return page

    page = asyncio.run(asyncio.wait_for(follow(), 30))
    assert dict(page.mended) == mended
    assert line.asked[-1] == "event"
    assert f"client_id={'second' if 'loaded' in mended else 'first'}" in line.asked[-2]
    assert "next_message_id=3" in line.asked[-2]


def test_messages_that_were_missed_load_it_again(line: Line) -> None:
    async def follow() -> Page:
        page = page_of(Visitor("http://127.0.0.1:1/?token=x"))
        line.answers = ["connected", "connected"]
        await page.connect()
        await line.told["run_javascript"]({"_id": 3, "code": "window.location.reload()"})
        await page.wait(lambda: page.mended["loaded"] and line.connected)
        return page

    assert asyncio.run(asyncio.wait_for(follow(), 30)).mended["loaded"] == 1


@pytest.mark.parametrize(("mends", "error"), [(True, Lost), (False, Broken)])
def test_a_server_that_is_gone_is_told(line: Line, mends: bool, error: type[Exception]) -> None:
    async def follow() -> None:
        someone = Visitor("http://127.0.0.1:1/?token=x")  # where nobody answers
        page = page_of(someone, mends=mends)
        line.answers = ["nothing"] * 2
        try:
            await page.wait(lambda: False)
        finally:
            with contextlib.suppress(Exception):
                await someone.leave()

    with pytest.raises(error):
        asyncio.run(asyncio.wait_for(follow(), 30))
