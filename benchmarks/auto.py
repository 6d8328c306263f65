"""``auto`` against n2v, n2v2 and structn2v with the same budget, on every shared pair.

    python benchmarks/auto.py --seconds 15          # CPU seconds of one thread per training
    python benchmarks/auto.py --part 0/2          # every second pair, for two processes
    python benchmarks/auto.py table                 # the table of all parts that were run

Every image is denoised on its own. ``structn2v`` gets the mask that was measured, or horizontal:9
where none was. The measure is the scale-invariant PSNR, since most files were stretched
separately. The goal: auto is at least the best of the three less 0.2 dB, and never below the noisy
image. Predictions average the eight symmetries, as `unnoise denoise` does. The time that auto
spends on measuring and checking is not part of the budget; it is printed.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import torch

from common import HERE, data, record
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.quality.metrics import scale_invariant_psnr
from unnoise.training.auto import MethodChoice, choose
from unnoise.training.finish import finish
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

SLACK = 0.2


def pairs() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Every noisy image with a ground truth, 2D or RGB."""
    folder = data(".")
    with open(folder / "manifest.csv") as file:
        for row in csv.DictReader(file):
            if row["gt"] == "yes":
                stem = folder / row["group"] / row["name"]
                noisy, truth = (imagecodecs.imread(f"{stem}__{k}.png") for k in ("noisy", "gt"))
                yield f"{row['group']}/{row['name']}", noisy, truth


def trained(
    images: list[Image], choice: MethodChoice, seconds: float, seed: int
) -> tuple[Any, dict[str, float]]:
    """A model after so many CPU seconds, finished as `unnoise denoise` does it."""
    config = choice.config.replace(training={"minutes": seconds / 60, "seed": seed})
    run = TrainingRun(images, plan(images, config), torch.device("cpu"), clock=time.process_time)
    for _ in run:
        pass
    started = time.process_time()
    model, *_ = finish(run.model(), images, choice.reports, run.device)
    return model, {"steps": run.step, "check_s": time.process_time() - started}


def measure(name: str, noisy: np.ndarray, truth: np.ndarray, seconds: float, seed: int) -> dict:
    images = [Image.from_array(noisy)]
    started = time.process_time()
    auto = choose(images)
    inspected = time.process_time() - started
    advice = auto.reports[0].advice if auto.reports else None
    mask = advice.mask if advice and advice.mask else None
    struct = Config.preset(method="structn2v")
    if mask is not None:
        text = str(mask).replace(" ", "")
        percent = max(0.5, min(25.0, 13.5 / np.sum(mask)))
        struct = struct.set(f"mask.struct={text}", f"mask.percent={percent:g}")
    others = {
        "n2v": Config.preset(method="n2v"),
        "n2v2": Config.preset(method="n2v2"),
        "structn2v": struct,
    }
    row: dict[str, Any] = {"image": name, "chosen": auto.config.method, "inspect_s": inspected}
    row["noisy"] = scale_invariant_psnr(noisy, truth)
    for method, choice in {
        "auto": auto,
        **{m: MethodChoice(c, (), "") for m, c in others.items()},
    }.items():
        model, extra = trained(images, choice, seconds, seed)
        clean = model.predict(noisy, dtype=np.float32, tta=True)
        row[method] = scale_invariant_psnr(clean, truth)
        if method == "auto":
            row |= extra | {"centre": model.posterior is not None}
    return row


def line(row: dict[str, Any]) -> str:
    best = max(row[m] for m in ("n2v", "n2v2", "structn2v"))
    good = row["auto"] >= best - SLACK and row["auto"] >= row["noisy"]
    values = " | ".join(f"{row[m]:.2f}" for m in ("noisy", "n2v", "n2v2", "structn2v", "auto"))
    centre = "yes" if row.get("centre") else "no"
    return (
        f"| {row['image']} | {values} | {row['auto'] - best:+.2f} | {row['chosen']} | {centre} | "
        f"{'yes' if good else 'NO'} |"
    )


HEAD = (
    "| image | noisy | n2v | n2v2 | structn2v | auto | auto less best | chose | pixel used | "
    "holds |\n|---|---|---|---|---|---|---|---|---|---|"
)


def table(seed: int) -> None:
    rows = []
    for path in sorted((HERE / "results").glob(f"auto_seed{seed}_part*.json")):
        rows += json.loads(path.read_text())["rows"]
    print(HEAD)
    for row in rows:
        print(line(row))
    bests = [max(r[m] for m in ("n2v", "n2v2", "structn2v")) for r in rows]
    left = [r["auto"] - b for r, b in zip(rows, bests, strict=True)]
    means = " | ".join(
        f"**{np.mean([r[m] for r in rows]):.2f}**"
        for m in ("noisy", "n2v", "n2v2", "structn2v", "auto")
    )
    holds = sum(
        r["auto"] >= b - SLACK and r["auto"] >= r["noisy"] for r, b in zip(rows, bests, strict=True)
    )
    print(f"| **mean** | {means} | {np.mean(left):+.2f} | | | {holds} of {len(rows)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("run", "table"), default="run")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1", help="i/n: every n-th pair, from the i-th on")
    parser.add_argument("--only", nargs="*", help="names that contain one of these")
    args = parser.parse_args()
    if args.what == "table":
        table(args.seed)
        return
    torch.set_num_threads(1)
    index, parts = (int(v) for v in args.part.split("/"))
    print(HEAD)
    rows = []
    for i, (name, noisy, truth) in enumerate(pairs()):
        if i % parts != index or (args.only and not any(o in name for o in args.only)):
            continue
        rows.append(measure(name, noisy, truth, args.seconds, args.seed))
        print(line(rows[-1]), flush=True)
        tag = "" if not args.only else "_only"
        record(f"auto_seed{args.seed}_part{index}of{parts}{tag}", vars(args), rows)


if __name__ == "__main__":
    main()
