"""The table of structured.py: what r2r is above structN2V, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

COLUMNS = ("noisy", "instant", "mask", "nlridge", "net", "r2r")
HEAD = (
    "| | seeds | noisy | instant | structN2V | NL-Ridge | net of r2r | **r2r** | less structN2V "
    "| least to most |"
)


def table(records: Mapping[str, Mapping[str, Any]], half: str) -> str:
    """Means over seeds in dB, and of every kind the mean over pictures.

    Parameters
    ----------
    records : mapping
        Stored results by name.
    half : str
        ``dev`` or ``report``.
    """
    found = {k: r for k, r in records.items() if k.startswith(f"structured_{half}_seed")}
    if not found:
        return f"not measured: `python benchmarks/structured.py --half {half} --seconds 25`"
    rows = [row for record in found.values() for row in record["rows"]]
    lines = [HEAD, "|---" * 10 + "|"]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        names = dict.fromkeys(row["picture"] for row in rows if row["kind"] == kind)
        own = [[r for r in rows if (r["kind"], r["picture"]) == (kind, name)] for name in names]
        for name, seeds in zip(names, own, strict=True):
            lines.append(_line(f"{kind} ({name.rpartition('/')[2]})", seeds))
        gains = [np.mean(each) for each in map(_gains, own) if each]
        if len(gains) > 1:
            mean = f"**{np.mean(gains):+.2f}** | {min(gains):+.2f} to {max(gains):+.2f}"
            lines.append(f"| {kind}, mean |  |  |  |  |  |  |  | {mean} |")
    dates = sorted({r["date"] for r in found.values()})
    machines = sorted({r["machine"].rsplit(",", 1)[0] for r in found.values()})
    budget = sorted({r["settings"]["seconds"] for r in found.values()})
    taken = ", ".join(f"{seconds:g}" for seconds in budget)
    lines += ["", f"{' to '.join(dates)}, one thread of {' and '.join(machines)}; {taken} CPU "]
    lines[-1] += "seconds a net."
    return "\n".join(lines)


def _gains(seeds: list[dict[str, Any]]) -> list[float]:
    """By seed, r2r less structN2V."""
    return [r["r2r"] - r["mask"] for r in seeds if "mask" in r and "r2r" in r]


def _line(name: str, seeds: list[dict[str, Any]]) -> str:
    """A picture, in the mean over seeds."""
    known = [[r[c] for r in seeds if c in r] for c in COLUMNS]
    cells = [f"{np.mean(values):.2f}" if values else "" for values in known]
    gains = _gains(seeds)
    gain = f"{np.mean(gains):+.2f}" if gains else ""
    spread = f"{min(gains):+.2f} to {max(gains):+.2f}" if len(gains) > 1 else ""
    return f"| {name} | {len(seeds)} | {' | '.join(cells)} | {gain} | {spread} |"
