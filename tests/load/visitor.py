"""A visitor of the page without a screen: HTTP, the websocket of NiceGUI, and what scripts ask for.

Nothing is simulated but the browser: elements are found in the document that the server sends, and
events go back as the script of NiceGUI sends them.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import socketio

ENTITIES = (("&#36;", "$"), ("&#96;", "`"), ("&gt;", ">"), ("&lt;", "<"), ("&amp;", "&"))
PATIENCE = 600.0
"""Seconds that a visitor waits for anything on a busy machine."""


class Lost(Exception):
    """The server is gone, or a page did not do what it should."""


class Page:
    """A page that is open: its elements, as they are now, and how to press them."""

    def __init__(self, visitor: Visitor, html: str) -> None:
        self._visitor = visitor
        raw = re.search(r"parseElements\(String\.raw`(.*?)`\)", html, re.DOTALL)
        query = re.search(r"query: (\{.*?\}),\n", html)
        if raw is None or query is None:
            raise Lost("the page holds no elements")
        text = raw[1]
        for entity, letter in ENTITIES:
            text = text.replace(entity, letter)
        self.elements: dict[str, dict[str, Any]] = json.loads(text)
        self._query = ast.literal_eval(query[1])
        self._next = int(self._query["next_message_id"])
        self._acknowledged = time.monotonic()
        self._changed = asyncio.Event()
        self.opened = ""
        """Where the server sent the page."""
        self._socket = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        for name, take in (("update", self._update), ("open", self._open)):
            self._socket.on(name, take)
        for name in ("run_javascript", "load_js_components"):
            self._socket.on(name, self._count)

    async def connect(self) -> None:
        """Open the websocket, as the script of the page does."""
        visitor = self._visitor
        query = self._query | {"tab_id": visitor.tab, "document_id": str(uuid.uuid4())}
        query["implicit_handshake"] = "true"
        cookies = "; ".join(f"{c.name}={c.value}" for c in visitor.http.cookies.jar)
        await self._socket.connect(
            f"{visitor.origin}?{urlencode(query)}",
            headers={"Cookie": cookies, "Origin": visitor.origin},
            transports=["websocket"],
            socketio_path="/_nicegui_ws/socket.io",
            wait_timeout=60,
        )

    async def close(self) -> None:
        """Close the tab."""
        await self._socket.disconnect()
        await self._socket.shutdown()

    async def _count(self, message: dict[str, Any]) -> None:
        """Every message has a number, which is acknowledged some time after."""
        self._next = message.get("_id", self._next - 1) + 1
        if time.monotonic() - self._acknowledged > 3:
            self._acknowledged = time.monotonic()
            told = {"client_id": self._query["client_id"], "next_message_id": self._next}
            await self._socket.emit("ack", told)

    async def _update(self, message: dict[str, Any]) -> None:
        await self._count(message)
        for key, element in message.items():
            if element is None:
                self.elements.pop(key, None)
            elif key != "_id":
                self.elements[key] = element
        self._changed.set()

    async def _open(self, message: dict[str, Any]) -> None:
        await self._count(message)
        self.opened = message["path"]
        self._changed.set()

    def shown(self, key: str = "0") -> list[str]:
        """The elements that are in the document, in its order: what was taken out is not there."""
        found = [key]
        for child in self.elements.get(key, {}).get("children", ()):
            found += self.shown(str(child))
        return found

    def find(
        self, tag: str, text: str = "", classes: str = "", at: Callable[[dict], bool] | None = None
    ) -> str | None:
        """The first element of a kind that is shown, by what its text holds."""
        for key in self.shown():
            one = self.elements.get(key)
            if one is None or one["tag"] != tag or text not in (one.get("text") or ""):
                continue
            if (classes in one.get("class", ()) or not classes) and (at is None or at(one)):
                return key
        return None

    def field(self, label: str) -> str | None:
        """The control with a label."""
        for key in self.shown():
            inside = [str(c) for c in self.elements.get(key, {}).get("children", ())]
            names = [self.elements.get(one, {}).get("text") for one in inside]
            if label in names and self.elements[inside[-1]]["tag"] in ("select", "input"):
                return inside[-1]
        return None

    def viewer(self) -> dict[str, Any] | None:
        """The image that is shown, if there is one."""
        elements = (self.elements.get(key, {}) for key in self.shown())
        return next((e for e in elements if "sources" in e.get("props", {})), None)

    async def wait(self, find: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """What is found, as soon as it is."""
        end = time.monotonic() + patience
        while not (found := find()):
            if not self._socket.connected:
                raise Lost("the websocket is closed")
            left = end - time.monotonic()
            if left <= 0:
                raise Lost(f"nothing came within {patience:.0f} s; there is {self.texts()}")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left, 1))
            except TimeoutError:
                continue
        return found

    async def tell(self, key: str, event: str, *values: object) -> None:
        """An event of an element, such as a click."""
        listener = next(e for e in self.elements[key]["events"] if e["type"] == event)
        told = {"id": int(key), "client_id": self._query["client_id"]}
        told |= {"listener_id": listener["listener_id"], "args": [json.dumps(v) for v in values]}
        await self._socket.emit("event", told)

    async def press(self, text: str) -> None:
        """Click a button."""
        key = await self.wait(lambda: self.find("button", text))
        await self.tell(key, "click")

    def texts(self) -> list[str]:
        """What can be read on the page."""
        return [t for key in self.shown() if (t := self.elements.get(key, {}).get("text"))]


class Visitor:
    """Somebody with a session of their own.

    Parameters
    ----------
    address : str
        With the token.
    """

    def __init__(self, address: str) -> None:
        self.origin = address.partition("/?")[0].rstrip("/")
        self._address = address
        self.tab = str(uuid.uuid4())
        self.http = httpx.AsyncClient(base_url=self.origin, timeout=300)

    async def enter(self) -> None:
        """Come with the token, and get a session."""
        (await self.http.get(self._address)).raise_for_status()

    async def get(self, place: str, **query: Any) -> httpx.Response:
        """The answer to a request that must succeed."""
        answer = await self.http.get(place, params=query or None)
        if answer.status_code != 200:
            raise Lost(f"{place} gives {answer.status_code}: {answer.text[:200]}")
        return answer

    async def open(self, place: str) -> Page:
        """Go to a page and connect to it."""
        page = Page(self, (await self.get(place)).text)
        try:
            await page.connect()
        except BaseException:
            with contextlib.suppress(Exception):
                await page.close()
            raise
        return page

    async def upload(self, name: str, content: bytes) -> str:
        """Send a file as the page does; its place in the workspace."""
        answer = await self.http.post("/upload", params={"name": name}, content=content)
        if answer.status_code == 429:  # eight run at a time
            await asyncio.sleep(2)
            return await self.upload(name, content)
        if answer.status_code != 200:
            raise Lost(f"the upload of {name} gives {answer.status_code}: {answer.text[:200]}")
        return str(answer.json()["name"])

    async def look(self, page: Page, tiles: int, choose: Callable[[int], int]) -> int:
        """Pan and zoom in the image that a page shows; the number of tiles that came.

        Parameters
        ----------
        page : Page
        tiles : int
            How many are asked for.
        choose : callable
            A number below the given one.
        """
        viewer = await page.wait(page.viewer)
        name = viewer["props"]["sources"]["noisy"]
        base = f"{viewer['props']['base']}/{name}"
        about = (await self.get(base)).json()
        await self.get(f"{base}/limits", low=0.5, high=99.5)
        for number in range(tiles):
            level = choose(about["levels"])
            side = about["tile"] * 2**level
            x, y = (choose(-(-about["sizes"][a] // side)) for a in "XY")
            shown = [
                f"{c['channel']}:{c['low'] - number:.6g}:{c['high']:.6g}:{c['color']}"
                for c in about["channels"]
            ]
            query = {"v": about["version"], "s": 0, "t": 0, "z": 0, "c": shown}
            picture = (await self.get(f"{base}/tile/{level}/{x}/{y}", **query)).content
            if picture[:4] not in (b"\x89PNG", b"RIFF"):
                raise Lost(f"a tile of {name} is no picture")
        await self.get(f"{base}/value", y=0, x=0)
        return tiles

    async def leave(self) -> None:
        """Close the browser."""
        await self.http.aclose()
