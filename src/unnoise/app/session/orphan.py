"""Processes of jobs that outlived the program that had started them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import psutil

from unnoise.app.session.child import WORKER
from unnoise.app.session.job import Job

GRACE = 60.0
"""Seconds in which such a process, which stops by itself, has to save what it trained."""


def wait(jobs: Sequence[Job], is_over: Callable[[], bool]) -> bool:
    """Wait until the processes of jobs have ended, and end those that take too long.

    Parameters
    ----------
    jobs : sequence of Job
        As they were remembered.
    is_over : callable
        Whether to wait no longer.

    Returns
    -------
    bool
        Whether nothing more will come of them.
    """
    until = time.monotonic() + GRACE
    while alive := [process for job in jobs if (process := process_of(job)) is not None]:
        if is_over():
            return False
        if time.monotonic() > until:
            for process in alive:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            break
        time.sleep(0.1)
    return True


def process_of(job: Job) -> psutil.Process | None:
    """The process that still does a job; None where it has ended.

    Its number can be another program's by now, and clocks may have been set meanwhile: what counts
    is its command line, with a word that no other process has.
    """
    if job.pid is None or not job.mark:
        return None
    try:
        process = psutil.Process(job.pid)
        is_it = process.cmdline()[-2:] == [WORKER, job.mark]  # none where it is merely unburied
    except (psutil.Error, OSError, ValueError, OverflowError):
        return None
    return process if is_it else None
