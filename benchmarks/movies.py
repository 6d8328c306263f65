"""Movies and stacks: neighbouring frames joined by `instant`, beside frame by frame and ND-SAFIR.

    python benchmarks/movies.py                       # simulated movies; about 20 minutes a seed
    python benchmarks/movies.py --counted --lights 0.5 2 5 --only still calcium particles
    python benchmarks/movies.py --part events         # what is left of flashes, spikes, particles
    python benchmarks/movies.py --part stack          # nuclei of scikit-image with photon noise
    python benchmarks/movies.py --part fmd            # 16 repeats of a real still scene
    python benchmarks/movies.py --development         # other scenes, on which the method was made

One thread. PSNR against the expected photons, its peak the brightest of them. ND-SAFIR is told the
true gain, offset and read noise; unnoise measures them. Events are a change of the expected photons
in the same noise: what a result shows of them, in their frame and in those beside it, is the change
of the result, projected on the event, while frames are joined in the same way.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

import movie_scenes as scenes
import unnoise
from common import data, record
from peer import Missing, call, missing, versions
from unnoise.models.predict import predict
from unnoise.nets import joined_frames as joining

LIGHT = 20.0
OFFSET = 100.0
FACTS = ("noisy", "single", "joined", "ndsafir", "mean_of_frames")


def psnr(clean: NDArray, truth: NDArray) -> float:
    return float(10 * np.log10(truth.max() ** 2 / np.mean((clean - truth) ** 2)))


def instant(noisy: NDArray, axes: str, *, joined: bool) -> tuple[NDArray, float, unnoise.Model]:
    """The result, CPU seconds of calibration and prediction, and the model."""
    started = time.process_time()
    context = None if joined else {axes[0]: 0}
    config = unnoise.Config(method="instant", context=context)
    model = unnoise.train(noisy, axes=axes, config=config)
    clean = model.predict(noisy, axes=axes, dtype=np.float64, tta=None)
    return clean, time.process_time() - started, model


def compared(
    noisy: NDArray, truth: NDArray, offset: float, line: tuple[float, float] | None
) -> dict[str, object]:
    """PSNR and CPU seconds of every method."""
    row: dict[str, object] = {"noisy": psnr(noisy - offset, truth)}
    for name, joined in (("single", False), ("joined", True)):
        clean, row[f"{name}_cpu_s"], model = instant(noisy, "TYX", joined=joined)
        row[name] = psnr(clean - offset, truth)
        row[f"{name}_mean"] = float((clean - offset).mean() / truth.mean() - 1)
    found = model.joined
    row["reach"], row["matched"] = (found.reach, found.matched) if found else (0, False)
    row["passes"] = model.passes.count if model.passes else 8
    if line is not None:
        try:
            words = ("--line", str(line[0]), str(line[1]))
            results, spent = call("ndsafir", "ndsafir_denoise.py", {"movie": noisy}, *words)
            row |= {
                "ndsafir": psnr(results["movie"] - offset, truth),
                "ndsafir_cpu_s": spent["cpu_s"],
            }
        except Missing as error:
            print(error)
    return row


def movies(args: argparse.Namespace, half: int) -> list[dict[str, object]]:
    rows = []
    for seed in args.seeds:
        for name in args.only or scenes.SCENES:
            for light in args.lights:
                truth, noisy = scenes.movie(name, half + seed, light, counted=args.counted)
                line = (1.0, 0.0) if args.counted else (1.0, scenes.READ**2 - OFFSET)
                row = {"scene": name, "seed": seed, "light": light}
                row |= compared(noisy, truth, 0.0 if args.counted else OFFSET, line)
                rows.append(row)
                show(row, ("scene", "seed", "light"))
    return rows


def events(args: argparse.Namespace, half: int) -> list[dict[str, object]]:
    """What results show of events, as shares of them."""
    rows = []
    for kind in args.only or scenes.EVENTS:
        for snr, width in ((3, 1.5), (5, 1.5), (10, 1.5), (3, 1.0)):
            sums: dict[str, list[float]] = {}
            for seed in range(args.events // 100):
                plain, lit, shown, centres = scenes.events(kind, snr, half + seed, width=width)
                model = unnoise.train(lit, axes="TYX", method="instant")
                single = replace(model, joined=None)
                for name, own in (("single", single), ("joined", model)):
                    for t in (scenes.AT - 1, scenes.AT, scenes.AT + 1):
                        change = changed(own, lit, plain, t)
                        place = {-1: "before", 0: "kept", 1: "after"}[t - scenes.AT]
                        found = shares(change, shown, t, centres, kind)
                        sums.setdefault(f"{name}_{place}", []).extend(found)
            row: dict[str, object] = {"kind": kind, "snr": snr, "width": width}
            row |= {k: float(np.mean(v)) for k, v in sums.items() if v}
            row |= {f"{k}_error": float(np.std(v) / len(v) ** 0.5) for k, v in sums.items() if v}
            row["events"] = len(sums["joined_kept"])
            rows.append(row)
            print(
                {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True
            )
    return rows


def frame(model: unnoise.Model, movie: NDArray, t: int) -> NDArray:
    """One frame of a result."""
    image = unnoise.Image.from_array(movie, "TYX")
    (clean,) = (block.values[0, 0, 0, 0] for block in predict(model, image, only={"T": t}))
    return clean


def changed(model: unnoise.Model, lit: NDArray, plain: NDArray, t: int) -> NDArray:
    """What a frame of a result shows of the events that one of two movies has."""
    LAST.clear()
    shown = frame(model, lit, t)
    with same_weights():
        return shown - frame(model, plain, t)


@contextlib.contextmanager
def same_weights() -> Iterator[None]:
    """Frames are joined, and stood in for, as they were before, one call after the other.

    Else a frame without the event would have other noise where frames are left out for it.
    """
    own, again = joining._weights, iter(list(LAST))
    joining._weights = lambda *_, **__: next(again)
    try:
        yield
    finally:
        joining._weights = own


Weights = tuple[torch.Tensor, torch.Tensor]
LAST: list[Weights] = []


def kept(own: Callable[..., Weights]) -> Callable[..., Weights]:
    """The weights of frames, which are remembered."""

    def weights(*arguments: object, **options: object) -> Weights:
        LAST.append(own(*arguments, **options))
        return LAST[-1]

    return weights


def shares(change: NDArray, shown: NDArray, t: int, centres: NDArray, kind: str) -> list[float]:
    """By event the amplitude in its frame, or of its ghost in the next: as a share of its own.

    A particle is two pixels further there: what is left of it and its ghost are fitted together. A
    calcium spike goes on in its place, so nothing can be said of the frame after.
    """
    found = []
    if t == scenes.AT + 1 and kind == "calcium":
        return []
    both = (
        [shown[scenes.AT]] if kind != "particle" or t == scenes.AT else [shown[scenes.AT], shown[t]]
    )
    for y, x in np.rint(centres).astype(int):
        part = tuple(slice(max(i - 8, 0), i + 9) for i in (y, x))
        wanted = np.stack([one[part].ravel() for one in both], 1)
        found.append(float(np.linalg.lstsq(wanted, change[part].ravel(), rcond=None)[0][0]))
    return found


def stack(args: argparse.Namespace, half: int) -> list[dict[str, object]]:
    clean = tifffile.imread(data("stack3d") / "cells3d_nuclei_20x128x128__noisy.tif").astype(float)
    rows = []
    for seed in args.seeds:
        for light in (20.0, 100.0):
            truth = clean / clean.max() * light + light / 20
            noisy = np.random.default_rng([half, seed]).poisson(truth).astype(np.uint16)
            row: dict[str, object] = {"scene": "cells3d", "seed": seed, "light": light}
            row["noisy"] = psnr(noisy, truth)
            for name, joined in (("single", False), ("joined", True)):
                result, row[f"{name}_cpu_s"], model = instant(noisy, "ZYX", joined=joined)
                row[name] = psnr(result, truth)
            row["reach"] = model.joined.reach if model.joined else 0
            try:
                results, spent = call(
                    "ndsafir", "ndsafir_denoise.py", {"stack": noisy}, "--line", "1", "0"
                )
                row |= {"ndsafir": psnr(results["stack"], truth), "ndsafir_cpu_s": spent["cpu_s"]}
            except Missing as error:
                print(error)
            rows.append(row)
            show(row, ("scene", "seed", "light"))
    return rows


def fmd(args: argparse.Namespace, half: int) -> list[dict[str, object]]:
    folder = data("fmd")
    noisy = tifffile.imread(folder / "repeats_BPAE_B_fov1_t16__noisy.tif")
    import imagecodecs

    truth = imagecodecs.imread(folder / "confocal_BPAE_B_fov1__gt.png").astype(float)
    truth = truth if truth.ndim == 2 else truth[..., 0]
    side = [slice(0, min(a, b)) for a, b in zip(noisy.shape[1:], truth.shape, strict=True)]
    noisy, truth = noisy[:, side[0], side[1]], truth[side[0], side[1]]
    row: dict[str, object] = {"scene": "FMD BPAE B fov1", "seed": 0, "light": 0}
    row |= compared(noisy, np.repeat(truth[None], len(noisy), 0), 0.0, None)
    row["mean_of_frames"] = psnr(noisy.mean(0), truth)
    show(row, ("scene",))
    return [row]


def show(row: dict[str, object], keys: tuple[str, ...]) -> None:
    parts = [f"{k} {row[k]:.2f}" for k in FACTS if k in row]
    spent = [f"{k} {row[k]:.1f} s" for k in row if k.endswith("cpu_s")]
    print(*(row[k] for k in keys), *parts, "reach", row["reach"], *spent, flush=True)


PARTS = {"movies": movies, "events": events, "stack": stack, "fmd": fmd}


def summary(rows: list[dict[str, object]]) -> None:
    """Means over scenes, and the goal."""
    for name, kept in (("slow and still", scenes.SLOW), ("all", tuple(scenes.SCENES))):
        own = [row for row in rows if row["scene"] in kept]
        if own:
            means = {k: np.mean([row[k] for row in own]) for k in FACTS if all(k in r for r in own)}
            spread = np.std([row["joined"] - row["single"] for row in own])
            print(
                name, {k: round(float(v), 2) for k, v in means.items()}, f"spread {spread:.2f} dB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=list(PARTS), default="movies")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--lights", type=float, nargs="+", default=[LIGHT], help="peak photons")
    parser.add_argument("--counted", action="store_true", help="single photons, no read noise")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--development", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    joining._weights = kept(joining._weights)
    half = scenes.DEVELOPMENT if args.development else scenes.REPORT
    rows = PARTS[args.part](args, half)
    if args.part == "movies":
        summary(rows)
    if not args.development and (args.counted or not args.only):
        name = f"movies_{args.part}" + "_counted" * args.counted
        peers = versions("ndsafir")
        record(name, vars(args), rows, peers=peers, missing=missing("ndsafir"))


if __name__ == "__main__":
    main()
