"""Peak memory of predicting an 8192x8192 uint16 TIFF by tiles, over that of the interpreter.

python benchmarks/memory.py
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
    "import resource,sys; from unnoise.cli import main\n"
    "try: main()\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)


def peak(code: str, *arguments: str) -> float:
    """Peak resident megabytes of a Python process."""
    command = [sys.executable, "-c", code, *arguments]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(lines.split()[-1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=8192)
    side = parser.parse_args().side
    with tempfile.TemporaryDirectory() as folder:
        big, small, model = (str(Path(folder) / n) for n in ("big.tif", "small.tif", "m"))
        rng = np.random.default_rng(0)
        tifffile.imwrite(small, rng.poisson(50, (256, 256)).astype(np.uint16))
        tile = rng.poisson(50, (1024, 1024)).astype(np.uint16)
        tifffile.imwrite(big, np.tile(tile, (side // 1024, side // 1024)))
        peak(WORK, "train", small, "-o", model, "--steps", "5", "-q")
        idle = peak(IDLE)
        start = time.perf_counter()
        total = peak(WORK, "predict", model, big, "-o", str(Path(folder) / "clean.tif"))
        wall = time.perf_counter() - start
    row = {"side": side, "idle_mb": idle, "peak_mb": total, "over_mb": total - idle, "wall_s": wall}
    print(
        f"{side}x{side} uint16: peak {total:.0f} MB, interpreter with its libraries {idle:.0f} MB, "
        f"difference {total - idle:.0f} MB; {wall:.0f} s, {side**2 / wall / 1e6:.2f} Mpixel/s"
    )
    record("memory", {}, [row])


if __name__ == "__main__":
    main()
