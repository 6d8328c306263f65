"""The goals on correlated noise, and the table of what correlated.py stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

TITLES = {
    "noisy": "noisy",
    "blur": "best blur, truth known",
    "gaussian": "blur, J-invariant",
    "wiener": "Wiener, spectrum known",
    "shuffled": "stride-2 shuffling",
    "bm3d": "BM3D, spectrum known",
    "vst_bm3d": "VST-BM3D, measured line",
    "vst_bm3d_oracle": "VST-BM3D, oracle line",
    "structn2v": "structN2V",
    "told": "instant, noise known",
    "instant": "**instant**",
    "auto": "**auto**",
}
"""Methods in the order of the columns."""

Scores = dict[tuple[str, str], float]
"""Means over seeds by image and method."""


ALL = "every row"


def scores(rows: Iterable[dict[str, Any]], row: str, what: str = "psnr") -> Scores:
    """Of one row of the table, or of `ALL`."""
    groups: dict[tuple[str, str], list[float]] = {}
    for r in rows:
        if row in (ALL, r["row"]):
            image = f"{r['row']}: {r['image']}" if row == ALL else r["image"]
            groups.setdefault((image, r["method"]), []).append(r[what])
    return {key: float(np.mean(values)) for key, values in groups.items()}


def differences(found: Scores, mine: str, theirs: Iterable[str]) -> list[float]:
    """Image by image, a method less the best of others, where both were measured."""
    gains = []
    for image in dict.fromkeys(image for image, _ in found):
        others = [found[image, m] for m in theirs if (image, m) in found]
        if others and (image, mine) in found:
            gains.append(found[image, mine] - max(others))
    return gains


@dataclass(frozen=True)
class Goal:
    """What is wanted of the differences between methods on the pictures of a row.

    Of several methods of ours the one with the best mean counts, of others the best one for each
    picture.
    """

    row: str
    work: str
    wanted: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    reached: Callable[[list[float]], bool]


def mean_of(least: float, *, worst: float = -np.inf, above: float = 0.0) -> Callable:
    """The mean must reach `least`, every picture `worst`, and a share of them must be above 0."""

    def reached(gains: list[float]) -> bool:
        share = np.mean([gain > 0 for gain in gains])
        return bool(np.mean(gains) >= least and min(gains) >= worst and share >= above)

    return reached


GOALS = (
    Goal(
        "widefield",
        "synthetic widefield, lag-1 0.6 in x and y",
        "instant 1.5 dB above the best blur",
        ("instant",),
        ("blur",),
        mean_of(1.5),
    ),
    Goal(
        "stripes",
        "stripes, lag 5 along X",
        "instant or auto 1 dB above structN2V",
        ("instant", "auto"),
        ("structn2v",),
        mean_of(1.0),
    ),
    Goal(
        "sidd",
        "SIDD, plain PSNR",
        "instant 12 dB above noisy",
        ("instant",),
        ("noisy",),
        mean_of(12.0),
    ),
    Goal(
        "cc15",
        "CC15, plain PSNR",
        "+2.5 dB over noisy, every picture at or above it",
        ("instant",),
        ("noisy",),
        mean_of(2.5, worst=0.0),
    ),
    Goal(
        "polyu",
        "PolyU, plain PSNR",
        "+1.0 dB over noisy, every picture at or above it",
        ("instant",),
        ("noisy",),
        mean_of(1.0, worst=0.0),
    ),
    Goal(
        "confocal",
        "FMD fov1, GigaDB",
        "instant above VST-BM3D with the oracle line, mean and four of five",
        ("instant",),
        ("vst_bm3d_oracle",),
        mean_of(0.0, above=0.8),
    ),
    Goal(
        "w2s",
        "W2S",
        "instant VST-BM3D + 0.45 dB",
        ("instant",),
        ("vst_bm3d", "vst_bm3d_oracle"),
        mean_of(0.45),
    ),
    Goal(
        "w2s",
        "same",
        "auto never more than 0.1 dB below instant",
        ("auto",),
        ("instant",),
        mean_of(-np.inf, worst=-0.1),
    ),
    *(
        Goal(
            ALL,
            f"every picture of these rows, {method}",
            "never more than 0.05 dB below the J-invariant blur",
            (method,),
            ("gaussian",),
            mean_of(-np.inf, worst=-0.05),
        )
        for method in ("instant", "auto")
    ),
)


def table(rows: list[dict[str, Any]], half: str) -> str:
    """The goals of a half, then all methods."""
    if not rows:
        return f"not measured: `python benchmarks/correlated.py --half {half}`"
    dates, machines = ({r[k] for r in rows} for k in ("date", "machine"))
    lines = [
        "| work | goal | difference, dB | | least to most | sd over pictures | pictures | seeds |",
        "|---|---|---|---|---|---|---|---|",
        *(goal_line(goal, rows) for goal in GOALS),
        "",
        *methods_table(rows),
        "",
        f"{' to '.join(sorted({min(dates), max(dates)}))}, one thread of "
        f"{' and '.join(sorted(m.rsplit(',', 1)[0] for m in machines))}; code "
        f"{', '.join(sorted({r['code'] for r in rows if r['method'] == 'instant'}))}.",
    ]
    return "\n".join(lines)


def goal_line(goal: Goal, rows: list[dict[str, Any]]) -> str:
    """A goal and what was measured."""
    found = scores(rows, goal.row)
    each = {method: differences(found, method, goal.theirs) for method in goal.ours}
    method = max(each, key=lambda m: np.mean(each[m]) if each[m] else -np.inf)
    gains = each[method]
    if not gains:
        return f"| {goal.work} | {goal.wanted} | not measured | | | | | |"
    seeds = {r["seed"] for r in rows if goal.row in (ALL, r["row"]) and r["method"] == method}
    whole = len({image for image, _ in found})
    verdict = "reached" if goal.reached(gains) and len(gains) == whole else "**short**"
    sd = f"{np.std(gains, ddof=1):.2f}" if len(gains) > 1 else ""
    who = f" ({method})" if len(goal.ours) > 1 else ""
    return (
        f"| {goal.work} | {goal.wanted} | {np.mean(gains):+.2f}{who} | {verdict} | "
        f"{min(gains):+.2f} to {max(gains):+.2f} | {sd} | {len(gains)} of {whole} | "
        f"{', '.join(map(str, sorted(seeds)))} |"
    )


def methods_table(rows: list[dict[str, Any]]) -> list[str]:
    """Mean PSNR and SSIM of every method by row; blank where not every picture was measured."""
    there = dict.fromkeys(r["row"] for r in rows)
    used = [m for m in TITLES if any(r["method"] == m for r in rows)]
    order = [row for row in dict.fromkeys(g.row for g in GOALS) if row in there]
    lines = [
        f"| PSNR dB / SSIM | {' | '.join(order)} | CPU s at most |",
        "|---" * (len(order) + 2) + "|",
    ]
    for method in used:
        cells = []
        for row in order:
            # Sorted: a mean of numbers in an order of its own each time may round differently.
            pictures = sorted({r["image"] for r in rows if r["row"] == row})
            both = [scores(rows, row, what) for what in ("psnr", "ssim")]
            values = [
                [found[image, method] for image in pictures if (image, method) in found]
                for found in both
            ]
            whole = len(values[0]) == len(pictures)
            cells.append(f"{np.mean(values[0]):.2f} / {np.mean(values[1]):.3f}" if whole else "")
        spent = max(r["cpu_s"] for r in rows if r["method"] == method)
        lines.append(f"| {TITLES[method]} | {' | '.join(cells)} | {spent:.0f} |")
    return lines
