"""After a kill, without power, with a refused write or a disturbed input nothing is lost, and two
runs do not mix: some points of every job, of all kinds in turn; see `faults.soak` for the rest.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from faults.meetings import MEETING, meet, waits
from faults.points import disturbances, losses, some
from faults.power import LOST
from faults.scenarios import SCENARIOS
from faults.trials import Job, Zygote

KINDS = ("ENOSPC", "EIO", "TERM", "EACCES", "INT")
"""Of which every job meets one, the next job the next one, and a kill."""
AROUND = ("GONE", "TRUNCATED", "REPLACED", "CLOCK", "EIO")
"""What happens around every second job: to its inputs, to the clock, or when it reads."""
SLOW = {"resume-adapted", "streamed-npy", "streamed-spread"}
"""Jobs that take seconds, or do much as another one does."""


def jobs(*names: str) -> list[object]:
    return [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in names]


@pytest.mark.parametrize("name", jobs(*SCENARIOS))
def test_every_file_is_the_old_or_the_new_one_and_the_job_goes_on(
    zygote: Zygote, tmp_path: Path, name: str
) -> None:
    job, number = Job(SCENARIOS[name], zygote, tmp_path / name), [*SCENARIOS].index(name)
    for kind in ("KILL", KINDS[number % len(KINDS)]):
        for point in some(job.acts, name, 1, kind):
            job.try_fault(**point)
    if number % 2 == 0:
        lost = losses(job.acts, LOST[number // 2 % 3])
        job.try_fault(**(lost[-1] if number // 6 % 2 else random.Random(name).choice(lost)))
    else:
        around = disturbances(job.reads, AROUND[number // 2 % len(AROUND)])
        job.try_fault(**random.Random(name).choice(around))
    if name in MEETING:
        middle = waits(job.acts)[len(job.acts) // 2]
        meet(job, middle, ("SIGCONT", "SIGKILL")[number % 2])
