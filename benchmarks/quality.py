"""Whether the estimated gain is true: its interval against the ground truth of the shared pairs.

    python benchmarks/quality.py --seconds 10       # pairs with independent noise
    python benchmarks/quality.py counts             # means of photon counts, simulated
    python benchmarks/quality.py truths             # how well truths and pictures agree

For every pair with independent noise, one Noise2Void net is trained for so many CPU seconds of one
thread as ``auto`` does it; the report's estimate of the PSNR gain and its interval are compared
with the gain that the truth shows. The files of most pairs were stretched separately, so the truth
is first brought to the units of the noisy image by the line that fits noisy to truth best; noise is
on one side of that fit only, so it is not biased. The goal: the interval holds in at least 80 %.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import numpy as np
import torch

from auto import pairs, trained
from common import record
from unnoise.images.image import Image
from unnoise.report.middle_plane import MiddlePlane, show
from unnoise.training.auto import choose

INDEPENDENT = ("w2s", "gigadb", "fmd")
"""Groups whose noise is independent; those of FMD have weak correlations (below 0.06)."""


def true_gain(noisy: np.ndarray, clean: np.ndarray, truth: np.ndarray) -> float:
    """PSNR gain in dB with the truth in the units of the noisy image."""
    slope, offset = np.polyfit(truth.ravel().astype(float), noisy.ravel().astype(float), 1)
    target = slope * truth + offset
    before, after = (np.mean((x.astype(float) - target) ** 2) for x in (noisy, clean))
    return float(10 * np.log10(before / after))


def measure(name: str, noisy: np.ndarray, truth: np.ndarray, seconds: float, seed: int) -> dict:
    images = [Image.from_array(noisy)]
    choice = choose(images)
    model, _ = trained(images, choice, seconds, seed)
    from unnoise.models.predict import predict

    plane = MiddlePlane(images[0], model.channels)
    for block in predict(model, images[0]):
        plane.take(block)
    started = time.process_time()
    found = show(model, plane, "cpu").assessments[0]
    left = found.residual_structure
    row: dict[str, Any] = {
        "image": name,
        "method": choice.config.method,
        "centre": model.posterior is not None,
        "true": true_gain(noisy, plane.clean[0], truth),
        "judge_s": time.process_time() - started,
        "leak": None if left is None else left.correlation.value,
        "white": found.whiteness.largest if found.whiteness else None,
        "bias": -found.bias.total_relative,
    }
    gain = found.gain
    row |= {"estimate": None, "low": None, "high": None, "holds": None}
    if gain is not None and gain.consistent:
        low, high = gain.psnr.low, gain.psnr.high
        row |= {
            "estimate": gain.psnr.value if math.isfinite(gain.psnr.value) else None,
            "low": low,
            "high": high if math.isfinite(high) else None,
            "holds": bool(low <= row["true"] <= high),
        }
    return row


HEAD = (
    "| image | true gain, dB | estimate | 95 % interval | holds | mean changed |"
    "\n|---|---|---|---|---|---|"
)


def line(row: dict[str, Any]) -> str:
    if row["low"] is None:
        interval, estimate = "unknown", "unknown"
    else:
        high = "" if row["high"] is None else f"{row['high']:.1f}"
        interval = f"{row['low']:.1f} to {high}" if high else f"at least {row['low']:.1f}"
        estimate = "open" if row["estimate"] is None else f"{row['estimate']:.1f}"
    holds = {True: "yes", False: "NO", None: "-"}[row["holds"]]
    return (
        f"| {row['image']} | {row['true']:.1f} | {estimate} | {interval} | {holds} | "
        f"{row['bias']:+.2%} |"
    )


def truths() -> list[dict[str, Any]]:
    """By how much block averages of the truth differ from those of the picture beyond noise.

    As a share of the noise variance: what drift, bleaching and a bent response add to the error of
    any result.
    """
    rows = []
    print("| image | difference of 8x8 averages |\n|---|---|")
    for name, noisy, truth in pairs():
        if name.split("/")[0] not in INDEPENDENT:
            continue
        slope, offset = np.polyfit(truth.ravel().astype(float), noisy.ravel().astype(float), 1)
        error = noisy - (slope * truth + offset)
        height, width = (size // 8 * 8 for size in error.shape)
        cells = error[:height, :width].reshape(height // 8, 8, width // 8, 8)
        noise = cells.var((1, 3), ddof=1).mean() / 64
        share = float(((cells.mean((1, 3)) ** 2).mean() - noise) / (error**2).mean())
        rows.append({"image": name, "share": share})
        print(f"| {name} | {share:+.2%} |")
    return rows


def counts(seed: int) -> list[dict[str, Any]]:
    """Photon counts of different brightness: does the mean of the result stay?"""
    rows = []
    print("| photons a pixel | mean noisy | mean result | change |\n|---|---|---|---|")
    for mean in (0.2, 1.0, 5.0):
        rng = np.random.default_rng(seed)
        y, x = np.indices((256, 256))
        scene = 1 + 0.8 * np.sin(x / 17) * np.cos(y / 23)
        noisy = rng.poisson(mean * scene).astype(np.float32)
        images = [Image.from_array(noisy)]
        model, _ = trained(images, choose(images), 20.0, seed)
        clean = model.predict(noisy, dtype=np.float32)
        change = float(clean.mean() / noisy.mean() - 1)
        rows.append({"photons": mean, "noisy": float(noisy.mean()), "change": change})
        print(f"| {mean} | {noisy.mean():.4f} | {clean.mean():.4f} | {change:+.2%} |", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("pairs", "counts", "truths"), default="pairs")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names that contain one of these")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "truths":
        record("quality_truths", vars(args), truths())
        return
    if args.what == "counts":
        record(f"quality_counts_seed{args.seed}", vars(args), counts(args.seed))
        return
    print(HEAD)
    rows = []
    for name, noisy, truth in pairs():
        if name.split("/")[0] not in INDEPENDENT:
            continue
        if args.only and not any(o in name for o in args.only):
            continue
        rows.append(measure(name, noisy, truth, args.seconds, args.seed))
        print(line(rows[-1]), flush=True)
        if not args.only:
            record(f"quality_seed{args.seed}", vars(args), rows)
    judged = [r for r in rows if r["holds"] is not None]
    held = sum(r["holds"] for r in judged)
    print(f"the interval holds in {held} of {len(judged)}; {len(rows) - len(judged)} unknown")


if __name__ == "__main__":
    main()
