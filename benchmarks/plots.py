"""Quality against time, out of the stored results: SVG files, the same for the same results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stored import Results

COLOURS = {
    "n2v": "#b2612e",
    "CAREamics N2V": "#7a3db8",
    "CAREamics N2V2": "#b03a8c",
    "BM3D": "#555555",
    "VST-BM3D": "#555555",
    "non-local means": "#999999",
    "instant": "#0b7a75",
    "adapted": "#19a974",
    "from scratch": "#0057b8",
}
OURS = ("#0057b8", "#3f8fe0", "#00256b", "#0b7a75", "#19a974")
"""For our methods that have no colour of their own."""


@dataclass(frozen=True)
class Series:
    """Points of seconds and PSNR; a level is drawn where there is no time."""

    name: str
    points: tuple[tuple[float, float], ...]
    is_level: bool = False


@dataclass(frozen=True)
class Plot:
    """A picture: its file, its title, and what it shows."""

    name: str
    title: str
    series: Callable[[Results], list[Series]]


def bsd68(results: Results) -> list[Series]:
    """Every budget of every method, and the filters of family.py as levels."""
    names = {"peer careamics": "CAREamics N2V", "peer n2v": "n2v"}
    points: dict[str, dict[float, float]] = {}
    for (name, *_), s in results.bsd68.items():
        at = points.setdefault(names.get(name, f"unnoise {name}"), {})
        at[s.cpu_s] = max(s.psnr, at.get(s.cpu_s, -np.inf))
    series = [Series(who, tuple(sorted(at.items()))) for who, at in points.items()]
    levels = {"bm3d": "BM3D", "nlm": "non-local means"}
    for record in results.named("family_bsd68") if series else []:
        for row in record["rows"]:
            if row["method"] in levels:
                level = ((row.get("cpu_s", 1.0), row["psnr"]),)
                series.append(Series(levels[row["method"]], level, is_level=True))
    return series


def single(*sets: str) -> Callable[[Results], list[Series]]:
    """Means over the images of sets; only budgets that all images were given."""

    def series(results: Results) -> list[Series]:
        images = results.images(*sets)
        named = {
            "instant": "instant",
            "adapted": "adapted",
            "scratch": "from scratch",
            "n2v": "n2v",
            "careamics_n2v": "CAREamics N2V",
            "careamics_n2v2": "CAREamics N2V2",
            "bm3d": "BM3D",
            "nlm": "non-local means",
        }
        named |= {m: f"from scratch, {m[8:]}" for m in results.methods("scratch_")}
        found = []
        for method, name in named.items():
            points = []
            for t in [None, *results.durations(method)]:
                scores = [s for i in images if (s := results.one(i, method, t))]
                if images and len(scores) == len(images):
                    seconds = float(np.mean([s.cpu_s for s in scores]))
                    points.append((seconds, float(np.mean([s.psnr for s in scores]))))
            if points:
                found.append(Series(name, tuple(sorted(points)), name in ("BM3D",)))
        vst = [s for i in images if (s := results.vst(i))]
        if images and len(vst) == len(images):
            point = (float(np.mean([s.cpu_s for s in vst])), float(np.mean([s.psnr for s in vst])))
            found.append(Series("VST-BM3D", (point,), is_level=True))
        return found

    return series


PLOTS = (
    Plot("bsd68", "BSD68, sigma 25, trained on noisy Train400: PSNR against CPU time", bsd68),
    Plot("w2s", "W2S report fields, one image at a time: PSNR against CPU time", single("w2s")),
    Plot("camera", "camera, sigma 25, level unknown: PSNR against CPU time", single("camera")),
)


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the plots that there are results for."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "unnoise"})
    written = []
    for plot in PLOTS:
        series = plot.series(results)
        if not series:
            continue
        figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
        fallback = iter(OURS * 4)
        for s in series:
            colour = COLOURS.get(s.name) or next(fallback)
            x, y = zip(*s.points, strict=True)
            if s.is_level:
                axes.axhline(y[0], color=colour, lw=1, ls="--")
            axes.plot(x, y, "o-", color=colour, ms=4, lw=1.5, label=s.name)
        axes.set(xscale="log", xlabel="CPU seconds", ylabel="PSNR, dB", title=plot.title)
        axes.title.set_size(10)
        axes.grid(alpha=0.3, which="both", lw=0.5)
        axes.legend(fontsize=8, loc="lower right")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{plot.name}.svg"
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
        written.append(path)
    return written
