"""Do results keep the mean of few photons? Noisy Poisson images against their results.

    python benchmarks/photon_bias.py --methods n2v --draws 3       # minutes
    python benchmarks/photon_bias.py --scenes camera --side 64      # every method: minutes
    python benchmarks/photon_bias.py                               # larger, three scenes: hours
    python benchmarks/photon_bias.py table                         # of what is stored

Flat and structured scenes of a mean of 0.2, 1 and 10 counts, many draws each. Results are float32,
since integers cannot tell 0.2 from 0. `itself`: the image that the method was applied to, averaged
over symmetries as `unnoise denoise` does. `another`: one more draw of the scene through the same
model, in one pass. Both are changes of the mean in percent with their standard errors over draws;
the limit is 0.5 % for the first. CARE is held against the scene, whose brightness its targets have.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data, transform

import unnoise
from common import alone, origin, record, recorded
from unnoise.config.config import Config
from unnoise.config.methods import METHODS as KNOWN
from unnoise.noise.camera.file import Camera
from unnoise.noise.noise_models import PoissonGauss

LIMIT = 0.5
MEANS = (0.2, 1.0, 10.0)
METHODS: dict[str, dict[str, Any]] = {
    "instant": {"method": "instant"},
    "gaussian": {"method": "gaussian"},
    "nlm": {"method": "nlm"},
    "tv": {"method": "tv"},
    "wavelet": {"method": "wavelet"},
    "nlridge": {"method": "nlridge"},
    "n2v": {"method": "n2v"},
    "n2v, pixel used": {"method": "n2v", "use_center_pixel": True},
    "n2v, gaussian": {"method": "n2v", "training": {"loss": "gaussian"}},
    "n2v, laplace": {"method": "n2v", "training": {"loss": "laplace"}},
    "n2v2": {"method": "n2v2"},
    "structn2v": {"method": "structn2v"},
    "b2u": {"method": "b2u"},
    "r2r": {"method": "r2r"},
    "thinning": {"method": "r2r", "recorruption": {"kind": "thinning"}},
    "refined": {"method": "refined"},
    "n2n": {"method": "n2n"},
    "care": {"method": "care"},
    "adapted": {"method": "adapted"},
    "auto": {},
}
"""Every method and what else decides a mean: losses, and the pixel's own value. n2n learns from a
second draw, care from the scene. bm3d is left out, as it is not free. Budgets are short, since
means that are wrong after few steps are wrong for whoever stops then.
"""


def scene(kind: str, mean: float, side: int) -> np.ndarray:
    """Expected counts: flat, or a photograph of scikit-image."""
    if kind == "flat":
        return np.full((side, side), mean)
    picture = getattr(data, kind)().astype(float)
    picture = transform.resize(picture, (side, side), anti_aliasing=True) + 5
    return np.asarray(picture * mean / picture.mean())


def photons() -> str:
    """A camera file that says that a count is a photon, which few counts do not show."""
    path = Path(tempfile.mkdtemp()) / "photons.json"
    Camera((PoissonGauss(1.0, 0.0, 0.0),)).save(path)
    return str(path)


def change(result: np.ndarray, reference: np.ndarray) -> float:
    """By how much the mean changes, in percent."""
    return float(100 * (result.mean(dtype=np.float64) / reference.mean(dtype=np.float64) - 1))


def trained(
    noisy: np.ndarray, second: np.ndarray, clean: np.ndarray, method: str, steps: int, seed: int
) -> unnoise.Model:
    """The model of a method; `auto` is what `unnoise.train` does by itself."""
    values = METHODS[method]
    if not values:
        return unnoise.train(noisy, steps=steps, seed=seed)
    entry = KNOWN[values["method"]]
    config = Config.parse(values | ({"noise_model": photons()} if method == "thinning" else {}))
    targets = {"noisy": second, "clean": clean.astype(np.float32)}.get(entry.pairs)
    if entry.run in ("filter", "instant"):
        return unnoise.train(noisy, config=config)
    return unnoise.train(noisy, targets, config=config.with_budget(steps=steps, seed=seed))


def measured(kind: str, mean: float, method: str, args: argparse.Namespace) -> dict[str, Any]:
    """Changes of the mean over draws, and the error against the scene."""
    clean = scene(kind, mean, args.side)
    itself, another, errors = [], [], []
    for seed in range(args.draws):
        rng = np.random.default_rng(seed)
        noisy, second = (rng.poisson(clean).astype(np.float32) for _ in range(2))
        model = trained(noisy, second, clean, method, args.steps, seed)
        results = [model.predict(noisy, tta=True), model.predict(second)]
        wanted = [clean, clean] if method == "care" else [noisy, second]
        for values, *pair in zip((itself, another), results, wanted, strict=True):
            values.append(change(*pair))
        errors.append(float(np.mean((results[0] - clean) ** 2) / mean))
    row: dict[str, Any] = {"error": float(np.mean(errors))}
    for name, values in (("itself", itself), ("another", another)):
        row[name] = float(np.mean(values))
        row[f"{name}_se"] = float(np.std(values, ddof=1) / len(values) ** 0.5)
    return row


def table() -> None:
    """Stored rows for the documentation: changes of means, by method and counts."""
    rows = recorded("photon_bias")
    for kind, side in dict.fromkeys((r["scene"], r["side"]) for r in rows):
        print(f"\n{kind}, {side}x{side}\n| method | " + " | ".join(map(str, MEANS)) + " |")
        print("|---|" + "---|" * len(MEANS))
        own = {(r["method"], r["mean"]): r for r in rows if (r["scene"], r["side"]) == (kind, side)}
        for method in METHODS:
            found = [own.get((method, mean)) for mean in MEANS]
            cells = [f"{r['itself']:+.2f} ± {r['itself_se']:.2f}" if r else "" for r in found]
            print(f"| {method} | {' | '.join(cells)} |")


def main() -> None:
    """Print and keep a line for every scene, method and mean."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=("run", "table"), default="run")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20, help="of every training")
    parser.add_argument("--scenes", nargs="+", default=["flat", "camera", "coins"])
    parser.add_argument("--means", nargs="+", type=float, default=list(MEANS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    args = parser.parse_args()
    if args.what == "table":
        table()
        return
    print("scene    mean  method           itself (%)        another (%)       error / mean")
    for kind, method, mean in itertools.product(args.scenes, args.methods, args.means):
        case = {"scene": kind, "side": args.side, "mean": mean, "method": method}
        row = case | measured(kind, mean, method, args)
        changes = "  ".join(f"{row[k]:+.3f} +- {row[f'{k}_se']:.3f}" for k in ("itself", "another"))
        over = abs(row["itself"]) - LIMIT
        verdict = "pass" if over <= 0 else "FAIL"
        if 0 < over <= 2 * row["itself_se"]:
            verdict = "open: more draws"
        line = f"{kind:8} {mean:4g}  {method:15} {changes}   {row['error']:.4f}  {verdict}"
        print(line, flush=True)
        with alone("photon_bias"):
            kept = [r for r in recorded("photon_bias") if any(r[k] != case[k] for k in case)]
            how = {"draws": args.draws, "steps": args.steps}
            record("photon_bias", vars(args), [*kept, row | how | origin()])


if __name__ == "__main__":
    main()
