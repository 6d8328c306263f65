"""The size of the server over time, written as it is seen."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from load.growth import Size, alive, growth

WARM = 0.25
"""Share of the time in which the server may still take what it needs."""
MOST_GROWTH = 1.0
"""MB an hour."""
PART = 2 / 60
"""Hours of which the least size counts: while a large image is looked at, the server is larger by
as much as it is large itself, for seconds, and a slope of that would say nothing for hours.
"""
FEWEST = 12
"""Looks, or parts, that tell something."""


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
            found.sizes.append(Size(one["memory"], one["threads"], one["files"]))
        return found

    async def watch(self, process: psutil.Process, every: float) -> None:
        """Look at it, again and again."""
        began = time.monotonic()
        while (now := alive(process)) is not None and now.memory:
            spent = process.cpu_times()
            self.at.append((time.monotonic() - began) / 3600)
            self.sizes.append(now)
            own, jobs = spent.user + spent.system, spent.children_user + spent.children_system
            self.seconds.append((own, jobs))
            line = {"at": self.at[-1], **asdict(now), "seconds": self.seconds[-1]}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            await asyncio.sleep(every)

    def kept(self, first: int) -> tuple[list[float], list[float]]:
        """The least MB of every two minutes from a look on (or of a 12th of it), and when."""
        if not self.at[first:]:
            return [], []
        hours = self.at[-1] - self.at[first]
        part = min(PART, hours / FEWEST) or 1
        least: dict[int, float] = {}
        for at, one in zip(self.at[first:], self.sizes[first:], strict=True):
            number = int((at - self.at[first]) / part)
            least[number] = min(least.get(number, np.inf), one.memory / 1e6)
        if len(least) > FEWEST:
            least.pop(max(least))  # which is not over
        return [number * part for number in least], list(least.values())

    def told(self) -> tuple[dict[str, Any], list[str]]:
        """What grew, and what of it should not."""
        first = int(len(self.at) * WARM)
        memory = [s.memory / 1e6 for s in self.sizes]
        at, kept = self.kept(first)
        if len(kept) < FEWEST:
            return {"told": f"{len(memory)} looks at its size", "memory": memory}, []
        found = growth(at, kept)
        losses = []
        if not found.is_none or found.high > MOST_GROWTH:
            losses.append(f"memory grows by {found} MB an hour")
        about: dict[str, Any] = {"growth": vars(found), "memory": memory, "at": self.at}
        text = f"{found} MB an hour over {(self.at[-1] - self.at[first]) * 60:.0f} minutes at "
        text += f"{np.mean(kept):.0f} MB, {max(memory[first:]):.0f} at most"
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
