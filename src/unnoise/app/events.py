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


def stopping_signals() -> list[int]:
    """The signals that ask a program to stop: of the user, the system, and a terminal that closes.

    Those that it was started to ignore are left alone (``nohup``).
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    known = [int(getattr(signal, name)) for name in names if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


@dataclass
class Interrupt:
    """Turns the first signal to stop within a ``with`` into a request; the second one kills.

    A front end without signals sets `requested` itself.
    """

    requested: bool = False
    _old: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in stopping_signals():
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        while self._old:
            signal.signal(*self._old.popitem())

    def _handle(self, *signal_and_frame: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
