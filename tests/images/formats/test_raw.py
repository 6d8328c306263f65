"""Raw photographs: planes of the mosaic, and the file developed with new planes as the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import raw

from .damaged import check_damage, refusal
from .raw_files import RGGB, dng

PLACES = {RGGB: ((0, 0), (0, 1), (1, 0), (1, 1)), (1, 2, 0, 1): ((1, 0), (0, 0), (1, 1), (0, 1))}


def mosaic_of(shape: tuple[int, int] = (64, 80)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    scene = 900 + 300 * np.sin(rows / 9) + 200 * (columns > 40)
    return np.random.default_rng(0).poisson(scene).astype("u2")


def written(image: formats.Image, path: Path, planes: np.ndarray) -> Path:
    with formats.create(path, image, overwrite=True) as out:
        for c in range(4):
            out.write({"C": c}, planes[None, None, c : c + 1, None])
    return path


@pytest.mark.parametrize("pattern", PLACES)
def test_the_planes_are_those_of_the_sensor(tmp_path: Path, pattern: tuple[int, ...]) -> None:
    mosaic = mosaic_of()
    image = formats.open(dng(tmp_path / "a.dng", mosaic, pattern))
    assert (image.axes, image.shape, image.dtype) == ("CYX", (4, 32, 40), "uint16")
    assert image.channel_names == ("R", "G1", "G2", "B")
    found = {(i, j): mosaic[i::2, j::2] for i in range(2) for j in range(2)}
    planes = image.data[...]
    first, second, third, fourth = (found[place] for place in PLACES[pattern])
    np.testing.assert_array_equal(planes[0], first)
    np.testing.assert_array_equal(planes[3], fourth)
    greens = sorted([second.tolist(), third.tolist()])
    assert sorted([planes[1].tolist(), planes[2].tolist()]) == greens


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_planes_that_come_back_are_developed_as_libraw_does(tmp_path: Path, suffix: str) -> None:
    image = formats.open(dng(tmp_path / "a.dng", mosaic_of()))
    path = written(image, tmp_path / f"b{suffix}", image.data[...])
    with rawpy.imread(str(tmp_path / "a.dng")) as own:
        direct = own.postprocess(output_bps=16, **raw.DEVELOPING)
    result = formats.open(path)
    assert (result.axes, result.dtype) == ("YXC", "uint16")
    np.testing.assert_array_equal(result.data[...], direct)


def test_new_planes_change_what_is_developed(tmp_path: Path) -> None:
    mosaic = mosaic_of((65, 81))  # the last row and column have no partner, and stay
    image = formats.open(dng(tmp_path / "a.dng", mosaic))
    assert image.shape == (4, 32, 40)
    flat = np.full((4, 32, 40), 1000, "u2")
    colours = formats.open(written(image, tmp_path / "b.tif", flat)).data[8:-8, 8:-8]
    assert colours.shape == (49, 65, 3)
    assert np.ptp(colours) < 20
    jpeg = formats.open(written(image, tmp_path / "b.jpg", flat))
    assert jpeg.dtype == "uint8"


def test_one_bright_pixel_does_not_change_the_others(tmp_path: Path) -> None:
    """LibRaw takes the brightest pixel for white unless told otherwise, which noise decides."""
    mosaic = mosaic_of()
    mosaic[4, 4] = 3900
    image = formats.open(dng(tmp_path / "a.dng", mosaic))
    planes = image.data[...].copy()
    first = formats.open(written(image, tmp_path / "b.tif", planes)).data[24:, 24:]
    planes[:, 2, 2] = 1000
    second = formats.open(written(image, tmp_path / "b.tif", planes)).data[24:, 24:]
    np.testing.assert_array_equal(first, second)


def test_planes_are_written_where_the_name_asks_for_them(tmp_path: Path) -> None:
    image = formats.open(dng(tmp_path / "a.dng", mosaic_of()))
    for name in ("a.ome.tif", "a.npy"):
        path = written(image, tmp_path / name, image.data[...])
        result = formats.open(path, axes="CYX")
        np.testing.assert_array_equal(result.data[...], image.data[...])
    assert formats.open(tmp_path / "a.ome.tif").channel_names == ("R", "G1", "G2", "B")
    spread = formats.create(tmp_path / "c.tif", image, dtype=np.float32)
    with spread as out:
        out.write({}, image.read().astype(np.float32))
    assert formats.open(tmp_path / "c.tif").shape == (4, 32, 40)


def test_results_are_photographs_by_default_and_found_as_results(tmp_path: Path) -> None:
    path = dng(tmp_path / "a.dng", mosaic_of())
    image = formats.open(path)
    assert formats.output_path(image).name == "a_denoised.tif"
    assert formats.create(tmp_path / "a_denoised.tif", image).lost == tuple(raw.LOST)
    written(image, tmp_path / "a_denoised.tif", image.data[...])
    assert formats.find([tmp_path]) == [path]
    with pytest.raises(InputError, match=r"not written"):
        formats.create(tmp_path / "b.dng", image)


def test_compression_of_a_developed_tiff_may_be_chosen(tmp_path: Path) -> None:
    image = formats.open(dng(tmp_path / "a.dng", mosaic_of()))
    with formats.create(tmp_path / "b.tif", image, compress="zlib") as out:
        out.write({}, image.read())
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages[0].compression == 8
    with pytest.raises(InputError, match="cannot be compressed by zip"):
        formats.create(tmp_path / "c.tif", image, compress="zip")


def test_what_is_no_mosaic_is_refused(tmp_path: Path) -> None:
    linear = dng(tmp_path / "a.dng", np.stack([mosaic_of()] * 3, -1), ())
    assert "export it as TIFF" in refusal(linear)


def test_damaged_files_end_in_a_sentence(tmp_path: Path) -> None:
    whole = dng(tmp_path / "whole.dng", mosaic_of())
    check_damage(tmp_path / "a.dng", whole.read_bytes())


def test_a_header_that_promises_a_trillion_pixels_is_refused(tmp_path: Path) -> None:
    path = dng(tmp_path / "a.dng", mosaic_of())
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["ImageWidth"].overwrite(1_000_000)
        tif.pages[0].tags["ImageLength"].overwrite(1_000_000)
    refusal(path)
