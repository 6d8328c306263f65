"""How far `adapted` is from the best it could give, how often it is right, and its time.

Every picture is cropped to 256x256 and denoised by both candidates. *Best* is the mean of the two
with the weight that the truth says, which no user could know; *regret* is what is lost to it;
*right* says that the result is within 0.1 dB of the better of instant and self-trained. Times are
CPU seconds of one thread.

    python benchmarks/choice.py --quick         # four pictures, 200 steps
    python benchmarks/choice.py                 # development pictures
    python benchmarks/choice.py --half report   # other fields, other noise
    python benchmarks/choice.py --only "along X" "all around"   # some of them; others stay stored
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import imagecodecs
import numpy as np
import torch
from scipy import ndimage

from common import data, record, recorded
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.noise.correlated_noise import drawn
from unnoise.quality.metrics import scale_invariant_psnr
from unnoise.training import adapted
from unnoise.training.adapted import CandidateSearch
from unnoise.training.plan import plan

SIDE = 256
FIELDS = {
    "dev": ("001_0", "013_0", "005_1", "009_2", "001_2", "013_1", "005_0", "009_0"),
    "report": ("002_0", "007_0", "011_0", "015_0", "002_2", "007_1", "011_1", "015_1"),
}
ADDED = (("kodim01", 10.0), ("kodim07", 25.0), ("kodim13", 75.0), ("kodim19", 25.0))
PHOTONS = (5.0, 25.0, 100.0)
KERNELS = {"along X": np.ones((1, 5)), "all around": np.outer([1, 2, 1], [1, 2, 1])}
Case = tuple[np.ndarray, np.ndarray]


def microscopy(photons: float, seed: int) -> Case:
    """Blobs and threads, photons and read noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    clean = np.full((SIDE, SIDE), 0.05)
    for _ in range(40):
        centre, axes, turn = rng.uniform(0, SIDE, 2), rng.uniform(3, 14, 2), rng.uniform(0, np.pi)
        u = (y - centre[0]) * np.cos(turn) + (x - centre[1]) * np.sin(turn)
        v = (x - centre[1]) * np.cos(turn) - (y - centre[0]) * np.sin(turn)
        clean += rng.uniform(0.1, 0.6) * (np.hypot(u / axes[0], v / axes[1]) < 1)
    for _ in range(25):
        turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.08, 150))
        at = (
            rng.uniform(0, SIDE, 2) + np.cumsum(np.stack([np.sin(turn), np.cos(turn)], 1), 0)
        ) % SIDE
        line = np.zeros(clean.shape)
        line[tuple(at.astype(int).T)] = 1
        clean += rng.uniform(1, 3) * ndimage.gaussian_filter(line, 1.3)
    clean = ndimage.gaussian_filter(clean, 1.0)
    clean *= photons / np.quantile(clean, 0.99)
    return rng.poisson(clean) + rng.normal(0, 1, clean.shape), clean


def w2s(name: str) -> Case:
    """The middle of a field."""
    noisy, truth = (
        imagecodecs.imread(str(data("w2s") / f"{name}__{k}.png")) for k in ("noisy", "gt")
    )
    cut = (slice(128, 128 + SIDE),) * 2
    return noisy[cut].astype(np.float64), truth[cut].astype(np.float64)


def kodak(name: str) -> np.ndarray:
    """A part of a photograph, in grey."""
    colour = imagecodecs.imread(str(data("natural") / "kodak4" / f"{name}.png"))
    return (colour @ [0.299, 0.587, 0.114])[100 : 100 + SIDE, 150 : 150 + SIDE]


def added(name: str, sigma: float, seed: int, kernel: np.ndarray | None = None) -> Case:
    """With normal noise, white or filtered."""
    clean, rng = kodak(name), np.random.default_rng(seed)
    rho = None
    if kernel is not None:
        power = ndimage.convolve(
            np.pad(kernel, [(n - 1, n - 1) for n in kernel.shape]), kernel, mode="constant"
        )
        rho = power / power.max()
    return clean + sigma * drawn(rho, clean.shape, rng), clean


def cases(half: str) -> dict[str, Callable[[], Case]]:
    """Pictures by name."""
    seed = {"dev": 0, "report": 100}[half]
    found: dict[str, Callable[[], Case]] = {f"w2s {n}": lambda n=n: w2s(n) for n in FIELDS[half]}
    for name, sigma in ADDED:
        found[f"{name} sigma {sigma:g}"] = lambda n=name, s=sigma: added(n, s, seed)
    for photons in PHOTONS:
        found[f"microscopy {photons:g}"] = lambda p=photons: microscopy(p, seed + 1)
    for kind, kernel in KERNELS.items():
        found[f"kodim07 {kind}"] = lambda k=kernel: added("kodim07", 25.0, seed, k)
    return found


def measure(name: str, case: Case, steps: int, seed: int) -> dict:
    """Both candidates, their best mean, and what the user gets."""
    noisy, truth = case
    image = Image.from_array(noisy.astype(np.float32), "YX")
    started = time.process_time()
    config = Config(method="adapted").replace(training={"steps": steps, "seed": seed})
    run = CandidateSearch([image], plan([image], config), torch.device("cpu"))
    for _ in run:
        pass
    taken = time.process_time() - started
    model = run.model()

    def result(own) -> np.ndarray:
        return predict_array(own, image, device="cpu", dtype=np.float64, tta=True)

    def psnr(clean: np.ndarray) -> float:
        return float(scale_invariant_psnr(clean, truth))

    instant, chosen = result(run._instant), psnr(result(model))
    row = {"image": name, "noisy": psnr(noisy), "instant": psnr(instant), "result": chosen}
    own = result(run._own) if run._own is not None else instant
    shares = np.linspace(0, 1, 21)
    row |= {
        "own": psnr(own),
        "best": max(psnr((1 - w) * instant + w * own) for w in shares),
        "chosen": model.choice.candidate if model.choice else "",
        "share": model.second.share if model.second else float(model.config.method != "adapted"),
        "early": run._own is None,
        "cpu_s": taken,
    }
    row["regret"] = row["best"] - chosen
    row["right"] = chosen >= max(row["instant"], row["own"]) - 0.1
    return row


def line(r: dict) -> str:
    own = "ended early" if r["early"] else f"{r['own']:.2f}"
    values = f"{r['noisy']:.2f} | {r['instant']:.2f} | {own} | {r['best']:.2f} | {r['result']:.2f}"
    return (
        f"| {r['image']} | {values} | {r['result'] - r['instant']:+.2f} | {r['regret']:.2f} | "
        f"{r['share']:.2f} | {'yes' if r['right'] else 'NO'} | {r['cpu_s']:.0f} |"
    )


HEAD = (
    "| picture | noisy | instant | self-trained | best mean | result | less instant | regret | "
    "share | right | CPU s |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("dev", "report"), default="dev")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="four pictures, 200 steps")
    parser.add_argument(
        "--only", nargs="+", metavar="PART", help="pictures by parts of their names"
    )
    parser.add_argument("--never-early", action="store_true", help="train to the end everywhere")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.never_early:
        adapted.HOPE = -1.0
    wanted = cases(args.half)
    if args.quick:
        wanted = dict(list(wanted.items())[::5])
    if args.only:
        wanted = {k: case for k, case in wanted.items() if any(part in k for part in args.only)}
    rows = []
    print(HEAD)
    for name, case in wanted.items():
        rows.append(measure(name, case(), 200 if args.quick else args.steps, args.seed))
        print(line(rows[-1]), flush=True)
    gains = [r["result"] - r["instant"] for r in rows]
    print(
        f"right in {sum(r['right'] for r in rows)} of {len(rows)}; mean regret "
        f"{np.mean([r['regret'] for r in rows]):.2f} dB; over instant {np.mean(gains):+.2f} dB, "
        f"worst {min(gains):+.2f}; ended early in {sum(r['early'] for r in rows)}"
    )
    place = f"choice_{args.half}" + "_quick" * args.quick
    if args.only:
        measured = {row["image"]: row for row in rows}
        old = {row["image"]: row for row in recorded(place)}
        rows = list((old | measured).values())
    record(place, vars(args), rows)


if __name__ == "__main__":
    main()
