"""Do results keep the mean of few photons? Noisy Poisson images against their results.

    python benchmarks/photon_bias.py                               # many hours on two cores
    python benchmarks/photon_bias.py --methods n2v --draws 3       # minutes
    python benchmarks/photon_bias.py --scenes camera --side 96 --draws 20   # every method, once

Flat and structured scenes of a mean of 0.2, 1 and 10 counts, many draws each. Results are float32,
since integers cannot tell 0.2 from 0. `itself`: the image that the method was applied to, averaged
over symmetries as `unnoise denoise` does. `another`: one more draw of the scene through the same
model, in one pass. Both are changes of the mean in percent with their standard errors over draws;
the limit is 0.5 % for the first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data, transform

import unnoise
from common import record
from unnoise.config.config import Config
from unnoise.config.methods import METHODS as KNOWN
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss

LIMIT = 0.5
MEANS = (0.2, 1.0, 10.0)
METHODS: dict[str, dict[str, Any]] = {
    "instant": {"method": "instant"},
    "adapted": {"method": "adapted", "minutes": 0.4},
    "n2v": {"method": "n2v", "steps": 150},
    "n2v2": {"method": "n2v2", "steps": 60},
    "structn2v": {"method": "structn2v", "steps": 150},
    "b2u": {"method": "b2u", "steps": 120},
    "r2r": {"method": "r2r", "steps": 150},
    "thinning": {"method": "r2r", "steps": 150},
    "n2n": {"method": "n2n", "steps": 150},
    "gaussian": {"method": "gaussian"},
    "nlm": {"method": "nlm"},
    "tv": {"method": "tv"},
    "wavelet": {"method": "wavelet"},
    "nlridge": {"method": "nlridge"},
    "auto": {"minutes": 0.4},
}
"""Every method, with short budgets, as means that are wrong early are wrong for whoever stops then;
n2n learns from a second draw. bm3d is left out (not free), and care (it learns from the truth)."""


def scene(kind: str, mean: float, side: int) -> np.ndarray:
    """Expected counts: flat, or a photograph of scikit-image."""
    if kind == "flat":
        return np.full((side, side), mean)
    picture = getattr(data, kind)().astype(float)
    picture = transform.resize(picture, (side, side), anti_aliasing=True) + 5
    return np.asarray(picture * mean / picture.mean())


def photons() -> Config:
    """Recorruption that deals out photons, told that a count is one: few counts do not show it."""
    path = Path(tempfile.mkdtemp()) / "photons.json"
    Camera((PoissonGauss(1.0, 0.0, 0.0),)).save(path)
    return Config(method="r2r").set("recorruption.kind=thinning", f"noise_model={path}")


def change(result: np.ndarray, noisy: np.ndarray) -> float:
    """By how much the mean changes, in percent."""
    return float(100 * (result.mean(dtype=np.float64) / noisy.mean(dtype=np.float64) - 1))


def measured(kind: str, mean: float, how: dict[str, Any], draws: int, side: int) -> dict[str, Any]:
    """Changes of the mean over draws, and the error against the scene."""
    clean = scene(kind, mean, side)
    entry = KNOWN.get(how.get("method", ""))
    seeded = entry is None or entry.run != "filter"
    paired = entry is not None and entry.pairs == "noisy"
    itself, another, errors = [], [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        noisy, second = (rng.poisson(clean).astype(np.float32) for _ in range(2))
        model = unnoise.train(
            noisy, second if paired else None, seed=seed if seeded else None, **how
        )
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
                how = METHODS[method] | ({"config": photons()} if method == "thinning" else {})
                row = measured(kind, mean, how, args.draws, args.side)
                rows.append({"scene": kind, "mean": mean, "method": method, **row})
                changes = "  ".join(
                    f"{row[k]:+.3f} +- {row[f'{k}_se'] or 0:.3f}" for k in ("itself", "another")
                )
                over = abs(row["itself"]) - LIMIT
                verdict = "pass" if over <= 0 else "FAIL"
                if 0 < over <= 2 * (row["itself_se"] or 0):
                    verdict = "open: more draws"
                print(
                    f"{kind:8} {mean:4g}  {method:8} {changes}   {row['error']:.4f}  {verdict}",
                    flush=True,
                )
    record("photon_bias", vars(args), rows)


if __name__ == "__main__":
    main()
