"""Layers as the channels of one file: where C is put, and what the file cannot hold of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unnoise
from unnoise.app.napari import writers
from unnoise.errors import InputError

LayerData = tuple[np.ndarray, dict[str, Any], str]


def layer(shape: tuple[int, ...] = (32, 40), axes: str = "YX", **about: Any) -> LayerData:
    pixels = np.random.default_rng(len(about)).integers(0, 99, shape).astype(np.uint16)
    known = {"scale": (0.1,) * len(axes), "units": ("micrometer",) * len(axes)}
    return pixels, {"name": "a", **known, "axis_labels": tuple(axes.lower()), **about}, "image"


@pytest.mark.parametrize(
    "other",
    [
        {"scale": (0.5, 0.5)},
        {"units": ("nanometer",) * 2},
        {"scale": (1, 1), "units": ("pixel",) * 2},
    ],
)
def test_layers_of_other_pixel_sizes_are_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"pixels of the same size.*one by one"):
        writers.write_images(str(tmp_path / "a.ome.tif"), [layer(), layer(**other)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["translate", "rotate", "shear", "affine"])
def test_layers_in_other_places_are_saved_with_a_warning(tmp_path: Path, name: str) -> None:
    usual = {"translate": (0, 0), "rotate": np.eye(2), "shear": (0,), "affine": np.eye(3)}
    turned = {"translate": (9, 9), "rotate": -np.eye(2), "shear": (1,), "affine": -np.eye(3)}
    path = str(tmp_path / "a.ome.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writers.write_images(path, [layer(**usual), layer(**usual)])
    with pytest.warns(UserWarning, match="do not lie in the same place"):
        writers.write_images(path, [layer(**usual), layer(**usual | {name: turned[name]})])
    assert unnoise.open(path).shape == (2, 32, 40)


@pytest.mark.parametrize("axes", ["YXZ", "YZX", "ZYX", "TZYX", "TYX", "YX"])
def test_channels_of_layers_whose_last_axes_are_not_y_and_x(tmp_path: Path, axes: str) -> None:
    sizes = {"T": 3, "Z": 5, "Y": 20, "X": 24}
    two = [layer(tuple(sizes[a] for a in axes), axes, name=name) for name in "ab"]
    two[1][0][:] += 1
    path = tmp_path / "a.ome.tif"
    writers.write_images(str(path), two)
    for channel, (pixels, _, _) in enumerate(two):
        expected = unnoise.Image.from_array(pixels, axes).original()[:, :, 0]
        assert np.array_equal(unnoise.open(path).original()[:, :, channel], expected)
