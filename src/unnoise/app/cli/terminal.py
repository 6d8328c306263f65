"""What reaches the terminal, and what comes from it: printed texts, and signals to stop."""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from unnoise.app.events import stopping_signals
from unnoise.errors import Interrupted, naming_options, printable


def echo(text: object) -> None:
    """Print what was asked for."""
    print(printable(text, lines=True), flush=True)


def fail(text: object, code: int) -> NoReturn:
    """Say why, and go."""
    print(printable(text, lines=True), file=sys.stderr, flush=True)
    sys.exit(code)


def stopped(by: list[str]) -> NoReturn:
    """Say that a signal ended it all."""
    what = "Ctrl-C" if by[-1:] in ([], ["SIGINT"]) else by[-1]
    fail(
        f"stopped by {what}; unfinished files were removed, finished ones stay",
        Interrupted.exit_code,
    )


@contextlib.contextmanager
def guarded() -> Iterator[list[str]]:
    """While the command line runs: signals end the work cleanly, libraries print no escapes, and
    messages name options.

    Every signal to stop raises KeyboardInterrupt, as Ctrl-C does, wherever the work is; so files
    that are not finished are taken away.

    Yields
    ------
    list of str
        The names of the signals that came.
    """
    came: list[str] = []

    def stop(number: int, frame: object) -> NoReturn:
        came.append(signal.Signals(number).name)
        raise KeyboardInterrupt

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what it cannot encode is spelled out
            stream.reconfigure(errors="backslashreplace")
    shows, last = warnings.showwarning, logging.lastResort
    old: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            old = {number: signal.signal(number, stop) for number in stopping_signals()}
        warnings.showwarning = _show_warning
        logging.lastResort = _Plain(logging.WARNING)
        with naming_options():
            yield came
    finally:
        warnings.showwarning, logging.lastResort = shows, last
        while old:
            signal.signal(*old.popitem())


def _show_warning(message: Warning | str, *where: Any, **options: Any) -> None:
    """A warning in a line; where in the code it arose helps no user."""
    print(printable(f"warning: {message}"), file=sys.stderr, flush=True)


class _Plain(logging.StreamHandler):
    """Records of libraries that nobody else prints."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        with contextlib.suppress(OSError, ValueError):
            print(printable(record.getMessage()), file=sys.stderr, flush=True)
