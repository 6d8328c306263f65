"""Events of a job as lines: a live bar in a terminal, plain lines elsewhere, if quiet warnings."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from unnoise.app.batch import LEDGER
from unnoise.app.cli.preview import PreviewFile
from unnoise.app.document import Document
from unnoise.app.events import (
    Batch,
    Event,
    Facts,
    Failed,
    Judged,
    Message,
    Predicting,
    Preview,
    Progress,
    Saved,
    Skipped,
    Stopped,
    Warned,
)
from unnoise.errors import Interrupted, UnnoiseError, printable

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_EVERY = 10.0
"""Seconds between two plain lines of a phase."""


def show(
    events: Generator[Event],
    quiet: bool,
    as_json: str | None = None,
    preview: PreviewFile | None = None,
) -> None:
    """Run a job and show its events; a stopped one raises.

    With the name of a command as `as_json`, what it did is printed to stdout in the end.
    """
    stopped, failed, total, dry = None, 0, 0, False
    document = Document(as_json or "")
    try:
        with reporter(quiet) as report, contextlib.closing(events):
            for event in events:
                if isinstance(event, Preview):
                    problem = "" if preview is None else preview.show(event)
                    event = Warned(problem) if problem else event
                report(event)
                document.take(event)
                stopped = event if isinstance(event, Stopped) else None
                failed += isinstance(event, Failed)
                total = event.total if isinstance(event, Batch) else total
                dry = dry or (isinstance(event, Facts) and event.key == "dry_run")
    except (Interrupted, KeyboardInterrupt) as error:
        document.take(Stopped(str(error) or "stopped"))
        if as_json:
            print(document.to_json(), flush=True)
        raise
    if as_json:
        print(document.to_json(), flush=True)
    if stopped is not None:
        raise Interrupted(stopped.text)
    if failed and dry:
        raise UnnoiseError(f"{failed} of {total} images would fail")
    if failed:
        raise UnnoiseError(
            f"{failed} of {total} images failed; {LEDGER} beside the results says which and why"
        )


@contextlib.contextmanager
def reporter(quiet: bool) -> Iterator[Callable[[Event], None]]:
    """A function that shows events, alive within a ``with``."""
    from rich import console as terminal  # not for --help
    from rich import progress

    console = terminal.Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    if quiet:
        yield lambda event: _warn(console, event)
    elif console.is_terminal:
        columns = (
            progress.BarColumn(bar_width=24),
            progress.TextColumn("{task.percentage:>3.0f}%"),
            progress.TextColumn("{task.description}", markup=False),
        )
        with progress.Progress(
            *columns, console=console, transient=True, refresh_per_second=5
        ) as bars:
            task = bars.add_task("starting", total=1.0)
            yield _Shown(
                console,
                lambda share, line, _: bars.update(task, completed=share, description=line),
            )
    else:
        yield _Shown(console, _plain(console))


class _Shown:
    """Messages as lines, and the work between them drawn with its share, its line and whether new.

    A phase is a calibration, a training, or the prediction of one file; its time left counts from
    its start.
    """

    def __init__(self, console: Console, draw: Callable[[float, str, bool], None]) -> None:
        self.console, self.draw, self.phase, self.started = console, draw, "", 0.0

    def __call__(self, event: Event) -> None:
        _warn(self.console, event)
        if isinstance(event, Skipped):
            self.console.print(printable(f"{event.path}: left alone, as {event.result} exists"))
        elif isinstance(event, (Message, Saved)) and not isinstance(event, Warned):
            self.console.print(printable(_text(event)), markup=False)
        elif isinstance(event, (Progress, Predicting)):
            phase = event.work if isinstance(event, Progress) else str(event.path)
            is_new = phase != self.phase
            if is_new:
                self.phase, self.started = phase, time.monotonic()
            if isinstance(event, Progress):
                share, left = event.fraction, event.remaining
            else:
                share = event.done / event.total
                spent = time.monotonic() - self.started
                left = spent / event.done * (event.total - event.done)
            clock = f"{int(left) // 60}:{int(left) % 60:02d} left"
            self.draw(share, printable(f"{_text(event)}  {clock}"), is_new)


def _warn(console: Console, event: Event) -> None:
    """What endangers a result, quiet or not; another result takes the place of a dropped one."""
    lines: tuple[str, ...] = (event.text,) if isinstance(event, Warned) else ()
    if isinstance(event, Judged) and not event.dropped:
        lines = tuple(f"{event.name}: {text}" for text in event.warnings)
    if isinstance(event, Failed):
        console.print(printable(f"failed: {event.path}: {event.text}"), markup=False)
    for line in lines:
        console.print(printable(f"warning: {line}"), markup=False)


def _plain(console: Console) -> Callable[[float, str, bool], None]:
    """Lines for logs: the first and last of a phase, and one every few seconds."""
    last = 0.0

    def draw(share: float, line: str, is_new: bool) -> None:
        nonlocal last
        if is_new or share >= 1 or time.monotonic() - last >= PLAIN_EVERY:
            last = time.monotonic()
            console.print(line, markup=False)

    return draw


def _text(event: Message | Saved | Progress | Predicting) -> str:
    if isinstance(event, Saved):
        return f"wrote {event.path}"
    if isinstance(event, Predicting):
        return f"denoising {event.path.name}: {event.done}/{event.total} tiles"
    if isinstance(event, Progress):
        rate = event.step / event.seconds if event.seconds else 0.0
        line = f"{event.work}: step {event.step}/{event.steps}  {rate:.1f} steps/s"
        if event.loss is None and event.held_out is None:  # nothing is trained
            return line
        held = "-" if event.held_out is None else f"{event.held_out:.4f}"
        loss = "-" if event.loss is None else f"{event.loss:.4f}"
        return f"{line}  loss {loss}  held-out {held}"
    return event.text
