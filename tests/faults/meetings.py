"""Two runs that want the same place at once: one wins whole, the other is refused in a sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence

from faults.power import LOST
from faults.trials import Answer, Job, content

MEETING = (
    *("train", "train-overwrite", "resume", "denoise", "denoise-overwrite", "denoise-zarr"),
    *("predict", "streamed", "streamed-zarr", "correct", "calibrate", "batch"),
)
"""The jobs that meet one of their kind."""


def waits(acts: Sequence[str]) -> list[int]:
    """The acts at which a process may be met: something was begun, and more is to come."""
    return list(range(1, len(acts)))


def meet(job: Job, at: int, then: str = "SIGCONT") -> None:
    """Run a job, at one of its acts the same one, and go on or kill the first.

    Raises
    ------
    AssertionError
        If a law is broken.
    """
    s = job.scenario
    deceived = {**s.values, "unnoise.images.atomic.CLOCK": -1e9}  # all processes seem dead
    with job.copy() as folder:
        first, second = job.zygote.meet(
            folder, *s.arguments, other=s.arguments, at=at, then=then, values=deceived
        )
        assert second is not None, f"there is no act {at}"
        _refused_or_done(second)
        if then == "SIGKILL":
            assert first.code == -9, first
        else:
            _refused_or_done(first)
            assert 0 in (first.code, second.code), f"both were refused: {first} {second}"
            found = job.known(content(folder))
            assert found == job.expected, sorted(
                k for k in found.keys() | job.expected if found.get(k) != job.expected.get(k)
            )
            if first.code == second.code == 0:
                _may_both_win(job, at, first, second)
        job.again(folder)


def _may_both_win(job: Job, at: int, first: Answer, second: Answer) -> None:
    """One after the other: the first had not begun, or the second left alone what was there."""
    begun = [act for act in job.acts[:at] if act.endswith(".lock")]
    told = first.err + second.err
    assert not begun or "left alone" in told or "is finished" in told, (begun, told)


def _refused_or_done(answer: Answer) -> None:
    assert "Traceback" not in answer.err, answer.err
    assert answer.code in (0, 2), answer
    if answer.code:
        told = answer.err.strip().splitlines()
        assert told[-1].startswith("unnoise: "), answer.err
        assert "unexpected" not in told[-1], answer.err


def kill_queue(job: Job, at: int, kind: str = "KILL") -> None:
    """Kill a program with a queue at one of its acts: what it has taken is in its records.

    Or the power is lost there: what its child processes have synced is not known, so of their
    results nothing is asked for but that the program goes on.

    Raises
    ------
    AssertionError
        If a job is lost, or another program does not go on.
    """
    s = job.scenario
    with job.copy() as folder:
        answer = job.zygote.run(folder, *s.arguments, fault={"kind": kind, "at": at})
        assert answer.code in (-9, 0), answer
        if kind in LOST:
            job.take_what_is_left(folder)
        told = [line.split(" ") for line in answer.out.splitlines()]  # the last may be cut
        taken = {words[1] for words in told if words[0] == "submitted" and len(words) > 1}
        records = (folder / "queue" / "jobs").glob("*.json")
        kept = {json.loads(file.read_text())["request"]["inputs"][0] for file in records}
        assert taken <= kept, f"{taken - kept} are lost"
        if kind in LOST:
            answer = job.zygote.run(folder, *s.arguments)
            assert answer.code == 0, answer.err
            return
        job.again(folder)
