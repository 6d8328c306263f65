"""What a job did, as one JSON document: collected from its events."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unnoise.app.events import (
    Event,
    Facts,
    Failed,
    Judged,
    Message,
    Saved,
    Skipped,
    Stopped,
    Trained,
    Warned,
)
from unnoise.noise.confidence_interval import Interval

SCHEMA = 1
"""Grows when a key changes its meaning or goes; new keys may come at any time."""


class Document:
    """The answer of ``--json``, as `docs/json.md` describes it.

    Parameters
    ----------
    command : str
        Such as ``denoise``.

    Examples
    --------
    >>> document = Document("predict")
    >>> document.take(Judged("a.tif", "n2v", "unknown", (("1", None),), output=Path("b.tif")))
    >>> found = document.to_dict()
    >>> found["results"][0]["output"], found["results"][0]["gain"][0]["value"]
    ('b.tif', None)
    """

    def __init__(self, command: str) -> None:
        self._command, self._started = command, time.monotonic()
        self._results: list[dict[str, Any]] = []
        self._tried: dict[str, list[dict[str, Any]]] = {}
        self._trainings: list[dict[str, Any]] = []
        self._saved: dict[str, Path] = {}
        self._written: list[str] = []
        self._facts: dict[str, Any] = {}
        self._failed: list[dict[str, str]] = []
        self._skipped: list[dict[str, str]] = []
        self._warnings: list[str] = []
        self._notes: list[str] = []
        self._stopped: str | None = None

    def take(self, event: Event) -> None:
        """Keep what an event tells; progress is nothing to keep."""
        if isinstance(event, Judged):
            self._judged(event)
        elif isinstance(event, Trained):
            self._trainings.append(
                {
                    "method": event.method,
                    "chosen": event.chosen,
                    "images": list(event.images),
                    "steps": event.steps,
                    "seconds": round(event.seconds, 3),
                }
            )
        elif isinstance(event, Saved):
            self._saved[event.kind] = event.path
            self._written.append(str(event.path))
        elif isinstance(event, Facts):
            self._facts[event.key] = event.value
        elif isinstance(event, Failed):
            self._failed.append({"input": str(event.path), "why": event.text})
        elif isinstance(event, Skipped):
            self._skipped.append({"input": str(event.path), "output": str(event.result)})
        elif isinstance(event, Warned):
            self._warnings.append(event.text)
        elif isinstance(event, Message):
            self._notes.append(event.text)
        elif isinstance(event, Stopped):
            self._stopped = event.text

    def _judged(self, event: Judged) -> None:
        """A result, after those that were dropped before it."""
        key = event.image
        about = {
            "method": event.method,
            "verdict": event.verdict,
            "gain": [{"channel": name, **_interval(gain)} for name, gain in event.gains],
            "warnings": list(event.warnings),
            "seconds": round(event.seconds, 3),
        }
        if event.dropped:
            self._tried.setdefault(key, []).append(about)
            return
        files = {
            "input": event.image,
            "output": _text(event.output),
            "uncertainty": _text(event.uncertainty),
        }
        self._results.append({**files, **about, "tried": self._tried.pop(key, [])})

    def to_dict(self) -> dict[str, Any]:
        """The document as plain values."""
        return {
            "schema": SCHEMA,
            "unnoise": version("unnoise"),
            "command": self._command,
            "results": self._results,
            "failed": self._failed,
            "skipped": self._skipped,
            "trainings": self._trainings,
            "model": _text(self._saved.get("model")),
            "report": _text(self._saved.get("report")),
            "written": self._written,
            "warnings": self._warnings,
            "notes": self._notes,
            "stopped": self._stopped,
            "seconds": round(time.monotonic() - self._started, 3),
            **self._facts,
        }

    def to_json(self) -> str:
        """The document as text; numbers that are not finite are null."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)


def telling(command: str, facts: Mapping[str, Any]) -> str:
    """The document of a command that only tells something."""
    found = {"schema": SCHEMA, "unnoise": version("unnoise"), "command": command, **facts}
    return json.dumps(found, indent=1, allow_nan=False)


def _interval(gain: Interval | None) -> dict[str, float | None]:
    """Decibels, and null where nothing is known or an interval is open."""
    values = (None, None, None) if gain is None else gain
    finite = [None if v is None or not math.isfinite(v) else round(v, 3) for v in values]
    return dict(zip(("value", "low", "high"), finite, strict=True))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
