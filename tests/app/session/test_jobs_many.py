"""Many clients at once: no job is lost, and all get their turns."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from unnoise.app.events import Event, Message, Preview, Saved
from unnoise.app.session.job import Job
from unnoise.app.session.jobs import PREVIEWS, JobQueue
from unnoise.app.session.request import Request
from unnoise.images.image import Image

from .noisy_files import filtered

CLIENTS, EACH = 20, 10
IMAGES = [Image(np.zeros((8, 8)), "YX")]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Jobs that do nothing, once they may; every seventh fails."""
    allowed = threading.Event()

    def work(request: Request, images: object = None) -> Generator[Event]:
        allowed.wait(60)
        yield Message("works")
        if int(request.inputs[0]) % 7 == 0:
            raise OSError(5, "Input/output error", "cells.tif")
        yield Saved(Path(f"{request.inputs[0]}.tif"))

    monkeypatch.setattr(Request, "events", work)
    return allowed


@pytest.mark.parametrize("workers", [1, 3])
def test_no_job_is_lost(
    tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # 1,362 times, whatever the disk
    queue = JobQueue(tmp_path, workers=workers)
    gate.set()

    def client(name: int) -> None:
        for n in range(EACH):
            job = queue.submit(filtered(Path(str(name * EACH + n))), IMAGES, owner=str(name))
            if n == 3:
                queue.stop(job.id)
            assert any(job is other for other in queue.jobs())

    threads = [threading.Thread(target=client, args=(name,)) for name in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.join(200)
    jobs = queue.jobs()
    queue.close(stop=True)
    assert len({job.id for job in jobs}) == len(jobs) == CLIENTS * EACH
    assert [job.number for job in jobs] == list(range(1, CLIENTS * EACH + 1))
    for job in jobs:
        assert job.state in ("done", "failed", "stopped")
        if job.state != "stopped":
            failed = int(job.request.inputs[0]) % 7 == 0
            assert (job.state == "failed") == failed
            assert ("system refused cells.tif" in job.error) == failed
        assert job.ended is not None
        assert (job.started or job.created) <= job.ended
    again = JobQueue(tmp_path)
    assert [job.to_dict() for job in again.jobs()] == [job.to_dict() for job in jobs]
    again.close(stop=True)


def test_clients_take_turns(gate: threading.Event) -> None:
    """Whoever has more jobs waits no less for them than those who came later with few."""
    queue = JobQueue(None)
    for name in range(CLIENTS):
        for n in range(EACH if name else 4 * EACH):
            queue.submit(filtered(Path(str(n))), IMAGES, owner=str(name))
    gate.set()
    assert queue.join(200)
    queue.close(stop=True)
    order = [job.owner for job in sorted(queue.jobs(), key=lambda job: job.started or 0)]
    for turn in range(EACH):
        started = Counter(order[1 + turn * CLIENTS : 1 + (turn + 1) * CLIENTS])
        assert max(started.values()) == 1, "nobody has a second job in a round"
    assert order[1 + CLIENTS * EACH :] == ["0"] * (3 * EACH - 1)


def test_a_queue_that_closes_while_clients_submit(tmp_path: Path, gate: threading.Event) -> None:
    queue = JobQueue(tmp_path)
    gate.set()
    submitted: list[Job] = []
    refused = threading.Event()

    def client() -> None:
        try:
            while True:
                submitted.append(queue.submit(filtered(Path("1")), IMAGES))
        except Exception:
            refused.set()

    thread = threading.Thread(target=client)
    thread.start()
    while len(submitted) < 5:
        pass
    queue.close(stop=True)
    assert refused.wait(60)
    thread.join()
    again = JobQueue(tmp_path)
    found = {job.id: job.state for job in again.jobs()}
    again.close(stop=True)
    assert {job.id for job in submitted} <= set(found)
    assert set(found.values()) <= {"done", "interrupted", "stopped"}


def test_the_last_jobs_alone_keep_their_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((2, 2), np.float32)

    def work(request: Request, images: object = None) -> Generator[Event]:
        yield Preview("a.tif", 1, 0.5, (0, 0), pixels, pixels)
        yield Saved(Path("a.tif"))

    monkeypatch.setattr(Request, "events", work)
    queue = JobQueue(None)
    jobs = [queue.submit(filtered(Path("a")), IMAGES) for _ in range(PREVIEWS + 3)]
    assert queue.join(60)
    assert [job.preview is None for job in jobs] == [True] * 3 + [False] * PREVIEWS
    queue.close(stop=True)


def test_a_job_that_is_removed_while_the_queue_closes(
    tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the queue stayed locked, and a front end ended with a traceback."""
    queue = JobQueue(tmp_path)
    job = queue.submit(filtered(Path("1")), IMAGES)
    while job.state != "running":
        time.sleep(0.01)
    stop = JobQueue.stop

    def late(self: JobQueue, id_: str) -> None:
        gate.set()
        assert self.join(60)
        self.remove(id_)  # by its page, before it is asked to stop
        stop(self, id_)

    monkeypatch.setattr(JobQueue, "stop", late)
    queue.close(stop=True)
    JobQueue(tmp_path).close(stop=False)


def test_who_waits_for_all_jobs_hears_of_one_that_never_began(gate: threading.Event) -> None:
    queue = JobQueue(None)
    running, waiting = (queue.submit(filtered(Path("1")), IMAGES) for _ in range(2))
    while running.state != "running":
        time.sleep(0.01)
    told = []
    with queue._changed:  # nothing else tells of it meanwhile
        tell = queue._changed.notify_all
        queue._changed.notify_all = lambda: told.append(waiting.state)  # type: ignore[method-assign]
        queue.stop(waiting.id)
        queue._changed.notify_all = tell  # type: ignore[method-assign]
    assert told == ["stopped"]
    gate.set()
    assert queue.join(60)
    queue.close(stop=True)
