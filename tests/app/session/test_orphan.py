"""Processes that outlived their program are waited for and heard; nobody else's is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unnoise.app.events import Message, Saved
from unnoise.app.session import jobs as jobs_module
from unnoise.app.session import orphan
from unnoise.app.session.child import Child
from unnoise.app.session.frames import encode
from unnoise.app.session.job import Job
from unnoise.app.session.jobs import JobQueue
from unnoise.app.session.request import Request
from unnoise.errors import InputError

WORKER = "unnoise.app.session.worker"
Starts = Callable[..., subprocess.Popen]


@pytest.fixture
def starts() -> Iterator[Starts]:
    """Starts processes that sleep, with words at the end of their command lines."""
    made: list[subprocess.Popen] = []

    def start(*words: str) -> subprocess.Popen:
        code = "import time; print('sleeps', flush=True); time.sleep(100)"
        command = [sys.executable, "-I", "-c", code, *words]
        made.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert made[-1].stdout is not None
        assert made[-1].stdout.readline() == "sleeps\n"
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.communicate()


def left(folder: Path, **values: Any) -> Path:
    """The record of a job that ran when its program was killed."""
    place = folder / "jobs" / "a.json"
    place.parent.mkdir(exist_ok=True)
    job = Job("a", Request(("a.tif",)), number=1, state="running", started=time.time())
    place.write_text(json.dumps(job.to_dict() | values))
    return place


def state(record: Path) -> str:
    return str(json.loads(record.read_text())["state"])


def test_whoever_comes_next_waits_too_and_hears_it(starts: Starts, tmp_path: Path) -> None:
    child = starts(WORKER, "abc")
    record = left(tmp_path, pid=child.pid, mark="abc")
    words = record.with_suffix(".last")
    words.write_bytes(encode(Message("nearly done")))
    for _ in range(2):  # programs that are closed while it still saves
        queue = JobQueue(tmp_path)
        (job,) = queue.jobs()
        assert not queue.join(0.3)
        assert (job.state, job.stopping) == ("running", True)
        with pytest.raises(InputError, match="the job runs"):
            queue.remove(job.id)
        queue.close(stop=True)
        assert state(record) == "running"
    words.write_bytes(words.read_bytes() + encode(Saved(tmp_path / "a_denoised.tif")))
    queue = JobQueue(tmp_path)
    child.kill()  # which it does by itself; it stays unburied, as without a system that does that
    assert queue.join(20)
    (job,) = queue.jobs()
    queue.close(stop=True)
    for found in (job, Job.from_dict(json.loads(record.read_text()))):
        assert (found.state, found.stopping, found.pid) == ("interrupted", False, None)
        assert found.results == (tmp_path / "a_denoised.tif",)
        assert found.messages == (("message", "nearly done"),)
        assert "start it again" in found.error
    assert not words.exists()


def test_words_stay_until_they_are_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = left(tmp_path).with_suffix(".last")
    words.write_bytes(encode(Message("done")))

    def full(*given: object) -> None:
        raise InputError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("unnoise.app.session.history.write_whole", full)
        JobQueue(tmp_path).close(stop=True)
    assert words.exists()
    queue = JobQueue(tmp_path)
    (job,) = queue.jobs()
    queue.close(stop=True)
    assert (job.state, job.messages) == ("interrupted", (("message", "done"),))
    assert not words.exists()


def test_one_that_does_not_end_is_ended(
    starts: Starts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphan, "GRACE", 0.3)
    child = starts(WORKER, "abc")
    left(tmp_path, pid=child.pid, mark="abc")
    queue = JobQueue(tmp_path)
    assert queue.join(20)
    queue.close(stop=True)
    assert child.wait(20) != 0


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ((), {}),
        ((), {"mark": None}),  # of a version that kept none
        ((), {"mark": ""}),
        (("",), {"mark": ""}),
        (("other", "abc"), {}),
        ((WORKER, "other"), {}),
        ((WORKER, "abc", "more"), {}),
    ],
)
@pytest.mark.parametrize("ahead", [-86400.0, 86400.0])  # by which the clock was wrong
def test_other_processes_are_neither_ended_nor_waited_for(
    starts: Starts, tmp_path: Path, words: tuple[str, ...], values: dict[str, Any], ahead: float
) -> None:
    stranger = starts(*words)
    values = {"mark": "abc", "pid": stranger.pid, "started": time.time() + ahead, **values}
    record = left(tmp_path, **values)
    if values["mark"] is None:
        kept = json.loads(record.read_text())
        record.write_text(json.dumps({key: kept[key] for key in kept if key != "mark"}))
    queue = JobQueue(tmp_path)
    (job,) = queue.jobs()
    assert job.state == "interrupted"
    queue.close(stop=True)
    assert queue.problems == []
    assert stranger.poll() is None


PIDS = {
    "-1": -1,
    "0": 0,
    "1": 1,
    "own": os.getpid(),
    "2^31": 2**31,
    "2^64": 2**64,
    "1e400": 10**400,
}


@pytest.mark.parametrize("pid", PIDS.values(), ids=PIDS.keys())  # workers agree on names of tests
def test_any_number_is_looked_for(pid: int) -> None:
    job = Job("a", Request(("a.tif",)), pid=pid, mark="abc")
    assert orphan.process_of(job) is None


def test_a_process_of_a_job_is_known() -> None:
    child = Child()
    job = Job("a", Request(("a.tif",)), pid=child.pid, mark=child.mark)
    end = time.monotonic() + 60  # its command line is there a moment after it began
    while (found := orphan.process_of(job)) is None and time.monotonic() < end:
        time.sleep(0.01)
    child.dismiss()
    assert found is not None
    assert found.pid == child.pid
    assert orphan.process_of(job) is None


def test_a_process_has_its_job_after_the_record_tells_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a program that was killed between the two would be followed by one that does it too."""
    seen: list[dict[str, Any]] = []

    class Watched(Child):
        def begin(self, request: Request, last: Path) -> None:
            seen.append(json.loads(last.with_suffix(".json").read_text()))
            self.kill()

    monkeypatch.setattr(jobs_module, "Child", Watched)
    queue = JobQueue(tmp_path)
    queue.submit(Request(("a.tif",)))
    assert queue.join(60)
    queue.close(stop=True)
    assert (seen[0]["state"], len(seen[0]["mark"]) > 15) == ("running", True)
    assert seen[0]["pid"] > 0
