"""Laws of prediction: tiles change nothing, symmetries cancel, copied channels stay."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import unnoise
from synthetic import photons
from unnoise.config.config import Config
from unnoise.errors import ModelError
from unnoise.images import axes as ax
from unnoise.images.image import Image
from unnoise.images.normalization import ChannelStatistics
from unnoise.models.build import build_net, new_weights
from unnoise.models.model import Model
from unnoise.models.predict import predict, predict_array, tile_memory
from unnoise.models.tile_results import _averaged
from unnoise.training.plan import plan


def untrained(
    ndim: int = 2, n_channels: int = 1, channels: str = "independent", **net: object
) -> Model:
    """A model with loud random weights, so that context matters."""
    config = Config().replace(net={"filters": 4, "channels": channels, **net}, ndim=ndim)
    which = tuple(range(n_channels))
    weights = {
        k: v * (30 if k == "head.weight" else 1)
        for k, v in new_weights(config, ndim, which).items()
    }
    affine = ChannelStatistics(np.full(n_channels, 3.0), np.full(n_channels, 2.0))
    return Model(config, affine, which, (16,) * ndim, weights)


def whole(model: Model, image: Image, **options: object) -> NDArray[np.float64]:
    out = np.full(image.shape, np.nan)
    for block in predict(model, image, device="cpu", **options):  # type: ignore[arg-type]
        index = ax.index(image.axes, block.where)
        assert np.isnan(out[index]).all(), "a pixel is written once"
        out[index] = ax.from_canonical(block.values, image.axes)
    assert not np.isnan(out).any(), "every pixel is written"
    return out


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(16, 90), st.integers(16, 90)),
    tile=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    depth=st.integers(1, 2),
    unshuffle=st.sampled_from([1, 2]),
    norm=st.booleans(),
    seed=st.integers(0, 99),
)
def test_tiles_do_not_change_the_result(
    size: tuple[int, int],
    tile: tuple[int, int],
    depth: int,
    unshuffle: int,
    norm: bool,
    seed: int,
) -> None:
    model = untrained(depth=depth, unshuffle=unshuffle, batch_norm=norm)
    image = Image.from_array(np.random.default_rng(seed).normal(3, 2, size))
    a, b = whole(model, image, tile=tile), whole(model, image, tile=(4096, 4096))
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-4 * np.abs(b).max())


def test_tiles_do_not_change_the_result_in_3d() -> None:
    model = untrained(ndim=3, depth=1)
    image = Image.from_array(np.random.default_rng(0).normal(3, 2, (9, 40, 33)), "ZYX")
    a, b = whole(model, image, tile=(4, 16, 16)), whole(model, image, tile=(64, 64, 64))
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-4 * np.abs(b).max())


def test_tiles_do_not_change_the_eightfold_mean() -> None:
    model = untrained(depth=1)
    image = Image.from_array(np.random.default_rng(0).normal(3, 2, (50, 70)))
    a, b = whole(model, image, tile=(16, 32), tta=True), whole(model, image, tta=True)
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-4 * np.abs(b).max())


def test_the_whole_image_is_the_net_on_the_mirrored_image() -> None:
    model = untrained(depth=1, unshuffle=1)
    x = np.random.default_rng(0).normal(3, 2, (33, 48)).astype(np.float32)
    net = build_net(model).eval()
    pad = net.grid[0]  # 33 rows are first completed to the grid of 2, then mirrored by it
    padded = np.pad((x - 3) / 2, ((pad, pad + 1), (pad, pad)), mode="reflect")
    with torch.no_grad():
        y = net(torch.from_numpy(padded)[None, None])[0, 0].numpy()
    expected = y[pad : -pad - 1, pad:-pad] * 2 + 3
    np.testing.assert_allclose(whole(model, Image.from_array(x)), expected, atol=1e-4)


@pytest.mark.parametrize("axes", ["YX", "XY"])
def test_eightfold_mean_commutes_with_rotation(axes: str) -> None:
    model = untrained(depth=1)
    x = np.random.default_rng(0).normal(3, 2, (32, 32))
    straight = whole(model, Image.from_array(x, axes), tta=True)
    turned = whole(model, Image.from_array(np.rot90(x).copy(), axes), tta=True)
    np.testing.assert_allclose(np.rot90(straight), turned, atol=1e-4)


def test_eightfold_mean_leaves_z_alone() -> None:
    model = untrained(ndim=3, depth=1)
    x = np.random.default_rng(0).normal(3, 2, (8, 16, 16))
    straight = whole(model, Image.from_array(x, "ZYX"), tta=True)
    upside_down = whole(model, Image.from_array(x[::-1].copy(), "ZYX"), tta=True)
    assert np.abs(straight[::-1] - upside_down).max() > 1e-2


@pytest.mark.parametrize("axes", ["TCZYX", "CYX", "YXC", "SYX", "ZCYX", "XYZ"])
def test_any_axes_are_the_planes_one_by_one(axes: str) -> None:
    sizes = {"S": 2, "T": 3, "C": 2, "Z": 3, "Y": 20, "X": 24}
    shape = tuple(sizes[letter] for letter in axes)
    x = np.random.default_rng(0).normal(3, 2, shape)
    image = Image.from_array(x, axes)
    model = untrained(n_channels=image.sizes["C"], depth=1)
    result = ax.to_canonical(whole(model, image), axes)
    single = untrained(depth=1)
    for at in np.ndindex(result.shape[:4]):
        plane = ax.to_canonical(x, axes)[at]
        expected = whole(single, Image.from_array(np.ascontiguousarray(plane)))
        np.testing.assert_allclose(result[at], expected, atol=1e-4)


def test_independent_channels_do_not_leak_but_joint_ones_may() -> None:
    x = np.random.default_rng(0).normal(3, 2, (2, 32, 32))
    other = x.copy()
    other[1] += 5 * np.random.default_rng(1).normal(size=(32, 32))
    for channels, leaks in (("independent", False), ("joint", True)):
        model = untrained(n_channels=2, channels=channels)
        a, b = (whole(model, Image.from_array(v, "CYX"))[0] for v in (x, other))
        assert bool((a != b).any()) is leaks


def test_constant_and_transparent_channels_are_copied() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (32, 32, 4), dtype=np.uint8)
    x[..., 1] = 77
    image = replace(Image.from_array(x), alpha=3)
    model = plan([image], Config().replace(net={"filters": 4}))
    assert model.channels == (0, 2)
    y = predict_array(model, image)
    assert np.array_equal(y[..., 1], x[..., 1])
    assert np.array_equal(y[..., 3], x[..., 3])
    assert not np.array_equal(y[..., 0], x[..., 0])


def test_a_model_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="1 channel but the image has 2 channels"):
        untrained().check(Image.from_array(np.zeros((2, 20, 20)), "CYX"))
    with pytest.raises(ModelError, match="three-dimensional"):
        untrained(ndim=3).check(Image.from_array(np.zeros((20, 20))))


def test_closing_the_generator_stops_reading() -> None:
    image = Image.from_array(np.random.default_rng(0).normal(size=(64, 64)))
    blocks = predict(untrained(), image, tile=(16, 16))
    assert next(blocks).total == 16
    blocks.close()
    assert next(blocks, None) is None


def test_averaging_shows_the_net_only_what_keeps_a_structured_mask() -> None:
    """A diagonal footprint survives a flip with a quarter turn, in that order alone."""
    config = Config.preset(method="structn2v").replace(
        mask={"struct": [[1, 1, 0], [1, 1, 0], [0, 0, 0]]}
    )
    footprint = torch.from_numpy(config.footprint(2)).float()[None, None]
    seen = []

    def net(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x

    (mean,) = _averaged(net, footprint, config.symmetries(2), "mse")  # type: ignore[arg-type]
    assert len(seen) == 2
    assert all(torch.equal(x, footprint) for x in seen)
    assert torch.equal(mean, footprint)


@pytest.mark.parametrize("method", ["gaussian", "nlm"])
def test_a_tile_of_a_filter_takes_no_more_than_it_is_said_to(method: str) -> None:
    """Of arrays of NumPy; those of PyTorch are float32 beside them."""
    pixels = photons((320, 320))
    model = unnoise.train(pixels[:64, :64], method=method)
    image = Image.from_array(pixels)
    for _ in predict(model, image, device="cpu"):  # what is loaded only once
        pass
    tracemalloc.start()
    for _ in predict(model, image, device="cpu"):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.4 * tile_memory(model, image, device="cpu") < peak
    assert peak < tile_memory(model, image, device="cpu")
