"""What strong.py stored, as tables."""

from __future__ import annotations

from typing import Any

import numpy as np

SLACK = 0.05
"""By so many dB `instant` may be below the J-invariant blur, mean over seeds."""
METHODS = {
    "noisy": "noisy",
    "blur": "best blur, truth known",
    "gaussian": "blur, J-invariant",
    "bm3d": "BM3D, level told",
    "instant": "**instant**",
}


def over_seeds(row: dict[str, Any], method: str) -> float:
    """Mean PSNR of a picture."""
    return float(np.mean([v for k, v in row.items() if k.rpartition("_")[0] == method]))


def strong(rows: list[dict[str, Any]]) -> str:
    """`instant` less the J-invariant blur, by kind of noise."""
    rows = [r for r in rows if "instant_0" in r]
    if not rows:
        return "not measured: `python benchmarks/strong.py --processes 2`"
    kinds = {
        "sigma 50 to 400": [r for r in rows if "sigma" in r["noise"]],
        "0.2 to 5 photons a pixel": [r for r in rows if "photons" in r["noise"]],
        "all": rows,
    }
    lines = [
        "| noise | pictures | noisy | blur, J-invariant | best blur | **instant** | "
        f"instant less J-invariant blur | worst | below by more than {SLACK:g} dB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, some in kinds.items():
        if not some:
            continue
        means = [
            f"{np.mean([over_seeds(r, m) for r in some]):.2f}"
            for m in ("noisy", "gaussian", "blur", "instant")
        ]
        gains = gains_of(some)
        worst = int(np.argmin(gains))
        below = sum(gain < -SLACK for gain in gains)
        lines.append(
            f"| {kind} | {len(some)} | {' | '.join(means)} | {np.mean(gains):+.2f} | "
            f"{gains[worst]:+.2f} ({some[worst]['source']}, {some[worst]['noise']}) | {below} |"
        )
    seeds = sorted({k.rpartition("_")[2] for r in rows for k in r if k.startswith("instant_")})
    dates = " to ".join(sorted({min(r["date"] for r in rows), max(r["date"] for r in rows)}))
    codes = ", ".join(sorted({r["code"] for r in rows}))
    machines = " and ".join(sorted({r["machine"].rsplit(",", 1)[0] for r in rows}))
    return "\n".join(
        [*lines, "", f"{dates}, one thread of {machines}, seeds {', '.join(seeds)}; code {codes}."]
    )


def gains_of(rows: list[dict[str, Any]]) -> list[float]:
    """`instant` less the J-invariant blur, mean over the seeds of each picture."""
    return [over_seeds(r, "instant") - over_seeds(r, "gaussian") for r in rows]


def edges(record: dict[str, Any] | None) -> str:
    """False edges per megapixel and found ones, by level of the noise."""
    if not record or not record["rows"]:
        return "not measured: `python benchmarks/strong.py --edges`"
    rows = record["rows"]
    levels = sorted({r["sigma"] for r in rows})
    heads = [f"sigma {sigma:g}: PSNR | false edges per Mpx | found" for sigma in levels]
    lines = [f"| method | {' | '.join(heads)} |", "|---" * (3 * len(levels) + 1) + "|"]
    for method, title in METHODS.items():
        cells = []
        for sigma in levels:
            some = [r for r in rows if r["method"] == method and r["sigma"] == sigma]
            if some:
                psnr, false, found = (
                    np.mean([r[key] for r in some]) for key in ("psnr", "false", "found")
                )
                cells += [f"{psnr:.2f}", f"{false:,.0f}", f"{100 * found:.0f} %"]
        if cells:
            lines.append(f"| {title} | {' | '.join(cells)} |")
    machine = record["machine"].rsplit(",", 1)[0]
    pictures = len({r["picture"] for r in rows})
    lines += [
        "",
        f"Means of {pictures} pictures; {record['date']}, {machine}, seed {record['seed']}, code "
        f"{record['settings']['code']}.",
    ]
    return "\n".join(lines)
