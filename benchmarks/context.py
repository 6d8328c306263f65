"""Nets that see neighbouring frames against those that see one, at the same CPU seconds.

    python benchmarks/context.py movies --seconds 60    # simulated movies with truth
    python benchmarks/context.py stack --seconds 60     # cells3d of scikit-image, noise added
    python benchmarks/context.py events --seconds 60    # what is left of flashes, spikes, particles
    python benchmarks/context.py table                  # tables of what was run

Every net is the fast preset, trained on the movie that is scored, one pass without averaging over
symmetries. ``n2v 3D`` is the net of volumes with frames in the place of slices; ``adapted`` trains
for 400 steps, whatever the seconds. PSNR over all frames, against the range of the truth.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

import movie_scenes
import unnoise
from common import HERE, data, record
from movies import changed, kept, shares
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.nets import joined_frames as joining
from unnoise.quality.metrics import psnr
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

FRAMES, SIDE = 16, 128
"""Of the simulated movies only so much is used."""
SIGMA = 0.1
"""Noise added to the stack, as a share of its range."""
METHODS: dict[str, dict[str, Any]] = {
    "n2v": {"method": "n2v"},
    "n2v 1": {"method": "n2v", "reach": 1},
    "n2v 2": {"method": "n2v", "reach": 2},
    "n2v 3": {"method": "n2v", "reach": 3},
    "n2v 3D": {"method": "n2v", "ndim": 3},
    "n2n": {"method": "n2n"},
    "r2r": {"method": "r2r"},
    "r2r 1": {"method": "r2r", "reach": 1},
    "r2r 2": {"method": "r2r", "reach": 2},
    "adapted": {"method": "adapted", "steps": 400},
}
"""The number is that of the frames seen before and after."""
Pair = tuple[NDArray, NDArray]


def movies(names: list[str], light: float, seed: int) -> dict[str, Pair]:
    """Truth and noisy recording by name."""
    found = {}
    for name in names:
        truth, noisy = movie_scenes.movie(name, seed, light)
        found[name] = tuple(x[:FRAMES, :SIDE, :SIDE] for x in (truth + 100, noisy))
    return found


def stack(seed: int) -> dict[str, Pair]:
    """Slices of the nuclei of cells3d, nearly free of noise, with normal noise added."""
    path = data("stack3d") / "cells3d_nuclei_20x128x128__noisy.tif"
    truth = tifffile.imread(path).astype(np.float32)
    truth /= np.quantile(truth, 0.999)
    noise = np.random.default_rng(seed).normal(0, SIGMA, truth.shape)
    return {"cells3d": (truth, (truth + noise).astype(np.float32))}


def run(noisy: NDArray, axis: str, name: str, seconds: float, seed: int) -> tuple[NDArray, int]:
    """What a method makes of a movie or stack after so many CPU seconds of training."""
    model, image = trained(noisy, axis, name, seconds, seed)
    return predict_array(model, image, dtype=np.float32), model.provenance.steps


def trained(noisy: NDArray, axis: str, name: str, seconds: float, seed: int) -> tuple[Model, Image]:
    """The model of a training of so many CPU seconds, and what it was trained on."""
    wanted = METHODS[name]
    axes = "ZYX" if wanted.get("ndim") == 3 else f"{axis}YX"
    if "steps" in wanted:
        steps, method = wanted["steps"], wanted["method"]
        model = unnoise.train(noisy, axes=axes, method=method, steps=steps, seed=seed)
        return model, Image.from_array(noisy, axes)
    config = Config.preset(method=wanted["method"]).with_budget(seconds / 60, seed=seed)
    config = config.replace(ndim=wanted.get("ndim", 2), context={axis: wanted.get("reach", 0)})
    if wanted["method"] == "n2n":
        config = config.replace(pairs={"axis": axis})
    image = Image.from_array(noisy, axes)
    training = TrainingRun(
        [image], plan([image], config), torch.device("cpu"), clock=time.process_time
    )
    for _ in training:
        pass
    return training.model(), image


def events(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Shares of events that nets show in their frame and in those beside it, as movies.py does."""
    rows = []
    for kind, snr, method in itertools.product(args.kinds, args.snrs, args.methods):
        plain, lit, shown, centres = movie_scenes.events(kind, snr, args.seed)
        model, _ = trained(lit, "T", method, args.seconds, args.seed)
        row: dict[str, Any] = {"kind": kind, "snr": snr, "method": method}
        row["steps"] = model.provenance.steps
        if model.second is not None:
            row["share"] = model.second.share
        for place, t in (("before", -1), ("kept", 0), ("after", 1)):
            at = movie_scenes.AT + t
            found = shares(changed(model, lit, plain, at), shown, at, centres, kind)
            if found:
                error = float(np.std(found)) / len(found) ** 0.5
                row |= {place: float(np.mean(found)), f"{place}_error": error}
        rows.append(row)
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=("movies", "stack", "events", "table"))
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds per training")
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=tuple(METHODS))
    parser.add_argument("--scenes", nargs="+", default=sorted(movie_scenes.SCENES))
    parser.add_argument("--kinds", nargs="+", default=movie_scenes.EVENTS, help="of events")
    parser.add_argument("--snrs", type=int, nargs="+", default=(3, 5, 10), help="of events")
    parser.add_argument("--light", type=float, default=30.0, help="photons of the brightest places")
    parser.add_argument("--seed", type=int, default=movie_scenes.DEVELOPMENT)
    args = parser.parse_args()
    if args.set == "table":
        table()
        return
    torch.set_num_threads(1)
    if args.set == "events":
        joining._weights = kept(joining._weights)
        which = "" if len(args.kinds) > 1 else f"_{args.kinds[0]}"
        tag = f"context_events{which}_seed{args.seed}_{args.seconds:g}s"
        print(f"wrote {record(tag, vars(args), events(args))}")
        return
    still = args.set == "stack"
    pairs = stack(args.seed) if still else movies(args.scenes, args.light, args.seed)
    axis = "Z" if still else "T"
    rows: list[dict[str, Any]] = []
    for name, (truth, noisy) in pairs.items():
        span = float(np.ptp(truth))
        rows.append({"case": name, "method": "noisy", "psnr": psnr(noisy, truth, data_range=span)})
        for method in args.methods:
            clean, steps = run(noisy, axis, method, args.seconds, args.seed)
            value = psnr(clean, truth, data_range=span)
            rows.append({"case": name, "method": method, "psnr": value, "steps": steps})
            print(f"{name:12} {method:8} {rows[-1]['psnr']:.2f} dB {steps} steps", flush=True)
    tag = f"{args.set}_seed{args.seed}_{args.seconds:g}s"
    print(f"wrote {record(f'context_{tag}', vars(args), rows)}")


def table() -> None:
    """The rows of all runs, as tables for the documentation."""
    for path in sorted((HERE / "results").glob("context_*.json")):
        rows = [r for r in json.loads(path.read_text())["rows"] if "case" in r]
        cases = list(dict.fromkeys(r["case"] for r in rows))
        print(f"\n{path.stem}\n| method | " + " | ".join(cases) + " |\n|---|" + "---|" * len(cases))
        for method in dict.fromkeys(r["method"] for r in rows):
            found = {r["case"]: r["psnr"] for r in rows if r["method"] == method}
            cells = [f"{found[c]:.2f}" if c in found else "" for c in cases]
            print(f"| {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(main())
