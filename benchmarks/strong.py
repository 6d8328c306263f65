"""Very strong noise: is `instant` ever below a plain blur, and does it invent structure?

    python benchmarks/strong.py --processes 2          # 200 pictures, three seeds; resumable
    python benchmarks/strong.py --seeds 0 --first 40
    python benchmarks/strong.py --edges                # false edges; needs peers/setup.sh bm3d
    python benchmarks/strong.py table

The 200 pictures are crops of 128 to 256 pixels of Kodak, Train400 (on which the shipped net was
trained) and simulated microscopy, half of them with Gaussian noise of sigma 50 to 400 (of 255),
half as photon counts with a mean of 0.2 to 5. `instant` is compared with the Gaussian blur whose
width is calibrated by J-invariance; the best blur knows the truth. Scale-invariant PSNR.

Edges: Canny's, in twelve pictures of 256x256 pixels (simulated microscopy, Kodak, truths of
development fields of W2S) with sigma 50, 100 and 200. Thresholds are quantiles of the gradient of
the truth; an edge of a result is false if the truth has none of half that strength within two
pixels. A truth has no false edges and finds all; a blur invents little and finds little.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

import peer
import strong_tables
from code_version import code_version
from common import RESULTS, alone, data, origin, record, recorded
from correlated_methods import METHODS
from correlated_pictures import Picture, read, scene
from stored import Results

NAME = "strong"
COUNT = 200
SOURCES = ("kodak", "microscopy", "train400", "microscopy")
SIGMA, PHOTONS = (50.0, 400.0), (0.2, 5.0)
COMPARED = ("noisy", "blur", "gaussian", "instant")
CANNY, STRONG, WEAK, NEAR = 1.5, 0.95, 0.88, 2
"""Width of the smoothing, quantiles of the thresholds, and how near the truth an edge may lie."""


@dataclass(frozen=True)
class Scene:
    """A clean picture and how it becomes noisy."""

    number: int
    source: str
    truth: NDArray[np.float64]
    sigma: float | None
    photons: float | None

    @property
    def noise(self) -> str:
        """For people."""
        return f"sigma {self.sigma:.0f}" if self.sigma else f"{self.photons:.2f} photons"

    def noisy(self, seed: int) -> NDArray:
        """Its noise of a seed."""
        rng = np.random.default_rng([self.number, seed, 51])
        if self.photons:
            return rng.poisson(self.truth / self.truth.mean() * self.photons).astype(np.uint16)
        noise = self.sigma * rng.standard_normal(self.truth.shape)
        return (self.truth + noise).astype(np.float32)


def scenes(number: int) -> Scene:
    """One of the 200, by its number alone."""
    rng = np.random.default_rng([number, 50])
    side, source = int(rng.integers(128, 257)), SOURCES[number % 4]
    truth = scene(10_000 + number, side) if source == "microscopy" else crop(source, side, rng)
    truth = np.maximum(truth, 0)  # an inverted scene may reach below black
    low, high = SIGMA if number // 4 % 2 else PHOTONS
    level = float(low * (high / low) ** rng.random())
    levels = (level, None) if number // 4 % 2 else (None, level)
    return Scene(number, source, truth, *levels)


def crop(source: str, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random square of a random picture, grey."""
    folder = data("natural") / ("kodak4" if source == "kodak" else source)
    paths = sorted(folder.glob("*.png"))
    image = imagecodecs.imread(str(paths[rng.integers(len(paths))])).astype(np.float64)
    image = image if image.ndim == 2 else image[..., :3] @ np.array([0.299, 0.587, 0.114])
    side = min(side, *image.shape)
    top, left = (int(rng.integers(n - side + 1)) for n in image.shape)
    return image[top : top + side, left : left + side]


def measured(task: tuple[int, int]) -> dict[str, Any]:
    """PSNR of one of the 200 by all methods, for a seed."""
    torch.set_num_threads(1)
    number, seed = task
    found = scenes(number)
    picture = Picture(found.noisy(seed), found.truth, None)
    row = {"picture": number, "source": found.source, "noise": found.noise}
    row["side"] = len(found.truth)
    for name in COMPARED:
        row[f"{name}_{seed}"] = round(picture.psnr(METHODS[name].work(picture, seed)), 3)
    return row


def run(args: argparse.Namespace) -> None:
    """Measure what is not there of this code."""
    code = code_version()
    rows = {r["picture"]: r for r in recorded(NAME) if args.keep or r["code"] == code}
    todo = [
        (number, seed)
        for seed in args.seeds
        for number in range(args.first)
        if f"instant_{seed}" not in rows.get(number, {})
    ]
    print(f"{len(todo)} to measure, {len(rows)} pictures there, code {code}", flush=True)
    for row in results(todo, args.processes):
        print("  ".join(map(str, row.values())), flush=True)
        with alone(NAME):
            stored = {r["picture"]: r for r in recorded(NAME)}
            old = stored.get(row["picture"], {})
            old = old if args.keep or old.get("code") == code else {}
            stored[row["picture"]] = old | row | {"code": code} | origin()
            ordered = [stored[number] for number in sorted(stored)]
            record(NAME, {"pictures": args.first, "seeds": args.seeds}, ordered)


def results(todo: list[tuple[int, int]], processes: int) -> Any:
    """Rows as they are finished."""
    if processes == 1:
        yield from map(measured, todo)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(measured, task) for task in todo]):
            yield future.result()


def canny(image: NDArray, thresholds: tuple[float, float]) -> NDArray[np.bool_]:
    """Edges whose gradient is above absolute thresholds."""
    from skimage import feature

    low, high = thresholds
    found = feature.canny(
        image.astype(np.float64), CANNY, low, high, mode="reflect", use_quantiles=False
    )
    return np.asarray(found)


def edges(result: NDArray, truth: NDArray) -> dict[str, float]:
    """False edges per megapixel, and the share of the edges of the truth that were found."""
    smooth = ndimage.gaussian_filter(truth.astype(np.float64), CANNY, mode="reflect")
    strength = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))
    high, low = (float(np.quantile(strength, q)) for q in (STRONG, WEAK))
    there, here = canny(truth, (low, high)), canny(result, (low, high))
    excused = canny(truth, (low / 2, high / 2)) | there
    far = ndimage.distance_transform_edt(~excused) > NEAR
    near = ndimage.distance_transform_edt(~here) <= NEAR if here.any() else here
    return {
        "false": 1e6 * float((here & far).mean()),
        "found": float(near[there].mean()) if there.any() else float("nan"),
    }


def edge_scenes() -> list[tuple[str, NDArray[np.float64]]]:
    """Twelve truths of 256x256 pixels."""
    rng = np.random.default_rng(52)
    fields = ("001_0", "005_1", "009_2", "013_0")
    middles = [read(f"w2s/{name}")[1][128:384, 128:384].astype(np.float64) for name in fields]
    return [
        *(("microscopy", scene(20_000 + i, 256)) for i in range(4)),
        *(("kodak", crop("kodak", 256, rng)) for _ in range(4)),
        *(("W2S", truth * 255 / truth.max()) for truth in middles),
    ]


def told_bm3d(picture: Picture, sigma: float) -> NDArray:
    """BM3D at a known level."""
    words = ["--sigma", f"{sigma:g}", "--peak", "255"]
    return peer.call("bm3d", "bm3d_denoise.py", {"image": picture.noisy}, *words)[0]["image"]


def invention(args: argparse.Namespace) -> None:
    """Edges that results have and truths have not."""
    torch.set_num_threads(1)
    code, rows = code_version(), []
    for sigma in (50.0, 100.0, 200.0):
        for number, (source, truth) in enumerate(edge_scenes()):
            noise = np.random.default_rng([number, 53]).standard_normal(truth.shape)
            picture = Picture((truth + sigma * noise).astype(np.float32), truth, 255.0)
            works = {
                "noisy": METHODS["noisy"].work,
                "blur": METHODS["blur"].work,
                "gaussian": METHODS["gaussian"].work,
                "bm3d": lambda p, s, sigma=sigma: told_bm3d(p, sigma),
                "instant": METHODS["instant"].work,
            }
            if peer.missing("bm3d"):
                del works["bm3d"]
            for name, work in works.items():
                result = work(picture, 0)
                row = {"sigma": sigma, "picture": number, "source": source, "method": name}
                row |= {"psnr": picture.psnr(result), **edges(result, truth)}
                rows.append({k: round(v, 3) if k in FIGURES else v for k, v in row.items()})
                print("  ".join(map(str, rows[-1].values())), flush=True)
    settings = {"seed": 0, "code": code, "canny": [CANNY, STRONG, WEAK, NEAR]}
    gone = peer.missing("bm3d")
    record("edges", settings, rows, peers=peer.versions("bm3d"), missing=gone)


FIGURES = ("psnr", "false", "found")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("run", "table"), default="run")
    parser.add_argument("--first", type=int, default=COUNT, help="pictures: the first so many")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep rows of other code")
    parser.add_argument("--edges", action="store_true", help="the test for invented structure")
    args = parser.parse_args()
    if args.what == "run":
        (invention if args.edges else run)(args)
    found = Results(RESULTS).records
    print(strong_tables.strong(recorded(NAME)), strong_tables.edges(found.get("edges")), sep="\n\n")


if __name__ == "__main__":
    main()
