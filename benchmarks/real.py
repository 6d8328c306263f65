"""Single images by every method of ours, against BM3D, non-local means, CAREamics and n2v.

    python benchmarks/real.py                                     # everything, hours; resumable
    python benchmarks/real.py --sets camera --roads instant scratch --seconds 60
    python benchmarks/real.py --roads --rivals bm3d nlm           # the classic filters alone
    python benchmarks/real.py table

Sets: the report fields of W2S (002, 007, 011, 015), FMD confocal fov1, GigaDB (each image on its
own, scale-invariant PSNR, since files were stretched separately), and scikit-image's `camera` with
seeded Gaussian noise of sigma 25 (plain PSNR, peak 255). Nothing is tuned on them but what
docs/benchmarks.md says of `camera`; `w2s_dev` are the fields that settings may be chosen on.

Methods of ours (level of the noise unknown): ``instant``, ``adapted``, and ``scratch``, the method
that `auto` chooses or --method. A budget is CPU seconds of one thread for everything from the array
to the clean array, so looking at the noise, the check afterwards and the prediction come out of it;
wall seconds are beside it. Predictions average the eight symmetries.

Rivals: ``bm3d`` is BM3D with sigma 25 told (camera); elsewhere VST-BM3D twice, with the variance
line that `unnoise inspect` measures (the model of Foi et al. 2008) and with an oracle line, fitted
on the residual of the truth. ``nlm`` has the strength of least J-invariant risk. ``careamics`` (N2V
and N2V2) and ``n2v`` train on the image for ten times the shortest budget of ours; of CAREamics the
better of one pass and an average over the symmetries, which it does not offer, counts.

Every finished row is written at once; rows that are there are not measured again, but for --again.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray

import oracle
import peer
from common import alone, data, origin, record, recorded
from unnoise import inspect
from unnoise.api import train
from unnoise.config.config import Config
from unnoise.config.methods import METHODS
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.quality.metrics import psnr, scale_invariant_psnr
from unnoise.training.auto import choose
from unnoise.training.finish import finish
from unnoise.training.plan import plan
from unnoise.training.start import RUNS

SIGMA = 25.0
FIELDS = {"w2s": ("002", "007", "011", "015"), "w2s_dev": ("001", "005", "009", "013")}
"""Fields of W2S that are reported, and those that settings may be chosen on."""
RESERVE = {"adapted": (1.5, 14.0), "scratch": (1.5, 4.0)}
"""CPU seconds, and more for every megapixel, that a budget keeps for the check and the eightfold
prediction after training."""


@dataclass(frozen=True)
class Case:
    """A noisy image, its truth, and how a clean image is scored."""

    name: str
    noisy: NDArray
    truth: NDArray
    score: Callable[[NDArray, NDArray], float]

    @property
    def group(self) -> str:
        """The set it belongs to."""
        return self.name.split("/")[0]


def cases(sets: list[str]) -> Iterator[Case]:
    """The images of the sets, in order."""
    for group in sets:
        if group == "camera":
            from skimage import data as samples

            truth = samples.camera().astype(np.float32)
            noise = np.random.default_rng(0).standard_normal(truth.shape, np.float32)
            yield Case("camera/camera", truth + np.float32(SIGMA) * noise, truth, peak255)
            continue
        fields = FIELDS.get(group)
        for path in sorted(data("w2s" if fields else group).glob("*__noisy.png")):
            name = path.name.removesuffix("__noisy.png")
            if fields and not name.startswith(fields):
                continue
            truth = imagecodecs.imread(str(path.with_name(f"{name}__gt.png")))
            yield Case(
                f"{group}/{name}", imagecodecs.imread(str(path)), truth, scale_invariant_psnr
            )


def peak255(image: NDArray, truth: NDArray) -> float:
    return psnr(image, truth, data_range=255)


Result = tuple[NDArray, dict[str, Any]]


def timed(work: Callable[[], NDArray]) -> Result:
    """A clean image and the seconds it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    clean = work()
    return clean, {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


def public(case: Case, method: str, seed: int) -> Result:
    """By the public calls; `denoise` is these two, but for rounding to the type of the image."""

    def work() -> NDArray:
        found = METHODS.get(method)
        seeded = None if found and found.run == "filter" else seed
        model = train(case.noisy, method=method, seed=seeded, device="cpu")
        return predict_array(model, case.noisy, dtype=np.float32, tta=True, device="cpu")

    return timed(work)


def trained(case: Case, road: str, method: str, seconds: float, seed: int) -> Result:
    """What `denoise` does with a budget, on the clock of the processor."""
    extra: dict[str, Any] = {}

    def work() -> NDArray:
        started = time.process_time()
        images = [Image.from_array(case.noisy)]
        choice = choose(images)
        config = choice.config if method == "auto" else Config.of_method(None, method)
        if config.is_shipped != (road == "adapted"):
            raise SystemExit(f"auto chose {config.method}, which is not from scratch: add --method")
        base, per_megapixel = RESERVE[road]
        kept = min(base + per_megapixel * case.noisy.size / 1e6, seconds / 2)
        left = seconds - kept - (time.process_time() - started)
        config = config.with_budget(max(left, 1.0) / 60, seed=seed)
        cpu = torch.device("cpu")
        planned = plan(images, config, None, choice.reports)
        run = RUNS[config.entry.run](images, planned, cpu, clock=time.process_time)
        for _ in run:
            pass
        extra.update(chose=config.method, steps=run.step)
        model, *_ = finish(run.model(), images, choice.reports, cpu)
        if model.choice is not None:
            extra["road"] = model.choice.candidate
        return predict_array(model, case.noisy, dtype=np.float32, tta=True, device="cpu")

    clean, spent = timed(work)
    return clean, spent | extra


def measured_line(case: Case) -> tuple[float, float] | None:
    """(A, B) of the noise variance A v + B that `unnoise inspect` finds."""
    curve = inspect(case.noisy).channels[0].curve
    if curve is None:
        return None
    return (curve.gain, curve.intercept) if curve.is_signal_dependent else (0.0, curve.level)


def bm3d(case: Case, line: tuple[float, float] | None) -> Result:
    """BM3D with the level told (no line), or behind the transform of a variance line."""
    noise = ["--sigma", f"{SIGMA:g}", "--peak", "255"]
    if line is not None:
        noise = ["--line", *(f"{v:.9f}" for v in line)]
    results, spent = peer.call("bm3d", "bm3d_denoise.py", {"image": case.noisy}, *noise)
    return results["image"], spent | ({"line": list(line)} if line else {})


def peers_net(case: Case, name: str, seconds: float, seed: int, *arguments: str) -> Result:
    """A net of a peer, trained on the image; an average over the symmetries is scored beside it."""
    options = ["--seconds", f"{seconds:g}", "--seed", str(seed), *arguments]
    job = {"train": case.noisy, "image": case.noisy}
    results, spent = peer.call(name, f"{name}_denoise.py", job, *options)
    kept = {k: spent[k] for k in ("cpu_s", "wall_s", "predict_cpu_s", "steps")}
    if "image_8" in results:
        kept["psnr_8_fold"] = case.score(results["image_8"], case.truth)
    return results["image"], kept


Task = tuple[str, float | None, Callable[[Case, int], Result | None]]


def tasks(args: argparse.Namespace) -> Iterator[Task]:
    """(name, seconds, what to do), the quick ones first."""
    seconds = sorted(args.seconds)
    yield "noisy", None, lambda c, s: (c.noisy, {})
    if "instant" in args.roads:
        yield "instant", None, lambda c, s: public(c, "instant", s)
    if "bm3d" in args.rivals:
        yield "bm3d", None, lambda c, s: bm3d(c, None) if c.group == "camera" else None
        yield "vst_bm3d", None, lambda c, s: vst(c, measured_line)
        yield "vst_bm3d_oracle", None, lambda c, s: vst(c, lambda c: oracle.line(c.noisy, c.truth))
    if "nlm" in args.rivals:
        yield "nlm", None, lambda c, s: public(c, "nlm", s)
    for t in seconds[:1] if args.adapted_once else seconds:
        if "adapted" in args.roads:
            yield "adapted", t, lambda c, s, t=t: trained(c, "adapted", "adapted", t, s)
    for t in seconds if "scratch" in args.roads else []:
        yield named(args.method), t, lambda c, s, t=t: trained(c, "scratch", args.method, t, s)
    for t in args.rival_seconds or [10 * seconds[0]]:
        if "careamics" in args.rivals:
            yield "careamics_n2v", t, lambda c, s, t=t: peers_net(c, "careamics", t, s)
            yield "careamics_n2v2", t, lambda c, s, t=t: peers_net(c, "careamics", t, s, "--n2v2")
        if "n2v" in args.rivals:
            yield "n2v", t, lambda c, s, t=t: peers_net(c, "n2v", t, s)


def named(method: str) -> str:
    return "scratch" if method == "auto" else f"scratch_{method}"


def vst(case: Case, line: Callable[[Case], tuple[float, float] | None]) -> Result | None:
    """VST-BM3D where the level depends on the signal; camera has its known level."""
    found = None if case.group == "camera" else line(case)
    return None if found is None else bm3d(case, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("run", "table"), default="run")
    groups = ["camera", "w2s", "fmd", "gigadb"]
    parser.add_argument("--sets", nargs="+", choices=[*groups, "w2s_dev"], default=groups)
    parser.add_argument("--only", nargs="*", help="names that contain one of these")
    roads, rivals = ["instant", "adapted", "scratch"], ["bm3d", "nlm", "careamics", "n2v"]
    parser.add_argument("--roads", nargs="*", choices=roads, default=roads)
    parser.add_argument("--rivals", nargs="*", choices=rivals, default=rivals[:3])
    parser.add_argument("--method", default="auto", help="of the net from scratch")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0, 300.0])
    parser.add_argument("--adapted-once", action="store_true", help="shortest budget only")
    parser.add_argument(
        "--rival-seconds", type=float, nargs="+", help="of careamics and n2v; 10 times ours"
    )
    parser.add_argument("--again", action="store_true", help="measure anew what is there")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    name = f"real_seed{args.seed}"
    if args.what == "table":
        for row in recorded(name):
            show(row)
        return
    if args.method in METHODS and METHODS[args.method].run == "filter":
        parser.error(f"{args.method} is a filter; see --rivals")
    torch.set_num_threads(1)
    run(args, name)


def run(args: argparse.Namespace, name: str) -> None:
    """Measure what is not there yet."""
    images = [c for c in cases(args.sets) if not args.only or any(o in c.name for o in args.only)]
    missing: set[str] = set()
    versions = peer.versions(*peer.PACKAGES)

    def keep(rows: list[dict[str, Any]]) -> None:
        record(name, vars(args), rows, peers=versions, missing=missing)

    done = set() if args.again else {key(row) for row in recorded(name)}
    for task, seconds, work in tasks(args):
        for case in images:
            row = {"image": case.name, "method": task, "seconds": seconds, "seed": args.seed}
            if key(row) in done:
                continue
            try:
                result = work(case, args.seed)
            except peer.Missing as error:
                print(error, flush=True)
                missing.add(str(error).split()[0])
                break
            if result is None:
                continue
            clean, extra = result
            row |= {"psnr": case.score(clean, case.truth), **extra, **origin()}
            show(row)
            with alone(name):  # another process may have added rows for other images meanwhile
                keep([r for r in recorded(name) if key(r) != key(row)] + [row])
    if missing:
        keep(recorded(name))


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What tells one measurement from another."""
    return row["image"], row["method"], row["seconds"], row["seed"]


def show(row: dict[str, Any]) -> None:
    text = "  ".join(
        f"{k} {row[k]:.2f}" for k in ("psnr", "psnr_8_fold", "cpu_s", "wall_s") if k in row
    )
    budget = "" if row["seconds"] is None else f"{row['seconds']:g} s"
    print(f"{row['image']:28} {row['method']:16} {budget:6} {text}", flush=True)


if __name__ == "__main__":
    main()
