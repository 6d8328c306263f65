"""Pictures as embedded images, read back with Pillow."""

from __future__ import annotations

import base64
import io
import itertools

import numpy as np
import pytest
from PIL import Image as Pillow

from unnoise.errors import InputError
from unnoise.report.colour import Scale, grey_scale, positive_scale, ramp_colours, signed_scale
from unnoise.report.embedded_images import (
    View,
    block_mean,
    encode,
    most_structure,
    shrink_factor,
    views,
)
from unnoise.report.page_parts import Picture

PLENTY = 3_300_000


def pixels(uri: str) -> np.ndarray:
    image = Pillow.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    return np.asarray(image.convert("RGB") if image.mode == "P" else image)


def layers(view: View) -> dict[str, np.ndarray]:
    return {layer.name: pixels(layer.uri) for layer in view.layers}


def test_small_pictures_are_shown_pixel_by_pixel() -> None:
    noisy = np.random.default_rng(0).integers(0, 4096, (48, 64)).astype(np.uint16)
    clean = np.linspace(0, 4000, 48 * 64).reshape(48, 64)
    (view,) = views(Picture("a", noisy, clean), PLENTY)
    shown = layers(view)
    low, high = np.percentile(clean, (0.1, 99.9))
    for name, plane in (("noisy", noisy), ("clean", clean)):
        expected = np.clip((plane - low) / (high - low), 0, 1) * 255
        np.testing.assert_allclose(shown[name], expected, atol=1.01)
    # Residual: red where noisy is brighter, blue where it is darker.
    red, blue = shown["residual"][..., 0].astype(int), shown["residual"][..., 2].astype(int)
    difference = noisy - clean
    strong = np.abs(difference) > 500
    assert ((red > blue) == (difference > 0))[strong].all()


@pytest.mark.parametrize("factor", [2, 3, 7])
@pytest.mark.parametrize("shape", [(12, 17), (16, 16, 3), (5, 40)])
def test_block_mean_is_the_mean_of_blocks(factor: int, shape: tuple[int, ...]) -> None:
    plane = np.random.default_rng(0).normal(1e6, 1, shape).astype(np.float32)
    plane[3, 3] = np.nan
    result = block_mean(plane, factor)
    for i, j in itertools.product(range(result.shape[0]), range(result.shape[1])):
        block = plane[i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
        expected = np.nanmean(block.astype(np.float64), axis=(0, 1))
        np.testing.assert_allclose(result[i, j], expected, rtol=1e-12)
    assert result.shape[:2] == (-(-shape[0] // factor), -(-shape[1] // factor))


def test_blocks_without_any_finite_pixel_stay_nan() -> None:
    plane = np.ones((4, 4))
    plane[:2, :2] = np.inf
    assert np.isnan(block_mean(plane, 2)[0, 0])
    assert block_mean(plane, 2)[1, 1] == 1


@pytest.mark.parametrize("side", [1, 4, 5, 9])
def test_most_structure_is_the_best_window(side: int) -> None:
    plane = np.random.default_rng(side).normal(size=(20, 26)) ** 3
    slope = np.zeros_like(plane)
    slope[1:] += np.abs(plane[1:] - plane[:-1])
    slope[:, 1:] += np.abs(plane[:, 1:] - plane[:, :-1])
    slope = np.minimum(slope, np.percentile(slope, 99))
    sums = {
        (y, x): slope[y : y + side, x : x + side].sum()
        for y in range(20 - side + 1)
        for x in range(26 - side + 1)
    }
    assert sums[most_structure(plane, side)] == pytest.approx(max(sums.values()))


def test_detail_lies_where_the_structure_is() -> None:
    plane = np.zeros((1500, 2500), np.float32)
    plane[1000:1300, 1800:2200] = np.indices((300, 400)).sum(axis=0) // 8 % 2
    whole, detail = views(Picture("a", plane, plane), PLENTY)
    assert (whole.name, whole.factor, detail.name, detail.factor) == ("whole", 2, "detail", 1)
    y, x = detail.corner
    assert y <= 1000
    assert y + detail.height >= 1300
    assert x <= 1800
    assert x + detail.width >= 2200
    # The detail shows the pixels themselves.
    crop = plane[y : y + detail.height, x : x + detail.width]
    np.testing.assert_allclose(layers(detail)["clean"], 255 * crop, atol=1)


@pytest.mark.parametrize("budget", [3_000, 30_000, 300_000])
def test_budget_is_kept(budget: int) -> None:
    rng = np.random.default_rng(0)
    plane, *maps = (rng.normal(size=(700, 900)) for _ in range(5))
    seen = views(Picture("a", plane, *maps), budget)
    total = sum(len(base64.b64decode(x.uri.split(",")[1])) for view in seen for x in view.layers)
    assert total <= budget
    assert {layer.name for layer in seen[0].layers} == {
        "noisy", "clean", "residual", "uncertainty", "novelty", "leak",
    }  # fmt: skip


def test_strong_compression_keeps_the_noise() -> None:
    """The spread of the noise that is shown is the true one, within a few percent."""
    noisy = np.random.default_rng(0).normal(100, 20, (256, 256))
    scale = Scale(0, 200)
    full, small = (pixels(encode(noisy, scale, budget)).astype(float) for budget in (10**6, 40_000))
    assert full.std() == pytest.approx(20 * 255 / 200, rel=0.02)
    assert small.shape == full.shape
    assert small.std() == pytest.approx(full.std(), rel=0.03)


STRANGE = {
    "constant": np.full((40, 30), 7, np.uint8),
    "zero": np.zeros((16, 16)),
    "nan": np.full((16, 20), np.nan, np.float32),
    "some nan": np.where(np.eye(64) > 0, np.nan, 1e6 + np.arange(64.0)),
    "infinite": np.where(np.eye(64) > 0, np.inf, np.arange(64.0)),
    "offset": np.random.default_rng(0).integers(65500, 65536, (64, 64)).astype(np.uint16),
    "tiny": np.random.default_rng(0).normal(size=(16, 16)).astype(np.float16),
    "one pixel": np.ones((1, 1)),
    "bool": np.eye(16, dtype=bool),
    "signed": np.arange(-128, 128, dtype=np.int8).reshape(16, 16),
    "wide": np.random.default_rng(0).integers(0, 255, (64, 4096)).astype(np.uint8),
    "very wide": np.random.default_rng(0).integers(0, 255, (3, 20000)).astype(np.uint8),
    "tall": np.random.default_rng(0).normal(size=(4096, 64)),
    "colour": np.random.default_rng(0).integers(0, 255, (64, 48, 3)).astype(np.uint8),
    "large nan": np.full((1100, 1100), np.nan, np.float32),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("budget", [20_000, PLENTY])
def test_strange_pictures(name: str, budget: int) -> None:
    noisy = STRANGE[name]
    plane = noisy[..., 0] if noisy.ndim == 3 else noisy
    pictures = [Picture("a", noisy), Picture("a", noisy, noisy.copy(), plane, plane, plane)]
    for picture in pictures:
        for view in views(picture, budget):
            assert len(view.layers) == (1 if picture.clean is None else 6)
            for layer in view.layers:
                assert layer.scale.high > layer.scale.low
                assert min(pixels(layer.uri).shape[:2]) > 0


def test_mere_noise_in_colour_is_shown() -> None:
    """Its optimised JPEG is larger than the room that Pillow keeps for it."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3)).astype(np.uint8)
    shown = pixels(encode(noise, Scale(0, 255), 700_000))  # as PNG it has 750,000 bytes
    assert shown.shape == noise.shape


def test_a_difference_of_nothing_has_the_colour_of_zero() -> None:
    noisy = np.array([[np.nan, 1.0], [2.0, 3.0]])
    (view,) = views(Picture("a", noisy, noisy), PLENTY)
    assert len(np.unique(layers(view)["residual"].reshape(-1, 3), axis=0)) == 1


def test_scales() -> None:
    rng = np.random.default_rng(0)
    clean = rng.uniform(10, 20, (100, 100))
    clean[0, 0] = 1e9  # one hot pixel does not darken everything
    assert grey_scale(clean, None).high < 21
    assert grey_scale(rng.normal(0, 1e3, (100, 100)), clean) == grey_scale(clean, clean)
    few = np.zeros((100, 100))
    few[5, 5] = 3
    assert grey_scale(few, None) == Scale(0, 3)
    signed = signed_scale(rng.normal(0, 2, (200, 200)))
    assert signed.low == -signed.high
    assert signed.high == pytest.approx(2 * 2.807, rel=0.05)  # the 99.5 % quantile of |N(0, 1)|
    assert positive_scale(np.full((9, 9), 5.0), "amount") == Scale(0, 5, "amount")
    assert positive_scale(np.array([[-1.0, 4.0]]), "alarm").low == -1


def test_limits_hold_the_colours_of_a_map() -> None:
    """Half the limit looks harmless though it is the largest value of the map."""
    plane = np.linspace(0, 0.05, 100).reshape(10, 10)
    (view,) = views(
        Picture("a", plane, novelty=plane, leak=plane - 0.02, novelty_limit=0.1, leak_limit=0.3),
        PLENTY,
    )
    scales = {layer.name: layer.scale for layer in view.layers}
    assert (scales["novelty"].low, scales["novelty"].high) == (0, 0.2)
    assert (scales["leak"].low, scales["leak"].high) == (-0.6, 0.6)
    assert layers(view)["novelty"].max() < 128


def test_ramps_have_steady_lightness() -> None:
    """Amounts grow lighter all the way; differences are darkest at both ends."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    for name in ("grey", "amount", "alarm"):
        assert (np.diff(ramp_colours(name, 64) @ weights) > 0).all()
    light = ramp_colours("difference", 63) @ weights
    assert (np.diff(light[:32]) > 0).all()
    assert (np.diff(light[31:]) < 0).all()


def test_shrink_factor_is_the_smallest_that_fits() -> None:
    for height, width, room in [(2048, 2048, 2**20), (1025, 1024, 2**20), (64, 4096, 2**20)]:
        factor = shrink_factor(height, width, room)
        assert height * width / factor**2 <= room
        assert factor == 1 or height * width / (factor - 1) ** 2 > room


def test_refused_pictures() -> None:
    plane = np.zeros((4, 5))
    with pytest.raises(InputError, match="give one plane"):
        Picture("a", np.zeros((2, 4, 5)))
    with pytest.raises(InputError, match="give one plane"):
        Picture("a", np.zeros((0, 5)))
    with pytest.raises(InputError, match="'clean' of the picture 'a'"):
        Picture("a", plane, plane.T)
    with pytest.raises(InputError, match="'leak'"):
        Picture("a", np.zeros((4, 5, 3)), leak=np.zeros((4, 5, 3)))
