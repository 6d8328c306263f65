"""LSM, STK, SVS and NDPI: TIFF with tags of microscopes and slide scanners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition
from unnoise.images.image import Image

from .vendor_files import lsm, ndpi, stk, svs


def noise(*shape: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 250, shape).astype(dtype)


def converted(image: Image) -> Image:
    """The result of an image, as OME-TIFF beside it."""
    place = formats.output_path(image)
    assert place.name.endswith("_denoised.ome.tif")
    with formats.create(place, like=image) as out:
        out.write({}, image.read())
    return formats.open(place)


def same(copy: Image, image: Image) -> None:
    np.testing.assert_array_equal(copy.data[...], image.data[...])
    for name in ("axes", "scale", "units", "channel_names", "acquisition"):
        assert getattr(copy, name) == getattr(image, name), name


def test_lsm(tmp_path: Path) -> None:
    pixels = noise(5, 3, 32, 40, dtype="u1")
    image = formats.open(lsm(tmp_path / "a.lsm", pixels))
    assert (image.axes, image.shape) == ("ZCYX", pixels.shape)
    np.testing.assert_array_equal(image.data[...], pixels)
    np.testing.assert_array_equal(image.data[2:4, 1:, 5:9], pixels[2:4, 1:, 5:9])
    assert image.scale == {"X": 0.25, "Y": 0.5, "Z": 1.0}
    assert set(image.units.values()) == {"µm"}
    assert image.channel_names == ("Ch 0", "Ch 1", "Ch 2")
    assert image.acquisition.colors == ("FF8000", "00FF00", "0000FF")
    same(converted(image), image)


@pytest.mark.parametrize("places", [{"P": 3}, {"M": 3}, {"M": 2, "P": 3}])
def test_positions_and_tiles_of_lsm_are_independent_images(
    tmp_path: Path, places: dict[str, int]
) -> None:
    count = int(np.prod(list(places.values())))
    pixels = noise(2 * count, 3, 32, 40, dtype="u1")
    image = formats.open(lsm(tmp_path / "a.lsm", pixels, **places))
    assert (image.axes, image.shape) == ("SZCYX", (count, 2, 3, 32, 40))
    whole = pixels.reshape(image.shape)
    np.testing.assert_array_equal(image.data[...], whole)
    np.testing.assert_array_equal(image.data[1:3, 1:, 2, 5:9], whole[1:3, 1:, 2, 5:9])
    assert image.scale == {"X": 0.25, "Y": 0.5, "Z": 1.0}
    assert image.channel_names == ("Ch 0", "Ch 1", "Ch 2")
    assert "note" not in image.metadata  # thumbnails are of no interest
    assert formats.numbers(tmp_path / "a.lsm", "all") == [0]


def test_a_scan_of_lsm_along_z(tmp_path: Path) -> None:
    pixels = noise(1, 3, 32, 40, dtype="u1")
    place = lsm(tmp_path / "a.lsm", pixels, kind=1, Y=1, Z=32)
    image = formats.open(place)
    assert (image.axes, image.shape) == ("CYX", (3, 32, 40))
    np.testing.assert_array_equal(image.data[...], pixels[0])
    assert image.scale == {"X": 0.25, "Y": 1.0}
    assert image.metadata["note"] == "was scanned along Z and X, which are Y and X here"


@pytest.mark.parametrize("axis", ["Z", "T"])
def test_stk(tmp_path: Path, axis: str) -> None:
    """Planes follow one another behind a single page; tags are lists of fractions."""
    pixels = noise(4, 24, 30)
    image = formats.open(stk(tmp_path / "a.stk", pixels, axis))
    assert image.axes == f"{axis}YX"
    np.testing.assert_array_equal(image.data[...], pixels)
    step = {"Z": 1.5} if axis == "Z" else {"T": 0.5}
    assert image.scale == {"X": 0.25, "Y": 0.5} | step
    assert image.units == {"X": "µm", "Y": "µm", axis: "µm" if axis == "Z" else "s"}
    assert image.acquisition.date == "2020-06-01T00:00:01.000"
    same(converted(image), image)


def test_svs(tmp_path: Path) -> None:
    pixels = noise(512, 640, 3, dtype="u1")
    image = formats.open(svs(tmp_path / "a.svs", pixels))
    assert (image.axes, image.shape, image.is_rgb) == ("YXC", pixels.shape, True)
    np.testing.assert_array_equal(image.data[...], pixels)
    assert (image.scale, image.units) == ({"X": 0.2525, "Y": 0.2525}, {"X": "µm", "Y": "µm"})
    assert image.acquisition == Acquisition(magnification=40.0)
    assert "left out are" in image.metadata["note"]
    copy = converted(image)
    same(copy, image)
    with tifffile.TiffFile(copy.path) as tif:
        assert tif.is_ome
        assert not tif.is_svs
        assert [level.shape for level in tif.series[0].levels][:2] == [(512, 640, 3), (128, 160, 3)]


def test_ndpi(tmp_path: Path) -> None:
    pixels = noise(256, 320, 3, dtype="u1")
    image = formats.open(ndpi(tmp_path / "a.ndpi", pixels))
    assert (image.axes, image.is_rgb) == ("YXC", True)
    np.testing.assert_array_equal(image.data[...], pixels)
    assert (image.scale, image.units) == ({"X": 0.5, "Y": 0.25}, {"X": "µm", "Y": "µm"})
    assert image.acquisition == Acquisition(magnification=20.0)
    same(converted(image), image)


@pytest.mark.parametrize("suffix", [".lsm", ".stk", ".svs"])
def test_other_files_under_these_names(tmp_path: Path, suffix: str) -> None:
    pixels = noise(30, 40)
    tifffile.imwrite(tmp_path / f"a{suffix}", pixels)
    image = formats.open(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.data[...], pixels)
    assert "note" not in image.metadata
    (tmp_path / f"b{suffix}").write_bytes((tmp_path / f"a{suffix}").read_bytes()[:900])
    with pytest.raises(InputError, match=rf"b\{suffix} cannot be read as TIFF"):
        formats.open(tmp_path / f"b{suffix}").read()
