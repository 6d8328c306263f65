"""BM3D that is told the spectrum of the noise, behind the transform of a variance line.

    .peers/bm3d/bin/python benchmarks/peers/bm3d_spectrum.py JOB.npz OUT.npz --line A B

The job holds an ``image`` and the ``spectrum`` of its noise: power by frequency in the order of
numpy.fft, with a mean of 1. The transform is that of bm3d_denoise.py. Noise correlated by a linear
filter is taken for as correlated behind the transform, which is smooth.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from bm3d_denoise import anscombe, inverse
from numpy.typing import NDArray


def filtered(x: NDArray, sigma: float, spectrum: NDArray) -> NDArray:
    """BM3D of an image that is scaled to 0 to 1, with noise of a standard deviation."""
    if not hasattr(np, "trapz"):  # bm4d 4.2.5 calls it, NumPy 2.4 has it no more
        np.trapz = np.trapezoid  # noqa: NPY201
    from bm3d import bm3d

    low, span = float(x.min()), max(float(np.ptp(x)), 1e-9)
    # The package wants the variance of the coefficients of a transform that is not normalised.
    return np.squeeze(bm3d((x - low) / span, (sigma / span) ** 2 * x.size * spectrum)) * span + low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job")
    parser.add_argument("out")
    parser.add_argument("--line", type=float, nargs=2, metavar=("A", "B"), required=True)
    args = parser.parse_args()
    with np.load(args.job) as job:
        x, spectrum = job["image"].astype(np.float64), job["spectrum"]
    a, b = args.line
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    if a * float(np.ptp(x)) < 1e-3 * abs(b):  # no growth with the signal to speak of
        clean = filtered(x, float(np.sqrt(b + a * x.mean())), spectrum)
    else:
        clean = inverse(filtered(anscombe(x, a, b), 1, spectrum), a, b)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    np.savez(args.out, image=clean)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu, "wall_s": wall}))


if __name__ == "__main__":
    main()
