"""LSM, STK, SVS and NDPI: TIFF with tags of microscopes and slide scanners."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition
from unnoise.images.image import Image


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


def lsm(path: Path, pixels: np.ndarray, **places: int) -> Path:
    """A stack (z, c, y, x), or several of one behind the other: each plane has a thumbnail."""
    depth, channels, height, width = pixels.shape
    for letter, count in places.items():
        depth //= count if letter in "PM" else 1
    info = np.zeros(1, np.dtype(tifffile.TIFF.CZ_LSMINFO))
    sizes = {"X": width, "Y": height, "Z": depth, "Channels": channels, "Time": 1}
    for name, size in sizes.items():
        info[f"Dimension{name}"] = size
    for letter, count in places.items():
        info["ScanType" if letter == "kind" else f"Dimension{letter}"] = count
    info["MagicNumber"], info["StructureSize"] = 67127628, info.dtype.itemsize
    info["VoxelSizeX"], info["VoxelSizeY"], info["VoxelSizeZ"] = 2.5e-7, 5e-7, 1e-6
    info["OffsetChannelColors"] = 10**5
    colours = bytes([255, 128, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0])
    names = b"".join(struct.pack("<I", 5) + f"Ch {c}".encode() + b"\0" for c in range(channels))
    head = struct.pack("<6i", 24 + 12 + len(names), channels, channels, 24, 36, 0)
    with tifffile.TiffWriter(path, byteorder="<") as tif:
        for z, plane in enumerate(pixels):
            tags = [(34412, "B", info.nbytes, info.tobytes(), True)] if z == 0 else []
            kind = {"photometric": "minisblack", "metadata": None}
            tif.write(plane, planarconfig="separate", extratags=tags, **kind)
            tif.write(plane[:, ::4, ::4], planarconfig="separate", subfiletype=1, **kind)
    path.write_bytes(path.read_bytes().ljust(10**5, b"\0") + head + colours + names)
    return path


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


def by_hand(
    path: Path, pixels: np.ndarray, vendor: dict[int, tuple[int, int, bytes]], *, wide: bool = False
) -> Path:
    """A file of one page (y, x, samples): its pixels, the values of its tags, their list.

    With `wide`, places have 64 bits as in NDPI: their upper halves follow the list.
    """
    height, width, samples = pixels.shape
    bits = np.full(samples, 8 * pixels.itemsize, "<u2").tobytes()
    tags = {
        256: (4, 1, struct.pack("<I", width)),
        257: (4, 1, struct.pack("<I", height)),
        258: (3, samples, bits),
        259: (3, 1, struct.pack("<I", 1)),
        262: (3, 1, struct.pack("<I", 2 if samples == 3 else 1)),
        273: (4, 1, struct.pack("<I", 16)),
        277: (3, 1, struct.pack("<I", samples)),
        278: (4, 1, struct.pack("<I", height)),
        279: (4, 1, struct.pack("<I", height * width * samples * pixels.itemsize)),
    } | vendor
    values, entries = bytearray(pixels.tobytes()), b""
    for code, (kind, count, value) in sorted(tags.items()):
        if len(value) > 4:
            value, place = struct.pack("<I", 16 + len(values)), value
            values += place + b"\0" * (len(place) % 2)
        entries += struct.pack("<HHI4s", code, kind, count, value)
    listed = struct.pack("<H", len(tags)) + entries
    listed += bytes(8 + 4 * len(tags)) if wide else bytes(4)
    head = b"II*\0" + struct.pack("<I8x", 16 + len(values))
    path.write_bytes(head + values + listed)
    return path


@pytest.mark.parametrize("axis", ["Z", "T"])
def test_stk(tmp_path: Path, axis: str) -> None:
    """Planes follow one another behind a single page; tags are lists of fractions."""
    pixels = noise(4, 24, 30)
    depth = (3, 2) if axis == "Z" else (0, 1)
    planes = [(*depth, 2459001, 1000 + 500 * i, 2459001, 0) for i in range(4)]
    unit = 16 + 2 * 24 * 30 * 4  # place of what the values of UIC1 point to
    uic1 = [(3, 1), (4, unit), (5, unit + 8), (6, unit + 16)]
    behind = struct.pack("<5I3s", 1, 4, 1, 2, 3, b"um")
    stack = np.frombuffer(pixels.tobytes() + behind + bytes(21), "<u2")
    vendor = {
        256: (4, 1, struct.pack("<I", 30)),
        257: (4, 1, struct.pack("<I", 24)),
        278: (4, 1, struct.pack("<I", 24)),
        279: (4, 1, struct.pack("<I", 24 * 30 * 2)),
        33628: (4, len(uic1), np.array(uic1, "<u4").tobytes()),
        33629: (5, len(planes), np.array(planes, "<u4").tobytes()),
    }
    image = formats.open(by_hand(tmp_path / "a.stk", stack[None, :, None], vendor))
    assert image.axes == f"{axis}YX"
    np.testing.assert_array_equal(image.data[...], pixels)
    step = {"Z": 1.5} if axis == "Z" else {"T": 0.5}
    assert image.scale == {"X": 0.25, "Y": 0.5} | step
    assert image.units == {"X": "µm", "Y": "µm", axis: "µm" if axis == "Z" else "s"}
    assert image.acquisition.date == "2020-06-01T00:00:01.000"
    same(converted(image), image)


def test_svs(tmp_path: Path) -> None:
    pixels = noise(512, 640, 3, dtype="u1")
    text = "Aperio Image Library v1\r\n640x512 (256x256) JPEG/RGB Q=70|AppMag = 40|MPP = 0.2525"
    path = tmp_path / "a.svs"
    with tifffile.TiffWriter(path) as tif:
        kind = {"photometric": "rgb", "metadata": None}
        tile = {"tile": (128, 128), "compression": "zlib"}
        tif.write(pixels, description=text, **tile, **kind)
        tif.write(pixels[::8, ::8], description="Aperio thumbnail", **kind)
        tif.write(pixels[::4, ::4], description="Aperio level", **tile, **kind)
        label = pixels[:90, :70]
        tif.write(label, description="Aperio label 70x90", subfiletype=1, **kind)
    image = formats.open(path)
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
    vendor = {
        271: (2, 10, b"Hamamatsu\0"),
        282: (5, 1, struct.pack("<II", 20000, 1)),
        283: (5, 1, struct.pack("<II", 40000, 1)),
        296: (3, 1, struct.pack("<I", 3)),
        65420: (4, 1, struct.pack("<I", 1)),
        65421: (11, 1, struct.pack("<f", 20.0)),
    }
    image = formats.open(by_hand(tmp_path / "a.ndpi", pixels, vendor, wide=True))
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
