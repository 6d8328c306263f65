"""What every benchmark shares: the data folder, the machine, and one record per run."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("UNNOISE_SHARED", HERE.parents[1] / "shared"))
"""The folder beside the checkout; work trees of git name it by the environment."""
DATA = SHARED / "data"
RESULTS = Path(os.environ.get("UNNOISE_RESULTS", HERE / "results"))
"""Where records go; run.py --suite quick sets another folder, so that it replaces nothing."""


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


def command() -> str:
    """The command that is running, as somebody would type it."""
    return "python " + " ".join([f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def origin() -> dict[str, str]:
    """Command, date and machine, for rows of a record that several calls fill."""
    return {
        "command": command(),
        "date": datetime.date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
    }


def record(
    name: str,
    settings: dict[str, Any],
    rows: list[dict[str, Any]],
    *,
    peers: Mapping[str, str] | None = None,
    missing: Iterable[str] = (),
    spread: Any = None,
) -> Path:
    """Write results with command, date, machine, versions, seed and spread to `RESULTS`.

    Parameters
    ----------
    name : str
        Of the file, without its ending.
    settings, rows
        Plain values. A setting ``seed`` or ``seeds`` is repeated at the top.
    peers : mapping, optional
        Versions of the peers that took part.
    missing : iterable of str
        Peers that should have taken part but are not installed.
    spread : optional
        How far repetitions lie apart, where it is not in the rows.
    """
    values = {
        **origin(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "versions": {p: version(p) for p in ("unnoise", "torch", "numpy")} | dict(peers or {}),
        "seed": settings.get("seed", settings.get("seeds")),
        "spread": spread,
        "settings": settings,
        "rows": rows,
    }
    if missing := sorted(missing):
        values["missing"] = missing
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part{os.getpid()}")
    part.write_text(json.dumps(values, indent=1, default=str) + "\n")
    part.replace(path)
    return path


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Nobody else reads and writes a record meanwhile: two runs may add rows to one file."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def recorded(name: str) -> list[dict[str, Any]]:
    """The rows of a record, or none where there is no record yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []
