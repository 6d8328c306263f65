"""Run a peer's own Python: a job of arrays goes to a script of ``peers/``, arrays come back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import HERE

FOLDER = Path(os.environ.get("UNNOISE_PEERS", HERE.parent / ".peers"))
PACKAGES = {
    "careamics": ("careamics", "torch"),
    "n2v": ("n2v", "csbdeep", "tensorflow_cpu"),
    "bm3d": ("bm3d", "bm4d"),
    "ndsafir": ("ndsafir",),
}
"""The peers, and of which packages the version counts."""


class Missing(Exception):
    """A peer is not installed."""


def python(name: str) -> Path:
    """The interpreter of a peer.

    Raises
    ------
    Missing
        If setup.sh has not installed it, or could not.
    """
    path = FOLDER.absolute() / name / "bin" / "python"
    if not path.exists():
        raise Missing(
            f"{name} is missing in {FOLDER.name}: run sh benchmarks/peers/setup.sh {name}"
        )
    return path


def versions(*names: str) -> dict[str, str]:
    """Versions of installed peers, read from the folders that pip leaves."""
    found = {}
    for name in names:
        for package in PACKAGES[name]:
            for path in FOLDER.glob(f"{name}/lib/*/site-packages/{package}-*.dist-info"):
                match = re.fullmatch(rf"{package}-(.+)\.dist-info", path.name)
                if match:
                    key = package if package == name else f"{package} ({name})"
                    found[key] = match[1]
    return found


def missing(*names: str) -> list[str]:
    """Those of the peers that are not installed."""
    return [name for name in names if not (FOLDER / name / "bin" / "python").exists()]


def environment() -> dict[str, str]:
    """One thread, no GPU."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return os.environ | dict.fromkeys(names, "1") | {"CUDA_VISIBLE_DEVICES": ""}


def call(
    name: str, script: str, job: Mapping[str, NDArray], *arguments: str
) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """What a script of ``peers/`` makes of arrays, and what it says about its time.

    The script gets the files of the job and of the result, then `arguments`; its last line of
    output is JSON with ``cpu_s`` and ``wall_s``.

    Raises
    ------
    Missing
        If the peer is not installed.
    """
    interpreter = python(name)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "job.npz", Path(folder) / "result.npz"
        np.savez(source, **job)
        command = [interpreter, HERE / "peers" / script, source, target, *arguments]
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=folder,
        )
        if done.returncode:
            raise RuntimeError(f"{script} failed:\n{done.stderr[-3000:]}")
        with np.load(target) as result:
            return dict(result), json.loads(done.stdout.strip().splitlines()[-1])
