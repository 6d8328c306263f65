"""Which faults are tried: some of each job in the suite, all of them in the soak."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from faults.inject import GROWS, INPUTS, WRITES
from faults.power import LOST

INSIDE = ("create", "write", "map", "replace", "fsync", "link")
"""Acts that a kill is aimed at: where something is half done."""
REFUSED = (*GROWS, "replace", "fsync", "link")
"""Acts that a disk or a permission may refuse."""

Point = dict[str, Any]


def kills(acts: Sequence[str], kind: str = "KILL") -> list[Point]:
    """A kill inside every act that leaves something half done."""
    return [{"kind": kind, "at": i} for i, act in enumerate(acts) if act.split()[0] in INSIDE]


def losses(acts: Sequence[str], kind: str) -> list[Point]:
    """The power is lost before every act in turn, and after the end."""
    return [{"kind": kind, "at": i} for i in range(len(acts) + 1)]


def refusals(acts: Sequence[str], kind: str, *, stays: bool) -> list[Point]:
    """An error at every act in turn; a disk that is full stays so."""
    which = GROWS if kind == "ENOSPC" else REFUSED
    count = sum(act.split()[0] in which for act in acts)
    return [{"kind": kind, "at": i, "acts": which, "stays": stays} for i in range(count)]


def disturbances(reads: Sequence[str], kind: str) -> list[Point]:
    """A disturbance of the inputs, or of reading them, at every act; or a clock that jumps."""
    counted = (*WRITES, "read") if kind in INPUTS else ("read",)
    count = sum(act.split()[0] in counted for act in reads)
    if kind == "CLOCK":
        return [{"kind": kind, "acts": (*WRITES, "read")}]
    return [{"kind": kind, "at": i, "acts": counted} for i in range(count)]


def every(acts: Sequence[str]) -> Iterator[Point]:
    """All of them."""
    yield from kills(acts)
    yield from kills(acts, "TERM")
    yield from kills(acts, "INT")
    for kind in LOST:
        yield from losses(acts, kind)
    yield from refusals(acts, "ENOSPC", stays=True)
    yield from refusals(acts, "EIO", stays=False)
    yield from refusals(acts, "EACCES", stays=True)


def some(acts: Sequence[str], name: str, count: int, kind: str = "KILL") -> list[Point]:
    """A few points of a kind, the same in every run."""
    rng = random.Random(f"{name} {kind}")
    if kind in ("KILL", "TERM", "INT"):
        found = kills(acts, kind)
    else:
        found = refusals(acts, kind, stays=kind != "EIO")
    return rng.sample(found, min(count, len(found)))
