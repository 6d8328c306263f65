"""unnoise: clean images from noisy images alone.

Importing the package is cheap; PyTorch is loaded by the first call that needs it.

Examples
--------
>>> import numpy as np, unnoise
>>> noisy = np.random.default_rng(0).poisson(9.0, size=(64, 64)).astype(np.uint16)
>>> clean = unnoise.denoise(noisy, steps=2)
>>> clean.shape, clean.dtype
((64, 64), dtype('uint16'))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unnoise.api import denoise as denoise
    from unnoise.api import load as load
    from unnoise.api import train as train
    from unnoise.config import Config as Config
    from unnoise.image import Image as Image
    from unnoise.inspection import NoiseReport as NoiseReport
    from unnoise.inspection import inspect as inspect
    from unnoise.io import open as open
    from unnoise.io import save as save
    from unnoise.missing import fill_missing as fill_missing
    from unnoise.model import Model as Model

__version__ = "0.1.0"

_HOME = {
    "denoise": "unnoise.api",
    "train": "unnoise.api",
    "load": "unnoise.api",
    "open": "unnoise.io",
    "save": "unnoise.io",
    "fill_missing": "unnoise.missing",
    "inspect": "unnoise.inspection",
    "Config": "unnoise.config",
    "Image": "unnoise.image",
    "NoiseReport": "unnoise.inspection",
    "Model": "unnoise.model",
}

__all__ = [
    "Config",
    "Image",
    "Model",
    "NoiseReport",
    "__version__",
    "denoise",
    "fill_missing",
    "inspect",
    "load",
    "open",
    "save",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unnoise' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
