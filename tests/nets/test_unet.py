"""Laws of the U-Net: size in = size out, the reference's shape, what an output may see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from unnoise.models.tiles import mirror, tiles
from unnoise.nets import ACTIVATIONS, UNet

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


def some_net(**options: Any) -> UNet:
    """A small net that draws its weights from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet(**{"channels": 1, "ndim": 2, "filters": 2, **options})


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), options=OPTIONS)
def test_any_size_comes_back(size: tuple[int, int], options: dict[str, Any]) -> None:
    net = some_net(channels=2, **options)
    y = net.eval()(noise(1, 2, *size))
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
    net = some_net(channels=2, ndim=3, z_poolings=z_poolings, **{**options, "convs": 1})
    assert net.eval()(noise(1, 2, *size)).shape == (1, 2 * options["outputs"], *size)


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
    net = some_net(batch_norm=norm, **{"depth": 2, **options})
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
    assert list(some_net().state_dict()) == expected
    other = some_net(dropout=0.5, pool="blur", upsample="linear", activation="gelu")
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
    net = some_net(ndim=ndim, depth=depth, kernel=kernel, unshuffle=unshuffle, **options).double()
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
    assert_tiles_change_nothing(some_net(**options), size, tile, seed)


@pytest.mark.parametrize("z_poolings", [0, 1, 2])
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_tiles_change_nothing_in_3d(z_poolings: int, unshuffle: int) -> None:
    net = some_net(
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
        torch.nn.init.normal_(p, std=0.5, generator=torch.Generator().manual_seed(seed))
    x = noise(1, 1, *size, seed=seed).double()

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


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_mean_and_scale_with_residual_and_last_activation(ndim: int, unshuffle: int) -> None:
    x = noise(2, 3, *(4,) * (ndim - 2), 9, 11)
    net = some_net(channels=3, ndim=ndim, unshuffle=unshuffle, outputs=2, residual=True, eps=0.25)
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
    y = some_net(outputs=2, filters=32)(noise(4, 1, 32, 32))
    assert (y[:, 1:] > 0).all()
    assert 0.7 < y[:, 1:].mean() < 1.4


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_pixels_of_a_cell_return_to_the_part_they_belong_to(ndim: int) -> None:
    net = some_net(channels=2, ndim=ndim, unshuffle=2, outputs=2, eps=0.0)
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
        x = noise(1, 1, 16, 16).requires_grad_()
        (grad,) = torch.autograd.grad(net(x).abs().sum(), x)
        return bool(grad.any())

    net = some_net(top_skip=top_skip, activation="silu")
    net.pools[1] = torch.nn.Sequential(net.pools[1], Block())
    assert sees(net), "the lower skip stays"
    net.pools[0] = torch.nn.Sequential(net.pools[0], Block())
    assert sees(net) is top_skip


def test_dropout_is_for_training() -> None:
    x = noise(1, 1, 16, 16)
    net, plain = some_net(dropout=0.4, filters=8), some_net(filters=8)
    plain.load_state_dict(net.state_dict())
    assert torch.equal(net.eval()(x), plain(x))
    net.train()
    assert not torch.equal(net(x), net(x))
    loud = some_net(dropout=0.4, filters=8, activation="linear")
    assert abs((loud.down[0](noise(1, 1, 64, 64)) == 0).double().mean() - 0.4) < 0.03
    assert sum(isinstance(m, torch.nn.Dropout) for m in net.modules()) == 10, (
        "after each activation"
    )


def test_the_deepest_poolings_halve_z() -> None:
    net = some_net(ndim=3, depth=3, z_poolings=1, unshuffle=2)
    assert net.grid == (2, 16, 16)
    sizes = []
    for level in (*net.down, net.middle):
        level.register_forward_hook(lambda _, x, y: sizes.append(tuple(y.shape[2:])))
    net(noise(1, 1, 6, 32, 32))
    assert sizes == [(6, 16, 16), (6, 8, 8), (6, 4, 4), (3, 2, 2)]
    everything = some_net(ndim=3, depth=3)
    assert everything.grid == some_net(ndim=3, depth=3, z_poolings=3).grid == (8, 8, 8)
    assert net.radius[0] < everything.radius[0]
    assert some_net(ndim=2, depth=1, z_poolings=2).grid == (2, 2), "no Z, nothing to say"


@pytest.mark.parametrize("pool", ["max", "blur"])
@pytest.mark.parametrize("upsample", ["nearest", "linear"])
def test_without_z_poolings_a_shift_by_one_slice_shifts_the_output(
    pool: str, upsample: str
) -> None:
    net = some_net(ndim=3, depth=2, convs=1, z_poolings=0, pool=pool, upsample=upsample).double()
    x = noise(1, 1, 24, 8, 8).double()
    torch.testing.assert_close(net(x)[:, :, 10:14], net(x[:, :, 1:])[:, :, 9:13])


@pytest.mark.parametrize("zoom", [(2, 2), (1, 2, 2), (2, 2, 2)])
@pytest.mark.parametrize(("upsample", "order"), [("nearest", 0), ("linear", 1)])
def test_upsampling_is_that_of_scipy(zoom: tuple[int, ...], upsample: str, order: int) -> None:
    deep = int(zoom[0] == 2)
    net = some_net(
        ndim=len(zoom), depth=1, convs=1, top_skip=False, upsample=upsample, z_poolings=deep
    )
    net.joined = False  # a net that joins never makes the upsampled map
    seen: list[Tensor] = []
    net.middle.register_forward_hook(lambda _, x, y: seen.append(y.detach()))
    net.up[0].register_forward_pre_hook(lambda _, x: seen.append(x[0].detach()))
    net(noise(1, 1, *(12,) * len(zoom)))
    coarse, fine = (h[0, 0].numpy() for h in seen)
    expected = ndimage.zoom(coarse, zoom, order=order, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(fine, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"pool": "mean"}, "pool is 'mean'; choose one of max, blur"),
        ({"upsample": "cubic"}, "choose one of nearest, linear"),
        ({"activation": "tanh"}, "choose one of linear, relu, leaky_relu, elu, gelu, silu"),
        ({"convs": 5}, "convs is 5; choose one of 1, 2, 3, 4"),
        ({"outputs": 3}, "choose one of 1, 2"),
        ({"ndim": 3, "z_poolings": 3}, "z_poolings is 3; choose one of 0, 1, 2"),
    ],
)
def test_unknown_options_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        some_net(**option)


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
    net = some_net(**settings).double()
    x = noise(2, settings.get("channels", 1), *(13, 22, 17)[-settings["ndim"] :]).double()
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
