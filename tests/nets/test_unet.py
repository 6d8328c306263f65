"""Laws of the U-Net: size in = size out, the reference's shape, what an output may see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unnoise.nets import UNet


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    depth=st.integers(1, 3),
    unshuffle=st.sampled_from([1, 2, 4]),
    norm=st.booleans(),
)
def test_any_size_comes_back(size: tuple[int, int], depth: int, unshuffle: int, norm: bool) -> None:
    net = UNet(channels=2, ndim=2, depth=depth, filters=2, unshuffle=unshuffle, batch_norm=norm)
    assert net.eval()(torch.zeros(1, 2, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("size", [(1, 16, 16), (5, 17, 23), (12, 16, 8)])
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_any_stack_comes_back(size: tuple[int, ...], unshuffle: int) -> None:
    net = UNet(channels=1, ndim=3, depth=2, filters=2, unshuffle=unshuffle, residual=True)
    assert net(torch.zeros(2, 1, *size)).shape == (2, 1, *size)


def reference_parameters(
    ndim: int, depth: int, filters: int, kernel: int, channels: int, norm: bool
) -> int:
    """Parameters of csbdeep's unet_block (two convolutions a level) with a 1x1 head."""

    def conv(i: int, o: int) -> int:
        return i * o * kernel**ndim + (2 * o if norm else o)

    total, i = 0, channels
    for n in range(depth):
        total += conv(i, filters * 2**n) + conv(filters * 2**n, filters * 2**n)
        i = filters * 2**n
    total += conv(i, filters * 2**depth)
    i = filters * 2 ** max(0, depth - 1)
    total += conv(filters * 2**depth, i)
    for n in reversed(range(depth)):
        total += conv(i + filters * 2**n, filters * 2**n)
        i = filters * 2 ** max(0, n - 1)
        total += conv(filters * 2**n, i)
    return total + i * channels + channels


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("norm", [False, True])
def test_parameters_are_those_of_the_reference(ndim: int, depth: int, norm: bool) -> None:
    net = UNet(channels=1, ndim=ndim, depth=depth, filters=6, kernel=3, batch_norm=norm)
    ours = sum(p.numel() for p in net.parameters())
    assert ours == reference_parameters(ndim, depth, 6, 3, 1, norm)


@pytest.mark.parametrize(
    ("ndim", "depth", "kernel", "unshuffle"),
    [(2, 1, 3, 1), (2, 2, 3, 2), (2, 2, 5, 1), (3, 1, 3, 2), (3, 1, 3, 1)],
)
def test_radius_covers_the_receptive_field_tightly(
    ndim: int, depth: int, kernel: int, unshuffle: int
) -> None:
    net = UNet(
        channels=1, ndim=ndim, depth=depth, filters=2, kernel=kernel, unshuffle=unshuffle
    ).double()
    for p in net.parameters():  # positive weights keep every path alive
        torch.nn.init.uniform_(p, 0.5, 1.0, generator=torch.Generator().manual_seed(0))
    size = [-(-2 * (r + 1) // g) * g + 2 * g for r, g in zip(net.radius, net.grid, strict=True)]
    generator = torch.Generator().manual_seed(1)
    seen = np.zeros((ndim, 2), int)  # how far any output of one grid period looks to both sides
    reach = torch.rand(1, 1, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    y = net(reach)
    centre = [s // 2 // g * g for s, g in zip(size, net.grid, strict=True)]
    for offset in np.ndindex(*net.grid):
        at = tuple(c + o for c, o in zip(centre, offset, strict=True))
        (grad,) = torch.autograd.grad(y[(0, 0, *at)], reach, retain_graph=True)
        used = grad[0, 0].nonzero().numpy()
        for axis in range(ndim):
            distance = used[:, axis] - at[axis]
            seen[axis] = np.maximum(seen[axis], (-distance.min(), distance.max()))
    # Maximum pooling passes one winner per cell, so a side may fall short of the bound a little.
    for axis, radius in enumerate(net.radius):
        assert seen[axis].max() <= radius
        assert seen[axis].max() >= radius - 2 * net.grid[axis]


def test_shifting_by_the_grid_shifts_the_output() -> None:
    net = UNet(channels=1, ndim=2, depth=2, filters=4, unshuffle=2).double().eval()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 144, 144, generator=generator, dtype=torch.float64)
    a, b = net(x)[..., 64:72, 64:72], net(x[..., 8:, 8:])[..., 56:64, 56:64]
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_stem_in_3d_is_the_stem_in_2d_on_every_slice() -> None:
    flat, deep = (UNet(channels=2, ndim=d, depth=1, filters=2, unshuffle=2) for d in (2, 3))
    x = torch.rand(3, 2, 5, 8, 6, generator=torch.Generator().manual_seed(0))
    cells = deep._unshuffle(x)
    for z in range(5):
        assert torch.equal(cells[:, :, z], flat._unshuffle(x[:, :, z]))
    assert torch.equal(deep._shuffle(cells), x)


def test_residual_and_last_activation() -> None:
    x = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    net = UNet(channels=1, ndim=2, depth=1, filters=2, residual=True)
    torch.nn.init.zeros_(net.head.weight)
    torch.nn.init.zeros_(net.head.bias)
    assert torch.equal(net(x), x)
    net.last = torch.nn.ReLU()
    assert (net(x) >= 0).all()
