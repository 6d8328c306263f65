"""What comes through a model of the noise of a pixel: by its own pixel, or learned by heart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from synthetic import photon_ground
from tiny import CPU, two_steps, untrained
from unnoise.models.posterior import Posterior
from unnoise.noise.density import NoiseModel
from unnoise.noise.image_noise import ImageNoise
from unnoise.noise.noise_models import VarianceCurve
from unnoise.quality import noise_passthrough
from unnoise.quality.noise_passthrough import dependence


def known(*models: NoiseModel | None, **facts: Any) -> ImageNoise:
    return ImageNoise(models, (0.0,) * len(models), ("",) * len(models), **facts)


class Scaled(torch.nn.Module):
    """A net that repeats its input by a share, or a blur of it without its middle."""

    def __init__(self, share: float | None) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.share is not None:
            return self.share * x
        kernel = torch.ones(1, 1, *(3,) * (x.ndim - 2))
        kernel.view(-1)[kernel.numel() // 2] = 0
        conv = torch.nn.functional.conv2d if x.ndim == 4 else torch.nn.functional.conv3d
        return conv(x, kernel / kernel.sum(), padding=1)


@pytest.mark.parametrize(
    ("share", "expected"), [(1.0, 1.0), (0.4, 0.4), (0.0, 0.0), (None, 0.0), (-0.5, -0.5)]
)
@pytest.mark.parametrize("shape", [(72, 80), (18, 32, 36)])
def test_dependence_is_the_share_of_the_pixel_in_its_estimate(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], share: float | None, expected: float
) -> None:
    axes = "ZYX"[-len(shape) :]
    model, image = untrained(photon_ground(shape), two_steps("n2v", f"ndim={len(shape)}"), axes)
    monkeypatch.setattr(noise_passthrough, "ready", lambda model, device: Scaled(share))
    for noise in (VarianceCurve((0.0,), (30.0,)), None):
        (found,) = dependence(model, [image], known(noise), CPU)
        assert found == pytest.approx(expected, abs=0.04)


def test_dependence_per_channel_counts_the_pixel_brought_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A blind net with a centre of a known weight: t / (t + s) with t = 3 s."""
    s = 25.0
    x = 100 + np.sqrt(4 * s) * np.random.default_rng(0).normal(size=(2, 96, 96))
    model, image = untrained(x, two_steps(), "CYX")
    # It predicts the mean.
    monkeypatch.setattr(noise_passthrough, "ready", lambda model, device: Scaled(0.0))
    noise = VarianceCurve((0.0,), (s,))
    assert dependence(model, [image], known(noise, noise), CPU) == pytest.approx([0, 0], abs=1e-9)
    centre = Posterior((noise, noise), (noise, noise), (2.0, 2.0), 8.0, 0.0)
    again = dataclasses.replace(model, posterior=centre)
    found = dependence(again, [image], known(noise, noise), CPU)
    assert found == pytest.approx([0.75, 0.75], abs=0.05)


def test_dependence_counts_what_neighbours_know_of_correlated_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A linear net of kernel k repeats the sum of k times the autocorrelation."""
    rho = np.outer([0.3, 1.0, 0.3], [0.6, 1.0, 0.6])
    x = np.random.default_rng(0).normal(100, 6, (160, 160))
    model, image = untrained(x, two_steps("n2v", "ndim=2"))
    noise = known(VarianceCurve((0.0,), (30.0,)), autocorrelation=(rho,))
    for net, kernel in (
        (Scaled(0.4), np.pad([[0.4]], 1)),
        (Scaled(None), (np.ones((3, 3)) - np.pad([[1.0]], 1)) / 8),
    ):
        monkeypatch.setattr(noise_passthrough, "ready", lambda model, device, net=net: net)
        (found,) = dependence(model, [image], noise, CPU)
        assert found == pytest.approx((kernel * rho).sum(), abs=0.05)


@pytest.mark.parametrize("looks", [1, 4])
@pytest.mark.parametrize("result", [np.sqrt, np.log1p, np.tanh])
def test_the_kernel_of_speckle_tells_the_covariance(
    looks: int, result: Callable[[np.ndarray], np.ndarray]
) -> None:
    """``cov(g(y), y) = E k(y) g'(y)``, whatever g: the identity of gamma numbers."""
    signal = np.full(400_000, 3.0)
    y = signal * np.random.default_rng(looks).gamma(looks, 1 / looks, signal.shape)
    knots = np.linspace(0, 12, 400)
    kernel = noise_passthrough._kernel(VarianceCurve(knots, knots**2 / looks + 1e-9), y, signal)
    slope = (result(y + 1e-6) - result(y)) / 1e-6
    expected = np.cov(result(y), y)[0, 1]
    assert np.mean(kernel * slope) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("noise", [VarianceCurve([0.0], [30.0]), VarianceCurve([0, 10], [5, 30])])
def test_the_kernel_is_the_variance_on_average(noise: VarianceCurve) -> None:
    clean = np.linspace(1, 9, 100_000)
    noisy = clean + np.random.default_rng(0).normal(size=clean.shape)
    kernel = noise_passthrough._kernel(noise, noisy, clean)
    assert kernel.mean() == pytest.approx(noise.variance(clean).mean(), rel=0.01)
    assert (kernel > 0).all()
