"""The queue of front ends: its memory over many jobs, and what a job costs beside its work.

    python benchmarks/session.py
    python benchmarks/session.py --jobs 40 --files 5

Images in memory are denoised by a quick filter, one job after the other, in threads of the program;
its resident memory is told after every tenth part of them. Then files are denoised in processes of
their own, whose CPU seconds are told beside those of the same calls in one process, which has
PyTorch loaded, and the memory of the program again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import tifffile

from common import record
from unnoise.app.session.jobs import JobQueue
from unnoise.app.session.request import Request
from unnoise.images.image import Image


def resident() -> float:
    """Memory of this process in MB."""
    return psutil.Process().memory_info().rss / 1e6


def children_cpu() -> float:
    """CPU seconds of the processes that ended."""
    times = os.times()
    return times.children_user + times.children_system


def in_memory(queue: JobQueue, count: int) -> list[dict[str, float]]:
    """Memory after each tenth of so many jobs."""
    rng, rows = np.random.default_rng(0), []
    for number in range(1, count + 1):
        image = Image.from_array(rng.poisson(50, (128, 128)).astype(np.uint16))
        request = Request(("cells",), method="gaussian", report=False)
        job = queue.submit(request, [image], owner=str(number % 3))
        queue.join()
        assert job.state == "done", job.error
        if number % max(count // 10, 1) == 0:
            rows.append({"kind": "in memory", "jobs": number, "rss_mb": round(resident(), 1)})
            print(rows[-1], flush=True)
    return rows


def files(queue: JobQueue, folder: Path, count: int) -> dict[str, float]:
    """CPU seconds of a file in a process of its own, and here."""
    path = folder / "noisy.tif"
    tifffile.imwrite(path, np.random.default_rng(0).poisson(50, (128, 128)).astype(np.uint16))
    request = Request((str(path),), method="gaussian", report=False, overwrite=True)
    before, began, memory = children_cpu(), time.perf_counter(), resident()
    for _ in range(count):
        job = queue.submit(request)
        queue.join()
        assert job.state == "done", job.error
    spent, wall = children_cpu() - before, time.perf_counter() - began
    here = time.process_time()
    for _ in range(count):
        for _ in request.events():
            pass
    here = time.process_time() - here
    return {
        "kind": "files",
        "jobs": count,
        "child_cpu_s": round(spent / count, 2),
        "here_cpu_s": round(here / count, 2),
        "wall_s": round(wall / count, 2),
        "rss_growth_mb": round(resident() - memory, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--files", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        queue = JobQueue(Path(folder, "queue"))
        rows = in_memory(queue, args.jobs)
        rows.append(files(queue, Path(folder), args.files))
        print(rows[-1])
        queue.close(stop=True)
    record("session", vars(args), rows)


if __name__ == "__main__":
    main()
