"""The smaller copies that a file holds of an image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from unnoise.images import formats
from unnoise.images.image import Image


def tiff(path: Path, pixels: NDArray, axes: str, count: int) -> None:
    """An OME-TIFF with smaller copies: every second pixel of the one before."""
    at = tuple(slice(None, None, 2) if a in "YX" else slice(None) for a in axes)
    keywords = {"tile": (32, 32), "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, subifds=count, metadata={"axes": axes}, **keywords)
        for _ in range(count):
            pixels = pixels[at]
            file.write(pixels, subfiletype=1, **keywords)


@pytest.mark.parametrize(
    ("axes", "shape"), [("YX", (130, 95)), ("TCYX", (2, 3, 64, 80)), ("YXS", (64, 96, 3))]
)
def test_copies_of_tiff(tmp_path: Path, axes: str, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.ome.tif"
    pixels = np.random.default_rng(0).integers(0, 999, shape).astype(np.uint16)
    tiff(path, pixels, axes, 2)
    image = replace(formats.open(path), scale={"X": 0.5})
    found = formats.smaller(image)
    at = tuple(slice(None, None, 2) if a in "YX" else slice(None) for a in axes)
    assert [copy.shape for copy in found] == [pixels[at].shape, pixels[at][at].shape]
    for copy in found:
        pixels = pixels[at]
        np.testing.assert_array_equal(copy.data[...], pixels)
        assert copy.axes == image.axes
    assert found[0].scale["X"] == pytest.approx(0.5 * shape[axes.index("X")] / found[0].sizes["X"])


def test_copies_of_zarr(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 999, (6, 600, 520)).astype(np.uint16)
    scale = {"Z": 1.0, "Y": 1.0, "X": 1.0}
    like = replace(
        Image.from_array(pixels, axes="ZYX"), scale=scale, units=dict.fromkeys("ZYX", "µm")
    )
    path = tmp_path / "a.ome.zarr"
    with formats.create(path, like=like) as out:
        out.write({}, like.read())
    image = formats.open(path)
    found = formats.smaller(image)
    assert [copy.shape for copy in found] == [(3, 300, 260), (2, 150, 130)]
    whole = pixels.astype(float).reshape(3, 2, 300, 2, 260, 2).mean(axis=(1, 3, 5))
    assert np.abs(found[0].data[...] - whole).max() <= 0.5
    assert found[0].scale == {"Z": 2.0, "Y": 2.0, "X": 2.0}


def test_where_there_are_none(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64), np.uint8)
    assert formats.smaller(Image.from_array(pixels)) == []
    for name in ("a.tif", "a.npy", "a.png", "plain.zarr"):
        formats.save(tmp_path / name, pixels)
        assert formats.smaller(formats.open(tmp_path / name)) == []


def test_a_part_of_an_image_has_no_copies(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tiff(path, np.zeros((2, 128, 128), np.uint8), "CYX", 1)
    image = formats.open(path)
    assert len(formats.smaller(image)) == 1
    assert formats.smaller(image.window({"Y": slice(0, 64)})) == []
    assert formats.smaller(image.with_data(np.zeros((2, 128, 128)))) == []


def test_each_image_of_a_file_has_its_own_copies(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    keywords = {"tile": (32, 32), "compression": "zlib", "metadata": {"axes": "YX"}}
    with tifffile.TiffWriter(path, ome=True) as file:
        for value in (10, 20):
            file.write(np.full((128, 96), value, np.uint8), subifds=1, **keywords)
            file.write(np.full((64, 48), value + 1, np.uint8), subfiletype=1, **keywords)
    for number, value in enumerate((10, 20)):
        (copy,) = formats.smaller(formats.open(path, series=number))
        assert (copy.data[...] == value + 1).all()
