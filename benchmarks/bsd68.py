"""BSD68 with Gaussian noise: train on noisy Train400 only, report PSNR on the 68 images.

The noise is neither clipped nor rounded, the peak is 255, and the mean is taken over images
(Krull et al., CVPR 2019). No clean image is ever shown to the training.

    python benchmarks/bsd68.py --minutes 20
    python benchmarks/bsd68.py --method b2u --minutes 60 --milestones 5 15 30   # one run, a curve
    python benchmarks/bsd68.py --method r2r --minutes 15 --clock cpu            # one thread
    python benchmarks/bsd68.py --recipe paper       # 96 filters, batch 128, 200 x 400 steps
    python benchmarks/bsd68.py --peer careamics --minutes 20                    # or n2v

At a milestone the averaged weights of the moment are scored; the learning rate follows the whole
budget, so a run of that length would end higher. Time for scoring is not counted. The method r2r
measures its noise on the noisy images (``plan_s``, which is not counted either). A peer trains for
CPU seconds of one thread with the settings that did best in our hands.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch

import peer
from common import data, record
from unnoise.config.config import Config
from unnoise.config.methods import PRESETS
from unnoise.images.image import Image
from unnoise.models.model import Model
from unnoise.models.predict import predict_array
from unnoise.nets.device import select_device
from unnoise.quality.metrics import psnr
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

METHODS = ("n2v", "n2v2", "b2u", "r2r")
"""Those that learn from single noisy images of independent noise."""
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
Pairs = list[tuple[np.ndarray, np.ndarray]]


def noisy_images(folder: Path, sigma: float, seed: int) -> Pairs:
    """(noisy, clean) of every picture in a folder; the noise of a picture depends on its place."""
    pairs = []
    for i, path in enumerate(sorted(folder.glob("*.png"))):
        clean = imagecodecs.imread(str(path)).astype(np.float32)
        rng = np.random.default_rng([seed, i])
        pairs.append((clean + sigma * rng.standard_normal(clean.shape, np.float32), clean))
    return pairs


def averaged(run: TrainingRun) -> Model:
    """The model with the averaged weights of the moment."""
    floats = iter(run.average)
    weights = {
        k: (next(floats) if v.is_floating_point() else v).cpu().clone()
        for k, v in run.net.state_dict().items()
    }
    return run.model().with_weights(weights, steps=run.step)


def score(model: Model, test: Pairs, *, tta: bool) -> float:
    """Mean PSNR over the test pictures."""
    return float(
        np.mean(
            [
                psnr(predict_array(model, x, tta=tta, dtype=float), t, data_range=255)
                for x, t in test
            ]
        )
    )


class Spent:
    """Seconds, wall and CPU, of what is to be counted."""

    def __init__(self) -> None:
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()

    def pause(self) -> dict[str, float]:
        """Stop counting; what was counted so far."""
        self.wall += time.perf_counter()
        self.cpu += time.process_time()
        return {"wall_s": self.wall, "cpu_s": self.cpu}

    def resume(self) -> None:
        """Go on counting."""
        self.wall -= time.perf_counter()
        self.cpu -= time.process_time()


def curve(
    run: TrainingRun, test: Pairs, milestones: list[float], *, tta: bool
) -> list[dict[str, Any]]:
    """Train to the end, with a row for every milestone on the way."""
    rows: list[dict[str, Any]] = []
    due, shown, spent = sorted(milestones), 0, Spent()
    for p in run:
        if len(run.history) > shown:
            shown = len(run.history)
            print(
                f"step {p.step}  {p.seconds:.0f} s  loss {p.loss:.4f}  held-out {p.held_out:.4f}",
                flush=True,
            )
        if due and p.seconds >= 60 * due[0]:
            minutes = due.pop(0)
            row = {"minutes": minutes, "steps": p.step, "final": False, **spent.pause()}
            row["psnr"] = score(averaged(run), test, tta=False)
            if tta:
                row["psnr_8_fold"] = score(averaged(run), test, tta=True)
            print(f"after {minutes:g} min: {row['psnr']:.2f} dB", flush=True)
            rows.append(row)
            spent.resume()
    last = {"minutes": run.seconds / 60, "steps": run.step, "final": True, **spent.pause()}
    model = run.model()
    last |= {"psnr": score(model, test, tta=False), "psnr_8_fold": score(model, test, tta=True)}
    return [*rows, last]


def of_peer(name: str, train: Pairs, test: Pairs, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The same with a peer, which runs in its own environment."""
    job = {f"train{i:03d}": x for i, (x, _) in enumerate(train)}
    job |= {f"{i:03d}": x for i, (x, _) in enumerate(test)}
    options = ["--seconds", f"{60 * args.minutes:g}", "--seed", str(args.seed)]
    options += ["--no-tta"] if name == "careamics" else []
    results, spent = peer.call(name, f"{name}_denoise.py", job, *options)
    scores = [psnr(results[f"{i:03d}"], t, data_range=255) for i, (_, t) in enumerate(test)]
    kept = {k: spent[k] for k in ("cpu_s", "wall_s", "steps")}
    return [{"minutes": args.minutes, "final": True, **kept, "psnr": float(np.mean(scores))}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--recipe", choices=tuple(PRESETS), default="fast")
    parser.add_argument("--method", choices=METHODS, default="n2v")
    parser.add_argument("--set", nargs="+", default=[], help="settings, as net.filters=48")
    parser.add_argument("--milestones", type=float, nargs="+", default=[], help="minutes")
    parser.add_argument("--tta", action="store_true", help="8-fold averaging at milestones too")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help="cpu: one thread")
    parser.add_argument("--peer", choices=("careamics", "n2v"))
    parser.add_argument("--images", type=int, help="only so many test pictures, for trials")
    parser.add_argument("--sigma", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    if args.recipe != "paper" and args.minutes is None and args.steps is None:
        args.minutes = 20.0
    if args.peer and (args.minutes is None or peer.missing(args.peer)):
        parser.error(f"--peer {args.peer} needs --minutes, and sh benchmarks/peers/setup.sh first")
    if args.clock == "cpu":
        torch.set_num_threads(1)
    folder = data("natural")
    train = noisy_images(folder / "train400", args.sigma, 1)
    test = noisy_images(folder / "bsd68", args.sigma, 2)[: args.images]
    print(f"{len(train)} noisy training images, {len(test)} test images", flush=True)
    settings = dict(vars(args))
    if args.peer:
        rows = of_peer(args.peer, train, test, args)
    else:
        preset = Config.preset(args.recipe, args.method).set(*args.set)
        config = preset.with_budget(args.minutes, args.steps, args.seed)
        settings |= config.model_dump()
        images, started = [Image.from_array(x) for x, _ in train], time.perf_counter()
        planned = plan(images, config)
        settings["plan_s"] = time.perf_counter() - started
        run = TrainingRun(images, planned, select_device(args.device), clock=CLOCKS[args.clock])
        rows = curve(run, test, args.milestones, tta=args.tta)
    noisy = float(np.mean([psnr(x, t, data_range=255) for x, t in test]))
    last = rows[-1] | {"noisy": noisy}
    rows[-1] = last
    averaged_text = f", 8-fold {last['psnr_8_fold']:.2f} dB" if "psnr_8_fold" in last else ""
    print(
        f"BSD68, sigma {args.sigma:g}: noisy {noisy:.2f} dB, {args.peer or args.method} "
        f"{last['psnr']:.2f} dB{averaged_text} after {last['steps']} steps in "
        f"{last['wall_s']:.0f} s ({last['cpu_s']:.0f} CPU s)"
    )
    length = f"{args.minutes:g}min" if args.minutes else f"{args.steps or 'paper'}steps"
    parts = [args.peer or f"{args.recipe}_{args.method}", length, *args.set]
    if args.clock == "cpu":
        parts.append("cpu")
    if args.images:
        parts.append(f"{args.images}images")
    name = "_".join(["bsd68", *parts, f"seed{args.seed}"]).replace("=", "-")
    peers = peer.versions(args.peer) if args.peer else {}
    print(f"wrote {record(name, settings, rows, peers=peers)}")


if __name__ == "__main__":
    sys.exit(main())
