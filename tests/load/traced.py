"""What a server still holds of the memory that Python took, by the line that took it.

Its size scatters by some MB, as freed memory stays in pieces of the heap; this does not.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

LARGE = 0.01
"""MB an hour from which on a line is named,"""
NAMED = 30
"""and so many of them."""
KEPT = {__file__, tracemalloc.__file__, str(Path(__file__).with_name("server.py"))}


def lines() -> dict[str, int]:
    """Bytes that are held, by the place of the line that took them, but those of the tracing."""
    found: dict[str, int] = {}
    for one in tracemalloc.take_snapshot().statistics("lineno"):
        frame = one.traceback[0]
        if frame.filename not in KEPT:
            parts = Path(frame.filename).parts[-3:]
            place = f"{'/'.join(parts)}:{frame.lineno}"
            found[place] = found.get(place, 0) + one.size
    return found


def write(path: Path, used: int) -> None:
    """Add a line to a file: bytes by line, and those that are in use of C without Python's.

    Parameters
    ----------
    path : Path
    used : int
        Bytes in use of the heap of C, from which Python takes its memory, too.
    """
    of_python = tracemalloc.get_traced_memory()[0] + tracemalloc.get_tracemalloc_memory()
    looked = {"at": time.time(), "lines": lines(), "rest": used - of_python}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(looked) + "\n")


def told(path: Path) -> tuple[str, list[str]]:
    """What grew of what was written, and what of it should not.

    Parameters
    ----------
    path : Path
        Of `write`, a line for each rest of a server.
    """
    from load.growth import growth  # what it needs is not for the server to load
    from load.series import FEWEST, MOST_GROWTH, warm

    texts = path.read_text("utf-8").splitlines() if path.exists() else []
    looks: list[dict[str, Any]] = [json.loads(text) for text in texts]
    at = [look["at"] / 3600 for look in looks]
    first = warm(at)
    looks, at = ([one for one, t in zip(v, at, strict=True) if t >= first] for v in (looks, at))
    if len(looks) < FEWEST:
        return f"what Python holds in {len(looks)} rests", []
    sums = [sum(look["lines"].values()) / 1e6 for look in looks]
    slopes = {
        "what Python holds": growth(at, sums),
        "what C holds": growth(at, [look["rest"] / 1e6 for look in looks]),
    }
    losses = [
        f"{what} grows by {slope} MB an hour"
        for what, slope in slopes.items()
        if not slope.is_none or slope.high > MOST_GROWTH
    ]
    places = {place for look in looks for place in look["lines"]}
    each = {p: growth(at, [look["lines"].get(p, 0) / 1e6 for look in looks]) for p in places}
    growing = [p for p, slope in each.items() if slope.low > 0 and slope.slope >= LARGE]
    growing = sorted(growing, key=lambda place: -each[place].slope)[:NAMED]
    text = "; ".join(f"{what}: {slope} MB an hour" for what, slope in slopes.items())
    text += f" in {len(at)} rests over {(at[-1] - at[0]) * 60:.0f} minutes at {sums[-1]:.1f} MB"
    for place in growing:
        text += f"; {place} {each[place]}"
    return text, losses
