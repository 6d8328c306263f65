"""``unnoise.inspect`` against known truth: noise level, gain, and the verdict on correlation.

(a) White noise on BSD68: error of the variance, and false verdicts.
(b) Photons and read noise on BSD68 and on smooth scenes: error of the gain, and its interval.
(c) Real images: the axes along which noise is correlated. The truth is the autocorrelation of noisy
minus clean (affinely fitted) where the clean image is flat, above that of the diagonal, or what is
known of the instrument: above 0.065 correlated, below 0.04 independent, between them left out.

    python benchmarks/inspect.py

`inspect.py` beside it is its entry point; the name there is that of a standard module.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from scipy import ndimage

import unnoise
from common import DATA, data, record

CORRELATED, INDEPENDENT = 0.065, 0.04
CAMERAS = ((1, 100, 2, 100), (2.5, 100, 5, 400), (0.5, 500, 3, 2000), (10, 200, 20, 60))
"""Gain, offset and read noise in grey levels, and electrons at the brightest pixel."""
KNOWN = {
    "repeats_BPAE_B_fov1_t16": {"Y": False, "X": False},
    "pn2v_convallaria": {"Y": False, "X": False},
    "neubias_cells_eres_noisy": {"Y": False, "X": False},
    "shale_fibsem_00": {"X": True, "Y": False},
    "stem_au_np": {"X": True, "Y": False},
    "m67_ccd": {"any": True},
}
"""Axes along which the noise is correlated, from the notes of the data or the instrument."""
AXES = {"repeats_BPAE_B_fov1_t16": "TYX", "cellfinder_ch1_12x256x256": "ZYX"}
AXES |= {"cells3d_nuclei_20x128x128": "ZYX"}


def levels() -> list[dict]:
    rows = []
    for sigma in (10, 25, 50):
        errors, false = [], 0
        for i, path in enumerate(sorted(data("natural/bsd68").iterdir())):
            clean = read(path).astype(np.float64)
            noisy = clean + np.random.default_rng(i).normal(0, sigma, clean.shape)
            report = unnoise.inspect(noisy)
            errors.append(report.channels[0].curve.level / sigma**2 - 1)
            false += report.correlated
        size = np.abs(errors)
        row = {
            "part": "level",
            "sigma": sigma,
            "images": len(size),
            "mean": float(size.mean()),
            "median": float(np.median(size)),
            "bias": float(np.mean(errors)),
            "within 4 %": float((size < 0.04).mean()),
            "worst": float(size.max()),
            "false verdicts": int(false),
        }
        rows.append(show(row))
    return rows


def scenes() -> dict[str, list[np.ndarray]]:
    """Clean pictures from 0 to 1: photographs, and smooth cells on a dark ground."""
    photographs = [read(p).astype(np.float64) for p in sorted(data("natural/bsd68").iterdir())]
    cells = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        coarse, fine = (ndimage.gaussian_filter(rng.normal(size=(384, 384)), s) for s in (16, 3))
        cells.append(np.maximum(coarse / coarse.std(), 0) * (1 + 0.3 * fine / fine.std()).clip(0))
    return {
        kind: [(p - p.min()) / np.ptp(p) for p in pictures]
        for kind, pictures in (("BSD68", photographs), ("cells", cells))
    }


def gains() -> list[dict]:
    rows = []
    for kind, pictures in scenes().items():
        for gain, offset, read_noise, peak in CAMERAS:
            errors, covered = [], 0
            for i, clean in enumerate(pictures):
                rng = np.random.default_rng(i)
                noisy = gain * rng.poisson(clean * peak) + offset
                noisy = noisy + rng.normal(0, read_noise, clean.shape)
                curve = unnoise.inspect(noisy).channels[0].curve
                errors.append(abs(curve.gain / gain - 1))
                covered += curve.gain_low <= gain <= curve.gain_high
            row = {
                "part": "gain",
                "scenes": kind,
                "gain": gain,
                "offset": offset,
                "read": read_noise,
                "peak": peak,
                "images": len(errors),
                "mean": float(np.mean(errors)),
                "median": float(np.median(errors)),
                "within 10 %": float(np.mean(np.array(errors) < 0.1)),
                "coverage": covered / len(errors),
            }
            rows.append(show(row))
    return rows


def verdicts() -> list[dict]:
    rows = []
    with open(DATA / "manifest.csv", newline="") as file:
        cases = list(csv.DictReader(file))
    for case in cases:
        name = case["name"]
        path = next((DATA / case["group"]).glob(f"{name}__noisy.*"))
        image = unnoise.open(path, axes=AXES.get(name))
        start = time.perf_counter()
        report = unnoise.inspect(image)
        seconds = time.perf_counter() - start
        channel = report.channels[min(1, len(report.channels) - 1)]
        found = "".join(axis for axis in channel.axes)
        truth = KNOWN.get(name)
        if case["gt"] == "yes":
            clean = next((DATA / case["group"]).glob(f"{name}__gt.*"))
            truth = measured(read(path), read(clean))
        right = None
        if truth:
            asked = {"any": bool(found), **{axis: axis in found for axis in "YX"}}
            right = all(asked[axis] == value for axis, value in truth.items())
        text = " ".join(f"{k}:{'yes' if v else 'no'}" for k, v in (truth or {}).items())
        row = {
            "part": "verdict",
            "group": case["group"],
            "image": name,
            "found": found or "-",
            "truth": text or "not known",
            "right": right,
            "method": report.method,
            "seconds": seconds,
        }
        rows.append(show(row))
    return rows


def measured(noisy: np.ndarray, clean: np.ndarray) -> dict[str, bool]:
    """By axis, whether the noise in the flattest parts is correlated; what is unclear is left out.

    Nothing is said if an axis is unclear and none is surely correlated.
    """
    if noisy.ndim == 3:
        noisy, clean = noisy[..., 1], clean[..., 1]
    noisy, clean = noisy.astype(np.float64), clean.astype(np.float64)
    fitted = np.polyval(np.polyfit(clean.ravel(), noisy.ravel(), 1), clean)
    noise = noisy - fitted
    slope = ndimage.gaussian_gradient_magnitude(fitted, 1.5)
    flat = slope < np.quantile(slope, 0.4)

    def rho(y: int, x: int) -> float:
        h, w = noise.shape
        both = flat[: h - y, : w - x] & flat[y:, x:]
        return float((noise[: h - y, : w - x] * noise[y:, x:])[both].mean() / power)

    power = (noise[flat] ** 2).mean()
    corner = rho(1, 1)
    above = {"Y": rho(1, 0) - corner, "X": rho(0, 1) - corner}
    sure = {k: v > CORRELATED for k, v in above.items() if v > CORRELATED or abs(v) < INDEPENDENT}
    return sure if len(sure) == 2 or any(sure.values()) else {}


def read(path: Path) -> np.ndarray:
    return tifffile.imread(path) if path.suffix == ".tif" else imagecodecs.imread(str(path))


def show(row: dict) -> dict:
    print(
        "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()),
        flush=True,
    )
    return row


def main() -> None:
    unnoise.inspect(np.random.default_rng(0).normal(size=(64, 64)))  # imports and caches
    rows = [*levels(), *gains(), *verdicts()]
    judged = [row for row in rows if row.get("right") is not None]
    seconds = [row["seconds"] for row in rows if "seconds" in row]
    summary = {
        "verdicts": len(judged),
        "right": sum(row["right"] for row in judged) / len(judged),
        "right, one per group": float(
            np.mean(
                [
                    np.mean([row["right"] for row in judged if row["group"] == group])
                    for group in {row["group"] for row in judged}
                ]
            )
        ),
        "median seconds": float(np.median(seconds)),
        "slowest seconds": max(seconds),
    }
    show(summary)
    record("inspect", summary, rows)


if __name__ == "__main__":
    main()
