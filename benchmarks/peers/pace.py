"""Orders from throughput.py to a process that keeps a net in memory; imported by `*_speed.py`.

Lines come in (``steps 20``, ``predict 2048 512``), one line of JSON goes out for each. So several
libraries can be timed in turns, each in its own interpreter, without starting any of them twice.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever a library prints goes elsewhere


def now() -> tuple[float, float]:
    """(CPU seconds of this process, wall seconds)."""
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime, time.perf_counter()


def order() -> list[str]:
    """The words of the next line; empty at the end."""
    return sys.stdin.readline().split()


def answer(since: tuple[float, float], per: int = 1, **values: Any) -> None:
    """Seconds since a moment, per step."""
    cpu, wall = (b - a for a, b in zip(since, now(), strict=True))
    print(json.dumps({"cpu_s": cpu / per, "wall_s": wall / per, **values}), file=OUT, flush=True)


class Pace:
    """Lets a training go on for as many steps as are asked for; False ends it."""

    def __init__(self) -> None:
        self.asked, self.left, self.since = 0, 0, now()
        self.next: list[str] = []

    def step(self) -> bool:
        """To be called after every step."""
        self.left -= 1
        if self.left > 0:
            return True
        if self.asked:
            answer(self.since, self.asked)
        self.next = order()
        if not self.next or self.next[0] != "steps":
            return False
        self.asked = self.left = int(self.next[1])
        self.since = now()
        return True

    def rest(self) -> Any:
        """The orders after the training: (side, tile) of an image to predict."""
        words = self.next
        while words:
            yield int(words[1]), int(words[2])
            words = order()
