"""What was fuzzed so far, in `ledger.tsv` of the repository: a row per target and code.

Executions of older code count, too: a reader of pixels hardly changes with a mended message, and
nine hours of the processor for every change would mean none. Which code it was stands in the row;
``--anew`` of `run.py` counts those of the present code alone.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import fcntl
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PLACE = Path(__file__).with_name("ledger.tsv")
SOURCE = Path(__file__).resolve().parents[2] / "src" / "unnoise"
ENOUGH, ENOUGH_SECONDS = 1_000_000, 1800.0
"""Executions, or seconds of the processor, after which a target is done."""
COLUMNS = ("target", "executions", "seconds of the processor", "faults", "code", "date")


class Row(NamedTuple):
    """What was done with a target and a code.

    Attributes
    ----------
    target : str
    executions : int
    seconds : float
        Of the processor.
    faults : int
        Slices that ended with a fault.
    code : str
        `code_of` the target, or what else is known of it.
    date : str
        Of the last slice, ISO 8601.
    """

    target: str
    executions: int
    seconds: float
    faults: int
    code: str
    date: str


def code_of(target: str) -> str:
    """A number for what a target runs; readers of images need nothing of the layers above them."""
    folders, files = [SOURCE], []
    if target.startswith("image"):
        folders, files = [SOURCE / "images"], [SOURCE / "errors.py"]
    total = hashlib.sha256()
    for path in sorted([*files, *(path for one in folders for path in one.rglob("*.py"))]):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def rows(place: Path | None = None) -> list[Row]:
    """All rows, those that are older first."""
    place = place or PLACE
    if not place.exists():
        return []
    with place.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t"))[1:]
    return [Row(a, int(b), float(c), int(d), e, f) for a, b, c, d, e, f in lines]


def today() -> str:
    """The date, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def add(part: Row, place: Path | None = None) -> None:
    """Add a slice to the row of its target and code; the file changes as one.

    Two runs that fuzz different targets at once wait for each other.
    """
    place = place or PLACE
    with _alone(place.parent):
        found = rows(place)
        same = [row for row in found if (row.target, row.code) == (part.target, part.code)]
        new, at = part, len(found)
        if same:
            (old,) = same
            at = found.index(old)
            new = part._replace(
                executions=old.executions + part.executions,
                seconds=round(old.seconds + part.seconds, 1),
                faults=old.faults + part.faults,
            )
        found[at : at + 1] = [new]
        beside = place.with_suffix(".new")
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerows([COLUMNS, *found])
        os.replace(beside, place)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep out others who want the same; fuzzing is for Linux and macOS, as atheris."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def sums(found: Iterable[Row], *, anew: bool = False) -> dict[str, Counter[str]]:
    """Executions, seconds and faults of every target, of all codes or, `anew`, the present one."""
    told: dict[str, Counter[str]] = {}
    for row in found:
        if not anew or row.code == code_of(row.target):
            own = told.setdefault(row.target, Counter())
            own.update(executions=row.executions, seconds=row.seconds, faults=row.faults)  # type: ignore[arg-type]
    return told


def is_enough(own: Counter[str]) -> bool:
    """Whether a target was fuzzed enough."""
    return own["executions"] >= ENOUGH or own["seconds"] >= ENOUGH_SECONDS


def table(told: dict[str, Counter[str]]) -> str:
    """All that was done, as a table of docs/reliability.md."""
    lines = [
        "| target | executions | minutes of the processor | faults | enough |",
        "|---" * 5 + "|",
    ]
    for name, own in sorted(told.items(), key=lambda item: (-item[1]["executions"], item[0])):
        enough = "yes" if is_enough(own) else "no"
        cells = f"{own['executions']:,}", f"{own['seconds'] / 60:.2f}", str(own["faults"]), enough
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
