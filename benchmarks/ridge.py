"""NL-Ridge behind the transform, `instant`, and means of the two.

    python benchmarks/ridge.py                              # development pictures
    python benchmarks/ridge.py --sets set12 --sigmas 25     # report

White noise of sigma of 255, neither clipped nor rounded; fields of W2S have the noise they have. A
picture is its central crop, denoised on its own from nothing but itself: the noise is measured and
both transforms are calibrated on it. `instant` is the mean of its eight symmetries. Of the means
there are the one with the weight of least estimated risk (*risk*), with the weight that is best in
truth (*best*), and with fixed weights of NL-Ridge. CPU seconds are those of one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray

from common import data, record
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model, Passes
from unnoise.models.predict import predict_array
from unnoise.quality import risk
from unnoise.quality.metrics import psnr, scale_invariant_psnr
from unnoise.training.instant import VstCalibration
from unnoise.training.plan import plan

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
W2S = ("001_0", "005_1", "009_2", "013_0")
CPU = torch.device("cpu")
Score = Callable[[NDArray, NDArray], float]


def middle(x: NDArray, side: int) -> NDArray:
    """The central crop."""
    y, x0 = (max((n - side) // 2, 0) for n in x.shape)
    return x[y : y + side, x0 : x0 + side].astype(np.float32)


def pictures(
    sets: list[str], sigmas: list[float], side: int, most: int, seed: int
) -> Iterator[tuple[str, str, NDArray, NDArray]]:
    """Set, name, noisy picture and truth."""
    for name in sets:
        if name == "w2s":
            for field in W2S[:most]:
                read = [data(name) / f"{field}__{kind}.png" for kind in ("noisy", "gt")]
                noisy, truth = (middle(imagecodecs.imread(str(path)), side) for path in read)
                yield name, field, noisy, truth
            continue
        paths = sorted((data("natural") / name).glob("*.png"))
        for sigma in sigmas:
            for i, path in enumerate(paths[:: max(len(paths) // most, 1)][:most]):
                truth = imagecodecs.imread(str(path)).astype(np.float32)
                truth = middle(truth.mean(2) if truth.ndim == 3 else truth, side)
                rng = np.random.default_rng([seed, i])
                noisy = truth + sigma * rng.standard_normal(truth.shape, np.float32)
                yield f"{name} {sigma:g}", path.stem, noisy, truth


def denoised(noisy: NDArray, method: str, seed: int) -> tuple[Model, NDArray, float]:
    """The calibrated model, its result and the CPU seconds of both."""
    started = time.process_time()
    image = Image.from_array(noisy)
    config = Config(method=method).replace(training={"seed": seed})
    run = VstCalibration([image], plan([image], config), CPU)
    for _ in run:
        pass
    passes = Passes(8 if method == "instant" else 1, 0.0)
    model = replace(run.model(), passes=passes if passes.count < 8 else None)
    clean = predict_array(model, image, dtype=np.float64, tta=None, device="cpu")
    return model, clean, time.process_time() - started


def row(
    noisy: NDArray, truth: NDArray, seed: int, score: Score, *, judged: bool
) -> dict[str, float]:
    """All numbers of one picture."""
    first, instant, cpu = denoised(noisy, "instant", seed)
    second, ridge, more = denoised(noisy, "nlridge", seed)
    found = {"noisy": score(noisy, truth), "instant": score(instant, truth)}
    found |= {"nlridge": score(ridge, truth), "cpu_instant": cpu, "cpu_nlridge": more}
    blend = {share: score((1 - share) * instant + share * ridge, truth) for share in SHARES}
    found |= {f"mean {share:g}": value for share, value in blend.items()}
    fine = np.linspace(0, 1, 51)
    scores = [score((1 - share) * instant + share * ridge, truth) for share in fine]
    found |= {"best": max(scores), "best_share": float(fine[int(np.argmax(scores))])}
    if judged:
        started = time.process_time()
        pieces = risk.judging_pieces([Image.from_array(noisy)], first, CPU, seed)
        one, two = (risk.estimate_risk(model, pieces, CPU) for model in (first, second))
        for label, errors in (("risk", 0.0), ("risk less half a standard error", 0.5)):
            share = one.best_share(two, errors)
            found[label] = score((1 - share) * instant + share * ridge, truth)
            found[f"{label} share"] = share
        found["cpu_risk"] = time.process_time() - started
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=["kodak4", "train400", "w2s"])
    parser.add_argument("--sigmas", type=float, nargs="+", default=[15.0, 25.0, 50.0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--images", type=int, default=4, help="at most so many of a set")
    parser.add_argument("--judged", action="store_true", help="with the estimated risk")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for group, name, noisy, truth in pictures(
        args.sets, args.sigmas, args.side, args.images, args.seed
    ):
        score = scale_invariant_psnr if group == "w2s" else lambda x, t: psnr(x, t, data_range=255)
        found = row(noisy, truth, args.seed, score, judged=args.judged)
        rows.append({"set": group, "image": name, **found})
        print(group, name, *(f"{k} {v:.2f}" for k, v in found.items()), flush=True)
    for group in dict.fromkeys(r["set"] for r in rows):
        own = [r for r in rows if r["set"] == group]
        keys = [k for k in own[0] if k not in ("set", "image", "instant") and "cpu" not in k]
        print(group, f"instant {np.mean([r['instant'] for r in own]):.2f}; over it:")
        for k in keys:
            gains = [r[k] - ("share" not in k) * r["instant"] for r in own]
            print(f"  {k}: {np.mean(gains):+.3f} ({min(gains):+.3f} to {max(gains):+.3f})")
    sets = "_".join(args.sets)
    kind = "_judged" if args.judged else ""
    record(f"ridge_{sets}_{args.side}{kind}_seed{args.seed}", vars(args), rows)


if __name__ == "__main__":
    main()
