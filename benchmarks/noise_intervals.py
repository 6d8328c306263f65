"""Do the intervals of `unnoise inspect` hold the truth? Kinds of noise x scenes x draws.

    python benchmarks/noise_intervals.py                 # 200 draws a kind, minutes on one core
    python benchmarks/noise_intervals.py --draws 40 speckle

Scenes are four pictures of scikit-image, 192 pixels wide, as they are and smoothed as by an
objective; draws go round the eight of them and round the strengths of a kind. Printed are, by kind,
how often the 95 % interval of the noise standard deviation holds the root of the mean true
variance, its median width as a share of the value, the median and the worst ratio of value and
truth; how many draws are neither within 10 % nor have an interval narrower than 30 % that holds the
truth; and where the kind has a gain, how often its interval holds that, and its median width.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special
from skimage import data as samples

from common import record
from unnoise.noise import correlation, photon_transfer

SIDE = 192
PICTURES = ("coins", "camera", "cell", "gravel")
LOOKS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True, eq=False)
class Draw:
    """A noisy picture, the variance of its noise in every pixel, and the gain if there is one."""

    noisy: NDArray
    variance: NDArray
    gain: float | None = None


Maker = Callable[[NDArray, np.random.Generator, int], Draw]


def gaussian(s: NDArray, rng: np.random.Generator, i: int) -> Draw:
    sd = (10.0, 25.0, 50.0)[i % 3]
    return Draw(s + rng.normal(0, sd, s.shape), np.full(s.shape, sd**2), 0.0)


def poisson(s: NDArray, rng: np.random.Generator, i: int) -> Draw:
    electrons = s / 255 * (10, 50, 200)[i % 3] + 1
    return Draw(3.0 * rng.poisson(electrons), 9.0 * electrons, 3.0)


def poisson_gauss(s: NDArray, rng: np.random.Generator, i: int) -> Draw:
    electrons = s / 255 * (20, 60, 150)[i % 3]
    noisy = 2.0 * rng.poisson(electrons) + 100 + rng.normal(0, 6, s.shape)
    return Draw(noisy, 4.0 * electrons + 36, 2.0)


def speckle(looks: int) -> Maker:
    def made(s: NDArray, rng: np.random.Generator, i: int) -> Draw:
        signal = (s / 255) ** 2 * 0.5 + 0.003 if i % 2 else s + 20
        return Draw(signal * rng.gamma(looks, 1 / looks, s.shape), signal**2 / looks)

    return made


def vignetted(s: NDArray, rng: np.random.Generator, i: int) -> Draw:
    y, x = np.mgrid[: len(s), : s.shape[1]] / len(s) * 2 - 1
    light = 1 / (1 + (1.0, 3.0)[i % 2] * (y**2 + x**2) / 2)  # 2 or 4 times darker in the corners
    return Draw(rng.poisson(s * 1.5 * light) / light, s * 1.5 / light)


def clipped(s: NDArray, rng: np.random.Generator, i: int) -> Draw:
    sd = (0.05, 0.1)[i % 2]
    noisy = np.clip(s / 255 + rng.normal(0, sd, s.shape), 0, 1)
    return Draw(noisy, clipped_variance(s / 255, sd))


def eight_bit(s: NDArray, rng: np.random.Generator, i: int) -> Draw:
    noisy = 1.5 * rng.poisson(s * 0.8 / 1.5) + 12 + rng.normal(0, 3, s.shape)
    return Draw(noisy.round().clip(0, 255).astype(np.uint8), 1.2 * s + 9 + 1 / 12, 1.5)


def clipped_variance(mean: NDArray, sd: float) -> NDArray:
    """Variance of a normal number that is cut off at 0 and 1."""
    low, high = -mean / sd, (1 - mean) / sd
    density = [np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) for z in (low, high)]
    below, above = special.ndtr(low), special.ndtr(-high)
    inside = 1 - below - above
    first = mean * inside - sd * (density[1] - density[0])
    second = (mean**2 + sd**2) * inside - sd * ((mean + 1) * density[1] - mean * density[0])
    return second + above - (first + above) ** 2


KINDS: dict[str, Maker] = {
    "gaussian": gaussian,
    "poisson": poisson,
    "poisson-gauss": poisson_gauss,
    **{f"speckle {looks}": speckle(looks) for looks in LOOKS},
    "vignetted": vignetted,
    "clipped": clipped,
    "8-bit": eight_bit,
}


def scenes() -> list[NDArray]:
    """Pictures from 0 to 255, each as it is and smoothed."""
    found = []
    for name, width in product(PICTURES, (0.0, 1.0)):
        picture = np.asarray(getattr(samples, name)(), np.float64)
        y, x = ((n - SIDE) // 2 for n in picture.shape)
        cut = picture[y : y + SIDE, x : x + SIDE]
        found.append(ndimage.gaussian_filter(cut, width) if width else cut)
    return found


def judged(draw: Draw) -> dict[str, float]:
    """What inspect says of one picture, against the truth."""
    planes = np.asarray(draw.noisy, np.float64)[None]
    acf = correlation.measure(planes)
    curve = photon_transfer.measure(planes)  # as inspect does where no noise is correlated
    if curve is None or acf is None or acf.along:
        return {"ratio": np.nan, "width": np.nan, "held": 0.0, "bad": 1.0}
    ratio = float((curve.level / draw.variance.mean()) ** 0.5)
    half = 1.96 * curve.level_error / 2
    held = ratio * (1 - half) <= 1 <= ratio * (1 + half)
    bad = not (0.9 <= ratio <= 1.1 or (held and 2 * half < 0.3))
    row = {"ratio": ratio, "width": 2 * half, "held": float(held), "bad": float(bad)}
    if draw.gain is not None:
        row["gain held"] = float(curve.gain_low <= draw.gain <= curve.gain_high)
        row["gain width"] = (curve.gain_high - curve.gain_low) / (draw.gain or np.nan)
    return row


def of_kind(kind: str, draws: int, pictures: list[NDArray], *, detail: bool = False) -> dict:
    """All draws of a kind in one row."""
    start, rows = time.perf_counter(), []
    for i in range(draws):
        rng = np.random.default_rng([i, list(KINDS).index(kind)])
        rows.append(judged(KINDS[kind](pictures[i % 8], rng, i // 8)))
    if detail:
        for k in range(8):
            ratios = np.array([row["ratio"] for row in rows[k::8]])
            held = np.mean([row["held"] for row in rows[k::8]])
            print(f"    {PICTURES[k // 2]:8s}{'smooth' if k % 2 else '':8s}{held:5.2f}", end=" ")
            print(*(f"{r:.2f}" for r in ratios[:14]))
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    off = np.abs(np.log(found["ratio"]))
    row = {
        "kind": kind,
        "draws": draws,
        "cover": float(found["held"].mean()),
        "width": float(np.nanmedian(found["width"])),
        "median ratio": float(np.nanmedian(found["ratio"])),
        "worst ratio": float(found["ratio"][int(np.nanargmax(off))]),
        "bad": int(found["bad"].sum()),
        "seconds": time.perf_counter() - start,
    }
    if "gain held" in found:
        row["gain cover"] = float(found["gain held"].mean())
        row["gain width"] = float(np.median(found["gain width"]))
    print("  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", help="parts of their names; all if none")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--detail", action="store_true", help="by scene, too")
    args = parser.parse_args()
    pictures = scenes()
    chosen = [k for k in KINDS if not args.kinds or any(part in k for part in args.kinds)]
    rows = [of_kind(kind, args.draws, pictures, detail=args.detail) for kind in chosen]
    if not args.kinds:
        record("noise_intervals", {"draws": args.draws, "side": SIDE, "seed": 0}, rows)


if __name__ == "__main__":
    main()
