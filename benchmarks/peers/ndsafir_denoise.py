"""ND-SAFIR (Boulanger et al., IEEE Transactions on Medical Imaging 2010) on movies and stacks.

    .peers/ndsafir/bin/python benchmarks/peers/ndsafir_denoise.py JOB.npz OUT.npz --line A B

The variance of the noise at signal v is ``A v + B``. The arrays are of the axes ZYX; it is told the
true line, while unnoise measures it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job")
    parser.add_argument("out")
    parser.add_argument("--line", type=float, nargs=2, required=True, metavar=("A", "B"))
    parser.add_argument("--patch", type=int, nargs=3, default=(0, 3, 3))
    parser.add_argument("--iterations", type=int, default=4)
    args = parser.parse_args()
    import ndsafir

    with np.load(args.job) as job:
        arrays = {name: job[name].astype(np.float32) for name in job.files}
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    a, b = args.line
    results = {
        name: ndsafir.denoise_poisson_gaussian(
            x,
            axes="ZYX",
            gains=[a],
            offsets=[b],
            patch=list(args.patch),
            max_iter=args.iterations,
            nthreads=1,
        )
        for name, x in arrays.items()
    }
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    np.savez(args.out, **results)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu, "wall_s": wall}))


if __name__ == "__main__":
    main()
