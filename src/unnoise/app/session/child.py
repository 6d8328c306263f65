"""A job in a process of its own, as a generator of its events."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path
from typing import IO

from unnoise.app.session.frames import Framed, Problem, decode
from unnoise.app.session.request import Request

WORKER = "unnoise.app.session.worker"
TAIL = 2000
"""Bytes of what a process said last, for the message where it died."""


class Child:
    """A process that does one job, and loads PyTorch meanwhile.

    Parameters
    ----------
    threads : int or None
        Of its computations; None: as many as PyTorch takes.

    Attributes
    ----------
    pid : int
    mark : str
        The end of its command line, by which it is known from all other processes.
    """

    def __init__(self, threads: int | None = None) -> None:
        environment = dict(os.environ)
        if threads is not None:
            environment.setdefault("OMP_NUM_THREADS", str(threads))
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed by `events`
        self.mark = secrets.token_hex(8)
        self._process = subprocess.Popen(
            # -P: nothing in the current folder is imported, which may be anybody's
            [sys.executable, "-P", "-m", WORKER, self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is meant for us, who tell it to stop
        )
        self.pid = self._process.pid
        self._asked = False
        self._lock = threading.Lock()

    @property
    def is_alive(self) -> bool:
        """Whether it can take a job."""
        return self._process.poll() is None

    def begin(self, request: Request, last: Path) -> None:
        """Have it do a job; where we are gone by then, its last events go to a file."""
        order = {"request": request.to_dict(), "last": str(last)}
        self._send(json.dumps(order).encode() + b"\n")

    def stop(self) -> None:
        """Ask it to stop as Ctrl-C does, once: what was trained is kept."""
        with self._lock:
            if not self._asked:
                self._asked = True
                self._send(b"\n")

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def dismiss(self) -> None:
        """End it, where it had no job."""
        self.kill()
        for _ in self.events():
            pass

    def _send(self, content: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which its events tell
            self._process.stdin.write(content)
            self._process.stdin.flush()

    def events(self) -> Generator[Framed]:
        """What the process tells; how it died, if it did."""
        assert self._process.stdout is not None
        try:
            while (event := decode(self._process.stdout)) is not None:
                yield event
            code = self._process.wait()
            if code:
                yield Problem(_died(code, self._said))
        finally:
            if self._process.poll() is None:
                self.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout, self._said):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()


def _died(code: int, said: IO[bytes]) -> str:
    """A sentence on a process that ended without one."""
    if code == -getattr(signal, "SIGKILL", 9):
        return (
            "the process of the job was killed, most often as the memory was full; close other "
            "programs or use a smaller image"
        )
    why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    said.seek(0, os.SEEK_END)
    said.seek(max(said.tell() - TAIL, 0))
    lines = said.read().decode(errors="replace").strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    return (
        f"the process of the job died ({why}{last}); the other jobs go on; try it again, and "
        f"please report it if it dies again"
    )
