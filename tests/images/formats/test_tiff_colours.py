"""Colours of a TIFF are those that it shows; what cannot be read as RGB is refused, not guessed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats

from .copies import pixels_of

RNG = np.random.default_rng(1)
NOISE = RNG.integers(0, 256, (2, 32, 32)).astype(np.uint8)


def ramp(*ends: int) -> np.ndarray:
    """A lookup table that rises evenly to a colour."""
    return np.rint(np.outer(ends, np.arange(256) * 257 / 255)).astype(np.uint16)


def mixed(seed: int) -> np.ndarray:
    """The palette of a picture with a reduced number of colours."""
    return np.random.default_rng(seed).integers(0, 256, (3, 256)).astype(np.uint16) * 257


def indexed(path: Path, *tables: np.ndarray) -> Path:
    """A page for each palette."""
    with tifffile.TiffWriter(path) as tif:
        for pixels, table in zip(NOISE, tables, strict=True):
            tif.write(pixels, photometric="palette", colormap=table, metadata=None)
    return path


@pytest.mark.parametrize(
    ("photometric", "name"), [("cielab", "CIELAB"), ("icclab", "ICC Lab"), ("itulab", "ITU Lab")]
)
def test_lab_is_refused(tmp_path: Path, photometric: str, name: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels_of((16, 20, 3)), photometric="rgb", metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        place = tif.pages.first.tags[262].valueoffset
    data[place] = tifffile.PHOTOMETRIC[photometric.upper()]
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError, match=f"has {name} colours; convert it to RGB first"):
        formats.open(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd", "lerc"])
def test_ycbcr_is_refused_unless_it_is_decoded_to_rgb(
    tmp_path: Path, compression: str | None
) -> None:
    pixels = np.empty((16, 20, 3), np.uint8)
    pixels[...] = 128, 128, 200  # a red grey
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="ycbcr", compression=compression, metadata=None
    )
    with pytest.raises(InputError, match="has YCbCr colours; convert it to RGB first"):
        formats.open(tmp_path / "a.tif")


def test_jpeg_is_decoded_to_rgb(tmp_path: Path) -> None:
    pixels = np.empty((16, 32, 3), np.uint8)
    pixels[...] = 200, 60, 40
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="rgb", compression="jpeg", metadata=None
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages.first.photometric == tifffile.PHOTOMETRIC.YCBCR
    image = formats.open(tmp_path / "a.tif")
    assert image.is_rgb
    np.testing.assert_allclose(image.data[...], pixels, atol=6)


def j2k(pixels: np.ndarray, *, mct: bool = False) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", mct=mct)


RED = np.full((64, 64, 3), (200, 30, 60), np.uint8)
IN_YCBCR = np.full((64, 64, 3), (84, 114, 211), np.uint8)
"""The same colour by JFIF: 0.299 R + 0.587 G + 0.114 B, and so on."""


@pytest.mark.parametrize(
    ("compression", "photometric", "encode"),
    [
        (33003, "rgb", j2k),  # Aperio: YCbCr, whatever the tag says
        (33003, "ycbcr", j2k),
        (33004, "ycbcr", j2k),
        (34712, "ycbcr", j2k),
        (50001, "ycbcr", partial(imagecodecs.webp_encode, lossless=True)),
        (34933, "ycbcr", imagecodecs.png_encode),
        (22610, "ycbcr", imagecodecs.jpegxr_encode),
        (50002, "ycbcr", partial(imagecodecs.jpegxl_encode, lossless=True)),
        (33005, "rgb", None),  # Aperio: RGB, whatever the tag says
        (33005, "ycbcr", None),
        (33004, "rgb", None),
        (34712, "rgb", None),
    ],
)
def test_pictures_within_tiff_are_rgb_or_refused(
    tmp_path: Path, compression: int, photometric: str, encode: Callable[[np.ndarray], bytes] | None
) -> None:
    encoded = encode(IN_YCBCR) if encode else j2k(RED, mct=True)
    tifffile.imwrite(
        tmp_path / "a.tif", iter([encoded]), shape=RED.shape, dtype=np.uint8, tile=(64, 64),
        photometric=photometric, compression=compression, metadata=None,
    )  # fmt: skip
    if encode:
        with pytest.raises(InputError, match="has YCbCr colours; convert it to RGB first"):
            formats.open(tmp_path / "a.tif")
    else:
        image = formats.open(tmp_path / "a.tif")
        assert image.is_rgb
        np.testing.assert_array_equal(image.data[...], RED)


def test_planes_of_jpeg_that_stay_ycbcr_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(RED, -1, 0), photometric="rgb", planarconfig="separate",
        compression="jpeg", metadata=None,
    )  # fmt: skip
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        place = tif.pages.first.tags[262].valueoffset
    data[place] = tifffile.PHOTOMETRIC.YCBCR
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError, match="has YCbCr colours"):
        formats.open(tmp_path / "a.tif")


def test_the_mosaic_of_a_sensor_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", NOISE[0], photometric="cfa", metadata=None)
    with pytest.raises(InputError, match=r"a\.tif holds the mosaic of a sensor.*convert it to RGB"):
        formats.open(tmp_path / "a.tif")


def test_palettes_that_differ_by_page(tmp_path: Path) -> None:
    path = indexed(tmp_path / "a.tif", mixed(1), mixed(2))
    with pytest.raises(InputError, match="pages whose indexed colours differ; convert it to RGB"):
        formats.open(path, axes="TYXC")
    path = indexed(tmp_path / "b.tif", ramp(255, 0, 0), mixed(2))
    with pytest.raises(InputError, match="pages whose indexed colours differ; convert it to RGB"):
        formats.open(path, axes="TYX")


def test_palettes_that_are_one(tmp_path: Path) -> None:
    table = mixed(1)
    image = formats.open(indexed(tmp_path / "a.tif", table, table), axes="TYXC")
    np.testing.assert_array_equal(image.data[...], np.moveaxis((table >> 8)[:, NOISE], 0, -1))


def test_lookup_tables_that_differ_by_page_are_told(tmp_path: Path) -> None:
    path = indexed(tmp_path / "a.tif", ramp(255, 0, 0), ramp(0, 255, 0))
    image = formats.open(path, axes="TYX")
    np.testing.assert_array_equal(image.data[...], NOISE)
    assert "lookup table of every single page" in image.metadata["lost"]
    path = indexed(tmp_path / "b.tif", ramp(255, 0, 0), ramp(255, 0, 0))
    assert not formats.open(path, axes="TYX").metadata["lost"]
