"""A visitor of the page without a screen: HTTP, the websocket of NiceGUI, and what scripts ask for.

Nothing is simulated but the browser: elements are found in the document that the server sends, and
events go back as the script of NiceGUI sends them.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import socketio

ENTITIES = (("&#36;", "$"), ("&#96;", "`"), ("&gt;", ">"), ("&lt;", "<"), ("&amp;", "&"))
PATIENCE = 600.0
"""Seconds that a visitor waits for anything on a busy machine."""
TRIES = 30
"""How often a connection that broke is tried again."""


class Lost(Exception):
    """The server is gone, or a page did not do what it should."""


class Broken(Exception):
    """The connection of a page broke, and what was chosen on it may be gone."""


class Page:
    """A page that is open: its elements, as they are now, and how to press them.

    Parameters
    ----------
    visitor : Visitor
    html : str
    place : str
        Its address, which is loaded again where the server has forgotten the page.
    mends : bool
        Whether a connection that breaks is made again, as browsers do; else it is `Broken`.
    """

    def __init__(
        self, visitor: Visitor, html: str, place: str = "/", *, mends: bool = True
    ) -> None:
        self._visitor, self._place, self._mends = visitor, place, mends
        self.opened = ""
        """Where the server sent the page."""
        self.mended: Counter[str] = Counter()
        """How often it was connected again, and loaded again."""
        self._read(html)

    def _read(self, html: str) -> None:
        """Begin with what the server sent."""
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
        self._document, self._is_refused = str(uuid.uuid4()), False
        self._socket = self._new_socket()

    def _new_socket(self) -> socketio.AsyncClient:
        """A websocket that is not yet open."""
        found = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        for name, take in (("update", self._update), ("open", self._open)):
            found.on(name, take)
        found.on("run_javascript", self._run)
        found.on("load_js_components", self._count)
        found.on("connect_error", self._refused)
        return found

    async def connect(self) -> None:
        """Open the websocket, as the script of the page does."""
        visitor = self._visitor
        query = self._query | {"tab_id": visitor.tab, "document_id": self._document}
        query |= {"implicit_handshake": "true", "next_message_id": self._next}
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

    def cut(self) -> None:
        """Break the connection without a word, as a network does."""
        self._socket.eio.ws._writer.transport.abort()

    async def mend(self) -> None:
        """Connect again as the script of NiceGUI does; load the page anew if it is forgotten.

        Raises
        ------
        Broken
            If this page is not to be mended.
        Lost
            If there is no server any more.
        """
        if not self._mends:
            raise Broken("the connection broke")
        for attempt in range(TRIES):
            with contextlib.suppress(Exception):
                await self.close()
            await asyncio.sleep(min(2**attempt, 5) * (0.5 + random.random()))
            self._socket = self._new_socket()
            if self._is_refused:
                self._read((await self._visitor.get(self._place)).text)
                self.mended["loaded"] += 1
            try:
                await self.connect()
            except socketio.exceptions.ConnectionError:
                if not await self._visitor.is_served():
                    break
                continue
            self.mended["connected"] += 1
            return
        raise Lost("the connection broke, and there was no other one")

    async def _refused(self, error: Any) -> None:
        """The server does not know the page any more."""
        if "handshake" in str(error):
            self._is_refused = True

    async def _run(self, message: dict[str, Any]) -> None:
        """Of scripts the page knows the one that loads it again, as messages were missed."""
        await self._count(message)
        if "location.reload" in message["code"]:
            self._is_refused = True
            await self._socket.disconnect()

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
        """What is found, as soon as it is; the page is connected then."""
        end = time.monotonic() + patience
        while not (self._socket.connected and (found := find())):
            if not self._socket.connected:
                await self.mend()
                continue
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
        """An event of an element that was found just now, such as a click."""
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

    async def is_served(self) -> bool:
        """Whether something answers."""
        try:
            await self.http.get("/assets/page.css")
        except httpx.ConnectError:
            return False
        except httpx.TransportError:
            pass
        return True

    async def get(self, place: str, **query: Any) -> httpx.Response:
        """The answer to a request that must succeed; one that breaks is made again."""
        try:
            answer = await self.http.get(place, params=query or None)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            await asyncio.sleep(1)
            answer = await self.http.get(place, params=query or None)
        if answer.status_code != 200:
            raise Lost(f"{place} gives {answer.status_code}: {answer.text[:200]}")
        return answer

    async def open(self, place: str, *, mends: bool = True) -> Page:
        """Go to a page and connect to it."""
        page = Page(self, (await self.get(place)).text, place, mends=mends)
        try:
            try:
                await page.connect()
            except socketio.exceptions.ConnectionError:
                await page.mend()
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
