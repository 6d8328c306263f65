"""FITS: the values of astropy, and a result with the header of the input."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from unnoise.errors import AxesError, InputError
from unnoise.images import formats
from unnoise.images.image import Image

from .copies import copy, pixels_of, same
from .damaged import check_damage, refusal, shared


def written(path: Path, array: np.ndarray, **cards: Any) -> Path:
    hdu = fits.PrimaryHDU(array)
    hdu.header.update(cards)
    hdu.writeto(path, overwrite=True)
    return path


def values(path: Path, number: int = 0) -> np.ndarray:
    with fits.open(path) as hdus:
        return np.array(hdus[number].data)


def test_a_real_file_has_the_pixels_of_astropy(tmp_path: Path) -> None:
    path = shared("fits/simple.fits")
    image = formats.open(path)
    np.testing.assert_array_equal(image.data[...], values(path))
    assert (image.axes, image.dtype, image.shape) == ("YX", "int16", (256, 256))
    same(image, copy(image, tmp_path / "a.fits"))
    np.testing.assert_array_equal(values(tmp_path / "a.fits"), values(path))
    header = fits.getheader(tmp_path / "a.fits")
    assert header["OBJECT"] == "m51  B  600s"
    assert header["AIRMASS"] == 1.08015632629395
    assert header["HISTORY"][-1] == "denoised by unnoise"


TYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("suffix", [".fits", ".fits.gz", ".fits.fz"])
def test_a_round_trip_keeps_everything(tmp_path: Path, dtype: str, suffix: str) -> None:
    scale = {"Z": 3.0, "Y": 1.5, "X": 1.25}
    array = pixels_of((3, 8, 9), dtype)
    array[0, 0, :2] = np.iinfo(dtype).max if array.dtype.kind in "ui" else (1e30, -1e30)
    image = Image(array, "ZYX", scale=scale, units=dict.fromkeys(scale, "µm"))
    path = tmp_path / f"a{suffix}"
    result = copy(image, path)
    same(image, result)
    number = int(suffix == ".fits.fz")
    np.testing.assert_array_equal(values(path, number), array)
    same(result, copy(result, tmp_path / f"b{suffix}"))
    with warnings.catch_warnings(), fits.open(path) as hdus:
        warnings.simplefilter("error")
        hdus.verify("exception")


@pytest.mark.parametrize("axes", ["YX", "TYX", "CYX", "SYX", "TCZYX", "YXC", "STCZYX"])
def test_axes_come_back(tmp_path: Path, axes: str) -> None:
    shape = tuple({"Y": 8, "X": 9}.get(a, 2) for a in axes)
    image = Image(pixels_of(shape, "int16"), axes)
    result = copy(image, tmp_path / "a.fits")
    assert result.axes == "".join(a for a in "STCZYX" if a in axes)
    np.testing.assert_array_equal(result.read(), image.read())


@pytest.mark.parametrize(
    ("cards", "axes"),
    [
        ({"CTYPE3": "FREQ"}, "CYX"),
        ({"CTYPE3": "UTC"}, "TYX"),
        ({"CTYPE3": "VRAD-LSR"}, "CYX"),
    ],
)
def test_axes_are_told_by_the_header_or_asked_for(
    tmp_path: Path, cards: dict[str, str], axes: str
) -> None:
    array = pixels_of((3, 8, 9), "int16")
    assert formats.open(written(tmp_path / "a.fits", array, **cards)).axes == axes
    path = written(tmp_path / "b.fits", array)
    with pytest.raises(AxesError, match=r"--axes ZYX"):
        formats.open(path)
    assert formats.open_all([path], axes="TYX")[0].axes == "TYX"
    single = written(tmp_path / "c.fits", array[None, :1], CTYPE4="STOKES")
    assert set(formats.open(single).axes) == set("CSYX")


def test_scaled_integers_are_values_and_blank_ones_no_measurement(tmp_path: Path) -> None:
    array = pixels_of((8, 9), "int16")
    array[2, 3] = -99
    path = written(tmp_path / "a.fits", array, BSCALE=0.5, BZERO=10.0, BLANK=-99)
    image = formats.open(path)
    assert image.dtype == "float32"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(image.data[...], values(path))
    assert np.isnan(image.data[2, 3])
    path = written(tmp_path / "b.fits", array, BLANK=-99)
    image = formats.open(path)
    assert (image.dtype, image.nodata) == (np.dtype("int16"), -99)
    result = copy(image, tmp_path / "c.fits")
    assert result.nodata == -99


def test_pixel_size_comes_from_cdelt_or_the_cd_matrix(tmp_path: Path) -> None:
    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    turned = {"CD1_1": 0.3, "CD2_1": 0.4, "CD1_2": -0.4, "CD2_2": 0.3}
    for cards, size in (({"CDELT1": -0.25, "CDELT2": 0.25}, 0.25), (turned, 0.5)):
        path = written(tmp_path / "a.fits", pixels_of((8, 9), "int16"), **sky, **cards)
        image = formats.open(path)
        assert dict(image.scale) == {"Y": pytest.approx(size), "X": pytest.approx(size)}
        assert dict(image.units) == {"Y": "deg", "X": "deg"}
        copy(image, tmp_path / "b.fits")
        header = fits.getheader(tmp_path / "b.fits")
        assert {key: header[key] for key in cards} == cards


def test_extensions_are_series_and_those_with_errors_are_left_out(tmp_path: Path) -> None:
    first, second = pixels_of((8, 9), "int16"), pixels_of((8, 9), "int16") + 1
    parts = [("SCI", first), ("ERR", first), ("SCI", second), ("DQ", first)]
    hdus = [fits.ImageHDU(array, name=name) for name, array in parts]
    hdus[2].header["DATE-OBS"] = "2021-05-04T12:00:00"
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    images = formats.open_all([tmp_path / "a.fits"])
    for image, array in zip(images, (first, second), strict=True):
        np.testing.assert_array_equal(image.data[...], array)
        with formats.create(tmp_path / "b.fits", image) as out:
            out.write({}, image.read())
        assert "other extensions" in out.lost
        (tmp_path / "b.fits").unlink()
    assert images[1].acquisition.date == "2021-05-04T12:00:00"
    assert "ERR, DQ" in images[0].metadata["note"]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32"])
@pytest.mark.parametrize("name", ["a.fits", "a.fits.fz", "a.tif", "a.ome.tif"])
def test_the_value_without_data_is_kept(tmp_path: Path, dtype: str, name: str) -> None:
    array = pixels_of((40, 50), dtype)
    image = Image(array, "YX", nodata=float(array[2, 3]))
    result = copy(image, tmp_path / name)
    assert result.nodata == image.nodata
    np.testing.assert_array_equal(result.data[...], array)
    again = copy(result, tmp_path / f"b{name[1:]}")
    assert again.nodata == image.nodata
    if "fits" in name:
        assert copy(again, tmp_path / "c.tif").nodata == image.nodata
        number = int(name.endswith(".fz"))
        zero = {"int8": -128, "uint16": 2**15, "uint32": 2**31}.get(dtype, 0)
        assert fits.getheader(tmp_path / name, number)["BLANK"] == int(array[2, 3]) - zero


@pytest.mark.parametrize(
    ("suffix", "dtype", "nodata", "lost"),
    [
        (".fits", "uint16", -9999.0, True),
        (".fits.fz", "uint16", 70000.0, True),
        (".fits", "int16", 0.5, True),
        (".fits", "float32", -5.0, True),
        (".fits", "uint16", 65535.0, False),
        (".mrc", "int16", -5.0, True),
        (".nii", "int16", -5.0, True),
        (".png", "uint8", 0.0, True),
        (".tif", "uint16", -9999.0, False),
        (".tif", "uint16", None, False),
        (".mrc", "int16", None, False),
    ],
)
def test_a_value_without_data_that_a_file_lacks_is_told(
    tmp_path: Path, suffix: str, dtype: str, nodata: float | None, lost: bool
) -> None:
    image = Image(pixels_of((40, 50), dtype), "YX", nodata=nodata)
    with formats.create(tmp_path / f"a{suffix}", image) as out:
        out.write({}, image.read())
    assert ("nodata value" in out.lost) == lost
    assert formats.open(tmp_path / f"a{suffix}").nodata == (None if lost else nodata)


@pytest.mark.parametrize("name", ["CONTINUUM", "SAMPLE_A", "TIMELAPSE", "MASKED_SCI", "VARSTAR"])
def test_names_that_only_begin_as_those_of_errors_are_pictures(tmp_path: Path, name: str) -> None:
    array = pixels_of((8, 9), "int16")
    parts = [(name, array), ("ERR_2", array), ("VAR_FLAT", array), ("dq", array)]
    hdus = [fits.ImageHDU(part, name=text) for text, part in parts]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    (image,) = formats.open_all([tmp_path / "a.fits"])
    assert image.metadata["title"] == name
    assert "are left out: ERR_2, VAR_FLAT, DQ" in image.metadata["note"]


def test_extensions_with_errors_are_pictures_where_there_is_nothing_else(tmp_path: Path) -> None:
    array = pixels_of((8, 9), "int16")
    hdus = [fits.ImageHDU(array + i, name=name) for i, name in enumerate(("ERR", "DQ"))]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    images = formats.open_all([tmp_path / "a.fits"])
    assert [image.metadata["title"] for image in images] == ["ERR", "DQ"]
    np.testing.assert_array_equal(images[1].data[...], array + 1)
    assert "note" not in images[0].metadata


def test_compressed_tiles_are_read_by_region(tmp_path: Path) -> None:
    array = pixels_of((40, 50), "uint16")
    cube = fits.CompImageHDU(array, compression_type="RICE_1", tile_shape=(10, 10), uint=True)
    fits.HDUList([fits.PrimaryHDU(), cube]).writeto(tmp_path / "a.fits.fz")
    image = formats.open(tmp_path / "a.fits.fz")
    assert image.dtype == "uint16"
    np.testing.assert_array_equal(image.data[5:12, 30:], array[5:12, 30:])


def test_what_is_no_picture_and_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(3))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    assert "no picture" in refusal(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"FITS holds no float16"):
        formats.create(tmp_path / "b.fits", Image(pixels_of((8, 9), "float16"), "YX"))


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
def test_damaged_files_end_in_a_sentence(tmp_path: Path, suffix: str) -> None:
    whole = copy(Image(pixels_of((40, 36), "int16"), "YX"), tmp_path / f"whole{suffix}")
    assert whole.axes == "YX"
    check_damage(tmp_path / f"a{suffix}", (tmp_path / f"whole{suffix}").read_bytes())


def test_a_header_that_promises_a_trillion_pixels_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.fits", pixels_of((3, 8, 9), "int16"), CTYPE3="UTC")
    content = path.read_bytes()
    for n, size in enumerate((9, 8, 3)):
        card = f"NAXIS{n + 1}  = {size:20d}".encode()
        assert card in content
        content = content.replace(card, f"NAXIS{n + 1}  = {10_000:20d}".encode())
    path.write_bytes(content)
    tracemalloc.start()
    assert "10000 x 10000 x 10000" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()
