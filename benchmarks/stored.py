"""What is stored in ``results``, read for the tables, the goals and the plots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

PEER = "peer "
"""What the names of peers begin with among the methods of bsd68.py."""
REFERENCE = ("vst_bm3d", "vst_bm3d_oracle")
"""The two variance lines of VST-BM3D; the better one counts, image by image."""


@dataclass(frozen=True)
class Score:
    """A mean over seeds.

    Attributes
    ----------
    psnr, std : float
        Mean and standard deviation over seeds, dB; the deviation is NaN for one seed.
    cpu_s, wall_s : float
        The longest over seeds.
    seeds : tuple of int
    date : str
        Of the latest.
    machines : tuple of str
    """

    psnr: float
    std: float
    cpu_s: float
    wall_s: float
    seeds: tuple[int, ...]
    date: str
    machines: tuple[str, ...]


def score(rows: list[dict[str, Any]]) -> Score:
    """Rows of several seeds as one."""
    # Of a peer that does not average over the symmetries itself, the better of both counts.
    values = [max(row["psnr"], row.get("psnr_8_fold", -np.inf)) for row in rows]
    return Score(
        psnr=float(np.mean(values)),
        std=float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
        cpu_s=max(row.get("cpu_s", 0.0) for row in rows),
        wall_s=max(row.get("wall_s", 0.0) for row in rows),
        seeds=tuple(sorted(row["seed"] for row in rows)),
        date=max(row["date"] for row in rows),
        machines=tuple(sorted({row["machine"] for row in rows})),
    )


class Results:
    """All records of a folder."""

    def __init__(self, folder: Path) -> None:
        self.records: dict[str, dict[str, Any]] = {
            path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))
        }

    def named(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Records whose name begins so."""
        return (r for name, r in self.records.items() if name.startswith(prefix))

    @cached_property
    def real(self) -> dict[tuple[str, str, float | None], Score]:
        """Scores of real.py by image, method and seconds."""
        groups: dict[tuple[str, str, float | None], list[dict[str, Any]]] = {}
        for record in self.named("real_seed"):
            for row in record["rows"]:
                key = (row["image"], row["method"], row["seconds"])
                groups.setdefault(key, []).append(row)
        return {key: score(rows) for key, rows in groups.items()}

    def images(self, *sets: str) -> list[str]:
        """Images of sets of which there is any score."""
        return sorted({image for image, *_ in self.real if image.split("/")[0] in sets})

    def one(self, image: str, method: str, seconds: float | None = None) -> Score | None:
        """A score of real.py."""
        return self.real.get((image, method, seconds))

    def vst(self, image: str) -> Score | None:
        """VST-BM3D of an image, with the better of the two lines."""
        both = [s for m in REFERENCE if (s := self.one(image, m))]
        return max(both, key=lambda s: s.psnr, default=None)

    def rivals(self, image: str, method: str, least: float) -> Score | None:
        """The best score of a peer that was given at least so many seconds."""
        found = [
            s
            for (i, m, t), s in self.real.items()
            if (i, m) == (image, method) and t is not None and t >= least
        ]
        return max(found, key=lambda s: s.psnr, default=None)

    def durations(self, method: str) -> list[float]:
        """The budgets with which a method was run."""
        return sorted({t for _, m, t in self.real if m == method and t is not None})

    def methods(self, prefix: str) -> list[str]:
        """Methods of real.py whose name begins so."""
        return sorted({m for _, m, _ in self.real if m.startswith(prefix)})

    @cached_property
    def bsd68(self) -> dict[tuple[str, float, float, str], Score]:
        """Scores of bsd68.py by name, budget and milestone in minutes, and clock."""
        groups: dict[tuple[str, float, float, str], list[dict[str, Any]]] = {}
        for record in self.named("bsd68_"):
            settings = record["settings"]
            trial = settings.get("images") or settings.get("sigma") != 25 or not _minutes(record)
            if trial or settings.get("recipe") != "fast":
                continue
            name = " ".join([settings["method"], *settings.get("set", [])])
            clock = settings.get("clock", "wall")
            if settings.get("peer"):
                name, clock = f"{PEER}{settings['peer']}", "cpu"
            for row in record["rows"]:
                minutes = settings["minutes"] if row.get("final", True) else row["minutes"]
                key = (name, float(settings["minutes"]), float(minutes), clock)
                extra = {"seed": settings["seed"], **{k: record[k] for k in ("date", "machine")}}
                groups.setdefault(key, []).append(row | extra)
        return {key: score(rows) for key, rows in groups.items()}

    def turns(self, what: str, unit: str, who: str) -> dict[str, Any] | None:
        """A row of throughput.py."""
        rows = self.records.get("throughput", {}).get("rows", [])
        wanted = (what, unit, who)
        return next((r for r in rows if (r["what"], r["unit"], r["who"]) == wanted), None)


def _minutes(record: dict[str, Any]) -> float | None:
    minutes: float | None = record["settings"].get("minutes")
    return minutes
