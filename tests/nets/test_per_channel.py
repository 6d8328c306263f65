"""Laws of a net per channel: no channel sees another, each has its own weights."""

from __future__ import annotations

import pytest
import torch

from unnoise.nets.per_channel import PerChannel
from unnoise.nets.unet import UNet


def per_channel(channels: int = 3, **options: object) -> PerChannel:
    def make() -> UNet:
        return UNet(channels=1, filters=2, **{"ndim": 2, **options})  # type: ignore[arg-type]

    return PerChannel(make, channels)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_channel_sees_itself_and_no_other(outputs: int) -> None:
    net = per_channel(outputs=outputs, activation="silu")
    x = torch.randn(2, 3, 12, 17, requires_grad=True)
    y = net(x)
    assert y.shape == (2, 3 * outputs, 12, 17)
    for i in range(3 * outputs):
        (grad,) = torch.autograd.grad(y[:, i].sum(), x, retain_graph=True)
        for j in range(3):
            assert bool(grad[:, j].any()) is (j == i % 3)


@pytest.mark.parametrize("size", [(9, 14), (3, 8, 9)])
def test_it_is_the_nets_one_by_one(size: tuple[int, ...]) -> None:
    net = per_channel(ndim=len(size), outputs=2, unshuffle=2, residual=True)
    x = torch.randn(2, 3, *size)
    y = net(x)
    for i, one in enumerate(net.nets):
        expected = one(x[:, i : i + 1])
        assert torch.equal(y[:, i], expected[:, 0]), "means first"
        assert torch.equal(y[:, 3 + i], expected[:, 1]), "then scales"


def test_every_net_has_weights_of_its_own() -> None:
    net = per_channel()
    a, b, c = (one.head.weight for one in net.nets)
    assert (a != b).any()
    assert (b != c).any()
    one = sum(p.numel() for p in net.nets[0].parameters())
    assert sum(p.numel() for p in net.parameters()) == 3 * one


def test_its_geometry_is_that_of_its_nets() -> None:
    net = per_channel(ndim=3, z_poolings=1, pool="blur", unshuffle=2)
    assert (net.grid, net.radius) == (net.nets[0].grid, net.nets[0].radius)
    assert (net.ndim, net.channels, net.outputs) == (3, 3, 1)
    assert 0 < net.memory() * 3 < 3 * net.nets[0].memory()


def test_another_number_of_channels_is_refused() -> None:
    for channels in (2, 6):
        with pytest.raises(RuntimeError, match=r"unflatten|channels"):
            per_channel()(torch.zeros(1, channels, 8, 8))
