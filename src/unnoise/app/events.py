"""What a running job tells its front end, and how a front end asks it to stop."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unnoise.training.progress import Progress as Progress


@dataclass(frozen=True)
class Message:
    """Something worth telling."""

    text: str


@dataclass(frozen=True)
class Predicting:
    """A piece of an image is done."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Saved:
    """A result lies on disk."""

    path: Path


@dataclass(frozen=True)
class Stopped:
    """The job was stopped early; the text says what is left."""

    text: str


Event = Message | Progress | Predicting | Saved | Stopped


@dataclass
class Interrupt:
    """Turns the first Ctrl-C (or SIGTERM) within a ``with`` into a request; the second one kills.

    A front end without signals sets `requested` itself.
    """

    requested: bool = False
    _old: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        while self._old:
            signal.signal(*self._old.popitem())

    def _handle(self, *signal_and_frame: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
