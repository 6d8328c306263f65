"""The size of the server over time, written as it is seen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from load.growth import Size, alive, growth

WARM = 1 / 3
"""Share of the time in which the server may still take what it needs: its caches are full before,
but a table of Python's names doubles once, by 2 MB, after ten minutes or so.
"""
WARM_AT_MOST = 0.5
"""Hours of it."""
MOST_GROWTH = 1.0
"""MB an hour."""
FEWEST = 8
"""Rests that tell something."""
LOOKS, BETWEEN = 5, 0.2
"""Looks during a rest, of whose sizes the middle one counts, and seconds between them."""


def warm(at: Sequence[float]) -> float:
    """When a process that was looked at at these times, in hours, is warm."""
    return at[0] + min((at[-1] - at[0]) * WARM, WARM_AT_MOST) if at else 0.0


@dataclass
class Series:
    """The size of a process over time.

    Attributes
    ----------
    path : Path
        A line of JSON for each look.
    """

    path: Path
    at: list[float] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    seconds: list[tuple[float, float]] = field(default_factory=list)
    rests: list[int] = field(default_factory=list)
    """In which rest it was looked at: while nobody asked for anything; 0 is none."""
    began: float = field(default_factory=time.monotonic, compare=False)

    @classmethod
    def read(cls, path: Path) -> Series:
        """What was written so far; a line that a kill cut off is none."""
        found = cls(path)
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            try:
                one = json.loads(line)
            except ValueError:
                continue
            found.at.append(one["at"])
            found.seconds.append(tuple(one["seconds"]))
            found.sizes.append(
                Size(one["memory"], one["threads"], one["files"], one["own"], one["used"])
            )
            found.rests.append(one["rest"])
        return found

    def look(self, process: psutil.Process, rest: int = 0, used: int = 0) -> bool:
        """Look at it, and write down what is seen; False if it is gone."""
        now = alive(process)
        if now is None or not now.memory:
            return False
        now = replace(now, used=used)
        spent = process.cpu_times()
        own, jobs = spent.user + spent.system, spent.children_user + spent.children_system
        self.at.append((time.monotonic() - self.began) / 3600)
        self.sizes.append(now)
        self.seconds.append((own, jobs))
        self.rests.append(rest)
        line = {"at": self.at[-1], **asdict(now), "seconds": self.seconds[-1], "rest": rest}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return True

    async def watch(self, process: psutil.Process, every: float) -> None:
        """Look at it, again and again."""
        while self.look(process):
            await asyncio.sleep(every)

    async def rest(self, process: psutil.Process, used: int) -> None:
        """Look at it some times while nobody asks for anything; of its memory so much is in use."""
        number = max(self.rests, default=0) + 1
        for _ in range(LOOKS):
            self.look(process, number, used)
            await asyncio.sleep(BETWEEN)

    def rested(self) -> tuple[list[float], list[Size]]:
        """When it rested after it was warm, and its size then: the middle one of some."""
        found: dict[int, list[int]] = {}
        first = warm(self.at)
        for look, number in enumerate(self.rests):
            if number and self.at[look] >= first:
                found.setdefault(number, []).append(look)
        middle = [sorted(s, key=lambda i: self.sizes[i].own)[len(s) // 2] for s in found.values()]
        return [self.at[i] for i in middle], [self.sizes[i] for i in middle]

    def told(self) -> tuple[dict[str, Any], list[str]]:
        """What grew, and what of it should not."""
        first = int(len(self.at) * WARM)
        memory = [s.memory / 1e6 for s in self.sizes]
        at, kept = self.rested()
        resting = [s.own / 1e6 for s in kept]
        about: dict[str, Any] = {"memory": memory, "at": self.at, "rests": [at, resting]}
        if len(kept) < FEWEST:
            return {"told": f"{len(memory)} looks at its size, {len(kept)} rests", **about}, []
        found = growth(at, resting)
        used, whole = (
            growth(at, [getattr(s, name) / 1e6 for s in kept]) for name in ("used", "memory")
        )
        losses = [
            f"{what} grows by {slope} MB an hour"
            for what, slope in (("memory", found), ("memory in use", used))
            if not slope.is_none or slope.high > MOST_GROWTH
        ]
        about |= {"growth": vars(found), "used": vars(used), "whole": vars(whole)}
        text = (
            f"{found} MB an hour, {used} of what is in use, {whole} with what it has of files, in "
        )
        text += f"{len(kept)} rests over {(at[-1] - at[0]) * 60:.0f} minutes at "
        text += (
            f"{np.mean(resting):.1f} MB without files, {max(memory[first:]):.0f} with them at most"
        )
        for name in ("threads", "files"):
            values = np.array([getattr(s, name) for s in self.sizes[first:]])
            half = len(values) // 2
            early, late = values[:half].max(), values[half:].max()
            text += f", {name} at most {early} and then {late}"
            if late > early * 1.2 + 2:
                losses.append(f"{name} grew from {early} to {late}")
        hours = self.at[-1] - self.at[0]
        own, jobs = np.subtract(self.seconds[-1], self.seconds[0]) / hours / 36
        about["told"] = f"{text}; {own:.0f} % of a core for the page, {jobs:.0f} % for the jobs"
        return about, losses
