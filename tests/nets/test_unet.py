"""Laws of the U-Net: size in = size out, the reference's shape, what an output may see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tiny import normal, seeded, unet
from unnoise.models.tiles import mirror, tiles
from unnoise.nets.unet import ACTIVATIONS, UNet

OPTIONS = st.fixed_dictionaries(
    {
        "depth": st.integers(1, 3),
        "unshuffle": st.sampled_from([1, 2, 4]),
        "batch_norm": st.booleans(),
        "residual": st.booleans(),
        "activation": st.sampled_from(sorted(ACTIVATIONS)),
        "convs": st.integers(1, 4),
        "dropout": st.sampled_from([0.0, 0.3]),
        "pool": st.sampled_from(["max", "blur"]),
        "upsample": st.sampled_from(["nearest", "linear"]),
        "top_skip": st.booleans(),
        "outputs": st.sampled_from([1, 2]),
    }
)


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), options=OPTIONS)
def test_any_size_comes_back(size: tuple[int, int], options: dict[str, Any]) -> None:
    net = unet(channels=2, **options)
    y = net.eval()(normal(1, 2, *size))
    assert y.shape == (1, 2 * options["outputs"], *size)
    assert y.isfinite().all()


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20)),
    options=OPTIONS,
    z_poolings=st.sampled_from([None, 0, 1]),
)
def test_any_size_comes_back_in_3d(
    size: tuple[int, ...], options: dict[str, Any], z_poolings: int | None
) -> None:
    net = unet(channels=2, ndim=3, z_poolings=z_poolings, **{**options, "convs": 1})
    assert net.eval()(normal(1, 2, *size)).shape == (1, 2 * options["outputs"], *size)


@pytest.mark.parametrize("size", [(1, 16, 16), (5, 17, 23), (12, 16, 8)])
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_any_stack_comes_back(size: tuple[int, ...], unshuffle: int) -> None:
    net = UNet(channels=1, ndim=3, depth=2, filters=2, unshuffle=unshuffle, residual=True)
    assert net(torch.zeros(2, 1, *size)).shape == (2, 1, *size)


def reference_parameters(
    ndim: int,
    depth: int,
    filters: int,
    kernel: int,
    channels: int,
    norm: bool,
    convs: int = 2,
    top_skip: bool = True,
    outputs: int = 1,
) -> int:
    """Parameters of csbdeep's unet_block (there two convolutions a level) with a 1x1 head."""

    def conv(i: int, o: int) -> int:
        return i * o * kernel**ndim + (2 * o if norm else o)

    def level(i: int, w: int, o: int) -> int:
        if convs == 1:
            return conv(i, o)
        return conv(i, w) + (convs - 2) * conv(w, w) + conv(w, o)

    total, i = 0, channels
    for n in range(depth):
        total += level(i, filters * 2**n, filters * 2**n)
        i = filters * 2**n
    last = filters * 2 ** max(0, depth - 1)
    total += level(i, filters * 2**depth, last)
    i = last
    for n in reversed(range(depth)):
        o = filters * 2 ** max(0, n - 1)
        skip = filters * 2**n if n > 0 or top_skip else 0
        total += level(i + skip, filters * 2**n, o)
        i = o
    return total + outputs * (i * channels + channels)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("norm", [False, True])
def test_parameters_are_those_of_the_reference(ndim: int, depth: int, norm: bool) -> None:
    net = UNet(channels=1, ndim=ndim, depth=depth, filters=6, kernel=3, batch_norm=norm)
    ours = sum(p.numel() for p in net.parameters())
    assert ours == reference_parameters(ndim, depth, 6, 3, 1, norm)


@pytest.mark.parametrize(
    "options",
    [
        {"convs": 1},
        {"convs": 4, "depth": 3},
        {"top_skip": False},
        {"outputs": 2, "channels": 3},
        {"convs": 3, "top_skip": False, "outputs": 2, "pool": "blur", "upsample": "linear"},
        {"ndim": 3, "convs": 1, "top_skip": False, "z_poolings": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("norm", [False, True])
def test_parameters_with_options(options: dict[str, Any], norm: bool) -> None:
    net = unet(batch_norm=norm, **{"depth": 2, **options})
    known = {"ndim": 2, "depth": 2, "filters": 2, "kernel": 3, "channels": 1, "norm": norm}
    without = ("pool", "upsample", "z_poolings")
    formula = {k: v for k, v in (known | options).items() if k not in without}
    assert sum(p.numel() for p in net.parameters()) == reference_parameters(**formula)


def test_the_names_of_the_weights_stay() -> None:
    names = [
        *(f"down.{n}.{i}" for n in (0, 1) for i in (0, 2)),
        *(f"middle.{i}" for i in (0, 2)),
        *(f"up.{n}.{i}" for n in (0, 1) for i in (0, 2)),
        "head",
    ]
    expected = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    assert list(unet().state_dict()) == expected
    other = unet(dropout=0.5, pool="blur", upsample="linear", activation="gelu")
    assert list(other.state_dict()) == expected


@pytest.mark.parametrize(
    ("ndim", "depth", "kernel", "unshuffle", "options"),
    [
        (2, 1, 3, 1, {}),
        (2, 2, 3, 2, {}),
        (2, 2, 5, 1, {}),
        (3, 1, 3, 2, {}),
        (3, 1, 3, 1, {}),
        (2, 2, 3, 1, {"convs": 1}),
        (2, 2, 3, 1, {"convs": 3, "pool": "blur"}),
        (2, 2, 3, 2, {"convs": 1, "upsample": "linear"}),
        (2, 3, 3, 1, {"convs": 1, "pool": "blur", "upsample": "linear", "top_skip": False}),
        (3, 1, 3, 1, {"convs": 1, "pool": "blur", "upsample": "linear", "z_poolings": 0}),
        (3, 2, 3, 1, {"convs": 1, "pool": "blur", "upsample": "linear", "z_poolings": 1}),
    ],
)
def test_radius_covers_the_receptive_field_tightly(
    ndim: int, depth: int, kernel: int, unshuffle: int, options: dict[str, Any]
) -> None:
    net = unet(ndim=ndim, depth=depth, kernel=kernel, unshuffle=unshuffle, **options).double()
    for p in net.parameters():  # positive weights keep every path alive
        torch.nn.init.uniform_(p, 0.5, 1.0, generator=seeded(0))
    size = [-(-2 * (r + 1) // g) * g + 2 * g for r, g in zip(net.radius, net.grid, strict=True)]
    generator = seeded(1)
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
        assert seen[axis].max() >= radius - net.grid[axis]


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    tile=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    options=OPTIONS,
    seed=st.integers(0, 99),
)
def test_tiles_change_nothing(
    size: tuple[int, int], tile: tuple[int, int], options: dict[str, Any], seed: int
) -> None:
    options = options | {"depth": min(options["depth"], 2), "convs": min(options["convs"], 2)}
    assert_tiles_change_nothing(unet(**options), size, tile, seed)


@pytest.mark.parametrize("z_poolings", [0, 1, 2])
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_tiles_change_nothing_in_3d(z_poolings: int, unshuffle: int) -> None:
    net = unet(
        ndim=3,
        convs=1,
        unshuffle=unshuffle,
        pool="blur",
        upsample="linear",
        z_poolings=z_poolings,
        outputs=2,
    )
    assert_tiles_change_nothing(net, (31, 47, 17), (4, 8, 32), seed=0)


def assert_tiles_change_nothing(
    net: UNet, size: tuple[int, ...], tile: tuple[int, ...], seed: int
) -> None:
    net = net.double().eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.5, generator=seeded(seed))
    x = normal(1, 1, *size, seed=seed).double()

    def predicted(tile: tuple[int, ...]) -> Tensor:
        out = torch.full((1, net.outputs, *size), torch.nan, dtype=torch.float64)
        for piece in tiles(size, tile, net.radius, net.grid):
            sides = zip(piece.read, size, strict=True)
            picks = np.ix_(*(mirror(r.start, r.stop, n) for r, n in sides))
            with torch.no_grad():
                y = net(x[(slice(None), slice(None), *map(torch.from_numpy, picks))])
            out[(..., *piece.write)] = y[(..., *piece.keep)]
        return out

    whole = predicted(size)
    assert whole.isfinite().all()
    torch.testing.assert_close(predicted(tile), whole, rtol=1e-9, atol=1e-9 * whole.abs().max())


def test_shifting_by_the_grid_shifts_the_output() -> None:
    net = UNet(channels=1, ndim=2, depth=2, filters=4, unshuffle=2).double().eval()
    generator = seeded(0)
    x = torch.rand(1, 1, 144, 144, generator=generator, dtype=torch.float64)
    a, b = net(x)[..., 64:72, 64:72], net(x[..., 8:, 8:])[..., 56:64, 56:64]
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
