"""Correlated noise, photographs and real microscopy: instant and auto beside the blur and BM3D.

    python benchmarks/correlated.py                                # development halves
    python benchmarks/correlated.py --half report --processes 2    # once, when all is settled
    python benchmarks/correlated.py --half report --methods peers  # BM3D; needs peers/setup.sh bm3d
    python benchmarks/correlated.py --half report --methods slow   # auto and structN2V: an hour
    python benchmarks/correlated.py --methods told  # instant where the noise is known, not measured
    python benchmarks/correlated.py --quick                        # small crops, stored apart
    python benchmarks/correlated.py --colour                       # channels mixed before instant
    python benchmarks/correlated.py table --half dev

Rows, halves and how pictures are made are in correlated_pictures.py, methods in
correlated_methods.py, goals in correlated_goals.py. Where noise is synthetic every seed is another
noise; of real pictures seeds differ in the calibration alone. Every finished row is written at
once. Rows that are there are not measured again, unless the code or the weights of unnoise have
changed since (`--keep` keeps them).
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import common
import correlated_goals
import peer
from code_version import code_version
from common import alone, origin, record, recorded
from correlated_methods import GROUPS, METHODS
from correlated_pictures import ROWS, Picture, Spec, load, specs

QUICK = 128
"""Side of the crops of --quick."""
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Luminance and two differences of colour; orthonormal."""

Task = tuple[Spec, str, int | None]


def measured(task: Task) -> dict[str, Any]:
    """A row of the record: a method on a picture."""
    torch.set_num_threads(1)
    spec, name, side = task
    picture = load(spec, side=side)
    cpu, wall = _cpu(), time.perf_counter()
    image = METHODS[name].work(picture, spec.seed)
    spent = {"cpu_s": _cpu() - cpu, "wall_s": time.perf_counter() - wall}
    scores = {"psnr": picture.psnr(image), "ssim": picture.ssim(image)}
    key = {"row": spec.row, "image": spec.name, "method": name, "seed": spec.seed}
    return key | {k: round(v, 4) for k, v in (scores | spent).items()}


def _cpu() -> float:
    """CPU seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def tasks(args: argparse.Namespace) -> Iterator[Task]:
    """What is to be measured: the first seed of all rows first."""
    rows = args.rows or list(ROWS)
    for spec in specs(rows, args.half, args.seeds, args.only):
        for name, method in METHODS.items():
            wanted = name in args.methods or method.group in args.methods
            again = spec.seed == args.seeds[0] or method.seeded(spec.row)
            if wanted and again and spec.row in method.rows:
                yield spec, name, QUICK if args.quick else None


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What tells one measurement from another."""
    return row["row"], row["image"], row["method"], row["seed"]


def run(args: argparse.Namespace) -> None:
    """Measure what is not there yet."""
    name, code = f"correlated_{args.half}", code_version()
    done = {
        key(row)
        for row in recorded(name)
        if args.keep or row["code"] == code or not METHODS[row["method"]].is_ours
    }
    todo = [t for t in tasks(args) if (t[0].row, t[0].name, t[1], t[0].seed) not in done]
    peers = {t[1] for t in todo if METHODS[t[1]].group == "peers"}
    gone = peer.missing("bm3d") if peers else []
    if gone:
        print("bm3d is missing: run sh benchmarks/peers/setup.sh bm3d", flush=True)
        todo = [t for t in todo if t[1] not in peers]
    print(f"{len(todo)} to measure, {len(done)} there, code {code}", flush=True)
    settings = {"half": args.half, "seeds": args.seeds, "quick": args.quick}
    versions = peer.versions("bm3d")
    for row in results(todo, args.processes):
        show(row)
        with alone(name):
            kept = [r for r in recorded(name) if key(r) != key(row)]
            record(name, settings, [*kept, row | {"code": code} | origin()], peers=versions)


def results(todo: list[Task], processes: int) -> Iterator[dict[str, Any]]:
    """Rows as they are finished; what fails is said, and the rest goes on."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(measured, task): task for task in todo}
        for future in as_completed(waiting):
            try:
                yield future.result()
            except BrokenProcessPool:
                raise
            except Exception as error:  # hours of others should not be lost
                spec, name, _ = waiting[future]
                print(f"FAILED: {spec.row} {spec.name} {name} {spec.seed}: {error}", flush=True)


def show(row: dict[str, Any]) -> None:
    print(
        f"{row['row']:10} {row['image']:42} {row['method']:16} {row['seed']}  "
        f"{row['psnr']:6.2f} dB  {row['ssim']:.4f}  {row['cpu_s']:6.1f} CPU s",
        flush=True,
    )


def colour(args: argparse.Namespace) -> None:
    """`instant` on the channels of photographs, and on orthonormal mixtures of them.

    The noise is known: a verdict that differs between the two would decide, not the colours.
    """
    torch.set_num_threads(1)
    instant, rows = METHODS["told"].work, []
    for spec in specs(args.rows or ["sidd"], args.half, args.seeds[:1], args.only):
        picture = load(spec, side=QUICK if args.quick else None)
        apart = instant(picture, spec.seed)
        planes = [(x @ OPPONENT.T).astype(np.float32) for x in (picture.noisy, picture.truth)]
        joint = instant(Picture(*planes, 255.0), spec.seed) @ OPPONENT
        row = {"row": spec.row, "image": spec.name, "seed": spec.seed}
        row |= {"noisy": picture.psnr(picture.noisy), "channels": picture.psnr(apart)}
        row |= {"opponent": picture.psnr(joint)}
        rows.append(row)
        print("  ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    gains = [r["opponent"] - r["channels"] for r in rows]
    print(f"opponent less channels: mean {np.mean(gains):+.2f} dB, worst {min(gains):+.2f}")
    settings = {"half": args.half, "seed": args.seeds[0], "code": code_version()}
    record(f"colour_{args.half}", settings, rows, spread=float(np.std(gains)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("run", "table"), default="run")
    parser.add_argument("--half", choices=("dev", "report"), default="dev")
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS))
    parser.add_argument("--only", nargs="+", help="pictures whose names contain one of these")
    parser.add_argument(
        "--methods", nargs="+", choices=(*GROUPS, *METHODS), default=["classic", "instant"]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep rows of other code")
    parser.add_argument("--quick", action="store_true", help="small crops, one seed; stored apart")
    parser.add_argument("--colour", action="store_true", help="measure mixtures of channels")
    args = parser.parse_args()
    if args.quick:
        common.RESULTS, args.seeds = common.HERE / "results" / "quick", args.seeds[:1]
    if args.colour:
        colour(args)
        return
    if args.what == "run":
        run(args)
    print(correlated_goals.table(recorded(f"correlated_{args.half}"), args.half))


if __name__ == "__main__":
    main()
