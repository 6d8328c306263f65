"""Two runs that want the same place at once: one wins whole, the other is refused in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

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
    with job.copy() as folder:
        first, second = job.zygote.meet(
            folder, *s.arguments, other=s.arguments, at=at, then=then, values=s.values
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
