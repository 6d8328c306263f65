"""How long until work starts: ``import unnoise``, ``--help``, and the first training step.

    python benchmarks/startup.py

Every figure is the median of fresh processes after one warm-up, files in the cache. CPU seconds are
those of one thread (OMP_NUM_THREADS=1), the wall seconds with the threads of the machine. The image
of the two trainings is a camera picture of 512x512 pixels with noise; ``denoise`` measures its
noise first, to choose the method.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from skimage import data

from common import record

SPENT = (
    "import os, resource, sys\n"
    "sys.argv = sys.argv[1:]\n"
    "import unnoise.app.cli.main, unnoise.app.events\n"
    "class Until:\n"
    "    def write(self, text):\n"
    "        if 'step 1/' in text:\n"
    "            use = resource.getrusage(resource.RUSAGE_SELF)\n"
    "            os.write(1, str(use.ru_utime + use.ru_stime).encode())\n"
    "            os._exit(0)\n"
    "        return len(text)\n"
    "    def flush(self): pass\n"
    "    def isatty(self): return False\n"
    "sys.stderr = Until()\n"
    "unnoise.app.cli.main.main()\n"
)
"""The command line, which says what it has spent at its first step and ends."""


def wall(command: list[str], runs: int, until: str = "") -> list[float]:
    """Sorted wall seconds of a command, or until it prints some words."""
    times = []
    for _ in range(runs + 1):
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
    return sorted(times[1:])


def cpu(arguments: list[str], runs: int) -> list[float]:
    """Sorted CPU seconds of one thread to the first step of a training."""
    command = [sys.executable, "-c", SPENT, "unnoise", *arguments]
    once = {**os.environ, "OMP_NUM_THREADS": "1"}
    spent = [
        float(subprocess.run(command, env=once, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(runs + 1)
    ]
    return sorted(spent[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    python = sys.executable
    bare = statistics.median(wall([python, "-c", "pass"], runs))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        noisy = str(Path(folder) / "noisy.tif")
        photons = np.random.default_rng(0).poisson(data.camera() / 4.0)
        tifffile.imwrite(noisy, photons.astype(np.uint16))
        cli = [python, "-m", "unnoise"]
        denoise = ["denoise", noisy, "--steps", "1000", "-o", str(Path(folder) / "clean.tif")]
        train = ["train", noisy, "--method", "n2v", "--steps", "1000"]
        train += ["-o", str(Path(folder) / "m")]
        for name, command in {
            "import unnoise (over bare python)": [python, "-c", "import unnoise"],
            "unnoise --help": [*cli, "--help"],
            "unnoise denoise --help": [*cli, "denoise", "--help"],
            "command to first step: denoise (auto)": [*cli, *denoise],
            "command to first step: train n2v": [*cli, *train],
        }.items():
            is_training = "first step" in name
            seconds = wall(command, runs, "step 1/" if is_training else "")
            low, middle, high = (
                t - (bare if "over bare" in name else 0.0)
                for t in (seconds[0], statistics.median(seconds), seconds[-1])
            )
            row = {"what": name, "min_s": low, "median_s": middle, "max_s": high}
            text = f"{name:40s} median {middle:.3f} s ({low:.3f} to {high:.3f})"
            if is_training:
                row["cpu_s"] = statistics.median(cpu(command[len(cli) :], runs))
                text += f", {row['cpu_s']:.2f} CPU s"
            rows.append(row)
            print(text, flush=True)
    record("startup", {"runs": runs}, rows)


if __name__ == "__main__":
    main()
