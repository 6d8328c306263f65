"""Weights that come with the package; CARD.md beside them says what they were trained on."""

from __future__ import annotations

from importlib import resources

from safetensors.torch import load
from torch import Tensor


def gaussian() -> dict[str, Tensor]:
    """Weights of `unnoise.nets.gaussian_denoiser.GaussianNet`, float32.

    Examples
    --------
    >>> sum(weight.numel() for weight in gaussian().values()) < 3e6
    True
    """
    stored = resources.files(__name__).joinpath("gaussian.safetensors").read_bytes()
    return {name: weight.float() for name, weight in load(stored).items()}
