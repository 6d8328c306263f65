"""Processes of jobs that outlived the program that had started them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import psutil

from unnoise.app.session.job import Job

GRACE = 60.0
"""Seconds in which such a process, which stops by itself, has to save what it trained."""
LATE = 5.0
"""Seconds by which a process may seem to have begun after its job."""


class Orphans:
    """What still runs of the jobs of an earlier program: no other job starts meanwhile.

    Parameters
    ----------
    jobs : sequence of Job
        As they were remembered.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._alive = []
        for job in jobs:
            if job.state != "running" or job.pid is None or job.started is None:
                continue
            try:
                process = psutil.Process(job.pid)
                if process.create_time() < job.started + LATE:  # else the number is another's
                    self._alive.append(process)
            except psutil.Error:
                continue

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Wait until they have ended, and end those that take too long."""
        until = time.monotonic() + GRACE
        while (alive := [process for process in self._alive if _lives(process)]) and not is_over():
            if time.monotonic() > until:
                for process in alive:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
                return
            time.sleep(0.1)


def _lives(process: psutil.Process) -> bool:
    """Whether a process runs, and is not merely unburied."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
