"""Forks: what one does is gone with it, and it ends."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

BROKEN = 99
"""Exit code of a fork where not a test failed, but what tries them."""
ENDS = {0: "survived", BROKEN: "error", -signal.SIGXCPU: "no end"}
"""What exit codes say; any other is that of a test that failed, or of a crash."""
ASLEEP = 30.0
"""Seconds in which a process computes nothing before it counts as a deadlock."""
BUSY = 10
"""How many times as long as its computing a process may take, on a machine with other work."""


def in_a_fork(call: Callable[[], object]) -> None:
    """Run a call in a process of its own, so that what it imports goes with it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            call()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(1)


def start(call: Callable[[], int], out: Path) -> int:
    """A call in a fork with bounds, whose exit code is that of the call; its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        # It does the same; where the machine is busy, it could be ended before.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(child, child)
        return child
    code = BROKEN
    try:
        os.setpgid(0, 0)  # not a session: it would not keep the priority of the run
        resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
        target = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1)
        os.dup2(target, 2)
        code = call()
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    finally:
        sys.stdout.flush()
        os._exit(code)


def within(seconds: float) -> None:
    """End this process, as one without an end, once it has computed so many seconds more."""
    most = math.ceil(time.process_time() + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def wait(child: int, limit: float) -> str:
    """``killed``, ``survived`` or ``no end``, which is ended: a mutant that tests see as well.

    That is after so many CPU seconds, or `BUSY` times as long by the clock: a thread that asks
    again and again whether something has come computes a little for ever.
    """
    import psutil

    process = psutil.Process(child)
    begun = moved = time.monotonic()
    last = -1.0
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            _end(child)
            return ENDS.get(os.waitstatus_to_exitcode(status), "killed")
        spent = sum(process.cpu_times()[:4])
        now = time.monotonic()
        if spent > last + 0.02:
            moved, last = now, spent
        if spent > limit or now - moved > ASLEEP or now - begun > BUSY * limit:
            _end(child)
            os.waitpid(child, 0)
            return "no end"
        time.sleep(0.05)


def _end(group: int) -> None:
    """Whatever a mutant left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
