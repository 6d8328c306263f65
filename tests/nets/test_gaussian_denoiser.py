"""Laws of the Gaussian denoiser: homogeneous, shifted with its grid, local, of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from unnoise.nets.gaussian_denoiser import FAR, NEAR, GaussianNet, lags, turned

SHAPES = [
    ((4, 6, 8), (1, 1, 1), (1, 1)),
    ((4, 6), (2, 1), (2,)),
    ((4, 5, 6), (1, 2, 1), (1, 2)),
    ((4, 5, 6), (1, 1, 1), (1, 0)),
]


def made(
    widths: tuple[int, ...] = (4, 6, 8),
    blocks: tuple[int, ...] = (1, 1, 1),
    up: tuple[int, ...] = (1, 1),
) -> GaussianNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = GaussianNet(widths, blocks, up).double().eval()
        assert net.told is not None
        torch.nn.init.normal_(net.told.second.weight, std=0.2)
    return net.requires_grad_(False)


def correlation(seed: int = 0) -> Tensor:
    return 0.5 * torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, len(lags())))


def planes(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_biases_only_where_the_correlation_is_embedded() -> None:
    for net in (made(), GaussianNet()):
        biases = {name for name, _ in net.named_parameters() if not name.endswith("weight")}
        assert biases == {"told.first.bias"}
        assert not dict(net.named_buffers())


def test_lags_are_one_of_each_pair_of_opposite_ones() -> None:
    found = lags()
    near = {(y, x) for y in range(-NEAR, NEAR + 1) for x in range(-NEAR, NEAR + 1)}
    far = {(0, n) for n in range(-FAR, FAR + 1)} | {(n, 0) for n in range(-FAR, FAR + 1)}
    assert {*found, *((-y, -x) for y, x in found), (0, 0)} == near | far
    assert len(found) == (len(near | far) - 1) // 2


def test_white_noise_is_what_it_takes_for_granted() -> None:
    net, x, sigma = made(), planes(2, 1, 24, 24), torch.tensor(0.4).double()
    white = torch.zeros(len(lags())).double()
    assert torch.equal(net(x, sigma, white), net(x, sigma))
    assert (net(x, sigma, correlation()) - net(x, sigma)).abs().max() > 1e-3


def test_planes_pass_alone_each_with_its_correlation() -> None:
    net, x, sigma = made(), planes(3, 1, 19, 26), torch.tensor(0.4).double()
    rho = torch.stack([correlation(seed) for seed in range(3)])
    alone = torch.cat([net(x[i : i + 1], sigma, rho[i]) for i in range(3)])
    assert torch.allclose(net(x, sigma, rho), alone, rtol=1e-9, atol=1e-12)


def test_a_net_that_knows_white_noise_only_refuses() -> None:
    net = GaussianNet((4, 6), (1, 1), (1,), told=False)
    with pytest.raises(ValueError, match="white noise only"):
        net(torch.zeros(1, 1, 8, 8), torch.tensor(0.1), correlation().float())


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("widths", "blocks", "up"), SHAPES)
def test_weights_tell_their_shape(
    widths: tuple[int, ...], blocks: tuple[int, ...], up: tuple[int, ...], told: bool
) -> None:
    weights = GaussianNet(widths, blocks, up, told=told).state_dict()
    found = GaussianNet.like(weights).state_dict()
    assert {name: w.shape for name, w in found.items()} == {n: w.shape for n, w in weights.items()}


@pytest.mark.parametrize("factor", [1e-6, 0.3, 7.0, 1e5])
def test_homogeneous(factor: float) -> None:
    net, x, sigma = made(), planes(2, 1, 30, 23), torch.tensor(0.4).double()
    for rho in (None, correlation()):
        expected = factor * net(x, sigma, rho)
        assert torch.allclose(net(factor * x, factor * sigma, rho), expected, rtol=1e-9, atol=0)


def test_nothing_gives_nothing() -> None:
    assert not made()(torch.zeros(1, 1, 20, 20).double(), torch.tensor(0.0).double()).any()


def test_the_noise_level_matters() -> None:
    net, x = made(), planes(1, 1, 24, 24)
    low, high = (net(x, torch.tensor(s).double()) for s in (0.1, 1.0))
    assert (low - high).abs().max() > 1e-3


def test_planes_pass_alone_each_with_its_level() -> None:
    net, x = made(), planes(3, 1, 19, 26)
    sigma = torch.tensor([0.1, 0.5, 2.0]).double()
    together = net(x, sigma.view(3, 1, 1, 1))
    alone = torch.cat([net(x[i : i + 1], sigma[i]) for i in range(3)])
    assert torch.allclose(together, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("widths", "blocks", "up"), SHAPES)
def test_shifting_the_input_by_the_grid_shifts_the_output(
    widths: tuple[int, ...], blocks: tuple[int, ...], up: tuple[int, ...]
) -> None:
    net = made(widths, blocks, up)
    (gy, gx), (ry, rx) = net.grid, net.radius
    side = 2 * max(ry, rx) + 4 * gy
    x, sigma, rho = planes(1, 1, side, side), torch.tensor(0.3).double(), correlation()
    whole, part = net(x, sigma, rho), net(x[..., gy:, 2 * gx :], sigma, rho)
    expected = whole[..., gy + ry :, 2 * gx + rx :]
    assert expected.numel() > 100
    assert torch.allclose(part[..., ry:, rx:], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("widths", "blocks", "up"), SHAPES)
def test_an_output_looks_no_further_than_the_radius(
    widths: tuple[int, ...], blocks: tuple[int, ...], up: tuple[int, ...]
) -> None:
    net = made(widths, blocks, up)
    grid, radius = net.grid[0], net.radius[0]
    side = 2 * (radius + 2 * grid)
    sigma, seen = torch.tensor(0.5).double(), 0
    for phase in range(grid):
        centre = np.array([side // 2 + phase, side // 2 + grid - 1 - phase])
        x = planes(1, 1, side, side, seed=phase).requires_grad_()
        (gradient,) = torch.autograd.grad(net(x, sigma)[0, 0, centre[0], centre[1]], x)
        reached = np.argwhere(gradient[0, 0].abs().numpy() > 0)
        distance = np.abs(reached - centre).max(1)
        assert distance.max() <= radius
        assert {(0, 0), (0, 1), (1, 0), (-1, 0), (0, -1), (1, 1), (-1, -1)} <= {
            (int(y), int(x)) for y, x in reached - centre
        }
        seen = max(seen, int(distance.max()))
    assert seen > radius / 2  # the bound is of the right size, so that tiles are not too large


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 1), (2, 3), (8, 8), (17, 31)])
def test_any_size(shape: tuple[int, int]) -> None:
    for net in (made(), made((4, 6), (1, 1), (1,))):
        y = net(planes(2, 1, *shape), torch.tensor(0.2).double())
        assert y.shape == (2, 1, *shape)
        assert torch.isfinite(y).all()


def test_sizes_beside_the_grid_are_continued_by_their_borders() -> None:
    net, x, sigma = made(), planes(1, 1, 21, 30), torch.tensor(0.2).double()
    padded = torch.from_numpy(np.pad(x[0, 0].numpy(), ((0, 3), (0, 2)), mode="edge"))[None, None]
    assert torch.allclose(net(x, sigma), net(padded, sigma)[..., :21, :30])


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_turned_correlation_is_that_of_the_turned_image(turns: int, flip: bool) -> None:
    rng = np.random.default_rng(0)
    kernel = rng.random((3, 4))
    noise = ndimage.convolve(rng.normal(size=(400, 400)), kernel, mode="wrap")

    def measured(x: np.ndarray) -> torch.Tensor:
        power = np.abs(np.fft.fft2(x)) ** 2
        rho = np.fft.ifft2(power / power.mean()).real
        return torch.tensor([[rho[lag] for lag in lags()]])

    other = np.rot90(noise[:, ::-1] if flip else noise, turns, (0, 1))
    assert torch.allclose(turned(measured(noise), turns, flip), measured(other), atol=1e-6)
