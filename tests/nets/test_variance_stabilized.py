"""Laws of the variance-stabilising transform and of its way back."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from unnoise.nets.gaussian_denoiser import GaussianNet
from unnoise.nets.variance_stabilized import (
    KNOTS,
    VarianceStabilized,
    interpolate,
    transform,
)

GAIN, READ = 1.0, 4.0


def tensors(*arrays: NDArray) -> list[torch.Tensor]:
    return [torch.from_numpy(np.asarray(a, np.float64)) for a in arrays]


def with_noise(low: float, high: float, sigma: Callable[[NDArray], NDArray]) -> VarianceStabilized:
    """In float64, with the noise as it is told at the knots."""
    net = VarianceStabilized(1).double().eval().requires_grad_(False)
    knots = np.linspace(low, high, KNOTS)
    net.knots, net.log_sigma = (t[None] for t in tensors(knots, np.log(sigma(knots))))
    return net


def camera(v: NDArray) -> NDArray:
    return np.sqrt(np.maximum(GAIN * v + READ, 0.25))


# Polylines


def test_interpolate_is_that_of_numpy_inside_and_a_line_outside() -> None:
    rng = np.random.default_rng(0)
    at, values = np.sort(rng.uniform(-3, 5, 12)), rng.normal(size=12)
    inside = np.concatenate([rng.uniform(at[0], at[-1], (7, 5)).ravel(), at])
    got = interpolate(*tensors(inside, at, values)).numpy()
    np.testing.assert_allclose(got, np.interp(inside, at, values), atol=1e-12)
    for corner, beside, x in ((0, 1, at[0] - 4.0), (-1, -2, at[-1] + 9.0)):
        slope = (values[corner] - values[beside]) / (at[corner] - at[beside])
        (line,) = interpolate(*tensors(np.array([x]), at, values)).numpy()
        assert line == pytest.approx(values[corner] + slope * (x - at[corner]))


def test_flat_stays_at_the_ends() -> None:
    rng = np.random.default_rng(1)
    at, values = np.sort(rng.uniform(-3, 5, 6)), rng.normal(size=6)
    x = np.linspace(-20, 20, 301).reshape(7, 43)
    got = interpolate(*tensors(x, at, values), flat=True).numpy()
    np.testing.assert_allclose(got, np.interp(x, at, values), atol=1e-12)


def test_interpolate_passes_gradients_to_all_that_it_gets() -> None:
    at, values = tensors(np.array([0.0, 1.0, 3.0]), np.array([1.0, 4.0, -2.0]))
    x = torch.tensor([0.2, 0.9, 2.0, 5.0, -1.0]).double()
    inputs = [t.requires_grad_() for t in (x, at, values)]
    assert torch.autograd.gradcheck(interpolate, inputs)


# The transform


@pytest.mark.parametrize("seed", range(5))
def test_monotone_for_any_parameters_and_invertible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    knots, log_sigma = np.cumsum(rng.uniform(0.01, 1, KNOTS)), rng.normal(size=KNOTS) * seed
    at, f = transform(*tensors(knots, log_sigma))
    assert (torch.diff(f) > 0).all()
    x = torch.from_numpy(np.sort(rng.uniform(knots[0] - 5, knots[-1] + 5, 500)))
    z = interpolate(x, at, f)
    assert (torch.diff(z) > 0).all()
    assert torch.allclose(interpolate(z, f, at), x, rtol=1e-6, atol=1e-6)


def test_constant_noise_is_divided_away() -> None:
    knots = np.linspace(-2, 7, KNOTS)
    at, f = transform(*tensors(knots, np.full(KNOTS, math.log(0.3))))
    np.testing.assert_allclose(f.numpy(), (knots - knots[0]) / 0.3, rtol=1e-9)
    assert torch.equal(at, tensors(knots)[0])


def test_photon_noise_gives_twice_the_root() -> None:
    """The integral of v ** -1/2 is 2 sqrt(v)."""
    knots = np.linspace(4, 250, 400)
    _, f = transform(*tensors(knots, np.log(knots) / 2))
    expected = 2 * np.sqrt(knots)
    np.testing.assert_allclose(f.numpy() - f[0].item(), expected - expected[0], atol=5e-3)


@pytest.mark.parametrize("signal", [15.0, 40.0, 120.0])
def test_the_noise_has_strength_one_behind_the_transform(signal: float) -> None:
    net = with_noise(-20, 300, camera)
    rng = np.random.default_rng(int(signal))
    noisy = GAIN * rng.poisson(signal / GAIN, 200_000) + rng.normal(0, math.sqrt(READ), 200_000)
    z = net.stabilise(torch.from_numpy(noisy).view(1, 1, 400, 500))
    assert z.var().item() == pytest.approx(1, abs=0.05)


# The way back


def mean_behind(net: VarianceStabilized, signal: float) -> torch.Tensor:
    """E f(y) of Poisson-Gauss noise, by sums over photons and Gauss-Hermite nodes."""
    photons = np.arange(int(signal / GAIN + 12 * math.sqrt(signal) + 30))
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    y = GAIN * photons[:, None] + math.sqrt(READ) * nodes
    z = net.stabilise(torch.from_numpy(y)[None, None])[0, 0].numpy()
    p = stats.poisson.pmf(photons, signal / GAIN)[:, None] * weights / weights.sum()
    return torch.tensor((p * z).sum()).view(1, 1, 1, 1)


@pytest.mark.parametrize("signal", [20.0, 45.0, 90.0, 150.0])
def test_back_without_bias_to_second_order(signal: float) -> None:
    net = with_noise(-20, 300, camera)
    z = mean_behind(net, signal)
    naive = interpolate(z, *reversed(transform(net.knots[0], net.log_sigma[0]))).item()
    assert signal - naive == pytest.approx(GAIN / 4, abs=0.03)  # sigma sigma' / 2
    assert net.restore(z).item() == pytest.approx(signal, abs=0.03)


def test_constant_noise_has_no_bias_to_correct() -> None:
    net = with_noise(-5, 15, lambda v: np.full(v.shape, 0.7))
    x = torch.linspace(-9, 25, 60).double().view(1, 1, 6, 10)
    assert torch.allclose(net.restore(net.stabilise(x)), x, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_way_back_rises_for_noise_that_bends(seed: int) -> None:
    """Also where the correction of the bias bends more than the transform rises."""
    rng = np.random.default_rng(seed)
    jumps = 0.5 * seed * np.cumsum(rng.normal(size=KNOTS)) / 3
    net = with_noise(-5, 15, lambda v: np.exp(jumps))
    f = transform(net.knots[0], net.log_sigma[0])[1]
    z = torch.linspace(f[0].item() - 3, f[-1].item() + 3, 4000).double().view(1, 1, 40, 100)
    back = net.restore(z).flatten()
    assert torch.isfinite(back).all()
    assert (torch.diff(back) >= -1e-9).all()


def test_the_shift_is_added_at_its_signals() -> None:
    net = with_noise(-5, 15, lambda v: np.full(v.shape, 0.7))
    z = torch.linspace(-10, 30, 50).double().view(1, 1, 5, 10)
    before = net.restore(z)
    rising = np.linspace(0, 1, KNOTS)
    net.shift = tensors(rising)[0][None]
    expected = np.interp(before.numpy(), np.linspace(-5, 15, KNOTS), rising)
    np.testing.assert_allclose((net.restore(z) - before).numpy(), expected, atol=1e-9)


# The whole


def test_channels_pass_alone() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(2, 2, 20, 18)))
    both = VarianceStabilized(2).double().eval().requires_grad_(False)
    both.log_sigma = torch.from_numpy(rng.normal(size=(2, KNOTS)) * 0.1 - 1)
    for c in range(2):
        one = VarianceStabilized(1).double().eval().requires_grad_(False)
        one.net.load_state_dict(both.net.state_dict())
        one.log_sigma = both.log_sigma[c : c + 1]
        assert torch.allclose(both(x)[:, c : c + 1], one(x[:, c : c + 1]), atol=1e-9)


@pytest.mark.parametrize("offset", [-1e4, 0.0, 1e4])
def test_any_value_gives_numbers(offset: float) -> None:
    net = VarianceStabilized(1).eval().requires_grad_(False)
    x = torch.full((1, 1, 16, 16), offset)
    assert torch.isfinite(net(x)).all()
    assert torch.isfinite(net(torch.zeros(1, 1, 1, 3))).all()


def test_fine_tuning_changes_the_net_alone() -> None:
    names = {name for name, _ in VarianceStabilized(2).named_parameters()}
    assert names
    assert all(name.startswith("net.") for name in names)


def binned(bins: int) -> VarianceStabilized:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        small = GaussianNet((4, 6), (1, 1), (1,), told=False)
    net = VarianceStabilized(1, small).double().eval().requires_grad_(False)
    net.bins = torch.tensor(bins)
    return net


@pytest.mark.parametrize("bins", [2, 4])
def test_means_of_squares_have_less_noise(bins: int) -> None:
    """The net sees what it would see of an image of those means, with so much less noise."""
    net, plain = binned(bins), binned(1)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 32, 48)))
    means = x.view(1, 1, 32 // bins, bins, 48 // bins, bins).mean((3, 5))
    plain.log_sigma = net.log_sigma - math.log(bins)
    expected = torch.nn.functional.interpolate(
        plain(means), scale_factor=float(bins), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("bins", [2, 4])
def test_squares_shift_with_the_grid_and_look_no_further_than_the_radius(bins: int) -> None:
    net = binned(bins)
    grid, radius = net.grid[0], net.radius[0]
    assert grid == bins * binned(1).grid[0]
    side = 2 * radius + 3 * grid
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 1, side, side)))
    whole, part = net(x), net(x[..., grid:, grid:])
    inner = slice(radius, -radius)
    expected = whole[..., grid:, grid:]
    torch.testing.assert_close(part[..., inner, inner], expected[..., inner, inner])
    other = x.clone()
    other[..., side // 2, side // 2] += 5
    reached = ((net(other) - whole).abs() > 1e-9)[0, 0].nonzero() - side // 2
    assert reached.abs().max() <= radius


def test_squares_of_an_odd_image() -> None:
    assert binned(4)(torch.zeros(1, 1, 21, 30).double()).shape == (1, 1, 21, 30)
