"""Records of jobs: what is read of them, and what the page shows of that."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from unnoise.app.events import Judged
from unnoise.app.session import orphan
from unnoise.app.session.history import History
from unnoise.app.session.job import Job
from unnoise.app.session.request import Request
from unnoise.noise.confidence_interval import Interval

from .own_folder import folder


def shown(data: bytes) -> None:
    """Read a record beside one that is right, look for its process, and show it."""
    place = _queue()
    (place / "jobs" / "a.json").write_bytes(data)
    jobs, problems = History.load(_Kept(place))  # type: ignore[arg-type]
    assert len(jobs) + len(problems) == 2
    assert "b" in [job.id for job in jobs], "it costs another job"
    for job in jobs:
        assert Job.from_dict(json.loads(json.dumps(job.to_dict()))).id == job.id
        orphan.process_of(job)
        _page_of(job)


def _page_of(job: Job) -> None:
    """What the pages show of a job, of which the first one shows them all."""
    from unnoise.app.web import home_page, job_page

    for word in (home_page.title(job), home_page.told_time(job), home_page.WORDS[job.state]):
        word.encode("utf-8", "surrogatepass")
    round(job.fraction, 2)
    assert all(at is None or at.name is not None for at in (job.model, job.report, job.uncertainty))
    "\n".join([job_page.state_of(job), job.verdict, *job_page.gains_of(job)])
    for made in job.made:
        job_page.pictures_of(job.request, made)
    "\n".join([job.error, *(text for _, text in job.messages)])
    job_page.chart(job_page.loss_chart(job.history))
    job.request.command()


@cache
def _queue() -> Path:
    """A queue with a job that is right."""
    place = folder() / "jobs-of-a-queue"
    (place / "jobs").mkdir(parents=True)
    job = Job("b", Request(("b.tif",)))
    (place / "jobs" / "b.json").write_text(json.dumps(job.to_dict()))
    return place


class _Kept(NamedTuple):
    """A queue's folder without its lock."""

    folder: Path


def right() -> list[bytes]:
    """Records that wait, run, and have ended."""
    job = Job("a", Request(("a.tif",)), results=(Path("b.tif"),), messages=(("warned", "b"),))
    job.history = ((1, 0.5, 0.4), (2, 0.4, None), (3, 0.4, 0.3))
    ended = Job("a", job.request, number=1, started=1.8e9, state="running", pid=1, mark="a")
    gains = (("1", Interval(2.0, 1.0, 3.0)), ("2", None))
    ended.take(Judged("a.tif", "n2v", "better", gains, output=Path("b.tif")))
    running = json.dumps(ended.to_dict()).encode()
    ended.end(1.9e9)
    return [json.dumps(job.to_dict()).encode(), running, json.dumps(ended.to_dict()).encode()]
