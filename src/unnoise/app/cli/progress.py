"""Events of a job as lines: a live bar in a terminal, plain lines elsewhere, nothing if quiet."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from unnoise.app.events import Event, Message, Predicting, Saved
from unnoise.training.progress import Progress

if TYPE_CHECKING:
    from rich.progress import TaskID

PLAIN_EVERY = 10.0
"""Seconds between two plain lines of a phase."""


@contextlib.contextmanager
def reporter(quiet: bool) -> Iterator[Callable[[Event], None]]:
    """A function that shows events, alive within a ``with``."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if quiet:
        yield lambda event: None
    elif console.is_terminal:
        with _live(console) as report:
            yield report
    else:
        yield _Plain(console)


class _Plain:
    """Lines for logs: the first and last of a phase, and one every few seconds."""

    def __init__(self, console: Console) -> None:
        self.console, self.last, self.started, self.phase = console, 0.0, 0.0, ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, (Message, Saved)):
            self.console.print(_text(event), markup=False)
            return
        if not isinstance(event, (Progress, Predicting)):
            return
        now = time.monotonic()
        phase = "training" if isinstance(event, Progress) else str(event.path)
        if phase != self.phase:
            self.phase, self.started, self.last = phase, now, 0.0
        if now - self.last >= PLAIN_EVERY or _fraction(event) >= 1:
            self.last = now
            self.console.print(f"{_text(event)}  {_left(event, now - self.started)}", markup=False)


@contextlib.contextmanager
def _live(console: Console) -> Iterator[Callable[[Event], None]]:
    """A bar per phase that redraws in place."""
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.description}"),
    )
    with Bars(*columns, console=console, transient=True, refresh_per_second=5) as bars:
        task: TaskID = bars.add_task("starting", total=1.0)
        phase, started = "", time.monotonic()

        def report(event: Event) -> None:
            nonlocal phase, started
            if isinstance(event, (Message, Saved)):
                bars.console.print(_text(event), markup=False)
            elif isinstance(event, (Progress, Predicting)):
                new = "training" if isinstance(event, Progress) else str(event.path)
                if new != phase:
                    phase, started = new, time.monotonic()
                left = _left(event, time.monotonic() - started)
                bars.update(task, completed=_fraction(event), description=f"{_text(event)}  {left}")

        yield report


def _text(event: Event) -> str:
    if isinstance(event, Message):
        return event.text
    if isinstance(event, Saved):
        return f"wrote {event.path}"
    if isinstance(event, Predicting):
        return f"denoising {event.path.name}: {event.done}/{event.total} tiles"
    if isinstance(event, Progress):
        rate = event.step / event.seconds if event.seconds else 0.0
        held = "-" if event.held_out is None else f"{event.held_out:.4f}"
        loss = "-" if event.loss is None else f"{event.loss:.4f}"
        return (
            f"training: step {event.step}/{event.steps}  {rate:.1f} steps/s  loss {loss}  "
            f"held-out {held}"
        )
    return event.text


def _fraction(event: Progress | Predicting) -> float:
    return event.fraction if isinstance(event, Progress) else event.done / event.total


def _left(event: Progress | Predicting, spent: float) -> str:
    """Time left, as a clock."""
    if isinstance(event, Progress):
        seconds = event.remaining
    else:
        seconds = spent / event.done * (event.total - event.done)
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"
