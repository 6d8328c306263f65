"""What every benchmark shares: the data folder, the machine, and one record per run."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"


def data(group: str) -> Path:
    """The folder of a set of images, or an exit that says what is missing."""
    folder = DATA / group
    if not folder.is_dir():
        sys.exit(f"this benchmark needs the images of ../shared/data/{group} beside the checkout")
    return folder


def processor() -> str:
    """The name of the processor, as the operating system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def record(name: str, settings: dict[str, Any], rows: list[dict[str, Any]]) -> Path:
    """Write results with command, date, machine and versions to ``benchmarks/results``."""
    values = {
        "command": "python " + " ".join([f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "versions": {p: version(p) for p in ("unnoise", "torch", "numpy")},
        "settings": settings,
        "rows": rows,
    }
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values, indent=1) + "\n")
    return path
