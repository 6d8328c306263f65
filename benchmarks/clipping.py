"""Dark and bright parts of pictures that were cut off, with and without the setting declip.

    python benchmarks/clipping.py            # a minute of processor time

Photographs of scikit-image, made dim or bright, with normal noise that is constant or grows with
the signal, written into 8 bits. Means over the darkest and the brightest fifth of the truth, of the
noisy picture, of results that keep its means (the default) and of results with ``declip=true``, and
the PSNR with a peak of 255 of both.
"""

from __future__ import annotations

import argparse

import numpy as np
from skimage import data

import unnoise
from common import record
from unnoise.config.config import Config
from unnoise.quality.metrics import psnr

SCENES = {
    "dim, sd 20": ("camera", 0.15, 0.0, 0.0, 400.0),
    "dim, photons": ("coins", 0.3, -8.0, 5.0, 100.0),
    "bright, sd 20": ("moon", 1.8, 0.0, 0.0, 400.0),
}
"""Photograph, contrast, offset, gain and read variance."""


def main() -> None:
    """Print and keep a line for every scene and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["instant"])
    parser.add_argument("--side", type=int, default=384)
    args = parser.parse_args()
    rows = []
    for name, (picture, contrast, offset, gain, read) in SCENES.items():
        photograph = getattr(data, picture)()[: args.side, : args.side]
        clean = np.maximum(photograph * contrast + offset, 0)
        rng = np.random.default_rng(0)
        noisy = rng.normal(clean, np.sqrt(gain * clean + read)).clip(0, 255).round()
        noisy = noisy.astype(np.uint8)
        ends = {
            "dark": clean <= np.quantile(clean, 0.2),
            "bright": (clean >= np.quantile(clean, 0.8)) & (clean < 255),
        }
        for method in args.methods:
            results = {"truth": clean, "noisy": noisy}
            for label, made in (("kept", ""), ("declip", "declip=true")):
                config = Config(method=method)
                model = unnoise.train(noisy, config=config.set(made) if made else config)
                results[label] = model.predict(noisy.astype(np.float32))
            row: dict[str, object] = {"scene": name, "method": method}
            for label, x in results.items():
                row |= {f"{label}_{end}": float(x[where].mean()) for end, where in ends.items()}
            truth = np.minimum(clean, 255)
            for label in ("kept", "declip"):
                row[f"{label}_psnr"] = psnr(results[label], truth, data_range=255)
            rows.append(row)
            told = (f"{k} {v:.2f}" if isinstance(v, float) else str(v) for k, v in row.items())
            print(", ".join(told), flush=True)
    record("clipping", vars(args) | {"seed": 0}, rows)


if __name__ == "__main__":
    main()
