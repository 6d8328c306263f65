"""A job of the queue: what was asked, where it stands, what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple

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
from unnoise.app.session.request import Request
from unnoise.quality.verdict import VERDICTS

TRAINING = 0.85
"""Share of the bar that a training takes; the rest is for the results."""
MOST_MESSAGES = 200
STATES = ("waiting", "running", "done", "failed", "stopped", "interrupted")
ENDED = STATES[2:]
_KEPT: dict[str, type | UnionType] = {
    "id": str,
    "owner": str,
    "number": int,
    "state": str,
    "created": int | float,
    "started": int | float | None,
    "ended": int | float | None,
    "error": str,
    "misuse": bool,
    "pid": int | None,
    "mark": str,
    "fraction": int | float,
}
_LATEST = 2.0**34
"""Seconds since 1970, in the year 2514; no system tells the date of much later ones."""
_MOST = {
    "number": 2**53,
    "created": _LATEST,
    "started": _LATEST,
    "ended": _LATEST,
    "pid": 2**32,
    "fraction": 1,
}
"""The largest numbers of a record; the least are 0."""
_PLACES = ("model", "report", "uncertainty")


class Made(NamedTuple):
    """A result, what it is of and how that was read, and its standard deviations, where known."""

    result: Path
    image: str = ""
    axes: str = ""
    uncertainty: Path | None = None


@dataclass(eq=False)
class Job:
    """A job, alive: the queue changes it while it runs; everybody else only reads.

    Attributes
    ----------
    id : str
    request : Request
    owner : str
        Who asked.
    number : int
        Its place in the order in which jobs came.
    state : str
        ``waiting``, ``running``, ``done``, ``failed``, ``stopped``, or ``interrupted`` where the
        program ended that ran it.
    created, started, ended : float or None
        Seconds since 1970.
    phase : str
        What is being done, for people.
    fraction : float
        Share of the whole that is done.
    remaining : float or None
        Seconds that are left of what is being done.
    history : tuple
        Step, loss and held-out loss of every validation; None where there is none.
    messages : tuple of (str, str)
        ``message``, ``warning`` or ``failure``, and a text.
    results : tuple of Path
    model, report, uncertainty : Path or None
        What else was written; of several uncertainties the last.
    judged : tuple of dict
        Of every result the ``image``, ``method``, ``verdict`` (of `VERDICTS`), ``gains`` (channel,
        dB, lowest, highest), ``output``, ``axes``, ``uncertainty``.
    error : str
        Why it failed, with what to do.
    misuse : bool
        Whether input or options were to blame.
    preview : Preview or None
        The latest; not kept over a restart.
    in_memory : bool
        Whether its images are no files.
    stopping : bool
        Whether it was asked to stop and has not yet ended.
    outcome : str
        ``failed``, ``stopped`` or ``interrupted``, which its state will be when it has ended.
    pid, mark : int or None, str
        The process that does it, and what it is known by, as in `Child`.
    """

    id: str
    request: Request
    owner: str = ""
    number: int = 0
    state: str = "waiting"
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    phase: str = ""
    fraction: float = 0.0
    remaining: float | None = None
    history: tuple[tuple[int, float | None, float | None], ...] = ()
    messages: tuple[tuple[str, str], ...] = ()
    results: tuple[Path, ...] = ()
    model: Path | None = None
    report: Path | None = None
    uncertainty: Path | None = None
    judged: tuple[dict[str, Any], ...] = ()
    error: str = ""
    misuse: bool = False
    preview: Preview | None = None
    in_memory: bool = False
    stopping: bool = False
    outcome: str = ""
    pid: int | None = None
    mark: str = ""
    _images: int = 1
    _work: str = ""
    _failed: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED

    @property
    def verdict(self) -> str:
        """What is known of the results, in words."""
        found = list(dict.fromkeys(one["verdict"] for one in self.judged))
        return "; ".join(VERDICTS.get(word, word) for word in found)

    @property
    def made(self) -> tuple[Made, ...]:
        """The results, each with its image: some fail, and others are written later than theirs."""
        about = {one["output"]: one for one in self.judged}
        found = []
        for path in self.results:
            one = about.get(str(path), {})
            spread = one.get("uncertainty")
            known = one.get("image", ""), one.get("axes", "")
            found.append(Made(path, *known, None if spread is None else Path(spread)))
        return tuple(found)

    def take(self, event: Event | Problem) -> None:
        """Change with an event."""
        if isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Predicting):
            self._predicting(event)
        elif isinstance(event, Preview):
            self.preview = event
        elif isinstance(event, Batch):
            self._images = max(event.total, 1)
        elif isinstance(event, Trained):
            self.fraction = max(self.fraction, TRAINING)
        elif isinstance(event, Saved):
            path = event.path.absolute()
            if event.kind in _PLACES:
                setattr(self, event.kind, path)
            else:
                self.results = (*self.results, path)
        elif isinstance(event, Judged):
            self._judged(event)
        elif isinstance(event, Stopped):
            self.outcome = "stopped"
            self.model = event.model.absolute() if event.model else self.model
            self._say("message", event.text)
        elif isinstance(event, Problem):
            self.outcome, self.error, self.misuse = "failed", event.text, event.misuse
        elif isinstance(event, Failed):
            self._failed.append(f"{event.path}: {event.text}")
            self._say("failure", self._failed[-1])
        elif isinstance(event, Skipped):
            self.results = (*self.results, event.result.absolute())
            self._say("message", f"{event.path}: left alone, as {event.result} exists")
        elif isinstance(event, Message):
            self._say("warning" if isinstance(event, Warned) else "message", event.text)

    def _say(self, kind: str, text: str) -> None:
        self.messages = (*self.messages, (kind, text))[-MOST_MESSAGES:]

    def _progress(self, event: Progress) -> None:
        if event.work != self._work:
            self._work, self.fraction = event.work, 0.0
        self.phase, self.remaining = event.work, event.remaining
        self.fraction = TRAINING * event.fraction
        step, _, held_out = self.history[-1] if self.history else (0, None, None)
        if step != event.step and (event.held_out != held_out or event.fraction == 1):
            self.history = (*self.history, (event.step, event.loss, event.held_out))

    def _predicting(self, event: Predicting) -> None:
        first = 0.0 if self.request.model is not None else TRAINING
        done = min(len(self.judged), self._images - 1) + event.done / event.total
        self.phase, self.remaining = f"denoising {event.path.name}", None
        self.fraction = first + (1 - first) * done / self._images

    def _judged(self, event: Judged) -> None:
        if event.dropped:
            return
        gains = [
            [name, *(None if gain is None else map(float, gain))] if gain else [name]
            for name, gain in event.gains
        ]
        about = {"image": event.image, "method": event.method, "verdict": event.verdict}
        files = {"output": event.output, "uncertainty": event.uncertainty}
        places = {k: None if at is None else str(at.absolute()) for k, at in files.items()}
        self.judged = (*self.judged, {**about, "gains": gains, "axes": event.axes, **places})
        for text in event.warnings:
            self._say("warning", f"{event.name}: {text}")
        if event.uncertainty is not None:
            self.uncertainty = event.uncertainty.absolute()
            self.results = tuple(path for path in self.results if path != self.uncertainty)

    def end(self, now: float) -> None:
        """Nothing more comes."""
        if self.outcome:
            self.state = self.outcome
        else:
            self.state = "done" if self.results or not self._failed else "failed"
            if self._failed:
                self.error = f"{len(self._failed)} of {self._images} images failed: "
                self.error += self._failed[0] + ("; and others" if len(self._failed) > 1 else "")
        if self.state == "done":
            self.fraction = 1.0
        self.ended, self.remaining, self.phase, self.stopping = now, None, "", False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        places = {name: getattr(self, name) for name in _PLACES}
        return {
            **{name: getattr(self, name) for name in _KEPT},
            **{name: None if path is None else str(path) for name, path in places.items()},
            "request": self.request.written(),
            "history": self.history,
            "messages": self.messages,
            "results": list(map(str, self.results)),
            "judged": self.judged,
            "in_memory": self.in_memory,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """Read what `to_dict` made.

        Raises
        ------
        KeyError, TypeError, ValueError
            For what is no job.
        """
        values = {"mark": "", **values}  # older records have none
        plain: dict[str, Any] = {name: values[name] for name in _KEPT}
        for name, kind in _KEPT.items():
            if not isinstance(plain[name], kind):
                raise ValueError(f"its {name} is {plain[name]!r}")
        for name, most in _MOST.items():
            if plain[name] is not None and not 0 <= plain[name] <= most:  # no NaN either
                raise ValueError(f"its {name} is not within 0 and {most}")
        places = {name: values[name] for name in _PLACES}
        plain |= {name: None if at is None else Path(at) for name, at in places.items()}
        job = cls(
            **plain,
            request=Request.from_dict(values["request"]),
            history=tuple(map(_read_step, values["history"])),
            messages=tuple((str(kind), str(text)) for kind, text in values["messages"]),
            results=tuple(map(Path, values["results"])),
            judged=tuple(map(_read_judged, values["judged"])),
            in_memory=bool(values["in_memory"]),
        )
        if job.state not in STATES:
            raise ValueError(f"there is no state {job.state}")
        return job


def _read_step(line: Sequence[Any]) -> tuple[int, float | None, float | None]:
    """A line of the history, out of a record."""
    step, loss, held_out = (None if value is None else float(value) for value in line)
    return int(step or 0), loss, held_out


def _read_judged(one: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a result, out of a record."""
    texts = {name: str(one[name]) for name in ("image", "method", "verdict")}
    gains = [[str(name), *map(float, gain)] for name, *gain in one["gains"]]
    # Older records do not tell of all of these.
    places = {name: one.get(name) for name in ("output", "uncertainty")}
    places = {name: None if at is None else str(Path(at)) for name, at in places.items()}
    return {**one, **texts, "gains": gains, "axes": str(one.get("axes", "")), **places}
