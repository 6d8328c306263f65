"""The verdict on correlated noise, its autocorrelation and its strength, against known truth.

(a) Shared pictures whose truth is known: the noise is noisy minus clean, affinely fitted where the
two have their own grey scales, or the difference of repeats. Its correlation with the next pixel
along Y or X is measured where nothing is clipped; from 0.15 on it counts as correlated, up to 0.05
along both as independent, between as neither. Pictures of the report half are marked.
(b) 200 simulated pictures: 20 scenes with each of 10 kernels; the strength, and whether it depends
on the signal or was interpolated with it, take turns. Errors of the autocorrelation at lags 1 to 3
along the axes and the diagonals, and of the mean variance.
(c) The same 20 scenes with white noise of ten kinds.

No scene and no kernel here is among those that `recipes/verdict.py` draws from.

    python benchmarks/verdict.py [--quick | --develop]

`--develop` does (b) and (c) with twenty other scenes, weaker noise among them, on which choices
were made. `--quick` takes every fifth simulated picture and no picture of the report half. Both
store nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np
import tifffile
from scipy import ndimage
from skimage import data as samples

import unnoise
from common import DATA, HERE, data, record

sys.path.insert(0, str(HERE.parent / "recipes"))
import scenes

CORRELATED, INDEPENDENT = 0.15, 0.05
SIDE = 256
DEVELOPED = {
    "w2s": ("001", "005", "009", "013"),
    "photo_sidd": ("1_", "2_", "3_", "4_"),
    "photo_cc15": ("5dmark3", "d800_iso6400"),
    "photo_polyu": ("Canon5D2_5_160_3200", "Canon80D", "NikonD800"),
    "fmd": ("repeats",),
    "gigadb": (),
}
"""Names of the pictures of every set that choices were made on."""
FITTED = ("w2s", "gigadb")
"""Sets whose clean pictures have a grey scale of their own."""


def known() -> Iterator[tuple[str, str, np.ndarray, np.ndarray, str]]:
    """Group, name, noisy picture, noise (NaN where clipped) and axes of shared pictures."""
    for group in DEVELOPED:
        for path in sorted(data(group).glob("*__noisy.*")):
            clean = path.with_name(path.name.replace("__noisy", "__gt"))
            name = path.name.split("__")[0]
            if path.suffix == ".tif":
                frames = tifffile.imread(path).astype(np.float64)
                yield group, name, frames[0], frames[0] - frames[1], "YX"
            elif clean.exists():
                noisy, truth = (
                    imagecodecs.imread(str(p)).astype(np.float64) for p in (path, clean)
                )
                inside = (noisy > 2) & (noisy < 253)
                if group in FITTED:
                    inside = (noisy > 0) & (noisy < 255)
                    truth = np.polyval(np.polyfit(truth[inside], noisy[inside], 1), truth)
                noise = np.where(inside, noisy - truth, np.nan)
                yield group, name, noisy, noise, "YXC" if noisy.ndim == 3 else "YX"


def neighbours(noise: np.ndarray) -> tuple[float, float]:
    """Correlation of noise with the next pixel along Y and X, all channels as one.

    Its mean and its strength are taken out place by place, so neither what a clean picture lacks
    nor noise that grows with the signal counts.
    """
    found = []
    for plane in np.moveaxis(np.atleast_3d(noise), -1, 0):
        there = np.isfinite(plane).astype(np.float64)
        weight = np.maximum(ndimage.gaussian_filter(there, 8), 1e-3)
        centred = np.where(there > 0, plane, 0)
        centred = (centred - ndimage.gaussian_filter(centred, 8) / weight) * there
        size = np.sqrt(ndimage.gaussian_filter(centred**2, 8) / weight) + 1e-9
        z = centred / size
        pairs = ((z[1:], z[:-1]), (z[:, 1:], z[:, :-1]))
        found.append(
            [float((a * b).sum() / np.sqrt((a**2 * (b != 0)).sum() * (b**2 * (a != 0)).sum()))
             for a, b in pairs]
        )  # fmt: skip
    y, x = np.mean(found, axis=0)
    return float(y), float(x)


def shared(quick: bool) -> list[dict]:
    rows = []
    for group, name, noisy, noise, axes in known():
        half = "developed" if name.startswith(DEVELOPED[group]) else "report"
        if quick and half == "report":
            continue
        y, x = neighbours(noise)
        truth = None if INDEPENDENT < max(y, x) < CORRELATED else max(y, x) >= CORRELATED
        start = time.process_time()
        report = unnoise.inspect(noisy, axes=axes)
        rows.append(
            show(
                {
                    "part": "shared",
                    "half": half,
                    "image": f"{group}/{name}",
                    "true y": y,
                    "true x": x,
                    "truth": truth,
                    "found": "".join(report.correlation_axes),
                    "right": None if truth is None else report.correlated == truth,
                    "cpu_s": time.process_time() - start,
                }
            )
        )
    return rows


def pictures() -> dict[str, np.ndarray]:
    """Twenty clean scenes of about 256x256 pixels from 0 to 255."""

    def grey(path):
        picture = imagecodecs.imread(str(path)).astype(np.float64)
        return picture[..., 1] if picture.ndim == 3 else picture

    def smaller(picture, by):
        h, w = (n // by * by for n in picture.shape)
        return picture[:h, :w].reshape(h // by, by, w // by, by).mean((1, 3))

    def middle(picture):
        y, x = (max(n - SIDE, 0) // 2 for n in picture.shape)
        return picture[y : y + SIDE, x : x + SIDE]

    found = {f"kodak {p.stem}": middle(grey(p)) for p in sorted(data("natural/kodak4").iterdir())}
    for path in sorted(data("natural/train400").glob("*.png"))[-3:]:
        found[f"train400 {path.stem}"] = grey(path)
    for name in ("u23", "u26", "u29"):
        found[f"unsplash {name}"] = middle(
            smaller(grey(DATA / "natural" / "unsplash" / f"{name}.jpg"), 4)
        )
    # Electron micrographs have noise of their own, which is correlated: it is smoothed away.
    micrograph = smaller(grey(DATA / "em_clean" / "isbi_0__noisy.png"), 2)
    found["isbi, halved"] = ndimage.gaussian_filter(micrograph, 1)
    for name in ("grass", "gravel", "brick", "cell"):
        found[name] = middle(getattr(samples, name)().astype(np.float64))
    for seed in range(5):
        made = scenes.microscopy(SIDE, np.random.default_rng([99, seed]))
        found[f"microscopy {seed}"] = made.astype(np.float64)
    return found


def developed() -> dict[str, np.ndarray]:
    """Twenty scenes that share nothing with those of `pictures` to make choices on."""
    found = {}
    for path in sorted(data("natural/kodak4").iterdir()):
        green = imagecodecs.imread(str(path))[..., 1].astype(np.float64)
        found[f"kodak {path.stem}, first corner"] = green[:SIDE, :SIDE]
        found[f"kodak {path.stem}, last corner"] = green[-SIDE:, -SIDE:]
    for path in sorted(data("natural/train400").glob("*.png"))[10:-3:70]:
        found[f"train400 {path.stem}"] = imagecodecs.imread(str(path)).astype(np.float64)
    for name in ("u22", "u24", "u25", "u27", "u28", "u30"):
        path = DATA / "natural" / "unsplash" / f"{name}.jpg"
        green = imagecodecs.imread(str(path))[..., 1].astype(np.float64)
        half = green[: 2 * SIDE, : 2 * SIDE].reshape(SIDE, 2, SIDE, 2).mean((1, 3))
        found[f"unsplash {name}, halved"] = half
    return found


def gaussian(y: float, x: float) -> np.ndarray:
    t = np.arange(-4, 5)
    return np.outer(np.exp(-(t**2) / 2 / y**2), np.exp(-(t**2) / 2 / x**2))


def disc() -> np.ndarray:
    y, x = np.mgrid[-2:3, -2:3]
    return np.clip(2 - np.hypot(y, x), 0, 1)


KERNELS = {
    "Gaussian 0.55": gaussian(0.55, 0.55),
    "Gaussian 0.8": gaussian(0.8, 0.8),
    "Gaussian 0.5, 0.9": gaussian(0.5, 0.9),
    "2x2": np.ones((2, 2)),
    "3x3": np.ones((3, 3)),
    "3 along X": np.ones((1, 3)),
    "5 along Y": np.ones((5, 1)),
    "scan along X": 0.5 ** np.arange(12.0)[None],
    "cubic half-pixel shift": np.outer([-1, 9, 9, -1], [-1, 9, 9, -1]) / 256,
    "disc": disc(),
}
STRENGTHS, WEAKER = (8.0, 15.0, 25.0, 40.0), (6.0, 10.0, 15.0, 25.0)
KINDS = ("the same everywhere", "grows with the signal", "interpolated")
WHITE = (
    *(("the same everywhere", s) for s in (5.0, 10.0, 15.0, 25.0, 50.0)),
    *(("grows with the signal", s) for s in (5.0, 12.0, 30.0)),
    *(("counts", mean) for mean in (5.0, 50.0)),
)


def noise_on(
    clean: np.ndarray, kernel: np.ndarray, kind: str, strength: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture, and its noise alone."""
    if kind == "counts":
        scaled = np.maximum(clean, 0) / clean.mean() * strength
        noisy = rng.poisson(scaled).astype(np.float64)
        return noisy, noisy - scaled
    white = rng.standard_normal(clean.shape)
    if kind != "the same everywhere":
        white *= np.sqrt(0.1 + 0.9 * np.maximum(clean, 0) / clean.mean())
    weights = kernel / kernel.sum()

    def spread(picture):
        return ndimage.convolve(picture, np.pad(weights, [(0, 1 - n % 2) for n in weights.shape]))

    noise = strength * spread(white) / np.sqrt((weights**2).sum())
    return (spread(clean) if kind == "interpolated" else clean) + noise, noise


def autocorrelation(kernel: np.ndarray, reach: int) -> np.ndarray:
    """Of white noise filtered with a kernel, by lag."""
    power = np.abs(np.fft.fft2(kernel, (64, 64))) ** 2
    rho = np.fft.fftshift(np.fft.ifft2(power).real)
    near = slice(32 - reach, 32 + reach + 1)
    return rho[near, near] / rho[32, 32]


def simulated(
    scenes_: dict[str, np.ndarray], quick: bool, strengths: tuple[float, ...] = STRENGTHS
) -> list[dict]:
    rows = []
    for i, (name, clean) in enumerate(scenes_.items()):
        cases = [(f"{kernel}", KERNELS[kernel], KINDS[(i + j) % 3], strengths[(i + j) % 4])
                 for j, kernel in enumerate(KERNELS)]  # fmt: skip
        cases += [("white", np.ones((1, 1)), kind, strength) for kind, strength in WHITE]
        for j, (label, kernel, kind, strength) in enumerate(cases):
            if quick and (i + j) % 5:
                continue
            rng = np.random.default_rng([zlib.crc32(name.encode()), j])
            noisy, noise = noise_on(clean, kernel, kind, strength, rng)
            report = unnoise.inspect(noisy)
            channel = report.channels[0]
            row = {
                "part": "white" if label == "white" else "correlated",
                "scene": name,
                "kernel": label,
                "kind": kind,
                "strength": strength,
                "found": "".join(report.correlation_axes),
                "right": report.correlated == (label != "white"),
            }
            if channel.curve is not None:
                row["level error"] = channel.curve.level / float((noise**2).mean()) - 1
            if label != "white" and channel.correlation is not None:
                row["rho error"] = off(channel.correlation.neighbours, kernel)
            rows.append(show(row))
    return rows


def off(found: np.ndarray, kernel: np.ndarray) -> float:
    """Largest error at lags 1 to 3 along the axes and the diagonals."""
    r = min(len(found) // 2, 3)
    middle = len(found) // 2
    near = slice(middle - r, middle + r + 1)
    error = np.abs(found[near, near] - autocorrelation(kernel, r))
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    return float(error[(y == 0) | (x == 0) | (abs(y) == abs(x))].max())


def show(row: dict) -> dict:
    print(
        "  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()),
        flush=True,
    )
    return row


def summary(rows: list[dict]) -> dict:
    """What is asked for, in numbers."""
    found: dict = {}
    for half in ("developed", "report"):
        judged = [r for r in rows if r.get("half") == half and r["right"] is not None]
        for truth, name in ((True, "correlated"), (False, "independent")):
            of = [r["right"] for r in judged if r["truth"] is truth]
            found[f"shared, {half}, {name}: right"] = f"{sum(of)} of {len(of)}"
    for part in ("correlated", "white"):
        of = [r["right"] for r in rows if r["part"] == part]
        found[f"simulated, {part}: right"] = f"{sum(of)} of {len(of)}"
        levels = np.abs(
            [r["level error"] for r in rows if r["part"] == part and "level error" in r]
        )
        found[f"simulated, {part}: level, median error"] = float(np.median(levels))
        found[f"simulated, {part}: level within 10 %"] = float((levels < 0.1).mean())
    errors = np.array([r["rho error"] for r in rows if "rho error" in r])
    found["autocorrelation, median of the largest error"] = float(np.median(errors))
    found["autocorrelation within 0.05 at all lags"] = float((errors < 0.05).mean())
    kept = np.array([r["rho error"] for r in rows if "rho error" in r and r["right"]])
    found["autocorrelation within 0.05, where called correlated"] = float((kept < 0.05).mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--develop", action="store_true")
    asked = parser.parse_args()
    quick = asked.quick
    if asked.develop:
        rows = simulated(developed(), quick, WEAKER)
    else:
        rows = [*shared(quick), *simulated(pictures(), quick)]
    found = summary(rows)
    for name, value in found.items():
        print(f"{name}: {value:.3g}" if isinstance(value, float) else f"{name}: {value}")
    if not quick and not asked.develop:
        record("verdict", found, rows)


if __name__ == "__main__":
    main()
