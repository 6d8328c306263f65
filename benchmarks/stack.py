"""A Z stack at equal time: a 2D net slice by slice against a 3D net.

The stack is scikit-image's nuclei (20 slices of 128x128) as the expected photons of a simulated
exposure with a peak of 20 photons; Poisson noise, truth known, scale-invariant PSNR.

    python benchmarks/stack.py
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import tifffile

from common import data, record
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.nets.device import select_device
from unnoise.quality.metrics import scale_invariant_psnr
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.9)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    clean = tifffile.imread(data("stack3d") / "cells3d_nuclei_20x128x128__noisy.tif")
    photons = clean / clean.max() * 20.0 + 1.0
    noisy = np.random.default_rng(0).poisson(photons).astype(np.uint16)
    image, rows = Image.from_array(noisy, "ZYX"), []
    print(f"noisy {scale_invariant_psnr(noisy, photons):.2f} dB")
    for ndim in (2, 3):
        budget = {"minutes": args.minutes, "seed": args.seed}
        run = TrainingRun(
            [image], plan([image], Config().replace(ndim=ndim, training=budget)), select_device()
        )
        start = time.perf_counter()
        for _ in run:
            pass
        wall = time.perf_counter() - start
        model = run.model()
        row: dict[str, object] = {"ndim": ndim, "steps": run.step, "wall_s": wall}
        for name, tta in (("psnr", False), ("psnr_8_fold", True)):
            row[name] = scale_invariant_psnr(model.predict(image, tta=tta, dtype=float), photons)
        rows.append(row)
        print(
            f"{ndim}D: {run.step} steps in {wall:.0f} s, {row['psnr']:.2f} dB, with 8-fold "
            f"averaging {row['psnr_8_fold']:.2f} dB",
            flush=True,
        )
    record(f"stack_seed{args.seed}", vars(args), rows)


if __name__ == "__main__":
    main()
