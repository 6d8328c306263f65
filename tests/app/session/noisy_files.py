"""Small noisy files for a queue, and requests that take little time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from synthetic import photon_ground
from unnoise.app.session.request import Request

QUICK = ("net.filters=4", "net.depth=1", "training.patch=32", "training.batch_size=2")


def noisy_file(folder: Path, name: str = "cells.tif", *, seed: int = 0) -> Path:
    """A picture of photons."""
    path = folder / name
    tifffile.imwrite(path, photon_ground(seed=seed).astype(np.uint16))
    return path


def filtered(*paths: Path, **options: object) -> Request:
    """A job that is done at once."""
    values = {"inputs": list(map(str, paths)), "method": "gaussian", "report": False}
    return Request.from_dict({**values, **options})


def trained(*paths: Path, steps: int, **options: object) -> Request:
    """A tiny training."""
    values = {"inputs": list(map(str, paths)), "method": "n2v", "report": False}
    return Request.from_dict({**values, "steps": steps, "settings": list(QUICK), **options})
