"""The house goes on when one part of its day is over, and stops when a visitor fails."""

from __future__ import annotations

import asyncio

import pytest

from load.page import first_of


async def restarts() -> list[int]:
    """What is done while visitors come."""
    await asyncio.sleep(0.05)
    return [3, 4]


async def visitor(seconds: float, fault: str = "") -> None:
    """One who stays, or fails."""
    await asyncio.sleep(seconds)
    if fault:
        raise RuntimeError(fault)


async def day(*visitors: tuple[float, str]) -> list[int]:
    """Restarts, with visitors."""
    tasks = [asyncio.create_task(visitor(*one)) for one in visitors]
    try:
        return list(await first_of(restarts(), tasks))
    finally:
        for task in tasks:
            task.cancel()


def test_restarts_end_before_the_visitors() -> None:
    assert asyncio.run(asyncio.wait_for(day((1e6, ""), (0, "")), 30)) == [3, 4]


def test_a_visitor_who_fails_ends_it() -> None:
    with pytest.raises(RuntimeError, match="gone"):
        asyncio.run(day((1e6, ""), (0, "gone")))
    assert asyncio.run(day()) == [3, 4]
