"""The shipped denoiser on BSD68 with white noise: the level told, and all of `instant`.

    python benchmarks/instant.py
    python benchmarks/instant.py --sets bsd68 --images 10    # a quick look

Noise neither clipped nor rounded, peak 255, mean over images. *told* is one pass of the net that
knows sigma; *instant* knows nothing: the noise is measured and the transform calibrated on every
picture alone, averaged over the eight symmetries.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from bsd68 import noisy_images
from common import data, record
from unnoise.api import train
from unnoise.nets import pretrained as shipped
from unnoise.nets.gaussian_denoiser import GaussianNet
from unnoise.quality.metrics import psnr

PEAK = 255.0


def told(net: GaussianNet, noisy: np.ndarray, sigma: float) -> np.ndarray:
    """One pass of the net at a known level."""
    x = torch.from_numpy(noisy)[None, None] / PEAK
    mean = x.mean()
    with torch.inference_mode():
        clean = net(x - mean, torch.tensor(sigma / PEAK)) + mean
    return np.asarray(clean[0, 0].numpy() * PEAK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sigmas", type=float, nargs="+", default=[15.0, 25.0, 50.0])
    parser.add_argument("--sets", nargs="+", choices=("bsd68", "set12"), default=["bsd68", "set12"])
    parser.add_argument("--images", type=int, help="only so many of a set")
    parser.add_argument("--no-instant", action="store_true", help="the told level alone")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    net = GaussianNet.like(shipped.gaussian()).eval()
    net.load_state_dict(shipped.gaussian())
    rows = []
    for name in args.sets:
        for sigma in args.sigmas:
            pairs = noisy_images(data("natural") / name, sigma, 2 + args.seed)[: args.images]
            scores = {"noisy": [psnr(x, t, data_range=PEAK) for x, t in pairs]}
            scores["told"] = [psnr(told(net, x, sigma), t, data_range=PEAK) for x, t in pairs]
            started = time.process_time()
            if not args.no_instant:
                scores["instant"] = [
                    psnr(
                        train(x, method="instant", seed=args.seed).predict(
                            x, tta=True, dtype=float
                        ),
                        t,
                        data_range=PEAK,
                    )
                    for x, t in pairs
                ]
            row = {"set": name, "sigma": sigma, "images": len(pairs), "seed": args.seed}
            row |= {key: float(np.mean(values)) for key, values in scores.items()}
            row |= {f"{key}_sd": float(np.std(values)) for key, values in scores.items()}
            row["cpu_s_per_image"] = (time.process_time() - started) / len(pairs)
            rows.append(row)
            print(
                name,
                sigma,
                " ".join(f"{k} {np.mean(v):.2f}" for k, v in scores.items()),
                flush=True,
            )
    record(f"instant_seed{args.seed}", vars(args), rows)


if __name__ == "__main__":
    main()
