"""Parity with n2v on BSD68, sigma 25: same noisy pictures, recipe, steps and seeds, one thread.

Both train on the same 380 of the 400 noisy training pictures; n2v takes the other 20 to choose its
best weights, unnoise holds pixels back. Noise, peak and mean over images as in bsd68.py, and no
8-fold averaging. CPU seconds are those of training alone.

    sh benchmarks/peers/setup.sh                              # once: n2v 0.3.3 in .peers
    python benchmarks/parity.py                               # both, seeds 0, 1 and 2
    python benchmarks/parity.py --only peer                   # in separate processes
    python benchmarks/parity.py --only ours --seeds 0
    python benchmarks/parity.py --only table                  # of results that are there
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from bsd68 import noisy_images
from common import HERE, data, record
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.nets.device import select_device
from unnoise.quality.metrics import psnr
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

SIGMA = 25.0
EVERY = 20
"""Every 20th training picture is n2v's for validation: 5 %, below which it warns."""


def prepare(folder: Path) -> dict[str, np.ndarray]:
    """Write what both sides read, noisy pictures only; return the clean test pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    train = np.stack([x for x, _ in noisy_images(data("natural") / "train400", SIGMA, 1)])
    test = noisy_images(data("natural") / "bsd68", SIGMA, 2)
    is_validation = np.arange(len(train)) % EVERY == 0
    # Moved into place when whole, since another side may be about to read them.
    part = folder / f"part{os.getpid()}"
    for name, values in (
        ("train.npy", train[~is_validation]),
        ("validation.npy", train[is_validation]),
        ("test.npz", {f"{i:03d}": x for i, (x, _) in enumerate(test)}),
    ):
        with part.open("wb") as file:
            if isinstance(values, dict):
                np.savez(file, **values)
            else:
                np.save(file, values)
        part.replace(folder / name)
    return {f"{i:03d}": clean for i, (_, clean) in enumerate(test)}


def mean_psnr(predictions: dict[str, np.ndarray], clean: dict[str, np.ndarray]) -> float:
    """Mean PSNR over all test pictures."""
    return float(np.mean([psnr(predictions[k], t, data_range=255) for k, t in clean.items()]))


def peer(python: Path, folder: Path, clean: dict, seed: int, args: argparse.Namespace) -> dict:
    """Train n2v in its own environment and score what it predicts."""
    out = folder / f"n2v_seed{seed}"
    command = [str(python), str(HERE / "peers" / "n2v_bsd68.py"), str(folder), "--out", str(out)]
    for name in ("steps", "steps_per_epoch", "filters"):
        command += ["--" + name.replace("_", "-"), str(getattr(args, name))]
    subprocess.run([*command, "--seed", str(seed)], check=True)
    result = json.loads(out.with_suffix(".json").read_text())
    out.with_suffix(".json").unlink()
    for name in ("best", "last"):
        path = Path(f"{out}_{name}.npz")
        with np.load(path) as predictions:
            result[f"psnr_{name}"] = mean_psnr(dict(predictions), clean)
        path.unlink()
    return result


def configuration(args: argparse.Namespace, seed: int) -> Config:
    """The same recipe in our words."""
    return Config.preset("paper", "n2v").replace(
        net={"filters": args.filters},
        training={
            "batch_size": 16,
            "steps": args.steps,
            "validate_every": args.steps_per_epoch,
            "seed": seed,
        },
    )


def ours(folder: Path, clean: dict, seed: int, args: argparse.Namespace) -> dict:
    """Train unnoise on the same pictures for as many steps."""
    images = [Image.from_array(x) for x in np.load(folder / "train.npy")]
    config = configuration(args, seed)
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    run = TrainingRun(images, plan(images, config), select_device("cpu"))
    shown = 0
    for p in run:
        if len(run.history) > shown:
            shown = len(run.history)
            print(
                f"seed {seed}  step {p.step}  {p.seconds:.0f} s  loss {p.loss:.4f}  "
                f"held-out {p.held_out:.4f}",
                flush=True,
            )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    model = run.model()
    with np.load(folder / "test.npz") as test:
        predictions = {k: predict_array(model, test[k], tta=False, dtype=float) for k in test.files}
    return {
        "seed": seed,
        "steps": run.step,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": wall,
        "psnr": mean_psnr(predictions, clean),
        "history": run.history,
        "settings": config.model_dump(),
        "versions": {p: version(p) for p in ("unnoise", "torch", "numpy")},
    }


def table(folder: Path, args: argparse.Namespace, name: str) -> None:
    """Print what is there; record it once both sides of every seed are."""
    rows = []
    print("seed  n2v best  n2v last  unnoise  difference to best  CPU s n2v  CPU s unnoise")
    for seed in args.seeds:
        paths = [folder / f"{side}_{name}_seed{seed}.json" for side in ("peer", "ours")]
        n2v, unnoise = (json.loads(p.read_text()) if p.exists() else {} for p in paths)
        if n2v and unnoise:
            rows.append(
                {
                    "seed": seed,
                    "n2v_best": n2v["psnr_best"],
                    "n2v_last": n2v["psnr_last"],
                    "unnoise": unnoise["psnr"],
                    "difference": unnoise["psnr"] - n2v["psnr_best"],
                    "n2v": n2v,
                    "ours": unnoise,
                }
            )
        cells = (
            (n2v.get("psnr_best"), 8, 2),
            (n2v.get("psnr_last"), 8, 2),
            (unnoise.get("psnr"), 7, 2),
            (rows[-1]["difference"] if n2v and unnoise else None, 18, 2),
            (n2v.get("cpu_s"), 9, 0),
            (unnoise.get("cpu_s"), 13, 0),
        )
        text = ("-".rjust(w) if v is None else f"{v:{w}.{digits}f}" for v, w, digits in cells)
        print(f"{seed:4d}  " + "  ".join(text))
    if len(rows) == len(args.seeds):
        gaps = [r["difference"] for r in rows]
        print(
            f"{args.steps} steps, {args.filters} filters: unnoise minus n2v (best weights), "
            f"mean over {len(gaps)} seeds {np.mean(gaps):+.3f} dB, "
            f"range {min(gaps):+.3f} to {max(gaps):+.3f}"
        )
        settings = {k: v for k, v in vars(args).items() if not isinstance(v, Path)}
        record("parity", {**settings, "threads": 1, "sigma": SIGMA}, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--steps-per-epoch", type=int, default=100)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", choices=("peer", "ours", "table"))
    parser.add_argument("--venv", type=Path, default=HERE.parent / ".peers", help="see setup.sh")
    parser.add_argument("--work", type=Path, help="folder of data and results, in --venv")
    args = parser.parse_args()
    folder = args.work or args.venv / "work"
    python = args.venv.absolute() / "n2v" / "bin" / "python"
    name = f"{args.filters}x{args.steps}"
    if args.only in (None, "peer") and not python.exists():
        sys.exit(f"n2v is missing in {args.venv}: run benchmarks/peers/setup.sh first")
    torch.set_num_threads(1)
    if args.only != "table":
        clean = prepare(folder)
        for seed in args.seeds:
            if args.only != "ours":
                result = peer(python, folder, clean, seed, args)
                path = folder / f"peer_{name}_seed{seed}.json"
                path.write_text(json.dumps(result, indent=1) + "\n")
            if args.only != "peer":
                result = ours(folder, clean, seed, args)
                path = folder / f"ours_{name}_seed{seed}.json"
                path.write_text(json.dumps(result, indent=1) + "\n")
    table(folder, args, name)


if __name__ == "__main__":
    sys.exit(main())
