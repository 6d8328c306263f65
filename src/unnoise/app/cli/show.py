"""Running a job and showing what it tells."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from unnoise.errors import UnnoiseError

if TYPE_CHECKING:
    from unnoise.app.events import Event


class Interrupted(UnnoiseError):
    """The user stopped a job; shells expect 128 + SIGINT."""

    exit_code = 130


def show(events: Generator[Event], quiet: bool) -> None:
    """Run a job and show its events; a stopped one raises."""
    from unnoise.app.cli.progress import reporter
    from unnoise.app.events import Stopped

    stopped = None
    with reporter(quiet) as report, contextlib.closing(events):
        for event in events:
            report(event)
            stopped = event if isinstance(event, Stopped) else None
    if stopped is not None:
        raise Interrupted(stopped.text)
