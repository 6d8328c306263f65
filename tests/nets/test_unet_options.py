"""What each option of the U-Net does, and nothing beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from tiny import normal, seeded, unet
from unnoise.nets.own_generator import Dropout
from unnoise.nets.unet import UNet


def test_stem_in_3d_is_the_stem_in_2d_on_every_slice() -> None:
    flat, deep = (UNet(channels=2, ndim=d, depth=1, filters=2, unshuffle=2) for d in (2, 3))
    x = torch.rand(3, 2, 5, 8, 6, generator=seeded(0))
    cells = deep._unshuffle(x)
    for z in range(5):
        assert torch.equal(cells[:, :, z], flat._unshuffle(x[:, :, z]))
    assert torch.equal(deep._shuffle(cells), x)


def test_residual_and_last_activation() -> None:
    x = torch.randn(1, 1, 16, 16, generator=seeded(0))
    net = UNet(channels=1, ndim=2, depth=1, filters=2, residual=True)
    torch.nn.init.zeros_(net.head.weight)
    torch.nn.init.zeros_(net.head.bias)
    assert torch.equal(net(x), x)
    net.last = torch.nn.ReLU()
    assert (net(x) >= 0).all()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_mean_and_scale_with_residual_and_last_activation(ndim: int, unshuffle: int) -> None:
    x = normal(2, 3, *(4,) * (ndim - 2), 9, 11)
    net = unet(channels=3, ndim=ndim, unshuffle=unshuffle, outputs=2, residual=True, eps=0.25)
    torch.nn.init.zeros_(net.head.weight)
    y = net(x)
    assert y.shape == (2, 6, *x.shape[2:])
    torch.testing.assert_close(y[:, :3], x)
    torch.testing.assert_close(y[:, 3:], torch.full_like(x, 1.25))
    net.last = torch.nn.Hardtanh(-0.1, 0.1)
    y = net(x)
    assert (y[:, :3].abs() <= 0.1).all()
    assert (y[:, 3:] > 1.2).all(), "the last activation is the mean's"
    torch.nn.init.constant_(net.head.bias, -1e4)
    assert (net(x)[:, 3:] == 0.25).all(), "eps is the smallest scale"


def test_the_scale_starts_near_one() -> None:
    y = unet(outputs=2, filters=32)(normal(4, 1, 32, 32))
    assert (y[:, 1:] > 0).all()
    assert 0.7 < y[:, 1:].mean() < 1.4


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_pixels_of_a_cell_return_to_the_part_they_belong_to(ndim: int) -> None:
    net = unet(channels=2, ndim=ndim, unshuffle=2, outputs=2, eps=0.0)
    torch.nn.init.zeros_(net.head.weight)
    with torch.no_grad():
        net.head.bias.copy_(torch.arange(1.0, 17.0))
    y = net(torch.zeros(1, 2, *(4,) * ndim))[0]
    cells = 1 + torch.arange(16.0).reshape(4, 2, 2)  # (part and channel, dy, dx)
    cells[2:] = torch.log1p(torch.exp(cells[2:]))
    for c, dy, dx in np.ndindex(4, 2, 2):
        torch.testing.assert_close(y[c, ..., dy::2, dx::2].amin(), cells[c, dy, dx])
        torch.testing.assert_close(y[c, ..., dy::2, dx::2].amax(), cells[c, dy, dx])


class Block(torch.nn.Module):
    """Lets nothing through."""

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x


@pytest.mark.parametrize("top_skip", [True, False])
def test_without_the_top_skip_nothing_passes_beside_the_first_pooling(top_skip: bool) -> None:
    def sees(net: UNet) -> bool:
        x = normal(1, 1, 16, 16).requires_grad_()
        (grad,) = torch.autograd.grad(net(x).abs().sum(), x)
        return bool(grad.any())

    net = unet(top_skip=top_skip, activation="silu")
    net.pools[1] = torch.nn.Sequential(net.pools[1], Block())
    assert sees(net), "the lower skip stays"
    net.pools[0] = torch.nn.Sequential(net.pools[0], Block())
    assert sees(net) is top_skip


def test_dropout_is_for_training() -> None:
    x = normal(1, 1, 16, 16)
    net, plain = unet(dropout=0.4, filters=8), unet(filters=8)
    plain.load_state_dict(net.state_dict())
    assert torch.equal(net.eval()(x), plain(x))
    net.train()
    assert not torch.equal(net(x), net(x))
    loud = unet(dropout=0.4, filters=8, activation="linear")
    assert abs((loud.down[0](normal(1, 1, 64, 64)) == 0).double().mean() - 0.4) < 0.03
    assert sum(isinstance(m, Dropout) for m in net.modules()) == 10, "after each activation"


def test_the_deepest_poolings_halve_z() -> None:
    net = unet(ndim=3, depth=3, z_poolings=1, unshuffle=2)
    assert net.grid == (2, 16, 16)
    sizes = []
    for level in (*net.down, net.middle):
        level.register_forward_hook(lambda _, x, y: sizes.append(tuple(y.shape[2:])))
    net(normal(1, 1, 6, 32, 32))
    assert sizes == [(6, 16, 16), (6, 8, 8), (6, 4, 4), (3, 2, 2)]
    everything = unet(ndim=3, depth=3)
    assert everything.grid == unet(ndim=3, depth=3, z_poolings=3).grid == (8, 8, 8)
    assert net.radius[0] < everything.radius[0]
    assert unet(ndim=2, depth=1, z_poolings=2).grid == (2, 2), "no Z, nothing to say"


@pytest.mark.parametrize("pool", ["max", "blur"])
@pytest.mark.parametrize("upsample", ["nearest", "linear"])
def test_without_z_poolings_a_shift_by_one_slice_shifts_the_output(
    pool: str, upsample: str
) -> None:
    net = unet(ndim=3, depth=2, convs=1, z_poolings=0, pool=pool, upsample=upsample).double()
    x = normal(1, 1, 24, 8, 8).double()
    torch.testing.assert_close(net(x)[:, :, 10:14], net(x[:, :, 1:])[:, :, 9:13])


@pytest.mark.parametrize("zoom", [(2, 2), (1, 2, 2), (2, 2, 2)])
@pytest.mark.parametrize(("upsample", "order"), [("nearest", 0), ("linear", 1)])
def test_upsampling_is_that_of_scipy(zoom: tuple[int, ...], upsample: str, order: int) -> None:
    deep = int(zoom[0] == 2)
    net = unet(ndim=len(zoom), depth=1, convs=1, top_skip=False, upsample=upsample, z_poolings=deep)
    net.joined = False  # a net that joins never makes the upsampled map
    seen: list[Tensor] = []
    net.middle.register_forward_hook(lambda _, x, y: seen.append(y.detach()))
    net.up[0].register_forward_pre_hook(lambda _, x: seen.append(x[0].detach()))
    net(normal(1, 1, *(12,) * len(zoom)))
    coarse, fine = (h[0, 0].numpy() for h in seen)
    expected = ndimage.zoom(coarse, zoom, order=order, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(fine, expected, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"ndim": 2},
        {"ndim": 2, "kernel": 5, "convs": 1},
        {"ndim": 2, "kernel": 1},
        {"ndim": 2, "unshuffle": 2, "channels": 2, "outputs": 2},
        {"ndim": 2, "pool": "blur", "top_skip": False},
        {"ndim": 2, "batch_norm": True, "activation": "relu"},
        {"ndim": 3},
        {"ndim": 3, "z_poolings": 1},
        {"ndim": 3, "z_poolings": 0, "top_skip": False},
        {"ndim": 2, "upsample": "linear"},
        {"ndim": 3, "upsample": "linear", "top_skip": False},
    ],
    ids=str,
)
def test_joining_changes_neither_values_nor_gradients(settings: dict[str, Any]) -> None:
    net = unet(**settings).double()
    x = normal(2, settings.get("channels", 1), *(13, 22, 17)[-settings["ndim"] :]).double()
    found = []
    for net.joined in (True, False):
        net.zero_grad()
        y = net(x)
        (y**3).sum().backward()
        found.append((y.detach(), [p.grad for p in net.parameters()]))
    (fast, gradients), (slow, expected) = found
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-12)
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9 * float(b.abs().max()))
