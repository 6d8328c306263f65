"""After a kill or a refused write nothing is lost: a few points of every job, see `faults.soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.points import some
from faults.scenarios import SCENARIOS
from faults.trials import Job, Zygote

KINDS = {"KILL": 2, "ENOSPC": 1, "EIO": 1, "TERM": 1}
SLOW = {"resume-adapted", "streamed-zarr"}
"""Jobs that take seconds: one fault of a kind for each two."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_file_is_the_old_or_the_new_one_and_the_job_goes_on(
    zygote: Zygote, tmp_path: Path, name: str
) -> None:
    job = Job(SCENARIOS[name], zygote, tmp_path / name)
    for kind, count in KINDS.items():
        if name in SLOW and kind in ("EIO", "TERM"):
            continue
        for point in some(job.acts, name, count, kind):
            job.try_fault(**point)
