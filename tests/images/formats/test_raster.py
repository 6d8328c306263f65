"""PNG and JPEG keep their pixels and what surrounds them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow
from PIL import PngImagePlugin

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images import units as units_of
from unnoise.images.formats.raster import PILLOW
from unnoise.images.image import Image

PROFILE = b"profile " * 40


def pixels_of(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), dtype=st.sampled_from(["uint8", "uint16"]), colours=st.integers(0, 4))
def test_png_round_trip(tmp_path: Path, data: st.DataObject, dtype: str, colours: int) -> None:
    sides = st.integers(1, 9)
    shape = (data.draw(sides), data.draw(sides), colours)[: 3 if colours else 2]
    pixels = data.draw(arrays(dtype, shape))
    axes = "YXC" if colours else "YX"
    formats.save(tmp_path / "a.png", pixels, axes=axes, overwrite=True)
    image = formats.open(tmp_path / "a.png")
    assert image.dtype == dtype
    assert image.axes == ("YX" if colours == 1 else axes)
    assert image.is_rgb == (colours >= 3)
    assert image.alpha == {2: 1, 4: 3}.get(colours)
    np.testing.assert_array_equal(
        image.read()[0, 0, :, 0], pixels.reshape(*shape[:2], -1).transpose(2, 0, 1)
    )
    other = imagecodecs.png_decode((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(other.reshape(shape), pixels)


def test_pixels_of_one_bit_are_refused(tmp_path: Path) -> None:
    mask = pixels_of((9, 7)) > 127
    Pillow.fromarray(mask).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png holds pixels of one bit, .* has no noise to rem"):
        formats.open(tmp_path / "a.png")
    bits = formats.open(tmp_path / "a.png", labels=True)
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(bits.data[...], mask * 255)


def test_a_header_that_declares_too_much_is_no_lack_of_memory(tmp_path: Path) -> None:
    formats.save(tmp_path / "a.png", pixels_of((9, 7)))
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png cannot be read as PNG.*cannot hold the 21474"):
        formats.open(tmp_path / "a.png")


def test_png_keeps_ancillary_chunks(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "cells")
    text.add_text("Long", "words " * 100, zip=True)
    text.add_itxt("Ort", "Zürich")
    text.add(b"gAMA", struct.pack(">I", 45455))
    text.add(b"tIME", struct.pack(">HBBBBB", 2024, 1, 2, 3, 4, 5))
    text.add(b"vpAg", b"private")
    exif = Pillow.Exif()
    exif[0x0112] = 6
    source = Pillow.fromarray(pixels_of((9, 7, 3)))
    source.save(
        tmp_path / "a.png", pnginfo=text, dpi=(300, 150), icc_profile=PROFILE, exif=exif.tobytes()
    )
    image = formats.open(tmp_path / "a.png")
    assert image.scale["X"] == pytest.approx(0.0254 / 300, rel=1e-4)
    assert image.scale["Y"] == pytest.approx(0.0254 / 150, rel=1e-4)
    assert image.units == {"X": "m", "Y": "m"}
    formats.save(tmp_path / "b.png", image.data[...], like=image)
    with Pillow.open(tmp_path / "a.png") as before, Pillow.open(tmp_path / "b.png") as after:
        after.load()
        before.load()
        assert after.info == before.info
        assert after.getexif()[0x0112] == 6
    content = (tmp_path / "b.png").read_bytes()
    assert b"tIME" in content and b"vpAgprivate" in content  # noqa: PT018
    again = formats.open(tmp_path / "b.png")
    assert (again.scale, again.units, again.metadata) == (image.scale, image.units, image.metadata)


def test_png_animation_is_refused(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(pixels_of((9, 7)) // n) for n in (1, 2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"a\.png is an animation"):
        formats.open(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_truncated_anywhere(tmp_path: Path, name: str) -> None:
    formats.save(tmp_path / name, pixels_of((40, 50, 3)))
    data = (tmp_path / name).read_bytes()
    for cut in (1, 9, 40, 200, len(data) // 2, len(data) - 20, len(data) - 3):
        (tmp_path / name).write_bytes(data[:cut])
        with pytest.raises(InputError, match=f"{name} cannot be read as"):
            formats.open(tmp_path / name)


def test_a_flipped_byte_in_a_png_is_noticed(tmp_path: Path) -> None:
    formats.save(tmp_path / "a.png", pixels_of((40, 50)))
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as PNG"):
        formats.open(tmp_path / "a.png")


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
def test_jpeg_keeps_exif_profile_and_density(tmp_path: Path, shape: tuple[int, ...]) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010F] = "Maker"
    source = Pillow.fromarray(np.full(shape, 90, np.uint8))
    source.save(
        tmp_path / "a.jpg",
        exif=exif,
        icc_profile=PROFILE,
        dpi=(300, 300),
        comment=b"seen",
        **({"xmp": b"<x/>"} if PILLOW >= (11, 0) else {}),
    )
    image = formats.open(tmp_path / "a.jpg")
    assert image.axes == "YXC"[: len(shape)]
    assert image.shape == shape  # as stored, not turned
    assert image.is_rgb == (len(shape) == 3)
    formats.save(tmp_path / "b.jpeg", image.data[...], like=image)
    with Pillow.open(tmp_path / "b.jpeg") as after:
        assert after.getexif()[0x0112] == 6
        assert after.getexif()[0x010F] == "Maker"
        assert after.info["icc_profile"] == PROFILE
        assert after.info["dpi"] == (300, 300)
        assert after.info["comment"] == b"seen"
        assert after.info.get("xmp") == (b"<x/>" if PILLOW >= (11, 0) else None)
        if len(shape) == 3:
            assert {layer[1:3] for layer in after.layer} == {(1, 1)}  # no chroma subsampling
        np.testing.assert_allclose(np.asarray(after), 90, atol=2)


def test_orientation_survives_a_change_of_format(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 8
    Pillow.fromarray(pixels_of((40, 50, 3))).save(tmp_path / "a.jpg", exif=exif, dpi=(100, 100))
    image = formats.open(tmp_path / "a.jpg")
    formats.save(tmp_path / "a.png", image.data[...], like=image)
    with Pillow.open(tmp_path / "a.png") as png:
        assert png.getexif()[0x0112] == 8
        assert png.info["dpi"] == pytest.approx((100, 100), rel=1e-3)
    with pytest.warns(UserWarning, match=r"not carried from a\.jpg to a\.tif: EXIF"):
        formats.save(tmp_path / "a.tif", image.data[...], like=image)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages.first.tags.valueof("Orientation") == 8
        assert tif.pages.first.get_resolution("INCH") == pytest.approx((100, 100))


def test_jpeg_of_other_colours_is_refused(tmp_path: Path) -> None:
    Pillow.fromarray(pixels_of((40, 50, 4)), "CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"a\.jpg has CMYK colours; convert it to RGB"):
        formats.open(tmp_path / "a.jpg")


def test_jpeg_may_be_large_but_not_larger_than_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.arange(40 * 48, dtype=np.uint8).reshape(40, 48)
    formats.save(tmp_path / "a.jpg", pixels)
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
    assert formats.open(tmp_path / "a.jpg").data.shape == pixels.shape
    assert Pillow.MAX_IMAGE_PIXELS == 100
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(data.replace(bytes([0, 40, 0, 48]), b"\xff\x00\xff\x00", 1))
    with pytest.raises(InputError, match="cannot hold the 65280 x 65280 pixels"):
        formats.open(tmp_path / "b.jpg")


def test_jpeg_with_several_pictures_uses_the_first_and_says_so(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(np.full((16, 16, 3), v, np.uint8)) for v in (50, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, "MPO", save_all=True, append_images=frames[1:])
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    image = formats.open(tmp_path / "a.jpg")
    assert "only the first is used" in image.metadata["note"]
    np.testing.assert_allclose(image.data[...], 50, atol=2)


@pytest.mark.parametrize(
    ("name", "pixels", "axes", "message"),
    [
        ("a.png", np.zeros((8, 8), np.float32), "YX", "PNG holds uint8 or uint16, not float32"),
        ("a.jpg", np.zeros((8, 8), np.uint16), "YX", "JPEG holds uint8, not uint16"),
        ("a.png", np.zeros((5, 8, 8), np.uint8), "ZYX", "not ZYX of shape"),
        ("a.png", np.zeros((8, 8, 5), np.uint8), "YXC", "1 or 2 or 3 or 4 channels"),
        ("a.jpg", np.zeros((8, 8, 4), np.uint8), "YXC", "JPEG holds YX or YXC with 1 or 3"),
    ],
)
def test_what_the_format_cannot_hold(
    tmp_path: Path, name: str, pixels: np.ndarray, axes: str, message: str
) -> None:
    with pytest.raises(InputError, match=rf"{message}.*\.tif with -o"):
        formats.create(tmp_path / name, Image.from_array(pixels, axes))


def test_png_chunks_of_a_foreign_profile_are_read(tmp_path: Path) -> None:
    formats.save(tmp_path / "a.png", pixels_of((9, 7)))
    data = (tmp_path / "a.png").read_bytes()
    content = b"Some name\0\0" + zlib.compress(PROFILE)
    chunk = struct.pack(">I", len(content)) + b"iCCP" + content
    chunk += struct.pack(">I", zlib.crc32(b"iCCP" + content))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    assert formats.open(tmp_path / "a.png").metadata["icc"] == PROFILE


def test_a_profile_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    formats.save(tmp_path / "a.png", pixels_of((9, 7)))
    data = (tmp_path / "a.png").read_bytes()
    content = b"Some name\0\0" + zlib.compress(bytes(2**25))
    chunk = struct.pack(">I", len(content)) + b"iCCP" + content
    chunk += struct.pack(">I", zlib.crc32(b"iCCP" + content))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(InputError):
        formats.open(tmp_path / "a.png")


def test_what_does_not_come_back_is_named(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"bKGD", struct.pack(">H", 7))
    chunks.add_text("Title", "cells")
    Pillow.fromarray(pixels_of((9, 7))).save(tmp_path / "a.png", pnginfo=chunks, dpi=(90, 90))
    image = formats.open(tmp_path / "a.png")
    lost = {
        name: formats.create(tmp_path / name, image).lost for name in ("b.png", "b.jpg", "b.tif")
    }
    assert lost["b.png"] == ("background colour",)
    assert set(lost["b.jpg"]) == set(lost["b.tif"]) == {"background colour", "text"}


def test_a_file_is_read_by_its_content(tmp_path: Path) -> None:
    pixels = pixels_of((30, 40, 3))
    for name in ("a.png", "a.tif", "a.npy", "a.jpg"):
        formats.save(tmp_path / name, pixels, axes="YXC")
    for content, name, kind in (
        ("a.jpg", "b.png", "JPEG"),
        ("a.png", "b.jpg", "PNG"),
        ("a.png", "b.tif", "PNG"),
        ("a.tif", "c.png", "TIFF"),
        ("a.npy", "c.tif", "NumPy file"),
    ):
        (tmp_path / name).write_bytes((tmp_path / content).read_bytes())
        image = formats.open(tmp_path / name)
        same = formats.open(tmp_path / content)
        np.testing.assert_array_equal(image.data[...], same.data[...])
        assert image.metadata["note"] == f"is a {kind}, whatever its name says, and is read as such"
        assert "note" not in same.metadata
        (opened,) = formats.open_all([tmp_path / name])
        assert opened.metadata["note"] == image.metadata["note"]
    for start, kind in ((b"GIF89a", "GIF"), (b"\x89HDF\r\n", "HDF5"), (b"PK\x03\x04", "ZIP")):
        (tmp_path / "d.tif").write_bytes(start + bytes(100))
        with pytest.raises(InputError, match=rf"d\.tif is a {kind} file, whatever its name says"):
            formats.open(tmp_path / "d.tif")


@pytest.mark.parametrize(
    ("suffix", "unit", "size", "is_kept"),
    [
        (".png", "µm", 0.1, True),
        (".png", "angstrom", 1.0, False),  # more pixels on a metre than it can count
        (".jpg", "inch", 1 / 300, True),
        (".jpg", "µm", 0.1, False),
        (".jpg", "mm", 1.0, False),  # 25.4 pixels on an inch
    ],
)
def test_a_pixel_size_is_kept_or_told_to_be_lost_but_never_another(
    tmp_path: Path, suffix: str, unit: str, size: float, is_kept: bool
) -> None:
    scale, units = {"Y": size, "X": size}, {"Y": unit, "X": unit}
    image = Image(pixels_of((9, 8)), "YX", scale=scale, units=units)
    with formats.create(tmp_path / f"a{suffix}", image) as out:
        out.write({}, image.read({}))
    assert ("pixel size" in out.lost) is not is_kept
    back = formats.open(tmp_path / f"a{suffix}")
    metres = {a: back.scale[a] * units_of.metres(back.units[a]) for a in back.scale}
    wanted = dict.fromkeys("YX", size * units_of.metres(unit)) if is_kept else {}
    assert metres == pytest.approx(wanted)


def test_planes_of_colours_become_a_picture(tmp_path: Path) -> None:
    image = Image(pixels_of((3, 9, 8)), "CYX", is_rgb=True)
    with formats.create(tmp_path / "a.png", image) as out:
        out.write({}, image.read({}))
    assert np.array_equal(formats.open(tmp_path / "a.png").read({}), image.read({}))
    with pytest.raises(InputError, match="PNG holds YX or YXC"):
        formats.create(tmp_path / "b.png", Image(pixels_of((3, 9, 8)), "CYX"))


@pytest.mark.parametrize("name", ["b.png", "b.jpg"])
def test_gray_from_white_is_turned_round(tmp_path: Path, name: str) -> None:
    dtype = "uint16" if name == "b.png" else "uint8"
    pixels = np.full((16, 16), 10, dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite", software=False)
    image = formats.open(tmp_path / "a.tif")
    formats.save(tmp_path / name, image.data[...], like=image)
    with Pillow.open(tmp_path / name) as found:
        shown = np.asarray(found)
    np.testing.assert_array_equal(shown, np.iinfo(dtype).max - pixels)
    formats.save(tmp_path / "b.tif", image.data[...], like=image)  # which says so itself
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), pixels)


def test_colours_that_are_no_rgb_are_refused_or_told(tmp_path: Path) -> None:
    for photometric, shape in (("separated", (16, 16, 4)), ("minisblack", (16, 16, 2))):
        tifffile.imwrite(
            tmp_path / "a.tif", pixels_of(shape), photometric=photometric, planarconfig="contig"
        )
        image = formats.open(tmp_path / "a.tif")
        with pytest.raises(InputError, match="taken for transparency"):
            formats.create(tmp_path / "b.png", image)
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels_of((16, 16, 3)),
        photometric="minisblack",
        planarconfig="contig",
        software=False,
    )
    for name in ("b.png", "b.jpg"):
        lost = formats.create(tmp_path / name, formats.open(tmp_path / "a.tif")).lost
        assert lost == ("what its channels are (they are shown as red, green and blue)",)


@pytest.mark.parametrize("name", ["b.png", "b.jpg"])
def test_the_orientation_of_a_tiff_is_kept(tmp_path: Path, name: str) -> None:
    turned = [(274, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels_of((8, 16)), extratags=turned, software=False)
    image = formats.open(tmp_path / "a.tif")
    formats.save(tmp_path / name, image.data[...], like=image)
    with Pillow.open(tmp_path / name) as found:
        assert found.getexif()[0x0112] == 6


def test_exif_that_jpeg_has_no_room_for_is_told(tmp_path: Path) -> None:
    exif = b"II*\0\x08\0\0\0\0\0\0\0\0\0" + bytes(80_000)
    Pillow.fromarray(pixels_of((16, 16))).save(tmp_path / "a.png", exif=b"Exif\0\0" + exif)
    image = formats.open(tmp_path / "a.png")
    with pytest.warns(UserWarning, match=r"not carried from a\.png to b\.jpg: EXIF"):
        formats.save(tmp_path / "b.jpg", image.data[...], like=image)
    formats.save(tmp_path / "b.png", image.data[...], like=image)
    assert formats.open(tmp_path / "b.png").metadata["exif"] == exif


def test_a_jpeg_of_hundreds_of_scans_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    stream = io.BytesIO()
    colours = Pillow.fromarray(pixels_of((64, 64, 3)))
    colours.save(stream, "JPEG", progressive=True, exif=b"Exif\0\0" + b"\xff\xda\0\2" * 400)
    whole = stream.getvalue()
    (tmp_path / "a.jpg").write_bytes(whole)  # of what lies in EXIF nothing is a scan
    assert formats.open(tmp_path / "a.jpg").shape == (64, 64, 3)
    at = whole.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(whole[:at] + whole[at:-2] * 250 + whole[-2:])
    with pytest.raises(InputError, match="more than 200 times"):
        formats.open(tmp_path / "a.jpg")
