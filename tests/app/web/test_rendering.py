"""Rendering against loops over pixels, of every kind of number that a file may hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from unnoise.app.web import rendering
from unnoise.app.web.rendering import Shown
from unnoise.images.acquisition import Acquisition
from unnoise.images.image import Image


def by_loop(block: NDArray, channels: list[Shown]) -> NDArray:
    """The definition, pixel by pixel."""
    result = np.zeros((*block.shape[1:], 3))
    for y in range(block.shape[1]):
        for x in range(block.shape[2]):
            for c, one in enumerate(channels):
                value = float(block[c, y, x])
                share = (value - one.low) / (one.high - one.low)
                share = 0.0 if np.isnan(share) else min(max(share, 0.0), 1.0)
                for i in range(3):
                    result[y, x, i] += share * int(one.color[2 * i : 2 * i + 2], 16)
    return np.minimum(result, 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, bool])
@pytest.mark.parametrize("colors", [("FFFFFF",), ("00FF00", "FF00FF"), ("102030", "FFFFFF")])
def test_a_composite_is_the_sum_of_its_channels(dtype: type, colors: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    block = (rng.random((len(colors), 5, 7)) * (2 if dtype is bool else 250)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        block[0, 0, :3] = np.nan, np.inf, -np.inf
    channels = [
        Shown(c, 0.0, 1.0, color) if dtype is bool else Shown(c, 20.0 - 9 * c, 180.0, color)
        for c, color in enumerate(colors)
    ]
    found = rendering.composite(block, channels)
    expected = by_loop(block, channels)
    grey = colors == ("FFFFFF",)
    assert found.dtype == np.uint8
    assert found.shape == (expected.shape[:2] if grey else expected.shape)
    whole = np.repeat(found[..., None], 3, axis=2) if grey else found
    assert np.abs(whole - expected).max() <= 0.5 + 1e-3


def test_a_large_offset_leaves_the_picture() -> None:
    block = 1e9 + np.arange(6.0).reshape(1, 2, 3)
    found = rendering.composite(block, [Shown(0, 1e9, 1e9 + 5)])
    assert found.tolist() == [[0, 51, 102], [153, 204, 255]]


def test_a_difference_has_no_colour_where_there_is_none_and_is_symmetric() -> None:
    values = np.array([[[-9.0, -2.0, 0.0, 2.0, 9.0, np.nan]]])
    found = rendering.difference(values + 7, np.full(values.shape, 7.0), 4.0)[0].astype(int)
    assert found[0].tolist() == rendering.difference(values, 0 * values, 9.0)[0, 0].tolist()
    assert np.ptp(found[2]) <= 1
    assert found[1, 2] > found[1, 0]  # blue
    assert found[3, 0] > found[3, 2]  # red
    assert found[5].tolist() == found[2].tolist()


def test_a_difference_of_colours_is_their_mean() -> None:
    rng = np.random.default_rng(1)
    noisy, clean = rng.random((2, 3, 4, 4))
    one = rendering.difference(noisy, clean, 1.0)
    mean = (noisy - clean).mean(axis=0)[None]
    assert one.tolist() == rendering.difference(mean, 0 * mean, 1.0).tolist()


def test_an_uncertainty_gets_brighter() -> None:
    found = rendering.amount(np.array([[[0.0, 1.0, 2.0, 5.0]]]), 2.0)[0].astype(int).sum(axis=1)
    assert found[0] < found[1] < found[2] == found[3]


def test_limits_leave_out_a_pixel_in_a_thousand_of_a_large_stack() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(500, 20, (2, 3, 300, 400)).astype(np.float32)
    pixels[:, 1] *= 2
    pixels[0, 0, :3, :3] = np.nan, np.inf, 1e6
    image = Image.from_array(pixels, axes="TCYX")
    found = rendering.limits(rendering.sample(image))
    for c, (low, high) in enumerate(found):
        finite = pixels[:, c][np.isfinite(pixels[:, c])]
        expected = np.percentile(finite, rendering.PERCENT)
        assert np.abs(np.subtract((low, high), expected)).max() < 10 * (1 + (c == 1))


def test_a_sample_reads_little_of_a_huge_image() -> None:
    class Huge:
        shape, dtype, read = (40, 100_000, 100_000), np.dtype("u2"), 0

        def __getitem__(self, index: tuple[slice, ...]) -> NDArray:
            form = [len(range(n)[part]) for n, part in zip(self.shape, index, strict=True)]
            self.read += int(np.prod(form))
            return np.ones(form, np.uint16)

    huge = Huge()
    found = rendering.sample(Image(huge, "ZYX"))
    assert huge.read == found[0].size == 8 * 8 * 64 * 64


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (63, 65), (130, 64)])
def test_a_sample_of_small_images_has_every_pixel_at_most_once(shape: tuple[int, int]) -> None:
    pixels = np.arange(np.prod(shape)).reshape(shape)
    (found,) = rendering.sample(Image.from_array(pixels))
    assert len(set(found.tolist())) == found.size


def test_flat_and_empty_channels_have_limits() -> None:
    low, high = rendering.limits([np.full(10, 7.0)])[0]
    assert low < 7 < high
    low, high = rendering.limits([np.zeros(0)])[0]
    assert low < high
    spot = np.zeros(10_000)
    spot[5] = 3
    assert rendering.limits([spot])[0] == (0, 3)
    assert rendering.limits([np.zeros(4, bool)]) == [(0, 1)]


def test_photographs_of_8_bit_are_shown_as_they_are_and_others_keep_their_colours() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 120, (64, 64, 3)).astype(np.uint8)
    eight = Image.from_array(pixels)
    found = rendering.composite(pixels.transpose(2, 0, 1), rendering.shown(eight))
    assert (found == pixels).all()
    sixteen = rendering.shown(Image.from_array(pixels.astype(np.uint16)))
    assert len({(one.low, one.high) for one in sixteen}) == 1
    assert [one.color for one in sixteen] == ["FF0000", "00FF00", "0000FF"]


def test_transparency_is_not_shown() -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    image = Image(pixels, "YXC", is_rgb=True, alpha=3)
    assert [one.channel for one in rendering.shown(image)] == [0, 1, 2]


def test_a_grey_image_with_transparency_is_grey() -> None:
    image = Image(np.zeros((2, 8, 8), np.uint8), "CYX", alpha=1)
    assert [(one.channel, one.color) for one in rendering.shown(image)] == [(0, "FFFFFF")]
    own = replace(image, acquisition=Acquisition(colors=("00FF00", "")))
    assert [one.color for one in rendering.shown(own)] == ["FFFFFF"]
    two = Image(np.zeros((3, 8, 8), np.uint8), "CYX", alpha=0)
    assert [one.color for one in rendering.shown(two)] == ["00FF00", "FF00FF"]


def test_a_sample_of_many_channels_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "SAMPLED", 2**19)
    pixels = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None], (100, 600, 600))
    found = rendering.sample(Image(pixels, "CYX"))
    assert 2**18 < sum(one.size for one in found) <= 2**19
    assert [one.tolist() == [c] * one.size for c, one in enumerate(found)] == [True] * 100
    few = rendering.sample(Image(pixels[:2], "CYX"))
    assert [one.size for one in few] == [(rendering.WINDOWS * rendering.WINDOW) ** 2] * 2


def test_channels_have_their_own_colours_or_ones_that_differ() -> None:
    pixels = np.zeros((9, 8, 8))
    assert len(set(rendering.colors(Image.from_array(pixels[:3], axes="CYX")))) == 3
    assert len(rendering.colors(Image.from_array(pixels, axes="CYX"))) == 9
    own = Image(pixels[:2], "CYX", acquisition=Acquisition(colors=("0000FF", "")))
    assert rendering.colors(own) == ("0000FF", "FFFFFF")
    single = Image(pixels[:1], "CYX", acquisition=Acquisition(colors=("0000FF",)))
    assert rendering.colors(single) == ("FFFFFF",)


def test_limits_of_residual_and_uncertainty_leave_out_few_pixels() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, (200, 300))
    scene = np.full(noise.shape, 100.0)
    noisy, clean = Image.from_array(scene + noise), Image.from_array(scene)
    assert rendering.difference_limit(noisy, clean) == pytest.approx(
        np.percentile(np.abs(noise), 99.5), rel=0.05
    )
    spread = Image.from_array(np.abs(noise))
    assert rendering.amount_limit(spread) == pytest.approx(
        np.percentile(np.abs(noise), 99.8), rel=0.1
    )
