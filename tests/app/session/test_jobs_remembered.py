"""A queue that works for years remembers the jobs that ended last."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from unnoise.app.session import jobs as jobs_module
from unnoise.app.session.history import History
from unnoise.app.session.job import Job
from unnoise.app.session.jobs import JobQueue

from .noisy_files import filtered


def test_those_that_ended_first_are_forgotten_and_their_results_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "REMEMBERED", 3)
    result = tmp_path / "clean.tif"
    result.write_bytes(b"1")
    history = History(tmp_path / "queue")
    for n in range(6):
        job = Job(f"old-{n}", filtered(tmp_path / "a.tif"), "me", n + 1, results=(result,))
        job.state, job.outcome, job.ended = "done", "done", 1000.0 + (n * 7) % 6
        job.in_memory = n == 0  # whose results are nowhere else
        history.save(job)
    history.close()
    queue = JobQueue(tmp_path / "queue")
    try:
        new = queue.submit(filtered(tmp_path / "gone.tif"), owner="me")
        wanted = {"old-0", "old-4", "old-5", new.id}
        end = time.monotonic() + 200
        while {path.stem for path in (tmp_path / "queue" / "jobs").glob("*.json")} != wanted:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert {job.id for job in queue.jobs()} == wanted
        assert result.exists()
    finally:
        queue.close(stop=True)
