"""What movie_peers.py stored, as a table beside what movies.py stored."""

from __future__ import annotations

from typing import Any

import numpy as np

import goals
from movie_scenes import SLOW

Row = dict[str, Any]
OWN = ("unnoise", "torch", "numpy")
NAMES = {"careamics": "CAREamics N2V 3D", "n2v": "n2v 3D"}
WORDS = {
    "still": "still",
    "drift": "drift of 0.1 pixels a frame",
    "fast_drift": "drift of 0.5 pixels a frame",
    "calcium": "neurons that flash up (calcium)",
    "beating": "a part that beats",
    "particles": "particles that diffuse",
    "bleaching": "bleaching by 3 % a frame",
    "flicker": "a lamp that flickers by 10 %",
}


def peers(record: Row, own: list[Row]) -> str:
    """Nets of volumes of peers beside joined `instant`: mean PSNR over seeds, and after a line.

    Parameters
    ----------
    record : dict
        Of movie_peers.py.
    own : list of dict
        Rows of movies.py: frame by frame, ND-SAFIR and joined, for the same seeds.
    """
    rows = record.get("rows")
    if not rows:
        return "not measured: `python benchmarks/movie_peers.py`"
    columns = sorted({(r["peer"], r["times"]) for r in rows}, key=lambda c: (c[0], c[1]))
    head = ["movie", "frame by frame", "ND-SAFIR", "**joined**"]
    head += [f"{NAMES[p]}, {called(t)}" for p, t in columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    parts = [(w, (k,)) for k, w in WORDS.items()] + [("**still and slow**", SLOW)]
    for name, scenes in parts:
        some = [r for r in rows if r["scene"] in scenes]
        if {r["scene"] for r in some} < set(scenes):
            continue
        seeds = {r["seed"] for r in some}
        beside = [r for r in own if r["scene"] in scenes and r["seed"] in seeds]
        cells = [name, *(mean(beside, scenes, k) for k in ("single", "ndsafir", "joined"))]
        for column in columns:
            there = [r for r in some if (r["peer"], r["times"]) == column]
            both = [mean(there, scenes, k) for k in ("psnr", "psnr_line")]
            cells.append(f"{both[0]} ({both[1]}), {seeds_of(there)}" if both[0] else "")
        lines.append("| " + " | ".join(cells) + " |")
    days = sorted({r["date"] for r in rows})
    machines = sorted({goals.short(r["machine"]) for r in rows})
    kinds = ", ".join(f"{k} {v}" for k, v in record["versions"].items() if k not in OWN)
    told = " to ".join(sorted({days[0], days[-1]}))
    return "\n".join([*lines, "", f"{told}, one thread of {' and '.join(machines)}; {kinds}."])


def called(times: float) -> str:
    """A budget for people."""
    return "same time" if times == 1 else f"{times:g} times the time"


def mean(rows: list[Row], scenes: tuple[str, ...], key: str) -> str:
    """The mean over scenes of the means over seeds; nothing where a scene is missing."""
    values = [[r[key] for r in rows if r["scene"] == s] for s in scenes]
    return f"{np.mean([np.mean(v) for v in values]):.2f}" if all(values) else ""


def seeds_of(rows: list[Row]) -> str:
    """How many seeds every scene has at least."""
    least = min(sum(r["scene"] == s for r in rows) for s in {r["scene"] for r in rows})
    return f"{least} seed{'s' * (least > 1)}"
