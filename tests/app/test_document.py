"""The JSON document of a run, from its events."""

from __future__ import annotations

import json
import math
from pathlib import Path

from unnoise.app.document import SCHEMA, Document
from unnoise.app.events import (
    Event,
    Facts,
    Judged,
    Message,
    Predicting,
    Progress,
    Saved,
    Stopped,
    Trained,
    Warned,
)
from unnoise.noise.confidence_interval import Interval

LOSS = Judged("in/a.tif", "n2v", "worse", (("1", Interval(-9.0, -9.5, -8.0)),), dropped=True)


def document(*events: Event) -> dict:
    found = Document("denoise")
    for event in events:
        found.take(event)
    return json.loads(found.to_json())


def test_a_job_without_events() -> None:
    found = document()
    assert found.pop("seconds") >= 0
    assert found.pop("unnoise")
    lists = ("results", "failed", "skipped", "trainings", "written", "warnings", "notes")
    nothing: dict[str, list] = {name: [] for name in lists}
    none = {"model": None, "report": None, "stopped": None}
    assert found == {"schema": SCHEMA, "command": "denoise", **nothing, **none}


def test_dropped_results_belong_to_the_next_one_of_their_image() -> None:
    other = Judged("in/b.tif", "n2v", "better", output=Path("out/b.tif"))
    last = Judged("in/a.tif", "gaussian", "unknown", output=Path("out/a.tif"), seconds=1.23456)
    b, a = document(LOSS, other, last)["results"]
    assert (b["input"], b["tried"]) == ("in/b.tif", [])
    assert (a["input"], a["output"], a["method"], a["seconds"]) == (
        "in/a.tif",
        "out/a.tif",
        "gaussian",
        1.235,
    )
    (tried,) = a["tried"]
    assert tried["gain"] == [{"channel": "1", "value": -9.0, "low": -9.5, "high": -8.0}]
    assert "output" not in tried


def test_what_is_not_finite_is_null() -> None:
    gains = (("dye", Interval(math.inf, 3.0, math.inf)), ("2", None))
    (one,) = document(Judged("a.tif", "n2v", "unknown", gains))["results"]
    assert one["gain"] == [
        {"channel": "dye", "value": None, "low": 3.0, "high": None},
        {"channel": "2", "value": None, "low": None, "high": None},
    ]


def test_files_lines_and_trainings_have_their_places() -> None:
    found = document(
        Message("auto: n2v"),
        Warned("far from the training images"),
        Progress(1, 2, 0.5, 1.0, 1.0, None, None),
        Predicting(Path("b.tif"), 1, 2),
        Trained("adapted", "instant", ("a.tif",), 7, 2.0),
        Saved(Path("m"), "model"),
        Saved(Path("b.tif")),
        Saved(Path("r.html"), "report"),
        Facts("psnr", {"before": 1.0}),
        Stopped("stopped at step 1"),
    )
    assert found["written"] == ["m", "b.tif", "r.html"]
    assert found["psnr"] == {"before": 1.0}
    assert (found["model"], found["report"]) == ("m", "r.html")
    assert found["notes"] == ["auto: n2v"]
    assert found["warnings"] == ["far from the training images"]
    assert found["stopped"] == "stopped at step 1"
    (training,) = found["trainings"]
    assert training == {
        "method": "adapted",
        "chosen": "instant",
        "images": ["a.tif"],
        "steps": 7,
        "seconds": 2.0,
    }
