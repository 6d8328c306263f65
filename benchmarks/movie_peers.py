"""Nets of volumes of peers on the movies of movies.py, frames in the place of slices.

    python benchmarks/movie_peers.py                  # at the CPU seconds of joined `instant`
    python benchmarks/movie_peers.py --times 10       # at ten times of them
    python benchmarks/movie_peers.py --development    # other scenes; nothing is stored

CAREamics N2V and the package n2v, trained on the movie that is scored, one thread. Their budget is
the CPU time of training alone: start and prediction come on top of it, while that of `instant`
holds its calibration and its result. PSNR as in movies.py, of the mean over eight orientations, and
after a line was fitted to the truth, for results whose mean is off. Rows of earlier calls stay in
the record unless they are measured again.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import movie_scenes as scenes
from common import alone, origin, record, recorded
from movies import LIGHT, OFFSET, instant, psnr
from peer import Missing, call, missing, versions

RECORD = "movies_peers"
PEERS = {
    "careamics": "--batch 1 --patch 8 32 32 --no-batch-norm --filters 16",
    "n2v": "--batch 1 --patch 8 32 32 --no-batch-norm --rate 0.001 --tta",
}
"""Their settings: of those tried on a development scene the best after 10 CPU seconds. Patches of
16x64x64 in batches of 2 or 4 end after 3 to 7 steps there."""
Row = dict[str, Any]


def scored(name: str, clean: NDArray, truth: NDArray) -> Row:
    """PSNR as it is, and after the best line between result and truth."""
    line = np.polyfit(clean.ravel(), truth.ravel(), 1)
    return {name: psnr(clean, truth), f"{name}_line": psnr(np.polyval(line, clean), truth)}


def trained(name: str, noisy: NDArray, truth: NDArray, seconds: float, seed: int) -> Row:
    """What a peer's net is worth after so many CPU seconds of training."""
    words = ("--seconds", f"{seconds:.2f}", "--seed", str(seed), *PEERS[name].split())
    results, spent = call(name, f"{name}_denoise.py", {"train": noisy}, *words)
    row: Row = {"peer": name, "seconds": seconds, "settings": PEERS[name]}
    row |= {k: spent[k] for k in ("cpu_s", "predict_cpu_s", "steps")}
    for key, value in (("once", "train"), ("psnr", "train_8")):
        row |= scored(key, results[value].astype(np.float64) - OFFSET, truth)
    return row | {"mean": float((results["train"] - OFFSET).mean() / truth.mean() - 1)}


def keep(row: Row, args: argparse.Namespace) -> None:
    """Add a row to the record, in the place of one of the same measurement."""
    same = ("scene", "seed", "times", "peer")
    with alone(RECORD):
        rows = [r for r in recorded(RECORD) if any(r[k] != row[k] for k in same)]
        rows.append(row | origin())
        names = tuple(PEERS)
        record(RECORD, {"peers": PEERS}, rows, peers=versions(*names), missing=missing(*names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=float, default=1.0, help="the CPU seconds of `instant`")
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=tuple(PEERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=tuple(scenes.SCENES))
    parser.add_argument("--development", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    half = scenes.DEVELOPMENT if args.development else scenes.REPORT
    for seed in args.seeds:
        for scene in args.only or scenes.SCENES:
            truth, noisy = scenes.movie(scene, half + seed, LIGHT)
            clean, spent, _ = instant(noisy, "TYX", joined=True)
            own = {"joined": psnr(clean - OFFSET, truth), "joined_cpu_s": spent}
            print(f"{scene} {seed} joined {own['joined']:.2f} dB {spent:.1f} s", flush=True)
            for name in args.peers:
                row = {"scene": scene, "seed": seed, "times": args.times} | own
                try:
                    row |= trained(name, noisy, truth, args.times * spent, seed)
                except Missing as error:
                    print(error)
                    continue
                if not args.development:
                    keep(row, args)
                shown = (f"{k} {row[k]:.2f}" for k in ("once", "psnr", "psnr_line", "cpu_s"))
                print(f"  {name} times {args.times:g}:", *shown, row["steps"], "steps", flush=True)


if __name__ == "__main__":
    main()
