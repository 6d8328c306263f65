"""CZI: scenes, mosaics and stacks, whatever way they are compressed, and what is told of them."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition
from unnoise.images.formats import _czi_blocks, reader

from .czi_files import XML, Tile, write

DATA = Path(__file__).parents[4] / "shared" / "data" / "formats" / "czi"
# What pylibCZIrw 6.1.0 reads, scene by scene in the order T, C, Z: start of its SHA-256. A scene
# of one plane has the axes YX.
KNOWN = {
    "100x100.czi": [("YX", "bce0aff19cf5aa6a")],
    "CellDivision_T3_Z6_CH1_X300_Y200_DCV_ZSTD.czi": [("TZYX", "7ee0b15e6cc4e5ea")],
    "DAPI_GFP.czi": [("CYX", "dfb487206db90989")],
    "FOV7_HV110_P0500510000.czi": [("YX", "2e6cfad2f71cae91")],
    "LLS7_small.czi": [("TCZYX", "5ee6b566ed52f81e")],
    "newCZI_compressed.czi": [("YX", "752880e941df37cd")],
    "nuc_small_new_red.czi": [("YX", "addf2e4d44da50ae")],
    "xyz__multiple_images.czi": [("ZYX", "645455e8014fd8c5"), ("ZYX", "bd1e2ca07e6b6258")],
}
HARMLESS = 544 + 32 + 16 + 6
"""Where a subblock says where it lies; only the directory counts."""


def noise(*shape: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 250, shape).astype(dtype)


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared")
@pytest.mark.parametrize("name", KNOWN)
def test_real_files_have_the_pixels_that_the_library_of_zeiss_reads(name: str) -> None:
    images = formats.open_all([DATA / name])
    found = [
        (image.axes, hashlib.sha256(image.read().tobytes()).hexdigest()[:16]) for image in images
    ]
    assert found == KNOWN[name]


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared")
def test_a_real_stack_says_how_it_was_taken() -> None:
    image = formats.open(DATA / "CellDivision_T3_Z6_CH1_X300_Y200_DCV_ZSTD.czi")
    assert image.scale == {"T": 59.9964316, "Z": 0.32, "Y": 0.0905766741522, "X": 0.0905766741522}
    assert image.units == {"T": "s", "Z": "µm", "Y": "µm", "X": "µm"}
    assert image.channel_names == ("LED555",)
    lens = "Plan-Apochromat 50x/1.2", 50.0, 1.2
    assert image.acquisition == Acquisition(("FF7E00",), "2016-02-12T09:41:02.4915604Z", *lens)


@pytest.mark.parametrize("compression", [0, 4, 5, 6])
@pytest.mark.parametrize("colours", [1, 3])
def test_every_compression_gives_the_same_pixels(
    tmp_path: Path, compression: int, colours: int
) -> None:
    pixels = noise(34, 50, 3) if colours == 3 else noise(34, 50)
    path = write(tmp_path / "a.czi", [Tile(pixels, {"C": 0}, compression=compression)])
    image = formats.open(path)
    assert (image.axes, image.is_rgb) == (("YXC", True) if colours == 3 else ("YX", False))
    np.testing.assert_array_equal(image.data[...], pixels)
    np.testing.assert_array_equal(image.data[3:9, 40:], pixels[3:9, 40:])


def test_axes_scale_names_and_the_rest(tmp_path: Path) -> None:
    pixels = noise(3, 2, 4, 20, 24, dtype="u1")
    tiles = [
        Tile(pixels[t, c, z], {"T": t + 7, "C": c, "Z": z})
        for z in range(4)
        for t in range(3)
        for c in range(2)
    ]
    image = formats.open(write(tmp_path / "a.czi", tiles))
    assert (image.axes, image.shape, image.dtype) == ("TCZYX", pixels.shape, np.uint8)
    np.testing.assert_array_equal(image.data[1:, :, 2:, ::2, 5:9], pixels[1:, :, 2:, ::2, 5:9])
    assert image.scale == {"T": 1.5, "Z": 1.0, "Y": 0.5, "X": 0.25}
    assert image.units == {"T": "s", "Z": "µm", "Y": "µm", "X": "µm"}
    assert image.channel_names == ("DAPI", "GFP")
    lens = "Plan 20x/0.8", 20.0, 0.8
    assert image.acquisition == Acquisition(("0000FF", "00FF00"), "2024-03-02T01:02:03", *lens)


def test_tiles_of_a_mosaic_lie_where_they_say_and_only_those_seen_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = np.zeros((53, 70), "u2")
    tiles = []
    for m, (y, x) in enumerate([(0, 0), (2, 26), (24, 1), (30, 40)]):
        pixels = noise(20 + m, 30)
        scene[y : y + 20 + m, x : x + 30] = pixels  # the later one is seen where they overlap
        tiles.append(Tile(pixels, {"S": 0, "C": 0, "M": m}, (y - 300, x + 1000), compression=5))
    small = Tile(noise(25, 35), {"S": 0, "C": 0}, (-300, 1000), (53, 70))  # of the pyramid
    image = formats.open(write(tmp_path / "a.czi", [small, *tiles[::-1]]))
    assert image.shape == scene.shape
    decoded: list[tuple[int, int]] = []
    monkeypatch.setattr(
        _czi_blocks,
        "decoded",
        lambda file, block, own=_czi_blocks.decoded: (
            decoded.append(block.corner) or own(file, block)
        ),
    )
    np.testing.assert_array_equal(image.data[2:10, 3:26], scene[2:10, 3:26])
    assert decoded == [(-300, 1000)]
    np.testing.assert_array_equal(image.data[...], scene)
    assert sorted(decoded) == sorted(tile.corner for tile in tiles)


def test_scenes_are_series(tmp_path: Path) -> None:
    pixels = noise(3, 20, 24)
    places = [(0, 0), (500, 0), (0, 900)]
    tiles = [Tile(p, {"S": s, "C": 0}, places[s]) for s, p in enumerate(pixels)]
    tiles[2] = tiles[2]._replace(pixels=pixels[2, :10])
    path = write(tmp_path / "a.czi", tiles)
    images = formats.open_all([path])
    assert [image.name for image in images] == ["a.czi (series 0)", "a.czi (series 1)"]
    np.testing.assert_array_equal([image.data[...] for image in images], pixels[:2])
    assert images[0].metadata["note"] == (
        "holds 3 series of images; series 0 (A1) of shape (20, 24), series 1 (B2) of shape "
        "(20, 24), of full size, is used, and left out are series 2 of shape (10, 24); others "
        "with --series N, or series=N in Python"
    )
    assert formats.open(path, series=2).shape == (10, 24)
    assert len(formats.open_all([path], series="all")) == 3
    with pytest.raises(InputError, match=r"has no series 3; it holds 3.*series 1 \(B2\)"):
        formats.open(path, series=3)


@pytest.mark.parametrize("letter", ["H", "V", "I", "B", "R"])
def test_views_and_phases_are_independent_images(tmp_path: Path, letter: str) -> None:
    pixels = noise(2, 3, 20, 24)
    tiles = [Tile(pixels[h, z], {letter: h, "Z": z}) for h in range(2) for z in range(3)]
    image = formats.open(write(tmp_path / "a.czi", tiles))
    assert image.axes == "SZYX"
    np.testing.assert_array_equal(image.data[...], pixels)


def test_planes_that_were_not_recorded_are_told(tmp_path: Path) -> None:
    pixels = noise(2, 2, 20, 24)
    tiles = [Tile(pixels[t, z], {"T": t, "Z": z}) for t, z in ((0, 0), (0, 1), (1, 0))]
    image = formats.open(write(tmp_path / "a.czi", tiles))
    pixels[1, 1] = 0
    np.testing.assert_array_equal(image.data[...], pixels)
    assert image.metadata["note"] == "lacks 1 planes, which are read as zeros"


def test_tiles_and_channels_of_which_only_others_have_all_are_told(tmp_path: Path) -> None:
    tiles = [
        Tile(noise(20, 30), {"C": channel, "M": i}, (0, 30 * i))
        for channel in (0, 1)
        for i in (0, 1)
    ]
    image = formats.open(write(tmp_path / "a.czi", tiles[:3]))
    assert image.metadata["note"] == "lacks 1 tiles of its planes, which are read as zeros"
    assert not image.data[1, :, 30:].any()
    small = Tile(noise(10, 30), {"C": 1}, (0, 0), (20, 60))  # a level of the pyramid alone
    image = formats.open(write(tmp_path / "b.czi", [*tiles[:2], small]))
    assert (image.axes, image.shape) == ("CYX", (2, 20, 60))
    assert image.metadata["note"] == "lacks 1 planes, which are read as zeros"
    whole = Tile(noise(20, 60), {"C": 1, "M": 0}, (0, 0))
    for name, parts in {"c": tiles, "d": [*tiles[:2], whole]}.items():
        assert "note" not in formats.open(write(tmp_path / f"{name}.czi", parts)).metadata


def test_scenes_are_named_by_their_numbers(tmp_path: Path) -> None:
    tiles = [Tile(noise(20, 30), {"S": scene}) for scene in (1, 2)]
    xml = XML.replace('Index="1"', 'Index="2"').replace("<Scenes>", '<Scenes><Scene Index="1"/>')
    for text, titles in ((xml, ["", "B2"]), (re.sub(' Index="."', "", XML), ["A1", "B2"])):
        images = formats.open_all([write(tmp_path / "a.czi", tiles, text)])
        assert [image.metadata["title"] for image in images] == titles


def test_broken_metadata_cost_only_what_they_tell(tmp_path: Path) -> None:
    pixels = noise(20, 24)
    image = formats.open(write(tmp_path / "a.czi", [Tile(pixels, {"C": 0})], XML[:-90]))
    np.testing.assert_array_equal(image.data[...], pixels)
    assert (image.scale, image.channel_names, image.acquisition) == ({}, (), Acquisition())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.8, 0.9, 0.99])
def test_a_truncated_file_is_refused_in_one_sentence(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "a.czi", [Tile(noise(20, 24), {"Z": z}) for z in range(9)])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"a\.czi (cannot be read as CZI|is empty)"):
        formats.open(path).read()


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (84, -1),  # the directory is nowhere
        (84, 544),  # or is a subblock
        (544 + 32 + 8, 1 << 60),  # a subblock claims more bytes than there are
        (544 + 32 + 8, 3),
        (HARMLESS, 1 << 40),
    ],
)
def test_headers_that_lie_neither_hang_nor_fill_the_memory(
    tmp_path: Path, offset: int, value: int
) -> None:
    pixels = noise(20, 24)
    path = write(tmp_path / "a.czi", [Tile(pixels, {"C": 0}, compression=5)])
    data = bytearray(path.read_bytes())
    struct.pack_into("<q", data, offset, value)
    path.write_bytes(data)
    if offset == HARMLESS:
        np.testing.assert_array_equal(formats.open(path).data[...], pixels)
    else:
        with pytest.raises(InputError, match=r"a\.czi cannot be read as CZI"):
            formats.open(path).read()


def test_tiles_that_span_the_world_are_refused(tmp_path: Path) -> None:
    tiles = [Tile(noise(20, 24), {"M": m}, (m * 10**6, m * 10**6)) for m in range(2)]
    with pytest.raises(InputError, match=r"its tiles lie in 1000020 x 1000024 pixels, but"):
        formats.open(write(tmp_path / "a.czi", tiles))


def test_planes_larger_than_their_bytes_can_be_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.czi", [Tile(noise(20, 24), {"C": 0}, compression=5)])
    size = struct.pack("<ifi", 24, 0.0, 24)
    claim = struct.pack("<ifi", 2**30, 0.0, 2**30)
    assert path.read_bytes().count(size) == 2
    path.write_bytes(path.read_bytes().replace(size, claim))
    with pytest.raises(InputError, match=r"its planes reach to byte \d+ but it ends at"):
        formats.open(path)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.czi", [Tile(noise(20, 24), {"C": 0})])
    monkeypatch.setitem(__import__("sys").modules, "czifile", None)
    with pytest.raises(InputError, match=r"pip install 'unnoise\[formats\]'"):
        unnoise.open(path)


def test_the_file_is_closed_when_nobody_uses_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.czi", [Tile(noise(20, 24), {"C": 0})])
    image = formats.open(path)
    image.read()
    assert any(pixels is image.data for pixels in reader._readers)
    count = len(reader._readers)
    del image
    assert len(reader._readers) == count - 1
