"""BM3D with a known level, or behind a variance-stabilising transform with a known variance line.

    .peers/bm3d/bin/python benchmarks/peers/bm3d_denoise.py JOB.npz OUT.npz --sigma 25 --peak 255
    .peers/bm3d/bin/python benchmarks/peers/bm3d_denoise.py JOB.npz OUT.npz --line A B

With ``--line`` the variance of the noise at signal v is ``A v + B``: the generalised Anscombe
transform ``2 / A sqrt(A v + 3/8 A^2 + B)`` makes it 1, and its exact unbiased inverse is taken in
the closed form of Makitalo and Foi (IEEE Transactions on Image Processing 2013). The package bm3d
expects images of the range 0 to 1 (its thresholds of likeness are meant for that), so every image
is scaled. It is free for noncommercial use only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray


def anscombe(v: NDArray, a: float, b: float) -> NDArray:
    """Values whose noise has a standard deviation of 1."""
    return 2 / a * np.sqrt(np.maximum(a * v + 0.375 * a**2 + b, 0))


def inverse(d: NDArray, a: float, b: float) -> NDArray:
    """The signal whose noisy values have this mean after `anscombe`."""
    # Below 2 sqrt(3/8), the transform of no photon at all, the closed form turns round.
    d = np.maximum(d, 2 * np.sqrt(0.375))
    root = np.sqrt(1.5)
    photons = d**2 / 4 + root / 4 / d - 11 / 8 / d**2 + 5 / 8 * root / d**3 - 1 / 8
    return a * np.maximum(photons, 0) - b / a


def filtered(x: NDArray, sigma: float, low: float, high: float) -> NDArray:
    """BM3D of an image between two values, in float64."""
    from bm3d import bm3d

    span = max(high - low, 1e-9)
    return np.squeeze(bm3d((x - low) / span, sigma / span)) * span + low


def denoised(x: NDArray, args: argparse.Namespace) -> NDArray:
    if args.line is None:
        return filtered(x, args.sigma, 0, args.peak or float(x.max()))
    a, b = args.line
    if a * float(np.ptp(x)) < 1e-3 * abs(b):  # no growth with the signal to speak of
        return filtered(x, float(np.sqrt(b + a * x.mean())), float(x.min()), float(x.max()))
    z = anscombe(x, a, b)
    return inverse(filtered(z, 1, float(z.min()), float(z.max())), a, b)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job")
    parser.add_argument("out")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--sigma", type=float)
    how.add_argument("--line", type=float, nargs=2, metavar=("A", "B"))
    parser.add_argument("--peak", type=float)
    args = parser.parse_args()
    with np.load(args.job) as job:
        arrays = {name: job[name].astype(np.float64) for name in job.files}
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    results = {name: denoised(x, args) for name, x in arrays.items()}
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    np.savez(args.out, **results)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu, "wall_s": wall}))


if __name__ == "__main__":
    main()
