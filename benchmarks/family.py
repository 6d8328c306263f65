"""Every method on the same data with the same budget: CPU seconds of one thread.

    python benchmarks/family.py bsd68 --seconds 480     # many images, Gaussian noise of sigma 25
    python benchmarks/family.py w2s --seconds 60        # one widefield image at a time
    python benchmarks/family.py fmd --seconds 60        # one confocal image at a time
    python benchmarks/family.py stripes --seconds 60    # synthetic, noise correlated along rows
    python benchmarks/family.py table                   # the table of what was run

Nets are the fast preset of every method, one pass without averaging over symmetries. The methods
of the Noise2Void family see noisy images only: those that are scored (w2s, fmd, stripes) or
Train400 (bsd68). Noise2Noise gets a second noisy image of each, where there is one; CARE the clean
images of Train400, of other fields (w2s), or of the other two dyes (fmd). On real pairs the
measure is the scale-invariant PSNR, because their files were stretched separately.

The checkerboard measure is the share of the error that a 2x2 checkerboard explains:
``mean((e * [[1, -1], [-1, 1]] / 2) ** 2) / mean(e ** 2)``; it is 1 for white noise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch
from scipy import ndimage
from skimage import data as samples

from bsd68 import noisy_images
from common import HERE, data, record
from unnoise.config.config import Config
from unnoise.config.methods import METHODS
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.quality.metrics import psnr, scale_invariant_psnr
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan
from unnoise.training.start import start

Score = Callable[[np.ndarray, np.ndarray], float]
Pictures = list[np.ndarray]


@dataclass(frozen=True)
class Case:
    """Images to score and, if they differ, to train on; and what pairs there are."""

    name: str
    tests: list[tuple[np.ndarray, np.ndarray]]
    noisy: Pictures
    seconds: Pictures | None = None
    supervised: tuple[Pictures, Pictures] | None = None
    options: dict[str, dict[str, Any]] = field(default_factory=dict)


def bsd68() -> tuple[list[Case], Score]:
    folder = data("natural")
    pairs = noisy_images(folder / "train400", 25, 1)
    rng = np.random.default_rng(3)
    noisy, clean = [x for x, _ in pairs], [t for _, t in pairs]
    second = [t + 25 * rng.standard_normal(t.shape, np.float32) for t in clean]
    tests = noisy_images(folder / "bsd68", 25, 2)
    case = Case("BSD68", tests, noisy, second, (noisy, clean))
    return [case], lambda x, t: psnr(x, t, data_range=255)


def _pair(folder: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    place = data(folder)
    noisy, truth = (imagecodecs.imread(str(place / f"{name}__{k}.png")) for k in ("noisy", "gt"))
    return noisy.astype(np.float32), truth.astype(np.float32)


def w2s() -> tuple[list[Case], Score]:
    dev = [_pair("w2s", f"{field}_{c}") for field in ("001", "005", "009") for c in range(3)]
    supervised = ([x for x, _ in dev], [t for _, t in dev])
    names = ("002_0", "007_1", "011_2")
    pairs = {name: _pair("w2s", name) for name in names}
    cases = [Case(n, [pair], [pair[0]], None, supervised) for n, pair in pairs.items()]
    return cases, scale_invariant_psnr


def fmd() -> tuple[list[Case], Score]:
    pairs = {dye: _pair("fmd", f"confocal_BPAE_{dye}_fov1") for dye in "BGR"}
    frames = tifffile.imread(data("fmd") / "repeats_BPAE_B_fov1_t16__noisy.tif")
    cases = []
    for dye, (noisy, truth) in pairs.items():
        others = [pair for name, pair in pairs.items() if name != dye]
        supervised = ([x for x, _ in others], [t for _, t in others])
        # Of B there are repeats: the one that is not the image itself is its second look.
        same = [f.astype(np.float32) for f in frames] if dye == "B" else []
        second = next((f for f in same if f.shape == noisy.shape and (f != noisy).any()), None)
        seconds = None if second is None else [second]
        cases.append(Case(f"FMD {dye}", [(noisy, truth)], [noisy], seconds, supervised))
    return cases, scale_invariant_psnr


def stripes() -> tuple[list[Case], Score]:
    """Noise that is a moving average of five pixels along X, half the contrast of the picture."""
    cases = []
    for name in ("coins", "camera"):
        truth = getattr(samples, name)()[:300, :384].astype(np.float32)
        rng = np.random.default_rng(5)
        white = rng.standard_normal((2, *truth.shape))
        noise = ndimage.convolve1d(white, np.ones(5) / np.sqrt(5), axis=-1, mode="wrap")
        first, second = (truth + 0.5 * truth.std() * noise).astype(np.float32)
        case = Case(name, [(first, truth)], [first], [second], None)
        case.options["structn2v"] = {"mask": {"struct": "horizontal:9"}}
        cases.append(case)
    return cases, lambda x, t: psnr(x, t, data_range=float(np.ptp(t)))


SETS = {"bsd68": bsd68, "w2s": w2s, "fmd": fmd, "stripes": stripes}


def checkerboard(error: np.ndarray) -> float:
    """Share of an error that a 2x2 checkerboard explains; 1 for white noise."""
    e = error - error.mean()
    response = (e[1:, 1:] - e[1:, :-1] - e[:-1, 1:] + e[:-1, :-1]) / 2
    return float((response**2).mean() / (e**2).mean())


def stripe(error: np.ndarray) -> float:
    """Correlation of the error with its neighbour along X: 0 for white noise."""
    e = error - error.mean()
    return float((e[:, 1:] * e[:, :-1]).mean() / (e**2).mean())


def fitted(x: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The error after the affine map that comes closest to the truth."""
    a, b = np.polyfit(x.ravel().astype(np.float64), truth.ravel().astype(np.float64), 1)
    return a * x + b - truth


SUPERVISED: dict[int, Any] = {}
"""Finished supervised runs by their training images, which several cases may share."""


def one(case: Case, method: str, seconds: float, seed: int) -> tuple[Any, list[np.ndarray]]:
    """A run of a method on a case, and what it makes of the images to score."""
    run = SUPERVISED.get(id(case.supervised)) if method == "care" else None
    run = run or _run(case, method, seconds, seed)
    if method == "care":
        SUPERVISED[id(case.supervised)] = run
    model = run.model()
    return run, [predict_array(model, x, dtype=np.float32) for x, _ in case.tests]


def _run(case: Case, method: str, seconds: float, seed: int) -> Any:
    """A finished run."""
    noisy, targets = case.noisy, None
    if method == "n2n":
        targets = case.seconds
    if method == "care":
        noisy, targets = case.supervised or (noisy, None)
    if method in ("n2n", "care") and targets is None:
        raise InputError("no pairs")
    config = Config.preset(method=method).replace(**case.options.get(method, {}))
    images = [Image.from_array(x) for x in noisy]
    partners = None if targets is None else [Image.from_array(x) for x in targets]
    cpu = torch.device("cpu")
    if METHODS[method].run == "filter":
        run: Any = start(images, plan(images, config), cpu)
    else:
        config = config.with_budget(seconds / 60, seed=seed)
        model = plan(images, config, partners)
        run = TrainingRun(images, model, cpu, partners, clock=time.process_time)
    for _ in run:
        pass
    return run


def measure(
    cases: Sequence[Case], score: Score, methods: Sequence[str], seconds: float, seed: int
) -> list[dict[str, Any]]:
    """One row per method and case."""
    rows = []
    for case in cases:
        before = [(x, t) for x, t in case.tests]
        rows.append(row(case, "noisy", [x for x, _ in before], score))
        for method in methods:
            started = time.process_time()
            try:
                run, results = one(case, method, seconds, seed)
            except InputError as error:
                print(f"{case.name:8} {method:10} not run: {error}", flush=True)
                continue
            cpu = time.process_time() - started
            rows.append(row(case, method, results, score, steps=run.step, cpu_s=cpu))
    return rows


def row(
    case: Case, method: str, results: Sequence[np.ndarray], score: Score, **extra: Any
) -> dict[str, Any]:
    truths = [t for _, t in case.tests]
    errors = [fitted(x, t) for x, t in zip(results, truths, strict=True)]
    values = {
        "case": case.name,
        "method": method,
        "psnr": float(np.mean([score(x, t) for x, t in zip(results, truths, strict=True)])),
        "checkerboard": float(np.mean([checkerboard(e) for e in errors])),
        "stripe": float(np.mean([stripe(e) for e in errors])),
        **extra,
    }
    text = "  ".join(f"{k} {v:.3f}" for k, v in values.items() if isinstance(v, float))
    print(f"{case.name:8} {method:10} {text}", flush=True)
    return values


def table() -> None:
    """The rows of all sets that were run, as a table for the documentation."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name in SETS:
        for path in sorted((HERE / "results").glob(f"family_{name}_seed*.json")):
            for r in json.loads(path.read_text())["rows"]:
                found.setdefault(name, {}).setdefault(r["method"], []).append(r)
    for title, key, digits in (("PSNR, dB", "psnr", 2), ("checkerboard", "checkerboard", 3)):
        print(f"\n| {title} | " + " | ".join(found) + " |\n|---|" + "---|" * len(found))
        for method in ("noisy", *METHODS):
            cells = [found[name].get(method, []) for name in found]
            if any(cells):
                means = [np.mean([r[key] for r in c]) if c else None for c in cells]
                text = " | ".join("" if m is None else f"{m:.{digits}f}" for m in means)
                print(f"| {method} | {text} |")
    if "stripes" in found:
        print("\nCorrelation of the error with its neighbour along X (stripes):")
        for method, rows in found["stripes"].items():
            print(f"  {method:10} {np.mean([r['stripe'] for r in rows]):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=(*SETS, "table"))
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds per training")
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=tuple(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.set == "table":
        table()
        return
    torch.set_num_threads(1)
    cases, score = SETS[args.set]()
    rows = measure(cases, score, args.methods, args.seconds, args.seed)
    tag = "" if set(args.methods) == set(METHODS) else "_" + "-".join(args.methods)
    print(f"wrote {record(f'family_{args.set}_seed{args.seed}{tag}', vars(args), rows)}")


if __name__ == "__main__":
    sys.exit(main())
