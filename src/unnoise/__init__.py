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
    from unnoise.api import Model as Model
    from unnoise.api import denoise as denoise
    from unnoise.api import load as load
    from unnoise.api import train as train
    from unnoise.config.config import Config as Config
    from unnoise.images.formats import open as open
    from unnoise.images.formats import save as save
    from unnoise.images.image import Image as Image
    from unnoise.noise.excluded_pixels import fill_missing as fill_missing
    from unnoise.noise.excluded_pixels import with_mask as with_mask
    from unnoise.noise.inspect import NoiseReport as NoiseReport
    from unnoise.noise.inspect import inspect as inspect
    from unnoise.noise.realign import fix_scan as fix_scan

__version__ = "0.1.0"

_HOME = {
    "denoise": "unnoise.api",
    "train": "unnoise.api",
    "load": "unnoise.api",
    "open": "unnoise.images.formats",
    "save": "unnoise.images.formats",
    "fill_missing": "unnoise.noise.excluded_pixels",
    "fix_scan": "unnoise.noise.realign",
    "inspect": "unnoise.noise.inspect",
    "with_mask": "unnoise.noise.excluded_pixels",
    "Config": "unnoise.config.config",
    "Image": "unnoise.images.image",
    "NoiseReport": "unnoise.noise.inspect",
    "Model": "unnoise.api",
}

__all__ = [
    "Config",
    "Image",
    "Model",
    "NoiseReport",
    "__version__",
    "denoise",
    "fill_missing",
    "fix_scan",
    "inspect",
    "load",
    "open",
    "save",
    "train",
    "with_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unnoise' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
