"""Layers to files: what was read comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import unnoise
from unnoise.app.napari import writers
from unnoise.errors import InputError
from unnoise.images.acquisition import Acquisition

pytestmark = pytest.mark.gui
RNG = np.random.default_rng(0)


def described(axes: str, shape: tuple[int, ...]) -> unnoise.Image:
    """An image with all that layers and files can hold."""
    pixels = RNG.integers(0, 999, shape).astype(np.uint16)
    steps = {letter: 0.1 * (i + 1) for i, letter in enumerate(axes) if letter in "ZYX"}
    return replace(
        unnoise.Image.from_array(pixels, axes),
        scale=steps,
        units=dict.fromkeys(steps, "µm"),
        channel_names=("DAPI", "GFP") if "C" in axes else (),
        acquisition=Acquisition(colors=("0000FF", "00FF00")) if "C" in axes else Acquisition(),
    )


def micrometres(image: unnoise.Image) -> dict[str, float]:
    """The pixel size, whatever its unit is: plain TIFF has inches and centimetres only."""
    factors = {"µm": 1.0, "cm": 1e4, "mm": 1e3, "micron": 1.0, "angstrom": 1e-4}
    return {a: step * factors[image.units[a]] for a, step in image.scale.items()}


@pytest.mark.parametrize("end", [".ome.tif", ".tif", ".ome.zarr", ".mrc", ".nii"])
@pytest.mark.parametrize(("axes", "shape"), [("YX", (32, 40)), ("ZYX", (3, 32, 40))])
def test_what_was_read_is_what_is_saved(
    viewer: Any, tmp_path: Path, axes: str, shape: tuple[int, ...], end: str
) -> None:
    image, path, saved = described(axes, shape), tmp_path / f"a{end}", tmp_path / f"b{end}"
    unnoise.save(path, image.data, like=image)
    before = unnoise.open(path)
    (layer,) = viewer.open(path, plugin="unnoise")
    assert layer.save(str(saved), plugin="unnoise") == [str(saved)]
    after = unnoise.open(saved)
    assert np.array_equal(after.data[...], before.data[...])
    for name in ("axes", "dtype", "channel_names"):
        assert getattr(after, name) == getattr(before, name), name
    assert micrometres(after) == pytest.approx(micrometres(before))


def test_channels_are_saved_as_one_file(viewer: Any, tmp_path: Path) -> None:
    image = described("ZCYX", (3, 2, 32, 40))
    path, saved = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    unnoise.save(path, image.data, like=image)
    viewer.open(path, plugin="unnoise")
    assert viewer.layers.save(str(saved), plugin="unnoise") == [str(saved)]
    after = unnoise.open(saved)
    assert np.array_equal(after.data[...], image.data)
    assert after.channel_names == image.channel_names
    assert after.acquisition.colors == image.acquisition.colors
    assert dict(after.scale) == pytest.approx(dict(image.scale))


def test_tags_of_a_microscope_come_through(viewer: Any, tmp_path: Path) -> None:
    path, saved = tmp_path / "a.tif", tmp_path / "b.tif"
    tags = [(65000, "s", 0, "laser at 3 %", True)]
    tifffile.imwrite(path, RNG.integers(0, 99, (32, 32)).astype(np.uint8), extratags=tags)
    (layer,) = viewer.open(path, plugin="unnoise")
    layer.save(str(saved), plugin="unnoise")
    with tifffile.TiffFile(saved) as file:
        assert file.pages[0].tags[65000].value == "laser at 3 %"


def test_a_layer_of_napari_is_saved_with_its_scale(viewer: Any, tmp_path: Path) -> None:
    saved = tmp_path / "c.ome.tif"
    pixels = RNG.normal(size=(4, 32, 32)).astype(np.float32)
    layer = viewer.add_image(
        pixels,
        scale=(2, 0.3, 0.3),
        units=("s", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    layer.save(str(saved), plugin="unnoise")
    after = unnoise.open(saved)
    assert after.axes == "TYX"
    assert np.array_equal(after.data[...], pixels)
    assert dict(after.scale) == pytest.approx({"T": 2, "Y": 0.3, "X": 0.3})


def test_the_file_of_a_layer_is_never_overwritten_and_sizes_must_agree(
    viewer: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    unnoise.save(path, RNG.integers(0, 99, (32, 32)).astype(np.uint8), axes="YX")
    (layer,) = viewer.open(path, plugin="unnoise")
    with pytest.raises(InputError, match="never overwritten"):
        writers.write_image(str(path), layer.data, layer._get_state())
    other = viewer.add_image(np.zeros((16, 16), np.uint8))
    data = [one.as_layer_data_tuple() for one in (layer, other)]
    with pytest.raises(InputError, match="save them one by one"):
        writers.write_images(str(tmp_path / "both.tif"), data)
