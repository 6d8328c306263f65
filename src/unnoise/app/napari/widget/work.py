"""The queue of all viewers of a program, and calls that the window does not wait for."""

from __future__ import annotations

import atexit
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from unnoise.app.session.jobs import JobQueue


@cache
def queue() -> JobQueue:
    """The queue: it outlives the widget, as layers show the files in its folders."""
    found = JobQueue(None)
    atexit.register(found.close, stop=True)
    return found


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    """What holds the results until the program ends."""
    return tempfile.TemporaryDirectory(prefix="unnoise_napari_", ignore_cleanup_errors=True)


def new_folder() -> Path:
    """An empty folder for the results of a job, which goes with the program."""
    return Path(tempfile.mkdtemp(dir=_kept().name))


class Call(QObject):
    """A call in a thread, whose result or error comes back to the window.

    Only the last one that was started is heard.
    """

    returned = Signal(object)
    failed = Signal(object)
    _ended = Signal(int, object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._number = 0
        self._ended.connect(self._hear)

    def start(self, function: Callable[[], Any]) -> None:
        """Call the function in a thread of its own."""
        self._number += 1
        args = (self._number, function)
        threading.Thread(target=self._run, args=args, name="unnoise look", daemon=True).start()

    def forget(self) -> None:
        """Hear nothing of what was started."""
        self._number += 1

    def _run(self, number: int, function: Callable[[], Any]) -> None:
        result: Any = None
        error: Exception | None = None
        try:
            result = function()
        except Exception as caught:  # shown in the window
            error = caught
        try:
            self._ended.emit(number, result, error)
        except RuntimeError:  # the window is closed
            return

    def _hear(self, number: int, result: Any, error: Exception | None) -> None:
        if number != self._number:
            return
        if error is None:
            self.returned.emit(result)
        else:
            self.failed.emit(error)
