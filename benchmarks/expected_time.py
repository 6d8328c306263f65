"""How true the time is that `unnoise denoise` says before it starts.

    python benchmarks/expected_time.py            # 20 runs on a quiet machine: about 12 minutes
    python benchmarks/expected_time.py --runs 4

Pictures of scikit-image with photon noise, grey and RGB, 128 to 512 pixels, by the default method,
file to file with a report, in a fresh process each. The time is taken from the line that says what
is expected to the end of the process. Where `adapted` finds that training cannot help, the shorter
of the two times that it says is the one that counts.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage import data

from common import record

SIDES = (128, 256, 384, 512)
PHOTONS = (4.0, 20.0, 100.0)
UNITS = {"s": 1.0, "minutes": 60.0, "hours": 3600.0}
EXPECTED = re.compile(r"about ([\d.]+) (s|minutes|hours)")


def picture(number: int) -> NDArray[np.uint16]:
    """A noisy picture; every third one is RGB."""
    rng = np.random.default_rng(number)
    side = SIDES[number % len(SIDES)]
    scene = data.astronaut() if number % 3 == 2 else data.camera()
    wide = [(0, max(side - n, 0)) for n in scene.shape[:2]] + [(0, 0)] * (scene.ndim - 2)
    scene = np.pad(scene, wide, mode="reflect")[:side, :side] / 255
    return rng.poisson(scene * PHOTONS[number % len(PHOTONS)] * 2).astype(np.uint16)


def measured(number: int) -> dict[str, float | str]:
    """What was said and what it took, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        noisy = Path(folder) / "noisy.tif"
        pixels = picture(number)
        tifffile.imwrite(noisy, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
        command = [sys.executable, "-m", "unnoise", "denoise", str(noisy)]
        command += ["-o", str(Path(folder) / "clean.tif")]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "400"},  # lines are not wrapped
        ) as process:
            assert process.stdout is not None
            told = ""
            for line in process.stdout:
                told += line
                if "expected time" in line:
                    started = time.monotonic()
        taken = time.monotonic() - started
    early = "training ended after" in told
    sentence = told[told.index("expected time") :].splitlines()[0]
    said = [float(n) * UNITS[unit] for n, unit in EXPECTED.findall(sentence)]
    expected = min(said) if early else max(said)
    return {
        "picture": "x".join(map(str, pixels.shape)),
        "training": "ended early" if early else "whole",
        "expected_s": expected,
        "taken_s": taken,
        "error": abs(expected / taken - 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    rows = []
    for number in range(args.runs):
        rows.append(measured(number))
        print(
            "  ".join(f"{v:.2f}" if isinstance(v, float) else v for v in rows[-1].values()),
            flush=True,
        )
    errors = [float(row["error"]) for row in rows]
    print(f"median error {statistics.median(errors):.0%}, largest {max(errors):.0%}")
    record("expected_time", vars(args), rows)


if __name__ == "__main__":
    main()
