"""Do results keep the mean of few photons? Noisy Poisson images against their results.

    python benchmarks/photon_bias.py                               # about 2 hours on two cores
    python benchmarks/photon_bias.py --methods n2v --draws 3       # minutes

Flat and structured scenes of a mean of 0.2, 1 and 10 counts, many draws each. Results are float32,
since integers cannot tell 0.2 from 0. `itself`: the image that the method was applied to, averaged
over symmetries as `unnoise denoise` does. `another`: one more draw of the scene through the same
model, in one pass. Both are changes of the mean in percent with their standard errors over draws;
the limit is 0.5 % for the first.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from skimage import data, transform

import unnoise
from common import record

LIMIT = 0.5
MEANS = (0.2, 1.0, 10.0)
METHODS: dict[str, dict[str, Any]] = {
    "instant": {"method": "instant"},
    "n2v": {"method": "n2v", "steps": 150},
    "auto": {"minutes": 0.4},
}


def scene(kind: str, mean: float, side: int) -> np.ndarray:
    """Expected counts: flat, or a photograph of scikit-image."""
    if kind == "flat":
        return np.full((side, side), mean)
    picture = getattr(data, kind)().astype(float)
    picture = transform.resize(picture, (side, side), anti_aliasing=True) + 5
    return np.asarray(picture * mean / picture.mean())


def change(result: np.ndarray, noisy: np.ndarray) -> float:
    """By how much the mean changes, in percent."""
    return float(100 * (result.mean(dtype=np.float64) / noisy.mean(dtype=np.float64) - 1))


def measured(kind: str, mean: float, how: dict[str, Any], draws: int, side: int) -> dict[str, Any]:
    """Changes of the mean over draws, and the error against the scene."""
    clean = scene(kind, mean, side)
    itself, another, errors = [], [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        noisy, second = (rng.poisson(clean).astype(np.float32) for _ in range(2))
        model = unnoise.train(noisy, seed=seed, **how)
        result = model.predict(noisy, tta=True)
        itself.append(change(result, noisy))
        another.append(change(model.predict(second), second))
        errors.append(float(np.mean((result - clean) ** 2) / mean))
    row: dict[str, Any] = {"error": float(np.mean(errors))}
    for name, values in (("itself", itself), ("another", another)):
        row[name] = float(np.mean(values))
        row[f"{name}_se"] = float(np.std(values, ddof=1) / np.sqrt(draws)) if draws > 1 else None
    return row


def main() -> None:
    """Print and keep a line for every scene, mean and method."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--scenes", nargs="+", default=["flat", "camera", "coins"])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    args = parser.parse_args()
    rows = []
    print("scene    mean  method   itself (%)        another (%)       error / mean")
    for kind in args.scenes:
        for mean in MEANS:
            for method in args.methods:
                row = measured(kind, mean, METHODS[method], args.draws, args.side)
                rows.append({"scene": kind, "mean": mean, "method": method, **row})
                changes = "  ".join(
                    f"{row[k]:+.3f} +- {row[f'{k}_se'] or 0:.3f}" for k in ("itself", "another")
                )
                verdict = "pass" if abs(row["itself"]) <= LIMIT else "FAIL"
                print(
                    f"{kind:8} {mean:4g}  {method:8} {changes}   {row['error']:.4f}  {verdict}",
                    flush=True,
                )
    record("photon_bias", vars(args), rows)


if __name__ == "__main__":
    main()
