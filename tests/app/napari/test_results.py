"""Layers of results: where a preview lies, and what of many dimensions is shown where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unnoise
from unnoise.app.events import Preview
from unnoise.app.napari import layers, results
from unnoise.app.napari.choices import Choice

pytestmark = pytest.mark.gui
RNG = np.random.default_rng(0)


def test_a_preview_lies_where_its_pixels_are(viewer: Any) -> None:
    pixels = RNG.integers(0, 99, (3, 40, 50)).astype(np.float32)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[0.8, 0.6], [-0.6, 0.8]]
    layer = viewer.add_image(
        pixels, scale=(5, 0.5, 0.25), translate=(0, 7, 9), affine=affine, colormap="green"
    )
    image = unnoise.Image.from_array(pixels, "ZYX")
    (target,) = results.targets(Choice("a", (layer,)), image)
    clean = pixels[1, 10:30, 20:40]
    preview = Preview("a", 5, 0.1, (10, 20), clean, clean)
    shown = results.show_preview(viewer, target, preview)
    for corner in ((0, 0), (3, 4), (19, 19)):
        place = layer.data_to_world((1, corner[0] + 10, corner[1] + 20))
        assert shown.data_to_world(corner) == pytest.approx(place[1:])
    assert shown.colormap.name == "green"
    again = results.show_preview(viewer, target, preview, shown)
    assert again is shown
    assert len(viewer.layers) == 2


@pytest.mark.parametrize(
    "place",
    [
        {"rotate": 30},
        {"shear": [0.3]},
        {"rotate": -50, "shear": [0.2], "scale": (2, 3), "translate": (5, 7)},
    ],
)
def test_a_preview_of_a_turned_or_sheared_layer_lies_over_it(
    viewer: Any, place: dict[str, Any]
) -> None:
    pixels = RNG.integers(0, 99, (3, 64, 64)).astype(np.float32)
    flat = viewer.add_image(pixels[0], **place)
    deep = viewer.add_image(pixels)
    deep.scale, deep.translate = ((1, *getattr(flat, name)) for name in ("scale", "translate"))
    deep.rotate = np.block([[np.eye(1), np.zeros((1, 2))], [np.zeros((2, 1)), flat.rotate]])
    deep.shear = [0, 0, *np.ravel(flat.shear)]
    clean = pixels[0, 32:, 16:48]
    for layer in (flat, deep):
        axes = "ZYX"[-layer.ndim :]
        image = unnoise.Image.from_array(layer.data, axes)
        (target,) = results.targets(Choice("a", (layer,)), image)
        shown = results.show_preview(viewer, target, Preview("a", 5, 0.1, (32, 16), clean, clean))
        for y, x in ((0, 0), (10, 3), (31, 31)):
            there = layer.data_to_world((0, y + 32, x + 16)[-layer.ndim :])
            assert shown.data_to_world((y, x)) == pytest.approx(there[-2:], abs=1e-6)


@pytest.mark.parametrize("kind", [np.uint32, np.int32, np.float64])
def test_a_residual_of_large_values_is_exact(viewer: Any, kind: type) -> None:
    """float32 holds 2^30 in steps of 64."""
    noise = RNG.integers(-20, 20, (20, 24))
    pixels = (2**30 + noise).astype(kind)
    layer = viewer.add_image(pixels, name="a")
    image = unnoise.Image.from_array(pixels, "YX")
    made = results.targets(Choice("a", (layer,)), image)
    clean = results.add_result(viewer, made, image, image.with_data(pixels - noise.astype(kind)))
    (shown,) = results.add_residual(viewer, made, clean)
    assert np.array_equal(np.asarray(shown.data), noise)
    assert shown.data.dtype == np.float32


def test_a_result_lies_in_the_order_of_its_source(viewer: Any) -> None:
    pixels = RNG.integers(0, 99, (4, 1, 20, 24)).astype(np.uint16)
    layer = viewer.add_image(pixels, name="a")
    noisy = unnoise.Image.from_array(pixels, "ZTYX")
    result = unnoise.Image.from_array(pixels[:, 0] // 2, "ZYX")  # formats drop axes of length 1
    (shown,) = results.add_result(
        viewer, results.targets(Choice("a", (layer,)), noisy), noisy, result
    )
    assert np.array_equal(np.asarray(shown.data), pixels // 2)
    assert list(viewer.layers) == [layer, shown]


def test_channels_that_are_added_up_are_not_added_to_their_results(viewer: Any) -> None:
    image = unnoise.Image.from_array(RNG.integers(0, 99, (2, 20, 24)).astype(np.uint16), "CYX")
    own = [viewer.add_image(data, **about) for data, about, _ in layers.layers_of(image)]
    assert {layer.blending for layer in own} == {"additive"}
    made = results.targets(Choice("a", tuple(own)), image)
    piece = np.zeros((8, 8, 2), np.float32)
    preview = Preview("a", 5, 0.1, (4, 4), piece, piece)
    shown = [
        results.show_preview(viewer, target, preview, is_first=i == 0)
        for i, target in enumerate(made)
    ]
    assert shown[0].blending in results.COVERING
    assert shown[1].blending == "additive"
    added = results.add_result(viewer, made, image, image)
    assert [layer.visible for layer in (*own, *added)] == [False, False, True, True]


def test_an_uncertainty_begins_at_zero(viewer: Any) -> None:
    pixels = RNG.integers(0, 99, (20, 24)).astype(np.uint16)
    layer = viewer.add_image(pixels, name="a", scale=(2, 3))
    noisy = unnoise.Image.from_array(pixels, "YX")
    spread = unnoise.Image.from_array(np.sqrt(pixels + 1.0).astype(np.float32), "YX")
    made = results.targets(Choice("a", (layer,)), noisy)
    (shown,) = results.add_uncertainty(viewer, made, noisy, spread)
    assert shown.name == "a uncertainty"
    assert shown.contrast_limits[0] == 0
    assert tuple(shown.scale) == (2, 3)
    assert np.array_equal(np.asarray(shown.data), spread.data)
