"""What goes through the pipe comes out as it was."""

from __future__ import annotations

import io
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from unnoise.app.events import (
    Batch,
    Event,
    Facts,
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
from unnoise.app.session.frames import Problem, decode, encode, thinned
from unnoise.errors import Interrupted, UnnoiseError
from unnoise.noise.confidence_interval import Interval

EVENTS = [
    Message("text"),
    Warned("caf\u00e9 \udcff"),
    Progress(1, 2, 0.5, 0.1, 0.1, None, 0.25, "training"),
    Trained("n2v", None, ("a.tif", "b.tif"), 3, 0.5),
    Predicting(Path("a b.tif"), 1, 2),
    Saved(Path("a.tif"), "model"),
    Judged("a.tif", "n2v", "better", (("1", Interval(1.0, 0.5, 1.5)), ("2", None))),
    Judged("a.tif", "n2v", "worse", output=Path("b.tif"), uncertainty=Path("c.tif"), dropped=True),
    Stopped("stopped", Path("a.model")),
    Batch(Path("out"), 3),
    Failed(Path("a.tif"), "broken"),
    Skipped(Path("a.tif"), Path("b.tif")),
    Facts("images", {"a": (1, {"b": None}), "c": Path("d")}),
    Problem("no such file", misuse=True),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_comes_out_as_it_was(event: Event) -> None:
    pipe = io.BytesIO(encode(event) * 2)
    assert decode(pipe) == event
    assert decode(pipe) == event
    assert decode(pipe) is None


def test_pixels_come_out_as_they_were() -> None:
    noisy = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    event = Preview("a.tif", 3, 0.5, (10, 20), noisy, noisy[:, ::-1], "training")
    pipe = io.BytesIO(encode(event) + encode(Message("next")))
    found = decode(pipe)
    assert isinstance(found, Preview)
    assert np.array_equal(found.noisy, noisy)
    assert np.array_equal(found.clean, noisy[:, ::-1])
    assert (found.image, found.step, found.origin) == ("a.tif", 3, (10, 20))
    assert decode(pipe) == Message("next")


def test_what_was_cut_off_is_the_end() -> None:
    whole = encode(Preview("a", 1, 0.5, (0, 0), *[np.zeros((4, 4), np.float32)] * 2))
    for length in range(len(whole)):
        assert decode(io.BytesIO(whole[:length])) is None


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"[]\n",
        b'{"event": "Popen", "pixels": []}\n',
        b'{"event": "Message", "words": "a", "pixels": []}\n',
        b'{"event": "Saved", "path": {"array": 3}, "pixels": []}\n',
    ],
)
def test_what_is_no_event_is_said(line: bytes) -> None:
    with pytest.raises(UnnoiseError, match="no event"):
        decode(io.BytesIO(line))


def test_a_large_prediction_that_is_stopped_is_no_failure() -> None:
    def job() -> Generator[Event]:
        yield Message("works")
        raise Interrupted("stopped; 3 of 9 pieces are kept")

    *_, last = thinned(job(), clock=lambda: 7.0)
    assert last == Stopped("stopped; 3 of 9 pieces are kept")


def test_progress_is_thinned_and_nothing_else_is() -> None:
    closed = []

    def job() -> Generator[Event]:
        try:
            for step in range(1, 101):
                held_out = float(step // 50)
                yield Progress(step, 100, step / 100, 0.0, 0.0, 0.5, held_out)
                yield Message(str(step))
        finally:
            closed.append(True)

    found = list(thinned(job(), every=1.0, clock=lambda: 7.0))
    assert [event.step for event in found if isinstance(event, Progress)] == [1, 50, 100]
    assert sum(isinstance(event, Message) for event in found) == 100
    half = thinned(job(), clock=lambda: 7.0)
    next(half)
    half.close()
    assert closed == [True, True]
