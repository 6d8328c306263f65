"""What a running job tells its front end, and how a front end asks it to stop."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unnoise.noise.confidence_interval import Interval
from unnoise.training.progress import Progress as Progress


@dataclass(frozen=True)
class Message:
    """Something worth telling."""

    text: str


@dataclass(frozen=True)
class Warned(Message):
    """Something that endangers a result: shown even where nothing else is."""


@dataclass(frozen=True)
class Batch:
    """Several images are worked on, whose results go to a folder."""

    folder: Path
    total: int


@dataclass(frozen=True)
class Failed:
    """An image of several that cannot be denoised; the job goes on with the others."""

    path: Path
    text: str


@dataclass(frozen=True)
class Skipped:
    """An image that is left alone, as its result is there."""

    path: Path
    result: Path


@dataclass(frozen=True)
class Predicting:
    """A piece of an image is done."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Saved:
    """Something lies on disk: a ``result``, a ``model`` or a ``report``."""

    path: Path
    kind: str = "result"


@dataclass(frozen=True)
class Trained:
    """A run came to its end.

    Attributes
    ----------
    method : str
    chosen : str or None
        The candidate that is kept, of a method with several.
    images : tuple of str
        What it learned from.
    steps : int
    seconds : float
    """

    method: str
    chosen: str | None
    images: tuple[str, ...]
    steps: int
    seconds: float


@dataclass(frozen=True)
class Judged:
    """What is known of a result.

    Attributes
    ----------
    image : str
        The noisy image.
    method : str
        ``unchanged`` where no method helped and the image was copied.
    verdict : str
        Out of `unnoise.quality.verdict.VERDICTS`.
    gains : tuple of (str, Interval or None)
        Estimated PSNR gain in dB by channel; None where it is unknown.
    warnings : tuple of str
    seconds : float
        For predicting and judging.
    output, uncertainty : Path or None
        The files with the result, where it was written.
    dropped : bool
        Whether another method is tried, since this result is no gain.
    """

    image: str
    method: str
    verdict: str
    gains: tuple[tuple[str, Interval | None], ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    output: Path | None = None
    uncertainty: Path | None = None
    dropped: bool = False


@dataclass(frozen=True)
class Facts:
    """Plain values for programs: a key of the document of ``--json``, and what stands there."""

    key: str
    value: Any


@dataclass(frozen=True)
class Stopped:
    """The job was stopped early; the text says what is left."""

    text: str


Event = (
    Message
    | Progress
    | Trained
    | Predicting
    | Saved
    | Judged
    | Stopped
    | Batch
    | Failed
    | Skipped
    | Facts
)


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
