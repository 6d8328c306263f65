"""TIFF read by regions: the pixels of tifffile, decoded where a region lies."""

from __future__ import annotations

import gc
import itertools
import re
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unnoise.errors import AxesError, InputError
from unnoise.images import formats
from unnoise.images.formats import reader
from unnoise.images.formats._tiff_regions import Regions
from unnoise.images.image import Image

from .copies import pixels_of

DATA = Path(__file__).parents[3] / "../shared/data/formats"
FILES = sorted([*DATA.glob("tiff_codecs/*.tif"), *DATA.glob("imagej_ome/*.tif*")])


def opened(path: Path) -> Image:
    """An image under the first letters that the error offers, where they are ambiguous."""
    try:
        return formats.open(path, labels=True)
    except AxesError as error:
        letters = re.search("say which they are with (?:--axes |axes=')([A-Z]+)", str(error))
        assert letters is not None
        return formats.open(path, axes=letters[1], labels=True)


def regions_agree(image: Image, pixels: np.ndarray, tries: int = 8) -> None:
    """Assert that regions at random, some with steps, are those of an array."""
    rng = np.random.default_rng(0)
    for _ in range(tries):
        ends = [sorted(rng.integers(0, n + 1, 2)) for n in pixels.shape]
        index = tuple(slice(a, b, int(rng.integers(1, 4))) for a, b in ends)
        np.testing.assert_array_equal(image.data[index], pixels[index])
    np.testing.assert_array_equal(image.data[...], pixels)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the segments that are decoded."""
    found: list[int] = []
    plain = Regions._segment

    def spy(self: Regions, page: Any, number: int) -> np.ndarray:
        found.append(number)
        return plain(self, page, number)

    monkeypatch.setattr(Regions, "_segment", spy)
    return found


@pytest.mark.skipif(not FILES, reason="the files are not here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_has_the_pixels_of_its_library(path: Path) -> None:
    pixels = tifffile.imread(path)
    if pixels.dtype.kind == "c":
        with pytest.raises(InputError, match="complex"):
            opened(path)
        return
    regions_agree(opened(path), pixels)


@pytest.mark.parametrize(
    ("shape", "keywords"),
    [
        ((70, 50), {"tile": (32, 16)}),
        ((70, 50), {"rowsperstrip": 7, "byteorder": ">"}),
        ((3, 70, 50), {"tile": (16, 16), "byteorder": ">", "bigtiff": True}),
        ((20, 70, 50), {"tile": (16, 16, 32), "volumetric": True}),
        ((2, 70, 50, 3), {"rowsperstrip": 9, "photometric": "rgb"}),
        ((2, 3, 70, 50), {"tile": (16, 48), "planarconfig": "separate", "photometric": "rgb"}),
        ((1, 70, 1), {"rowsperstrip": 8}),
    ],
)
def test_regions_are_those_of_the_whole(
    tmp_path: Path, shape: tuple[int, ...], keywords: dict[str, Any]
) -> None:
    pixels = pixels_of(shape, "uint16")
    more = {"photometric": "minisblack", "compression": "zlib", "metadata": None} | keywords
    tifffile.imwrite(tmp_path / "a.tif", pixels, **more)
    stored = tifffile.imread(tmp_path / "a.tif")
    regions_agree(opened(tmp_path / "a.tif"), stored)
    np.testing.assert_array_equal(stored.squeeze(), pixels.squeeze())


def test_only_the_tiles_that_a_region_touches_are_decoded(
    tmp_path: Path, decoded: list[int]
) -> None:
    pixels = pixels_of((64, 96), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(16, 16), compression="zlib")
    image = formats.open(tmp_path / "a.tif")
    assert not decoded, "opening decodes nothing"
    np.testing.assert_array_equal(image.data[20:30, 40:60], pixels[20:30, 40:60])
    assert decoded == [8, 9]
    np.testing.assert_array_equal(image.data[16:20, 32:70], pixels[16:20, 32:70])
    assert decoded == [8, 9, 10], "those that are known are not decoded again"
    np.testing.assert_array_equal(image.data[8::32, :16], pixels[8::32, :16])
    assert decoded == [8, 9, 10, 0, 12], "nor are those between the rows of a step"


def test_of_a_stack_only_the_planes_that_are_asked_for(tmp_path: Path, decoded: list[int]) -> None:
    pixels = pixels_of((9, 40, 50), "uint16")
    keywords = {"compression": "zlib", "rowsperstrip": 40}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": "TYX"}, **keywords)
    image = formats.open(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(image.read({"T": 7})[0, 0, 0, 0], pixels[7])
    assert len(decoded) == 1


def test_tiles_that_the_file_leaves_out_are_empty(tmp_path: Path) -> None:
    tiles = iter([np.full((16, 16), 7, "u1"), None, None, None])
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(tiles, shape=(32, 32), dtype="u1", tile=(16, 16), compression="zlib")
    image = formats.open(tmp_path / "a.tif")
    regions_agree(image, tifffile.imread(tmp_path / "a.tif"))


def test_bare_pages_that_do_not_follow_each_other_are_mapped(
    tmp_path: Path, decoded: list[int]
) -> None:
    pixels = pixels_of((4, 40, 50), ">u2")
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=">") as tif:
        for plane in pixels:
            tif.write(plane, contiguous=False, metadata=None)
    image = formats.open(tmp_path / "a.tif", axes="TYX")
    regions_agree(image, pixels.astype("u2"))
    assert not decoded


def test_memory_does_not_grow_with_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_RECENT", 2**19)
    tiles = itertools.repeat(np.zeros((256, 256), "u2"), 128)
    form: dict[str, Any] = {"shape": (2, 2048, 2048), "dtype": "u2", "tile": (256, 256)}
    form["photometric"] = "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", tiles, compression="zstd", **form)
    image = formats.open(tmp_path / "a.tif", axes="TYX")
    tracemalloc.start()
    for t, y, x in np.ndindex(2, 8, 8):
        where = {"T": t, "Y": slice(256 * y, 256 * y + 256), "X": slice(256 * x, 256 * x + 256)}
        assert image.read(where).shape[-1] == 256
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3e6, "of 17 MB"


def test_threads_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_RECENT", 2**10)
    pixels = pixels_of((6, 64, 64), "uint16")
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, tile=(16, 16), compression="zlib", photometric="minisblack"
    )
    image = formats.open(tmp_path / "a.tif", axes="TYX")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda t: image.data[t % 6], range(60)))
    for t, plane in enumerate(found):
        np.testing.assert_array_equal(plane, pixels[t % 6])


def test_files_are_closed_with_their_pixels(tmp_path: Path) -> None:
    """Else a folder of compressed images would use up the files that a process may open."""
    tifffile.imwrite(tmp_path / "a.tif", pixels_of((40, 50)), compression="zlib")
    image = formats.open(tmp_path / "a.tif")
    assert image.data[3, 4] >= 0
    handle = reader._open[image.data]._pages[0].parent.filehandle  # type: ignore
    assert not handle.closed
    del image
    gc.collect()
    assert handle.closed


def test_a_damaged_tile_is_an_error_where_it_is_read(tmp_path: Path) -> None:
    pixels = pixels_of((32, 32), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        offset, size = (tif.pages.first.dataoffsets[3], tif.pages.first.databytecounts[3])
    with open(tmp_path / "a.tif", "r+b") as file:
        file.seek(offset)
        file.write(bytes(size))
    image = formats.open(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data[:16], pixels[:16])
    with pytest.raises(InputError, match=r"a.tif cannot be read as TIFF"):
        image.data[16:]


def test_tiles_that_are_left_out_take_no_memory(tmp_path: Path) -> None:
    """A tile of 4096 x 4096 pixels is not too large for any image."""
    tags = {256: 50, 257: 40, 258: 8, 259: 8, 262: 1, 277: 1, 322: 4096, 323: 4096, 324: 8, 325: 0}
    listed = b"".join(struct.pack("<HHII", code, 4, 1, n) for code, n in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    (tmp_path / "a.tif").write_bytes(head + listed + bytes(4))
    image = formats.open(tmp_path / "a.tif")
    tracemalloc.start()
    assert not image.data[...].any()
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_what_is_behind_the_pixels_of_a_strip_is_not_read(tmp_path: Path) -> None:
    pixels = pixels_of((16, 20))
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        place, offset = tif.pages.first.tags[279].valueoffset, tif.pages.first.dataoffsets[0]
    size = 2**28
    with open(tmp_path / "a.tif", "r+b") as file:
        file.seek(place)
        file.write(struct.pack("<I", size))
        file.truncate(offset + size)
    image = formats.open(tmp_path / "a.tif")
    tracemalloc.start()
    np.testing.assert_array_equal(image.data[...], pixels)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
