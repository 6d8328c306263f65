"""What live previews cost: CPU seconds of runs with them against the same runs without.

    python benchmarks/preview.py
    python benchmarks/preview.py --pairs 2 --steps 200

A picture of photons over blobs is denoised as files are, with one thread on one core, by turns with
and without previews: as many steps, each in a process of its own, so that nothing is warm for the
second one. The result has to be the same to the last bit. The last preview is the result itself, so
1 means that others would have cost more than their share. `share` is what was spent between the
events before previews and these, of all the rest: it is sure where other programs make the ratio of
two runs unsure. Times are those of the processor.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from common import record

WORK = """
import json, sys, time
from unnoise.app.denoise import denoise_files
from unnoise.app.events import Preview
from unnoise.app.files import InputOptions, OutputOptions, PreviewOptions, ReportOptions
from unnoise.config.config import Config
path, out, method, steps, way = sys.argv[1:]
config = Config.preset(method=method)
if config.is_trained:
    config = config.with_budget(steps=int(steps))
reporting = ReportOptions(False, preview=PreviewOptions() if way == "with" else None)
writing = OutputOptions(out, tta=None, overwrite=True)
started, shown, inside = time.process_time(), 0, 0.0
last = started
for event in denoise_files([path], config, reading=InputOptions(), writing=writing,
                           reporting=reporting):
    now = time.process_time()
    if isinstance(event, Preview):
        shown, inside = shown + 1, inside + now - last
    last = time.process_time()
print(json.dumps({"cpu_s": time.process_time() - started, "shown": shown, "inside": inside}))
"""
KINDS = {
    "n2v": ("n2v", (512, 512)),
    "adapted": ("adapted", (512, 512)),
    "instant": ("instant", (512, 512)),
    "3D n2v": ("n2v", (32, 128, 128)),
}
"""Method and shape by the name of a row."""


def picture(path: Path, shape: tuple[int, ...]) -> None:
    """Photons over blobs."""
    rng = np.random.default_rng(0)
    scene = 20 + 400 * ndimage.gaussian_filter(rng.random(shape) ** 8, 2, mode="wrap")
    axes = "ZYX"[-len(shape) :]
    tifffile.imwrite(path, rng.poisson(scene).astype(np.uint16), metadata={"axes": axes})


def measured(path: Path, out: Path, method: str, steps: int, way: str) -> dict[str, float]:
    """Seconds of the processor and number of previews of one run, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORK, str(path), str(out), method, str(steps), way]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout
    found: dict[str, float] = json.loads(done.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.kinds:
            method, shape = KINDS[kind]
            path = Path(folder, "noisy.tif")
            picture(path, shape)
            ratios, shares, hashes = [], [], set()
            for pair in range(args.pairs):
                found = {}
                for way in ("with", "without") if pair % 2 else ("without", "with"):
                    out = Path(folder, "clean.tif")
                    found[way] = measured(path, out, method, args.steps, way)
                    hashes.add(hashlib.sha256(tifffile.imread(out).tobytes()).hexdigest())
                ratios.append(found["with"]["cpu_s"] / found["without"]["cpu_s"])
                inside = found["with"]["inside"]
                shares.append(inside / (found["with"]["cpu_s"] - inside))
            row = {
                "kind": kind,
                "shape": "x".join(map(str, shape)),
                "steps": args.steps if method != "instant" else 2,
                "previews": int(found["with"]["shown"]),
                "cpu_s": round(found["without"]["cpu_s"], 1),
                "ratio": round(statistics.median(ratios), 4),
                "lowest": round(min(ratios), 4),
                "highest": round(max(ratios), 4),
                "share": round(statistics.median(shares), 4),
                "largest_share": round(max(shares), 4),
                "same": len(hashes) == 1,
            }
            print(row, flush=True)
            rows.append(row)
    record("preview", vars(args), rows)


if __name__ == "__main__":
    main()
