"""A client without a browser: requests go straight to the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

LOCAL = "http://127.0.0.1:8000"


def asked(
    app: Any,
    method: str = "GET",
    url: str = "/",
    *,
    base: str = LOCAL,
    **options: Any,
) -> httpx.Response:
    """The answer to one request."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, url, **options)

    return asyncio.run(ask())


def together(*work: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Several things at once, in one event loop."""

    async def run() -> list[Any]:
        return list(await asyncio.gather(*(one() for one in work)))

    return asyncio.run(run())


def connected(app: Any, headers: dict[str, str], path: str = "/ws") -> bool:
    """Whether a websocket is accepted."""
    sent: list[dict[str, Any]] = []
    coming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

    async def receive() -> dict[str, Any]:
        return coming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["type"] == "websocket.accept"


async def pieces(data: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    """Bytes as a browser sends them."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
