"""CPU seconds of the whole command ``unnoise denoise FILE``, beside another checkout, in pairs.

    git worktree add --detach ../base 7c1fa73
    python benchmarks/speed.py --base ../base
    python benchmarks/speed.py --base ../base --sides 512 --turns 5

A camera picture of 512x512 pixels with photon noise, and its mirror images as one of 2048x2048,
are denoised with ``--method instant`` and a report, file to file, in a fresh process pinned to one
core and with one thread. Both checkouts take turns, so that a busy machine disturbs both alike; the
ratio is that of each turn. How much the results gain is told by the PSNR.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from skimage import data

from common import HERE, record
from throughput import pin


def spent(source: Path, arguments: list[str], core: int) -> float:
    """CPU seconds of the command of a checkout."""
    once = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(source / "src")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "unnoise", *arguments]
    subprocess.run(command, env=once, check=True, preexec_fn=lambda: pin(core))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="another checkout")
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--core", type=int, default=(os.cpu_count() or 1) - 1)
    parser.add_argument("--method", default="instant")
    args = parser.parse_args()
    sources = {"base": args.base.resolve(), "now": HERE.parent}
    rows = []
    for side in args.sides:
        scene = data.camera() / 4.0
        scene = np.pad(scene, (0, side - len(scene)), mode="symmetric")[:side, :side]
        with tempfile.TemporaryDirectory() as folder:
            noisy = Path(folder) / "noisy.tif"
            photons = np.random.default_rng(0).poisson(scene)
            tifffile.imwrite(noisy, photons.astype(np.uint16))
            options = ["--method", args.method, "-q", "--overwrite", "--dtype", "float32"]
            seconds: dict[str, list[float]] = {name: [] for name in sources}
            gain = {}
            for turn in range(args.turns + 1):
                for name, source in sources.items():
                    out = Path(folder) / f"{name}.tif"
                    found = spent(
                        source, ["denoise", str(noisy), "-o", str(out), *options], args.core
                    )
                    if turn:  # the first one fills the caches
                        seconds[name].append(found)
                    error = np.mean((tifffile.imread(out) - scene) ** 2)
                    gain[name] = 10 * float(np.log10(np.mean((photons - scene) ** 2) / error))
        ratios = [a / b for a, b in zip(seconds["now"], seconds["base"], strict=True)]
        row = {
            "side": side,
            "base_cpu_s": statistics.median(seconds["base"]),
            "cpu_s": statistics.median(seconds["now"]),
            "ratio": statistics.median(ratios),
            "ratios": ratios,
            "base_gain_db": gain["base"],
            "gain_db": gain["now"],
        }
        rows.append(row)
        print(
            f"{side}x{side}: {row['cpu_s']:.2f} CPU s, base {row['base_cpu_s']:.2f}, ratio "
            f"{row['ratio']:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); gain {gain['now']:.2f} "
            f"dB, base {gain['base']:.2f}",
            flush=True,
        )
    record("speed", {"method": args.method, "turns": args.turns}, rows)


if __name__ == "__main__":
    main()
