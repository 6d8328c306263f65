"""Several processes of this machine that share the pieces of a prediction."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from typing import Any, NoReturn

from unnoise.app.pieces import Work, run_of
from unnoise.errors import UnnoiseError

PATIENCE = 20.0
"""Seconds that a worker gets to make its last pieces safe."""


def predicted(work: Work, left: Sequence[int], count: int, threads: int) -> Iterator[int]:
    """Let so many processes make a run of pieces each; yields the number of every piece.

    Parameters
    ----------
    work : Work
        Whose result is laid out.
    left : sequence of int
        The pieces that are not finished.
    count : int
        Processes.
    threads : int
        Of each.

    Raises
    ------
    UnnoiseError
        If one of them died; the others make their pieces first.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit the threads of PyTorch
    running: dict[connection.Connection, SpawnProcess] = {}
    problems: list[str] = []
    try:
        for k in range(count):
            ours, theirs = context.Pipe()
            own = [left[i] for i in run_of(k, count, len(left))]
            process = context.Process(target=_run, args=(work, own, k, threads, theirs))
            process.start()
            theirs.close()
            running[ours] = process
        while running:
            for pipe in connection.wait(list(running)):
                assert isinstance(pipe, connection.Connection)
                try:
                    told = pipe.recv()
                except (EOFError, OSError):  # it ended
                    process = running.pop(pipe)
                    process.join()
                    if process.exitcode and not problems:
                        problems.append(f"a worker was ended by {_why(process.exitcode)}")
                    continue
                if isinstance(told, int):
                    yield told
                else:
                    problems.append(str(told))
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join(PATIENCE)
            process.kill()
    if problems:
        raise UnnoiseError(
            f"{problems[0]}; run the same command again to go on, perhaps with fewer workers"
        )


def _why(code: int) -> str:
    """What ended a process."""
    if code >= 0:
        return f"an error (exit code {code})"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"{name}, as the system does without memory" if name == "SIGKILL" else name
    return f"signal {-code}"


def _run(work: Work, own: Sequence[int], k: int, threads: int, pipe: Any) -> None:
    """What a worker does."""

    def stop(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent asks to stop
    signal.signal(signal.SIGTERM, stop)
    parent = os.getppid()
    try:
        import torch

        torch.set_num_threads(threads)
        pieces = work.on_card(k).opened()
        for number in pieces.run(own):
            pipe.send(number)
            if os.getppid() != parent:
                return  # nobody waits for the result
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        return
    except Exception as error:
        pipe.send(
            f"{error}" if isinstance(error, UnnoiseError) else f"{type(error).__name__}: {error}"
        )
    finally:
        pipe.close()
