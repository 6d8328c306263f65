"""W2S widefield images: ``unnoise denoise`` with defaults against the best Gaussian blur.

Every image is denoised on its own by the command line, file to file. Both results are compared
with the mean of 400 exposures by scale-invariant PSNR (the files were stretched separately); the
width of the Gaussian is chosen with the truth, per image, which no user could do.

    python benchmarks/w2s.py            # report fields
    python benchmarks/w2s.py --fields dev
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imagecodecs
import numpy as np
from scipy import ndimage

from common import data, record
from unnoise.quality.metrics import scale_invariant_psnr

FIELDS = {"report": ("002", "007", "011", "015"), "dev": ("001", "005", "009", "013")}
SIGMAS = np.arange(0.3, 6.01, 0.1)


def best_gaussian(noisy: np.ndarray, truth: np.ndarray) -> float:
    """The highest scale-invariant PSNR of any Gaussian blur."""
    x = noisy.astype(np.float64)
    return max(scale_invariant_psnr(ndimage.gaussian_filter(x, s), truth) for s in SIGMAS)


def denoise(path: Path, options: list[str]) -> tuple[np.ndarray, float, float]:
    """Clean image, wall seconds and CPU seconds of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / path.name
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "unnoise",
            "denoise",
            str(path),
            "-o",
            str(out),
            "-q",
        ]
        subprocess.run([*command, *options], check=True)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return imagecodecs.imread(str(out)), wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", choices=FIELDS, default="report")
    parser.add_argument("options", nargs="*", help="passed to unnoise denoise, after --")
    args = parser.parse_args()
    folder = data("w2s")
    rows = []
    print("image    noisy   Gauss  unnoise   gain   wall s  CPU s")
    for path in sorted(folder.glob("*__noisy.png")):
        name = path.name.removesuffix("__noisy.png")
        if name[:3] not in FIELDS[args.fields]:
            continue
        noisy = imagecodecs.imread(str(path))
        truth = imagecodecs.imread(str(folder / f"{name}__gt.png"))
        clean, wall, cpu = denoise(path, args.options)
        row = {
            "image": name,
            "noisy": scale_invariant_psnr(noisy, truth),
            "gauss": best_gaussian(noisy, truth),
            "unnoise": scale_invariant_psnr(clean, truth),
            "wall_s": wall,
            "cpu_s": cpu,
        }
        rows.append(row)
        print(line(row), flush=True)
    mean = {k: float(np.mean([r[k] for r in rows])) for k in rows[0] if k != "image"}
    print(line({"image": "mean", **mean}))
    gains = [r["unnoise"] - r["gauss"] for r in rows]
    slowest = max(r["wall_s"] for r in rows)
    print(
        f"gain over the best Gaussian: mean {np.mean(gains):.2f} dB, standard deviation "
        f"{np.std(gains, ddof=1):.2f}, worst {min(gains):.2f}; slowest {slowest:.0f} s"
    )
    record(f"w2s_{args.fields}", {"options": args.options, "mean": mean}, rows)


def line(r: dict) -> str:
    return (
        f"{r['image']:7s} {r['noisy']:6.2f} {r['gauss']:7.2f} {r['unnoise']:8.2f} "
        f"{r['unnoise'] - r['gauss']:6.2f} {r['wall_s']:8.0f} {r['cpu_s']:6.0f}"
    )


if __name__ == "__main__":
    main()
