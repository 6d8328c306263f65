"""The weights that come with the package: small, whole, and better than nothing everywhere."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from unnoise.nets import pretrained as shipped
from unnoise.nets.gaussian_denoiser import GaussianNet

MEGABYTE = 2**20
GAINS = {5.0: 0.3, 25.0: 5.0, 75.0: 5.0}
"""Standard deviation of the noise, of 255, and the least gain in dB."""


def test_small_finite_and_of_the_net() -> None:
    file = resources.files(shipped).joinpath("gaussian.safetensors")
    assert len(file.read_bytes()) <= 12 * MEGABYTE
    weights = shipped.gaussian()
    assert all(w.dtype == torch.float32 and torch.isfinite(w).all() for w in weights.values())
    wanted = {name: w.shape for name, w in GaussianNet.like(weights).state_dict().items()}
    assert {name: w.shape for name, w in weights.items()} == wanted


@pytest.mark.parametrize("sigma", GAINS)
def test_a_photograph_gains(sigma: float) -> None:
    """`camera` is no training image."""
    clean = data.camera()[100:260, 200:360].astype(np.float64)
    noisy = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape)
    weights = shipped.gaussian()
    net = GaussianNet.like(weights).eval()
    net.load_state_dict(weights)
    mean = noisy.mean()
    x = torch.from_numpy((noisy - mean).astype(np.float32))[None, None] / 255
    with torch.inference_mode():
        y = net(x, torch.tensor(sigma / 255))[0, 0].numpy() * 255 + mean
    before, after = (peak_signal_noise_ratio(clean, v, data_range=255) for v in (noisy, y))
    assert after - before > GAINS[sigma]
