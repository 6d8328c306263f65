"""A queue belongs to one program, also after that was killed, and loses no job."""

from __future__ import annotations

from pathlib import Path

from faults.meetings import kill_queue, meet
from faults.scenarios import QUEUE
from faults.trials import Job, Zygote


def test_a_queue_is_of_one_program_and_loses_no_job(zygote: Zygote, tmp_path: Path) -> None:
    job = Job(QUEUE, zygote, tmp_path / "queue")
    count = len(job.acts)
    meet(job, count // 3)
    meet(job, count // 2, "SIGKILL")
    for at in (count // 4, 2 * count // 3):
        kill_queue(job, at)
