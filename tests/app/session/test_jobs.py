"""A queue loses no job, is fair, stops as Ctrl-C does, and goes on after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import unnoise
from synthetic import photon_ground
from unnoise.app.events import Event
from unnoise.app.session import jobs as jobs_module
from unnoise.app.session.child import Child
from unnoise.app.session.jobs import JobQueue
from unnoise.app.session.request import Request
from unnoise.errors import InputError
from unnoise.images.image import Image

from .noisy_files import filtered, noisy_file, trained

Queues = Callable[..., JobQueue]


@pytest.fixture
def queues() -> Iterator[Queues]:
    """Makes queues that are closed in the end."""
    made: list[JobQueue] = []

    def make(folder: Path | None = None, *, workers: int = 1) -> JobQueue:
        made.append(JobQueue(folder, workers=workers))
        return made[-1]

    yield make
    for queue in made:
        queue.close(stop=True)


def picture(seed: int = 0) -> Image:
    return Image.from_array(photon_ground(seed=seed).astype(np.uint16))


def until(is_so: Callable[[], bool], seconds: float = 150.0) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.02)


def test_files_one_broken_one_killed_one_stopped_and_a_restart(
    queues: Queues, tmp_path: Path
) -> None:
    import psutil

    good, other = noisy_file(tmp_path, "a.tif"), noisy_file(tmp_path, "b.tif", seed=1)
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"II*")
    queue = queues(tmp_path / "queue")
    jobs = [queue.submit(filtered(path)) for path in (bad, good)]
    killed = queue.submit(trained(noisy_file(tmp_path, "c.tif", seed=2), steps=100_000))
    jobs.append(killed)
    long = queue.submit(trained(other, steps=100_000))
    until(lambda: killed.fraction > 0)
    psutil.Process(killed.pid).kill()
    until(lambda: long.fraction > 0)
    queue.stop(long.id)
    queue.stop(long.id)
    assert queue.join(200)
    assert [job.state for job in (*jobs, long)] == ["failed", "done", "failed", "stopped"]
    assert "memory" in killed.error
    assert jobs[0].misuse
    assert "bad.tif" in jobs[0].error
    assert jobs[1].results == (tmp_path / "a_denoised.tif",)
    assert jobs[1].verdict
    assert long.model is not None
    assert unnoise.load(long.model).config.method == "n2v"
    queue.close(stop=True)
    again = queues(tmp_path / "queue").jobs()
    assert [job.to_dict() for job in again] == [job.to_dict() for job in (*jobs, long)]


def test_images_in_memory_give_files_of_the_queue(queues: Queues, tmp_path: Path) -> None:
    queue = queues(tmp_path)
    image = unnoise.Image(picture().data, "YX", scale={"Y": 0.1, "X": 0.1}, units={"X": "um"})
    job = queue.submit(filtered(Path("my/cells")), [image])
    assert queue.join(200)
    (path,) = job.results
    assert path.parent == tmp_path / "results" / job.id
    clean = unnoise.open(path)
    assert clean.scale["X"] == 0.1
    assert (clean.shape, clean.dtype) == (image.shape, image.dtype)
    queue.remove(job.id)
    assert not path.exists()
    assert queue.jobs() == []


def test_a_job_in_memory_stops_and_keeps_its_model(queues: Queues) -> None:
    queue = queues()
    job = queue.submit(trained(Path("cells"), steps=100_000), [picture()])
    until(lambda: job.fraction > 0)
    queue.stop(job.id)
    assert queue.join(200)
    assert job.state == "stopped"
    assert job.model is not None
    unnoise.load(job.model)


def test_errors_are_sentences_and_the_queue_goes_on(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queues()
    wrong = [
        queue.submit(filtered(Path("a"), channels="7"), [picture()]),
        queue.submit(Request(("a",), method="nothing"), [picture()]),
    ]
    assert queue.join(200)
    for job in wrong:
        assert (job.state, job.misuse) == ("failed", True)
    assert "--channels" in wrong[0].error

    def broken(*given: object) -> Iterator[Event]:
        raise ZeroDivisionError("by zero")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(Request, "events", broken)
        surprise = queue.submit(filtered(Path("a")), [picture()])
        assert queue.join(200)
    assert surprise.error.startswith("unexpected ZeroDivisionError: by zero; please report")
    assert not surprise.misuse
    last = queue.submit(filtered(Path("a")), [picture()])
    assert queue.join(200)
    assert last.state == "done"


def test_what_waits_goes_on_after_a_restart(queues: Queues, tmp_path: Path) -> None:
    path = noisy_file(tmp_path)
    queue = queues(tmp_path / "queue")
    running = queue.submit(trained(path, steps=100_000))
    waiting = queue.submit(filtered(path))
    lost = queue.submit(filtered(Path("a")), [picture()])
    until(lambda: running.fraction > 0)
    queue.close(stop=True)
    assert [job.state for job in (running, waiting, lost)] == ["stopped", "waiting", "waiting"]
    second = queues(tmp_path / "queue")
    assert second.join(200)
    states = [second.job(job.id).state for job in (running, waiting, lost)]
    assert states == ["stopped", "done", "interrupted"]
    assert "memory" in second.job(lost.id).error


def test_a_job_that_takes_too_long_to_end_is_interrupted(
    queues: Queues, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Child, "stop", lambda self: None)  # a process that does not hear
    queue = queues(tmp_path / "queue")
    job = queue.submit(trained(noisy_file(tmp_path), steps=100_000))
    until(lambda: job.fraction > 0)
    monkeypatch.setattr(jobs_module, "PATIENCE", 0.0)
    queue.close(stop=True)
    until(lambda: job.is_over)
    assert (job.state, job.misuse) == ("interrupted", False)
    assert job.error == jobs_module.LATE


def test_a_folder_has_one_queue(queues: Queues, tmp_path: Path) -> None:
    queue = queues(tmp_path)
    with pytest.raises(InputError, match="another program has the queue"):
        JobQueue(tmp_path)
    queue.close(stop=True)
    queues(tmp_path)


def test_a_running_job_is_not_removed(queues: Queues) -> None:
    queue = queues()
    job = queue.submit(trained(Path("a"), steps=100_000), [picture()])
    until(lambda: job.fraction > 0)
    with pytest.raises(InputError, match="stop it"):
        queue.remove(job.id)
    queue.stop(job.id)
    assert queue.join(200)
    with pytest.raises(InputError, match="no job"):
        queue.job("nothing")


def test_a_process_that_waits_takes_the_next_job(
    queues: Queues, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    queue = queues()
    before = set(psutil.Process().children())
    queue.prepare()
    queue.prepare()
    (spare,) = set(psutil.Process().children()) - before
    with monkeypatch.context() as patched:
        patched.setattr(jobs_module, "Child", None)  # no other process is needed
        job = queue.submit(filtered(noisy_file(tmp_path)))
        assert queue.join(200)
    assert job.state == "done"
    spare.wait(60)
    queue.prepare()
    (other,) = set(psutil.Process().children()) - before
    other.kill()
    other.wait()
    again = queue.submit(filtered(noisy_file(tmp_path, "b.tif")))
    assert queue.join(200)
    assert again.state == "done"
    queue.prepare()
    queue.close(stop=True)
    assert set(psutil.Process().children()) == before
