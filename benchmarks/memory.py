"""Peak memory: prediction of an 8192x8192 TIFF by tiles, and training on a stack of 4 GB.

    python benchmarks/memory.py

The stack is a BigTIFF of 512 planes of 2048x2048 uint16 with real pixels in every eighth plane; the
others are holes of the file, which read as zeros and take no space on the disk. Training
reads only the crops it draws (after a pass for the statistics over some planes), so the whole
stack is never in memory: peak resident memory is compared with that of the interpreter with its
libraries. Pages of the mapped file that the system keeps for a while count too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from common import record

IDLE = (
    "import resource,torch,tifffile,imagecodecs,pydantic,skimage\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)
WORK = (
    "import resource,sys; from unnoise.app.cli.main import main\n"
    "try: main()\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)
PLANES, SIDE, EVERY = 512, 2048, 8
STEPS = 100


def peak(code: str, *arguments: str) -> tuple[float, float]:
    """Peak resident megabytes of a Python process, and its wall seconds."""
    command = [sys.executable, "-c", code, *arguments]
    start = time.perf_counter()
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(lines.split()[-1]) / 1024, time.perf_counter() - start


def write_stack(path: str) -> None:
    """A stack of 4 GB, most of whose planes are holes of the file."""
    rng = np.random.default_rng(0)
    plane = rng.poisson(50, (SIDE, SIDE)).astype(np.uint16)
    stack = tifffile.memmap(path, shape=(PLANES, SIDE, SIDE), dtype=np.uint16, bigtiff=True)
    for i in range(0, PLANES, EVERY):
        stack[i] = np.roll(plane, i)
    stack.flush()


def predicting(folder: str, side: int) -> dict[str, float | str]:
    """From file to file, in tiles."""
    big, small, model = (str(Path(folder) / n) for n in ("big.tif", "small.tif", "m"))
    rng = np.random.default_rng(0)
    tifffile.imwrite(small, rng.poisson(50, (256, 256)).astype(np.uint16))
    tile = rng.poisson(50, (1024, 1024)).astype(np.uint16)
    tifffile.imwrite(big, np.tile(tile, (side // 1024, side // 1024)))
    peak(WORK, "train", small, "-o", model, "--method", "n2v", "--steps", "5", "-q", "--no-report")
    total, wall = peak(WORK, "predict", model, big, "-o", str(Path(folder) / "clean.tif"))
    return {"what": f"predict {side}x{side} uint16", "peak_mb": total, "wall_s": wall}


def training(folder: str) -> dict[str, float | str]:
    """The first steps of a training on the stack, which is read where crops are drawn."""
    path = str(Path(folder) / "stack.tif")
    write_stack(path)
    command = ["train", path, "-o", str(Path(folder) / "s"), "--method", "n2v", "--2d"]
    command += ["--axes", "TYX", "--steps", str(STEPS), "-q", "--no-report"]
    total, wall = peak(WORK, *command)
    size = PLANES * SIDE**2 * 2 / 2**30
    return {"what": f"train {STEPS} steps on {size:.0f} GB", "peak_mb": total, "wall_s": wall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--only", choices=("predict", "train"))
    args = parser.parse_args()
    idle, _ = peak(IDLE)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if args.only != "train":
            rows.append(predicting(folder, args.side))
        if args.only != "predict":
            rows.append(training(folder))
    for row in rows:
        row |= {"idle_mb": idle, "over_mb": float(row["peak_mb"]) - idle}
        print(
            f"{row['what']}: peak {row['peak_mb']:.0f} MB, interpreter with its libraries "
            f"{idle:.0f} MB, difference {row['over_mb']:.0f} MB; {row['wall_s']:.0f} s"
        )
    record("memory", {"side": args.side}, rows)


if __name__ == "__main__":
    main()
