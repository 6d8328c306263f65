"""Files as layers, lazily, and model folders; the manifest names what can be read."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import yaml

import unnoise
from unnoise.app.napari import layers, readers
from unnoise.images.acquisition import Acquisition
from unnoise.images.formats.registry import FORMATS, only_read

from .conftest import MANIFEST

pytestmark = pytest.mark.gui
RNG = np.random.default_rng(0)


def test_the_manifest_names_every_format() -> None:
    contributions = yaml.safe_load(MANIFEST.read_text("utf-8"))["contributions"]
    patterns = contributions["readers"][0]["filename_patterns"]
    assert {f"*{suffix}" for suffix in FORMATS} <= set(patterns)
    written = set(FORMATS) - set(only_read())
    for writer in contributions["writers"]:
        assert written <= set(writer["filename_extensions"])
        assert not set(only_read()) & set(writer["filename_extensions"])
    assert any(fnmatch("my.model", pattern) for pattern in patterns)


def test_a_stack_with_channels_is_a_layer_for_each(viewer: Any, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 999, (3, 2, 32, 40)).astype(np.uint16)
    image = replace(
        unnoise.Image.from_array(pixels, "ZCYX"),
        scale={"Z": 0.5, "Y": 0.2, "X": 0.2},
        units={"Z": "µm", "Y": "µm", "X": "µm"},
        channel_names=("DAPI", "GFP"),
        acquisition=Acquisition(colors=("0000FF", "00FF00")),
    )
    path = tmp_path / "stack.ome.tif"
    unnoise.save(path, pixels, like=image)
    blue, green = viewer.open(path, plugin="unnoise")
    assert [blue.name, green.name] == ["stack.ome.tif: DAPI", "stack.ome.tif: GFP"]
    assert isinstance(blue.data, da.Array)
    for c, layer in enumerate((blue, green)):
        assert np.array_equal(np.asarray(layer.data), pixels[:, c])
        assert tuple(layer.scale) == (0.5, 0.2, 0.2)
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
        assert layer.axis_labels == ("z", "y", "x")
        assert layers.colour_of(layer) == image.acquisition.colors[c]
    assert layers.joined([blue, green]).axes == "ZCYX"
    assert layers.joined([green, blue]) is None


def test_colours_are_one_layer_and_label_images_are_labels(viewer: Any, tmp_path: Path) -> None:
    photo = RNG.integers(0, 255, (32, 40, 3)).astype(np.uint8)
    unnoise.save(tmp_path / "photo.png", photo, axes="YXC")
    (layer,) = viewer.open(tmp_path / "photo.png", plugin="unnoise")
    assert layer.rgb
    assert np.array_equal(np.asarray(layer.data), photo)
    image = unnoise.Image.from_array(np.zeros((8, 8), bool), "YX")
    assert layers.layers_of(image)[0][2] == "labels"


def test_nothing_is_read_of_other_planes_than_those_shown(viewer: Any) -> None:
    pixels, read = RNG.integers(0, 99, (50, 32, 32)).astype(np.uint16), set()

    class Watched:
        shape, dtype = pixels.shape, pixels.dtype

        def __getitem__(self, index: Any) -> np.ndarray:
            read.update(range(50)[index[0]] if isinstance(index[0], slice) else [index[0]])
            return pixels[index]

    image = unnoise.Image(Watched(), "TYX")
    (data, about, _), *_ = layers.layers_of(image)
    viewer.add_image(data, **about)
    assert len(read) <= 3  # the middle one for the contrast, the first, and that of the slider


def test_what_is_no_image_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert readers.get_reader(str(tmp_path / "folder")) is None
    assert readers.get_reader(str(tmp_path / "a.txt")) is None
    assert readers.get_reader([str(tmp_path / "a.tif"), str(tmp_path / "b.txt")]) is None
    assert readers.get_reader([str(tmp_path / "a.tif")]) is readers.read_images


def test_a_damaged_file_is_told_in_a_sentence(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.tif"
    path.write_bytes(b"II*\0 no more")
    with pytest.raises(unnoise.errors.InputError, match="truncated or damaged"):
        viewer.open(path, plugin="unnoise")


@pytest.mark.parametrize("name", ["cells", "movie", "stack", "photograph"])
def test_sample_data_open(viewer: Any, name: str) -> None:
    (layer,) = viewer.open_sample("unnoise", name)
    assert layer.name == name
    assert layer.rgb == (name == "photograph")
