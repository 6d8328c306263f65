"""Processes of jobs that outlived the program that had started them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psutil

from unnoise.app.session.job import Job

GRACE = 60.0
"""Seconds in which such a process, which stops by itself, has to save what it trained."""
LATE = 5.0
"""Seconds by which a process may seem older than its job."""


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
                if abs(process.create_time() - job.started) < LATE:  # else the number is another's
                    self._alive.append(process)
            except psutil.Error:
                continue

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Wait until they have ended, and end those that take too long."""
        until = time.monotonic() + GRACE
        while self._alive and not is_over():
            _, self._alive = psutil.wait_procs(self._alive, timeout=0.2)
            if time.monotonic() > until:
                for process in self._alive:
                    try:
                        process.kill()
                    except psutil.Error:
                        continue
                return
