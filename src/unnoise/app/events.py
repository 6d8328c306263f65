"""What a running job tells its front end, and how a front end asks it to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.noise.confidence_interval import Interval
from unnoise.training.progress import Progress as Progress

if TYPE_CHECKING:  # help comes up without it
    import numpy as np
    from numpy.typing import NDArray


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
    axes : str
        Those of the image as it was read, which are those of its result where that tells none.
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
    axes: str = ""

    @property
    def name(self) -> str:
        """The image without the folders of its file; a dataset is named within that.

        Examples
        --------
        >>> Judged("data/a.h5 (/raw/cells)", "n2v", "unknown").name
        'a.h5 (/raw/cells)'
        """
        file, mark, inside = self.image.partition(" (/")
        return f"{Path(file).name}{mark}{inside}"


@dataclass(frozen=True)
class Facts:
    """Plain values for programs: a key of the document of ``--json``, and what stands there."""

    key: str
    value: Any


@dataclass(frozen=True)
class Stopped:
    """The job was stopped early; the text says what is left, a usable model among it or not."""

    text: str
    model: Path | None = None


@dataclass(frozen=True, eq=False)
class Preview:
    """What a running job makes of a piece of an image so far; only told where it is asked for.

    Attributes
    ----------
    image : str
        The noisy image, as in `Judged`.
    step : int
    fraction : float
        Share of the training that is done, 0 to 1.
    origin : tuple of int
        Where the piece begins, (y, x) in pixels of the image.
    noisy, clean : ndarray of float32, shape (y, x) or (y, x, c)
        In units of the image; up to four channels.
    what : str
        What made it, for people.
    is_rgb : bool
        Whether the channels are colours of a photograph.
    """

    image: str
    step: int
    fraction: float
    origin: tuple[int, int]
    noisy: NDArray[np.float32]
    clean: NDArray[np.float32]
    what: str = ""
    is_rgb: bool = False


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
    | Preview
)


def stopping_signals() -> list[int]:
    """The signals that ask a program to stop: of the user, the system, and a terminal that closes.

    Those that it was started to ignore are left alone (``nohup``).
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    known = [int(getattr(signal, name)) for name in names if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


@dataclass
class StopRequest:
    """The wish that a job in a thread ends, where no signals come.

    Attributes
    ----------
    asked : bool
        Set it to stop.
    heard : int
        In how many `Interrupt` the job is, which answer by keeping what there is; where there is
        none, closing the generator ends it.
    """

    asked: bool = False
    heard: int = 0


_request: ContextVar[StopRequest | None] = ContextVar("stop request", default=None)


@contextlib.contextmanager
def stoppable(request: StopRequest) -> Iterator[None]:
    """While this lasts, jobs of this thread stop on a request.

    Examples
    --------
    >>> request = StopRequest()
    >>> with stoppable(request), Interrupt() as interrupt:
    ...     request.asked = True
    ...     interrupt.requested
    True
    """
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


class Interrupt:
    """Turns the first signal to stop within a ``with`` into a request; the second one kills.

    In a thread, where no signals come, it hears what `stoppable` was given.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._request = _request.get() or StopRequest()
        self._old: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether the job is to stop."""
        return self._signalled or self._request.asked

    def __enter__(self) -> Interrupt:
        self._request.heard += 1
        if threading.current_thread() is threading.main_thread():
            for number in stopping_signals():
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        self._request.heard -= 1
        while self._old:
            signal.signal(*self._old.popitem())

    def _handle(self, *signal_and_frame: object) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
