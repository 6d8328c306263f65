"""How long until work starts: ``import unnoise``, ``--help``, and the first training step.

    python benchmarks/startup.py

Every figure is the median of fresh processes after one warm-up, files in the cache.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from common import record

RUNS = 7


def seconds(command: list[str], until: str = "") -> tuple[float, float, float]:
    """(min, median, max) wall seconds of a command, or until it prints some words."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if until and until in line:
                    break
            times.append(time.perf_counter() - start)
            process.kill()
    return min(times[1:]), statistics.median(times[1:]), max(times[1:])


def main() -> None:
    python = sys.executable
    bare = seconds([python, "-c", "pass"])[1]
    with tempfile.TemporaryDirectory() as folder:
        noisy = Path(folder) / "noisy.tif"
        tifffile.imwrite(noisy, np.random.default_rng(0).poisson(9, (512, 512)).astype(np.uint16))
        cli = [python, "-m", "unnoise.cli"]
        train = [*cli, "train", str(noisy), "--steps", "1000", "--overwrite"]
        rows = []
        for name, command in {
            "import unnoise (over bare python)": [python, "-c", "import unnoise"],
            "unnoise --help": [*cli, "--help"],
            "unnoise denoise --help": [*cli, "denoise", "--help"],
            "command to first training step": [*train, "-o", str(Path(folder) / "m")],
        }.items():
            low, middle, high = (
                t - (bare if "over bare" in name else 0.0)
                for t in seconds(command, "step 1/" if "first" in name else "")
            )
            rows.append({"what": name, "min_s": low, "median_s": middle, "max_s": high})
            print(f"{name:40s} median {middle:.3f} s ({low:.3f} to {high:.3f})", flush=True)
    record("startup", {"runs": RUNS}, rows)


if __name__ == "__main__":
    main()
