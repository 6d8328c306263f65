"""A gate for visitors: while it is closed nobody comes in, and those who are inside leave soon."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Gate:
    """`async with` it: to be inside."""

    def __init__(self) -> None:
        self.inside = 0
        self._open = asyncio.Event()
        self._open.set()

    @property
    def is_open(self) -> bool:
        """Whether one may come in, or stay for long."""
        return self._open.is_set()

    async def __aenter__(self) -> None:
        while not self._open.is_set():
            await self._open.wait()
        self.inside += 1

    async def __aexit__(self, *error: object) -> None:
        self.inside -= 1

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """As soon as nobody is inside, until it is over."""
        self._open.clear()
        try:
            while self.inside:
                await asyncio.sleep(0.1)
            yield
        finally:
            self._open.set()
