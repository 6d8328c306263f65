"""BSD68 with Gaussian noise: train on noisy Train400 only, report PSNR on the 68 images.

The noise is neither clipped nor rounded, the peak is 255, and the mean is taken over images
(Krull et al., CVPR 2019). No clean image is ever shown to the training.

    python benchmarks/bsd68.py --minutes 20
    python benchmarks/bsd68.py --recipe paper       # 96 filters, batch 128, 200 x 400 steps
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import imagecodecs
import numpy as np

from common import data, record
from unnoise.api import budget
from unnoise.config import PRESETS, Config
from unnoise.device import pick
from unnoise.image import Image
from unnoise.metrics import psnr
from unnoise.plan import plan
from unnoise.training import Run


def noisy_images(folder: Path, sigma: float, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(noisy, clean) of every picture in a folder; the noise of a picture depends on its place."""
    pairs = []
    for i, path in enumerate(sorted(folder.glob("*.png"))):
        clean = imagecodecs.imread(str(path)).astype(np.float32)
        rng = np.random.default_rng([seed, i])
        pairs.append((clean + sigma * rng.standard_normal(clean.shape, np.float32), clean))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--recipe", choices=tuple(PRESETS), default="fast")
    parser.add_argument("--sigma", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    if args.recipe != "paper" and args.minutes is None and args.steps is None:
        args.minutes = 20.0
    folder = data("natural")
    config = budget(Config.preset(args.recipe), args.minutes, args.steps, args.seed)
    train = [Image.from_array(x) for x, _ in noisy_images(folder / "train400", args.sigma, 1)]
    test = noisy_images(folder / "bsd68", args.sigma, 2)
    print(f"{len(train)} noisy training images, {len(test)} test images", flush=True)
    run = Run(train, plan(train, config), pick(args.device))
    start, shown = time.perf_counter(), 0
    for p in run:
        if len(run.history) > shown:
            shown = len(run.history)
            print(
                f"step {p.step}  {p.seconds:.0f} s  loss {p.loss:.4f}  held-out {p.held_out:.4f}",
                flush=True,
            )
    wall = time.perf_counter() - start
    use = resource.getrusage(resource.RUSAGE_SELF)
    model = run.model()
    row: dict[str, object] = {
        "steps": run.step,
        "wall_s": wall,
        "cpu_s": use.ru_utime + use.ru_stime,
        "noisy": float(np.mean([psnr(x, t, data_range=255) for x, t in test])),
    }
    for name, tta in (("psnr", False), ("psnr_8_fold", True)):
        scores = [psnr(model.predict(x, tta=tta, dtype=float), t, data_range=255) for x, t in test]
        row[name] = float(np.mean(scores))
    print(
        f"BSD68, sigma {args.sigma:g}: noisy {row['noisy']:.2f} dB, unnoise {row['psnr']:.2f} dB, "
        f"with 8-fold averaging {row['psnr_8_fold']:.2f} dB after {run.step} steps in {wall:.0f} s"
    )
    record(f"bsd68_{args.recipe}_seed{args.seed}", {**vars(args), **config.model_dump()}, [row])


if __name__ == "__main__":
    sys.exit(main())
