"""Laws of the normalisation, against NumPy's mean and standard deviation of all pixels."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unnoise.errors import InputError
from unnoise.images import normalization
from unnoise.images.image import Image
from unnoise.images.normalization import ChannelStatistics, channel_statistics, planes
from unnoise.noise.excluded_pixels import with_mask


def channels_first(x: np.ndarray, axes: str) -> np.ndarray:
    """Pixels as (C, n) by NumPy alone."""
    if "C" not in axes:
        return x.reshape(1, -1).astype(np.float64)
    moved = np.moveaxis(x, axes.index("C"), 0)
    return moved.reshape(len(moved), -1).astype(np.float64)


@pytest.mark.parametrize(
    ("axes", "shapes"),
    [
        ("YX", [(16, 20), (33, 7), (5, 5)]),
        ("YXC", [(16, 20, 3), (9, 30, 3)]),
        ("XCY", [(16, 2, 20), (9, 2, 11)]),
        ("CZYX", [(2, 3, 16, 20), (2, 5, 8, 8)]),
        ("SYXTCZ", [(2, 6, 7, 3, 2, 4)]),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_statistics_are_those_of_all_pixels_of_all_images(
    axes: str, shapes: list[tuple[int, ...]], dtype: type
) -> None:
    rng = np.random.default_rng(0)
    # Images of different levels, so that a mean of means would be wrong.
    arrays = [rng.normal(60 + 20 * i, 9 + i, shape).astype(dtype) for i, shape in enumerate(shapes)]
    affine = channel_statistics(Image.from_array(a, axes) for a in arrays)
    everything = np.concatenate([channels_first(a, axes) for a in arrays], 1)
    np.testing.assert_allclose(affine.mean, everything.mean(1), rtol=1e-12)
    np.testing.assert_allclose(affine.std, everything.std(1), rtol=1e-10)
    assert affine.mean.dtype == affine.std.dtype == np.float64


@pytest.mark.parametrize("axes", ["STCZYX", "ZYXC", "YX"])
def test_planes_cover_every_pixel_once(axes: str) -> None:
    shape = (2, 3, 4, 5, 6, 7)[: len(axes)]
    x = np.arange(np.prod(shape)).reshape(shape)
    image = Image.from_array(x, axes)
    n = image.sizes
    found = [plane for plane, excluded in planes(image) if excluded is None]
    assert {plane.shape for plane in found} == {(n["C"], n["Y"], n["X"])}
    np.testing.assert_array_equal(np.sort(np.concatenate(found, None)), np.arange(x.size))


def test_counts_with_a_large_offset_keep_their_contrast() -> None:
    rng = np.random.default_rng(0)
    x = (4_000_000_000 + rng.integers(0, 100, (3, 64, 64))).astype(np.uint32)
    affine = channel_statistics([Image.from_array(x, "ZYX")])
    small = (x - np.uint32(4_000_000_000)).astype(np.float64)  # exact
    np.testing.assert_allclose(affine.mean, 4e9 + small.mean(), rtol=1e-15)
    np.testing.assert_allclose(affine.std, small.std(), rtol=1e-7)
    z = affine.apply(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, (small - small.mean()) / small.std(), atol=2e-6)
    np.testing.assert_array_equal(np.rint(affine.invert(z)), x)


@given(
    mean=st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3),
    std=st.lists(st.sampled_from([0.0, 1e-3, 1.0, 500.0]), min_size=3, max_size=3),
    space=st.sampled_from([(5,), (4, 5), (2, 4, 5)]),
)
@settings(max_examples=50, deadline=None)
def test_invert_undoes_apply_channel_by_channel(
    mean: list[float], std: list[float], space: tuple[int, ...]
) -> None:
    affine = ChannelStatistics(np.array(mean), np.array(std))
    rng = np.random.default_rng(0)
    scale = [s or 1.0 for s in std]
    x = np.stack([rng.normal(m, s, space) for m, s in zip(mean, scale, strict=True)])
    z = affine.apply(x)
    back = affine.invert(z)
    for c in range(3):
        np.testing.assert_allclose(z[c], (x[c] - mean[c]) / scale[c], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(back[c], x[c], atol=1e-6 * scale[c] + 1e-9)


class Rows:
    """An array that counts the pixels read from it."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.pixels = data, data.shape, data.dtype, 0

    def __getitem__(self, where: Any) -> np.ndarray:
        block = self.data[where]
        self.pixels += block.size
        return block


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((400, 16, 16), "ZYX"), ((30, 7, 20, 24), "TZYX"), ((320, 320), "YX"), ((2, 256, 200), "TYX")],
)
def test_large_images_contribute_an_even_share(
    shape: tuple[int, ...], axes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalization, "MAX_PIXELS", 10_000)
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 50, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    x = rng.normal(100, 5, shape) + ramp  # brightness drifts, so the first planes are not typical
    lazy = Rows(x)
    affine = channel_statistics([Image.from_array(lazy, axes)])
    assert 10_000 / 2 <= lazy.pixels <= 2 * 10_000
    np.testing.assert_allclose(affine.mean, x.mean(), atol=0.1 * x.std())
    np.testing.assert_allclose(affine.std, x.std(), rtol=0.1)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e9 / 3])
def test_constant_channels_are_marked_and_constant_images_refused(value: float) -> None:
    rng = np.random.default_rng(0)
    x = np.stack([np.full((37, 41), value), rng.normal(5, 2, (37, 41))])
    affine = channel_statistics(
        [Image.from_array(x, "CYX"), Image.from_array(x[:, :, ::-1], "CYX")]
    )
    assert affine.std[0] == 0
    np.testing.assert_allclose(affine.std[1], x[1].std())
    z = affine.apply(x)
    np.testing.assert_allclose(z[0], 0, atol=1e-6)
    np.testing.assert_allclose(affine.invert(z)[0], value, rtol=1e-12)
    with pytest.raises(InputError, match=re.escape(f"every pixel is {value:g})")):
        channel_statistics([Image.from_array(x[:1], "CYX")])


@pytest.mark.parametrize("scale", [1e300, 1e160, 1e100, 1e-160, 1e-300, 5e-324])
def test_values_too_large_or_small_are_not_said_to_be_constant(scale: float) -> None:
    x = np.random.default_rng(0).integers(1, 9, (32, 32)) * scale
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"span .*; multiply them by 1e[+-]\d+ first") as found:
            channel_statistics([Image.from_array(x)])
    factor = float(str(found.value).split(" by ")[1].split()[0])
    channel_statistics([Image.from_array(x * factor)])


@pytest.mark.parametrize("scale", [1e60, 1e-60, 1e-140])
def test_the_scale_of_values_does_not_matter(scale: float) -> None:
    x = np.random.default_rng(0).integers(1, 9, (32, 32)).astype(float)
    plain, scaled = (channel_statistics([Image.from_array(v)]) for v in (x, x * scale))
    np.testing.assert_allclose(scaled.std, plain.std * scale, rtol=1e-12)


def test_denormal_numbers_of_32_bits_are_images_like_others() -> None:
    x = (np.random.default_rng(0).integers(1, 99, (32, 32)) * np.float32(1e-44)).astype(np.float32)
    assert x.max() > 0
    assert channel_statistics([Image.from_array(x)]).std[0] > 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused_unless_they_are_known(value: float) -> None:
    x = np.random.default_rng(0).normal(5, 2, (32, 32))
    x[3, 4] = value
    with pytest.raises(InputError, match=r"has NaN or infinite pixels.*with_mask"):
        channel_statistics([Image.from_array(x)])
    assert np.isfinite(channel_statistics([with_mask(x)]).std).all()
