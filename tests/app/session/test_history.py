"""What a queue remembers, and what it does where it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import unnoise
from unnoise.app.events import Message, Saved, Stopped
from unnoise.app.session import history
from unnoise.app.session.frames import encode
from unnoise.app.session.history import History
from unnoise.app.session.job import Job
from unnoise.app.session.jobs import JobQueue
from unnoise.errors import InputError, UnnoiseError

from .noisy_files import filtered, noisy_file

TIMES, NAN, INF = ("created", "started", "ended"), float("nan"), float("inf")
JUDGED = {"image": "a.tif", "method": "n2v", "verdict": "better", "gains": [], "output": None}
KILLED = """
import sys, time
from pathlib import Path
from unnoise.app.session.jobs import JobQueue
from unnoise.app.session.request import Request
queue = JobQueue(Path(sys.argv[1]))
settings = ("net.filters=4", "net.depth=1", "training.patch=32", "training.batch_size=2")
job = queue.submit(Request((sys.argv[2],), method="n2v", steps=10**6, settings=settings))
while not job.fraction:
    time.sleep(0.02)
print("trains", flush=True)
time.sleep(100)
"""


def test_a_job_comes_back_as_it_was(tmp_path: Path) -> None:
    job = Job("a-1", filtered(tmp_path / "a.tif"), "me", 3)
    for event in (Message("caf\u00e9 \udcff"), Saved(tmp_path / "b.tif"), Stopped("end")):
        job.take(event)
    job.history = ((1, None, 0.5), (2, float("nan"), None))
    kept = History(tmp_path)
    kept.save(job)
    (found,), problems = kept.load()
    kept.close()
    assert problems == []
    assert json.dumps(found.to_dict()) == json.dumps(job.to_dict())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("number", value) for value in ("3", -1, 2**70)],
        *[(name, value) for name in TIMES for value in ("now", -1, 2**70, 1e300, NAN, INF)],
        *[("fraction", value) for value in ("1", -0.5, 1.5, 10**400, NAN)],
        *[("pid", value) for value in ("1", -1, 2**70)],
        *[("error", 3), ("mark", 3), ("id", "c"), ("request", {"inputs": []}), ("model", 0)],
        *[("history", [line]) for line in ([1, 2], [INF, 1, 1], [1, [], 1], [1, 10**400, 1])],
        *[("judged", [{**JUDGED, "gains": gains}]) for gains in (3, [3], [[]], [["1", "much"]])],
        ("judged", [{"image": "a.tif"}]),
        *[("judged", [{**JUDGED, name: 3}]) for name in ("output", "uncertainty")],
    ],
)
def test_values_that_cannot_be_cost_one_job(tmp_path: Path, name: str, value: object) -> None:
    kept = History(tmp_path)
    for one in ("a", "b"):
        kept.save(Job(one, filtered(Path("a.tif"))))
    place = tmp_path / "jobs" / "a.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {name: value}))
    found, problems = kept.load()
    kept.close()
    assert [job.id for job in found] == ["b"]
    assert len(problems) == 1


def test_a_broken_record_costs_one_job(tmp_path: Path) -> None:
    kept = History(tmp_path)
    for name in ("a", "b", "c"):
        kept.save(Job(name, filtered(Path("a.tif"))))
    (tmp_path / "jobs" / "a.json").write_text("{")
    values = json.loads((tmp_path / "jobs" / "b.json").read_text())
    (tmp_path / "jobs" / "b.json").write_text(json.dumps(values | {"state": "eaten"}))
    (tmp_path / "jobs" / "d e.json").write_text(json.dumps(values | {"id": "d e"}))
    found, problems = kept.load()
    kept.close()
    assert [job.id for job in found] == ["c"]
    assert len(problems) == 3
    queue = JobQueue(tmp_path)
    assert queue.problems == problems
    queue.close(stop=True)


def test_a_number_that_leaves_none_for_later_jobs_costs_no_job(tmp_path: Path) -> None:
    path = noisy_file(tmp_path)
    for name, number in (("b", 2**53), ("a", 2**52), ("c", 7)):
        record = Job(name, filtered(path), number=number, state="done", ended=1.0).to_dict()
        (tmp_path / "jobs").mkdir(exist_ok=True)
        (tmp_path / "jobs" / f"{name}.json").write_text(json.dumps(record))
    for count in (1, 2):
        queue = JobQueue(tmp_path)
        assert queue.problems == []
        queue.submit(filtered(path), [unnoise.open(path)])
        assert queue.join(200)
        numbers = [job.number for job in queue.jobs()]
        assert numbers == sorted(set(numbers))
        assert (len(numbers), numbers[0]) == (3 + count, 7)
        assert numbers[-1] < 100
        queue.close(stop=True)


def test_names_of_jobs_lead_nowhere_else(tmp_path: Path) -> None:
    kept = History(tmp_path)
    for name in ("../a", "", "a/b", "a.json", "a\0"):
        with pytest.raises(UnnoiseError, match="no name of a job"):
            kept.results(name)
    kept.close()


def test_turns_are_on_disk_while_they_matter(tmp_path: Path) -> None:
    kept = History(tmp_path)
    kept.keep_turns({"ada": 1.5})
    assert kept.turns() == {"ada": 1.5}
    for damaged in (b"[", b"[]", b'{"ada": NaN}', b'{"ada": "bob"}', b"\xff"):
        (tmp_path / "turns.json").write_bytes(damaged)
        assert kept.turns() == {}
    kept.keep_turns({})
    assert not (tmp_path / "turns.json").exists()
    kept.close()


def test_a_full_disk_costs_the_record_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes, remedy: str) -> None:
        raise InputError(f"{path} cannot be written: No space left on device; {remedy}")

    queue = JobQueue(tmp_path / "queue")
    monkeypatch.setattr(history, "write_whole", full)
    job = queue.submit(filtered(noisy_file(tmp_path)))
    assert queue.join(200)
    queue.close(stop=True)
    assert job.state == "done"
    (warned,) = [text for kind, text in job.messages if kind == "warning"]
    assert "No space left" in warned
    assert "the jobs go on" in warned


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another folder"):
        JobQueue(tmp_path / "file" / "queue")


def test_what_outlived_its_program_keeps_its_model(tmp_path: Path) -> None:
    """Of a program that is killed the process goes on, stops by itself, and is waited for."""
    folder, image = tmp_path / "queue", noisy_file(tmp_path)
    command = [sys.executable, "-c", KILLED, str(folder), str(image)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stdout.readline() == b"trains\n"
    program.kill()
    program.wait()
    program.stdout.close()
    queue = JobQueue(folder)
    (job,) = queue.jobs()
    after = queue.submit(filtered(image))
    assert queue.join(200)
    queue.close(stop=True)
    assert after.state == "done"
    assert job.state == "interrupted"
    assert "start it again" in job.error
    assert job.model == tmp_path / "cells_denoised.model"
    assert unnoise.load(job.model).config.method == "n2v"


def test_last_words_go_when_the_record_has_them(tmp_path: Path) -> None:
    kept = History(tmp_path)
    job = Job("a", filtered(Path("a.tif")))
    assert kept.last_words(job) == []
    words = encode(Message("one")) + encode(Stopped("two"))
    kept.last(job.id).write_bytes(words + encode(Message("cut off"))[:-3])
    assert kept.last_words(job) == [Message("one"), Stopped("two")]
    kept.save(job)
    assert kept.last_words(job) == [Message("one"), Stopped("two")]
    job.end(1.0)
    kept.save(job)
    assert kept.last_words(job) == []
    kept.close()
