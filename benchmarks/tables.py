"""Write the tables and plots of docs/benchmarks.md and docs/limits.md out of the stored results.

    python benchmarks/tables.py            # rewrites what lies between markers, and docs/images
    python benchmarks/tables.py --check    # exit status 1 if the document is not up to date
    python benchmarks/tables.py --print --results benchmarks/results/quick

Markers are ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``; the rest of the document is
written by hand. What has no result says so, with the command that measures it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import correlated_goals
import goals
import movie_tables
import plots
import strong_tables
import structured_table
from common import HERE
from stored import Results, Score

DOCUMENT = HERE.parent / "docs" / "benchmarks.md"
LIMITS = HERE.parent / "docs" / "limits.md"
ROADS = {
    "noisy": "noisy",
    "nlm": "non-local means, J-invariant",
    "bm3d": "BM3D, level told",
    "vst_bm3d": "VST-BM3D, measured line",
    "vst_bm3d_oracle": "VST-BM3D, oracle line",
    "n2v": "n2v, tuned",
    "careamics_n2v": "CAREamics N2V, tuned",
    "careamics_n2v2": "CAREamics N2V2, tuned",
    "instant": "**instant**",
    "adapted": "**adapted**",
    "scratch": "**from scratch (auto)**",
}
"""Methods of real.py for people; `scratch_METHOD` follows them."""
PEERS = {"peer careamics": "CAREamics N2V, tuned", "peer n2v": "n2v, tuned"}


def missing(command: str) -> str:
    """What stands where a result is missing."""
    return f"not measured: `python benchmarks/{command}`"


def called(method: str) -> str:
    """A method for people."""
    return ROADS.get(method) or f"**from scratch ({method.removeprefix('scratch_')})**"


def bsd68(results: Results) -> str:
    """PSNR against time in the runs of bsd68.py."""
    if not results.bsd68:
        return missing("run.py --suite bsd68")
    head = (
        "method, budget min, after min, PSNR dB, sd, CPU s, wall s, clock, seeds, date, processor"
    )
    lines = [f"| {head.replace(', ', ' | ')} |", "|" + "---|" * 11]
    for (name, budget, minutes, clock), s in sorted(results.bsd68.items()):
        who = PEERS.get(name, f"**{name}**")
        lines.append(
            f"| {who} | {budget:g} | {minutes:g} | {s.psnr:.2f} | {deviation(s)} | {s.cpu_s:.0f} | "
            f"{s.wall_s:.0f} | {clock} | {', '.join(map(str, s.seeds))} | {s.date} | "
            f"{', '.join(map(goals.short, s.machines))} |"
        )
    return "\n".join(lines)


def deviation(score: Score) -> str:
    return "" if np.isnan(score.std) else f"{score.std:.2f}"


def real(results: Results, *sets: str) -> str:
    """One column per image, one line per method and budget, and the mean."""
    images = results.images(*sets)
    if not images:
        return missing("run.py --suite " + {"gigadb": "fmd"}.get(sets[0], sets[0]))
    order = list(ROADS)
    known = {(m, t) for i, m, t in results.real if i in images}
    place = {m: order.index(m) if m in order else len(order) for m, _ in known}
    short = [image.split("/")[1].replace("confocal_BPAE_", "") for image in images]
    mean = ["mean"] if len(images) > 1 else []
    lines = [
        "| " + " | ".join(["method", "budget, s", *short, *mean, "CPU s", "wall s"]) + " |",
        "|" + "---|" * (len(short) + len(mean) + 4),
    ]
    for method, t in sorted(known, key=lambda k: (place[k[0]], k[0], k[1] or 0)):
        scores = [results.one(i, method, t) for i in images]
        there = [s for s in scores if s]
        cells = [f"{s.psnr:.2f}" if s else "" for s in scores]
        if mean:
            whole = len(there) == len(images)
            cells.append(f"{np.mean([s.psnr for s in there]):.2f}" if whole else "")
        budget = "" if t is None else f"{t:g}"
        spent = [f"{max(getattr(s, k) for s in there):.0f}" for k in ("cpu_s", "wall_s")]
        spent = spent if method != "noisy" else ["", ""]
        lines.append("| " + " | ".join([called(method), budget, *cells, *spent]) + " |")
    every = {s.date for key, s in results.real.items() if key[0] in images}
    seeds = {seed for key, s in results.real.items() if key[0] in images for seed in s.seeds}
    gone = {name for record in results.named("real_seed") for name in record.get("missing", [])}
    lines += [f"\n{name} is missing: it could not be run." for name in sorted(gone)]
    numbers = ", ".join(map(str, sorted(seeds)))
    dates = " to ".join(sorted({min(every), max(every)}))
    machines = {m for key, s in results.real.items() if key[0] in images for m in s.machines}
    on = " and ".join(sorted(map(goals.short, machines)))
    lines += [
        "",
        f"{dates}, one thread of {on}, seeds {numbers}; seconds are the longest of the images.",
    ]
    return "\n".join(lines)


def throughput(results: Results) -> str:
    """CPU seconds a step and Mpixel/s, and ratios turn by turn."""
    record = results.records.get("throughput")
    if record is None:
        return missing("run.py --suite throughput")
    lines = ["| what | who | median | range | unit |", "|---|---|---|---|---|"]
    for r in record["rows"]:
        what = {"step": "step, batch 16 (default net: 4)", "predict": "prediction"}[r["what"]]
        lines.append(
            f"| {what} | {r['who']} | {r['median']:.3g} | {r['low']:.3g} to {r['high']:.3g} | "
            f"{r['unit']} |"
        )
    lines += ["", _origin(record)]
    return "\n".join(lines)


def correlated(results: Results, half: str) -> str:
    """The goals on correlated noise and the methods beside them, of one half of the pictures."""
    record = results.records.get(f"correlated_{half}", {"rows": []})
    return correlated_goals.table(record["rows"], half)


def cases(results: Results) -> str:
    """Of every case of cases.py how many checks pass, and those that fail."""
    record = results.records.get("cases")
    if record is None:
        return missing("run.py --suite cases")
    rows = record["rows"]
    lines = ["| case | pass | of | failing |", "|---|---|---|---|"]
    for name in dict.fromkeys(r["case"] for r in rows):
        found = [r for r in rows if r["case"] == name]
        short = [f"{r['what']}: {r['value']} ({r['limit']})" for r in found if not r["passed"]]
        passed = len(found) - len(short)
        lines.append(f"| {name} | {passed} | {len(found)} | {'; '.join(short)} |")
    dates = " to ".join(sorted({min(r["date"] for r in rows), max(r["date"] for r in rows)}))
    machines = sorted({goals.short(r["machine"]) for r in rows})
    return "\n".join([*lines, "", f"{dates}, {' and '.join(machines)}."])


def unchanged(results: Results) -> str:
    """Differences to another checkout, by method, and start-up."""
    record = results.records.get("unchanged")
    if record is None:
        return missing("unchanged.py --base CHECKOUT")
    lines = ["| what | difference | images, worst | runs | identical |", "|---|---|---|---|---|"]
    rows = [r for r in record["rows"] if "method" in r]
    for mean in (r for r in rows if r["image"] == "mean"):
        images = [r for r in rows if r["method"] == mean["method"] and r["image"] != "mean"]
        worst = min(images, key=lambda r: r["difference_db"])
        lines.append(
            f"| {mean['method']} | {mean['difference_db']:+.3f} dB | "
            f"{worst['difference_db']:+.3f} dB ({worst['image']}) | {mean['runs']} | "
            f"{mean['identical']} |"
        )
    for row in (r for r in record["rows"] if "ratio" in r):
        lines.append(f"| {row['what']} | {row['ratio']:.2f} times the CPU seconds | | | |")
    at = record["settings"]
    lines += ["", f"{at['now']} against {at['base']}. {_origin(record)}"]
    return "\n".join(lines)


def _origin(record: dict) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
    gone = "".join(f"; {name} is missing" for name in record.get("missing", []))
    return f"{record['date']}, {record['machine']}; {versions}{gone}; `{record['command']}`."


def pictures(results: Results) -> str:
    """Links to the plots that there are results for."""
    there = [p for p in plots.PLOTS if p.series(results)]
    if not there:
        return missing("run.py --suite all")
    return "\n\n".join(f"![{p.title}](images/{p.name}.svg)" for p in there)


SECTIONS: dict[str, Callable[[Results], str]] = {
    "goals": goals.table,
    "plots": pictures,
    "bsd68": bsd68,
    "w2s": lambda r: real(r, "w2s"),
    "w2s_dev": lambda r: real(r, "w2s_dev"),
    "fmd": lambda r: real(r, "fmd", "gigadb"),
    "camera": lambda r: real(r, "camera"),
    "throughput": throughput,
    "correlated_report": lambda r: correlated(r, "report"),
    "correlated_dev": lambda r: correlated(r, "dev"),
    "structured_report": lambda r: structured_table.table(r.records, "report"),
    "structured_dev": lambda r: structured_table.table(r.records, "dev"),
    "movies_peers": lambda r: movie_tables.peers(
        r.records.get("movies_peers", {}), r.records.get("movies_movies", {}).get("rows", [])
    ),
    "strong": lambda r: strong_tables.strong(r.records.get("strong", {}).get("rows", [])),
    "cases": cases,
    "unchanged": unchanged,
}
"""What benchmarks.md holds between markers."""
OF_LIMITS: dict[str, Callable[[Results], str]] = {
    "edges": lambda r: strong_tables.edges(r.records.get("edges")),
}
"""What limits.md holds between markers."""


def regenerated(
    text: str, results: Results, sections: dict[str, Callable[[Results], str]] = SECTIONS
) -> str:
    """The document with every marked part written anew.

    Raises
    ------
    ValueError
        For a marker without its end, or a part that is not in `sections`.
    """
    begun = re.findall(r"^<!-- begin: (\w+) -->$", text, re.MULTILINE)
    for name in begun:
        if name not in sections:
            raise ValueError(f"there is no part '{name}'; the parts are {', '.join(sections)}")
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, _, rest = text.partition(begin)
        inside, found, after = rest.partition(end)
        if not found or "<!-- begin:" in inside:
            raise ValueError(f"the marker '{begin}' has no end")
        text = f"{before}{begin}\n{sections[name](results)}\n{end}{after}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--check", action="store_true", help="change nothing, say what would")
    parser.add_argument("--print", action="store_true", help="print the tables, change nothing")
    args = parser.parse_args()
    results = Results(args.results)
    if args.print:
        for name, section in {**SECTIONS, **OF_LIMITS}.items():
            if name != "plots":
                print(f"\n{name}\n\n{section(results)}")
        return
    documents = {args.document: SECTIONS}
    if args.document == DOCUMENT:
        documents[LIMITS] = OF_LIMITS
    texts = {path: path.read_text("utf-8") for path in documents}
    new = {path: regenerated(text, results, documents[path]) for path, text in texts.items()}
    outdated = [path for path in documents if new[path] != texts[path]]
    if args.check:
        sys.exit(f"not up to date: {', '.join(p.name for p in outdated)}" if outdated else 0)
    for path, text in new.items():
        path.write_text(text, "utf-8")
        print(f"wrote {path}")
    for path in plots.draw(results, args.document.parent / "images"):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
