"""What a job makes of its events."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unnoise.app.events import (
    Batch,
    Event,
    Failed,
    Judged,
    Message,
    Predicting,
    Preview,
    Progress,
    Saved,
    Skipped,
    Stopped,
    Trained,
    Warned,
)
from unnoise.app.session.frames import Problem
from unnoise.app.session.job import MOST_MESSAGES, Job, Made
from unnoise.app.session.request import Request
from unnoise.noise.confidence_interval import Interval

HERE = Path("/data")


def job_of(*events: Event | Problem, **options: object) -> Job:
    job = Job("a", Request(("a.tif",), **options), state="running")  # type: ignore[arg-type]
    for event in events:
        job.take(event)
    return job


def progress(step: int, held_out: float | None = None, **more: object) -> Progress:
    return Progress(step, 100, step / 100, step, 100 - step, 0.5, held_out, **more)  # type: ignore[arg-type]


def test_the_bar_never_goes_back_within_a_method() -> None:
    events: list[Event] = [progress(n) for n in (1, 50, 100)]
    events.append(Trained("n2v", None, ("a.tif",), 100, 1.0))
    events += [Predicting(HERE / "b.tif", n, 3) for n in (1, 2, 3)]
    job, seen = job_of(), []
    for event in events:
        job.take(event)
        seen.append(job.fraction)
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] <= 1
    job.end(1.0)
    assert (job.state, job.fraction, job.remaining) == ("done", 1.0, None)


def test_a_model_has_the_whole_bar() -> None:
    job = job_of(Batch(HERE, 2), Predicting(HERE / "a.tif", 1, 2), model="my.model")
    assert job.fraction == pytest.approx(0.25)
    job.take(Judged("a.tif", "n2v", "better", output=HERE / "a.tif"))
    job.take(Predicting(HERE / "b.tif", 1, 2))
    assert job.fraction == pytest.approx(0.75)


def test_the_history_has_a_line_for_every_validation() -> None:
    job = job_of(*[progress(n, 1.0 / (n // 10) if n >= 10 else None) for n in range(1, 101)])
    assert [step for step, _, _ in job.history] == [*range(10, 101, 10)]


def test_results_spreads_and_verdicts() -> None:
    job = job_of(
        Saved(HERE / "b.tif"),
        Saved(HERE / "std.tif"),
        Judged(
            "a.tif",
            "instant",
            "worse",
            dropped=True,
        ),
        Judged(
            "a.tif",
            "n2v",
            "better",
            (("1", Interval(2.0, 1.0, 3.0)), ("2", None)),
            ("dark",),
            output=HERE / "b.tif",
            uncertainty=HERE / "std.tif",
        ),
        Saved(HERE / "m.model", "model"),
        Saved(HERE / "r.html", "report"),
    )
    assert job.results == (HERE / "b.tif",)
    assert (job.uncertainty, job.model, job.report) == (
        HERE / "std.tif",
        HERE / "m.model",
        HERE / "r.html",
    )
    (found,) = job.judged
    assert found["gains"] == [["1", 2.0, 1.0, 3.0], ["2"]]
    assert job.verdict.startswith("closer to the clean image")
    assert ("warning", "a.tif: dark") in job.messages


def test_a_result_that_was_there_is_one_of_the_job() -> None:
    job = job_of(Batch(HERE, 2), Skipped(Path("a.tif"), HERE / "a.tif"), Saved(HERE / "b.tif"))
    assert job.results == (HERE / "a.tif", HERE / "b.tif")
    assert job.made[0] == Made(HERE / "a.tif")
    assert job.messages == (("message", f"a.tif: left alone, as {HERE / 'a.tif'} exists"),)


def test_results_are_known_by_what_they_are_of() -> None:
    """The first image failed, and the second was made when the third was there."""

    def of(name: str) -> list[Event]:
        files = {"output": HERE / f"{name}.tif", "uncertainty": HERE / "std" / f"{name}.tif"}
        found = Judged(f"/in/{name}.tif", "n2v", "better", axes="YX", **files)
        return [Saved(files["output"]), Saved(files["uncertainty"]), found]

    lost = Judged("/in/b.tif", "instant", "worse", dropped=True)
    job = job_of(Failed(Path("/in/a.tif"), "NaN"), lost, *of("c"), *of("b"), Saved(HERE / "d.tif"))
    spreads = [HERE / "std" / f"{name}.tif" for name in "cb"]
    wanted = (
        Made(HERE / "c.tif", "/in/c.tif", "YX", spreads[0]),
        Made(HERE / "b.tif", "/in/b.tif", "YX", spreads[1]),
        Made(HERE / "d.tif"),
    )
    assert job.made == wanted
    assert job.results == tuple(one.result for one in wanted)
    job.state = "done"
    known = json.loads(json.dumps(job.to_dict()))
    assert Job.from_dict(known).made == wanted
    for one in known["judged"]:  # an older record
        del one["axes"], one["uncertainty"]
    assert Job.from_dict(known).made[0] == Made(HERE / "c.tif", "/in/c.tif")


@pytest.mark.parametrize(("results", "state"), [(1, "done"), (0, "failed")])
def test_images_that_failed_among_others(results: int, state: str) -> None:
    count = MOST_MESSAGES + 50
    job = job_of(
        Batch(HERE, count + results),
        *[Failed(HERE / f"{n}.tif", "broken") for n in range(count)],
        *[Saved(HERE / "b.tif") for _ in range(results)],
    )
    job.end(1.0)
    assert job.state == state
    assert job.error.startswith(f"{count} of {count + results} images failed: /data/0.tif: broken")
    assert len(job.messages) == MOST_MESSAGES


def test_how_it_ends() -> None:
    stopped = job_of(Message("a"), Warned("b"), Stopped("stopped", HERE / "m.model"))
    stopped.end(1.0)
    assert (stopped.state, stopped.model) == ("stopped", HERE / "m.model")
    assert stopped.messages == (("message", "a"), ("warning", "b"), ("message", "stopped"))
    failed = job_of(Problem("no space", misuse=True))
    failed.end(1.0)
    assert (failed.state, failed.error, failed.misuse) == ("failed", "no space", True)
    pixels = np.zeros((2, 2), np.float32)
    shown = Preview("a.tif", 1, 0.5, (0, 0), pixels, pixels)
    assert job_of(shown).preview is shown
