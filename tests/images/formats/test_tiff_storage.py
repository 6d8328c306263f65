"""A result is stored as its input was: compression, tiles, byte order, pyramids."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import _tiff_storage, writer
from unnoise.images.formats._tiff_storage import Storage, shrunk
from unnoise.images.image import Image

from .copies import copy, pixels_of, same

LOSSLESS = ["lzw", "zlib", "deflate", "zstd", "packbits", "lzma"]


def form(path: Path) -> dict[str, Any]:
    """How the pixels of the first page are stored."""
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        return {
            "compression": int(page.compression),
            "predictor": int(page.predictor),
            "tile": page.tile if page.is_tiled else None,
            "planar": int(page.planarconfig),
            "byteorder": tif.byteorder,
            "bigtiff": tif.is_bigtiff,
        }


@pytest.mark.parametrize("codec", LOSSLESS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("more", [{}, {"tile": (32, 16)}, {"byteorder": ">", "bigtiff": True}])
def test_what_loses_nothing_is_kept(
    tmp_path: Path, codec: str, dtype: str, more: dict[str, Any]
) -> None:
    predictor = codec != "packbits"
    pixels = pixels_of((40, 50), dtype)
    keywords = {"compression": codec, "predictor": predictor, "metadata": None} | more
    tifffile.imwrite(tmp_path / "a.tif", pixels, **keywords)
    image = formats.open(tmp_path / "a.tif")
    same(image, copy(image, tmp_path / "b.tif"))
    assert form(tmp_path / "b.tif") == form(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["imagej", "ome", "plain"])
@pytest.mark.parametrize("colours", ["", "contig", "separate"])
def test_stacks_and_colours_too(tmp_path: Path, kind: str, colours: str) -> None:
    shape, axes = {
        "": ((3, 40, 50), "ZYX"),
        "contig": ((2, 40, 50, 3), "ZYXS"),
        "separate": ((2, 3, 40, 50), "ZSYX"),
    }[colours]
    keywords: dict[str, Any] = {"tile": (16, 32), "compression": "zlib", "byteorder": ">"}
    if not colours:
        keywords["photometric"] = "minisblack"
    elif not (kind == "imagej" and colours == "separate"):
        keywords |= {"planarconfig": colours, "photometric": "rgb"}
    else:
        shape, axes = (2, 3, 40, 50), "ZCYX"
    name = "a.ome.tif" if kind == "ome" else "a.tif"
    own = {kind: True} if kind != "plain" else {}
    pixels = pixels_of(shape)
    tifffile.imwrite(tmp_path / name, pixels, metadata={"axes": axes}, **own, **keywords)
    image = formats.open(tmp_path / name)
    same(image, copy(image, tmp_path / f"b{name[1:]}"))
    assert form(tmp_path / f"b{name[1:]}") == form(tmp_path / name)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / f"b{name[1:]}"), pixels)


def test_the_predictor_fits_the_type_of_the_result(tmp_path: Path) -> None:
    keywords = {"compression": "zlib", "predictor": 2, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels_of((40, 50), "uint16"), **keywords)
    image = formats.open(tmp_path / "a.tif")
    for dtype, predictor in (("float32", 3), ("uint8", 2), ("int64", 1), ("float64", 3)):
        formats.save(tmp_path / f"{dtype}.tif", pixels_of((40, 50), dtype), like=image)
        assert form(tmp_path / f"{dtype}.tif")["predictor"] == predictor
        np.testing.assert_array_equal(
            tifffile.imread(tmp_path / f"{dtype}.tif"), pixels_of((40, 50), dtype)
        )


@pytest.mark.parametrize("codec", ["jpeg", "jpeg2000", "lerc", "webp"])
def test_what_may_lose_something_is_named(tmp_path: Path, codec: str) -> None:
    pixels = pixels_of((40, 50, 3))
    keywords = {"compression": codec, "photometric": "rgb", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **keywords)
    image = formats.open(tmp_path / "a.tif")
    out = formats.create(tmp_path / "b.tif", image)
    assert [name.split(" compression (deflate")[0] for name in out.lost] == [codec.upper()]
    assert "not carried from a.tif to b.tif" in formats.not_carried(out, image)
    with out:
        out.write({}, image.read())
    assert form(tmp_path / "b.tif")["compression"] == 8
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), image.data[...])


@pytest.mark.parametrize("name", ["none", *LOSSLESS, "LZW"])
def test_a_compression_of_choice(tmp_path: Path, name: str) -> None:
    for dtype in ("uint16", "float32", "uint64"):
        image = Image.from_array(pixels_of((40, 50), dtype))
        with formats.create(tmp_path / f"{dtype}.tif", image, compress=name) as out:
            out.write({}, image.read())
        found = form(tmp_path / f"{dtype}.tif")["compression"]
        names = {"NONE": 1, "ZLIB": 8, "DEFLATE": 8}
        expected = names.get(name.upper()) or int(tifffile.COMPRESSION[name.upper()])
        assert found == expected
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"{dtype}.tif"), image.data)


def test_compressions_that_cannot_be(tmp_path: Path) -> None:
    image = Image.from_array(pixels_of((40, 50)))
    with pytest.raises(InputError, match="unknown compression 'jpg'; choose one of none, zlib"):
        formats.create(tmp_path / "a.tif", image, compress="jpg")
    with pytest.raises(InputError, match=r"a\.png: only TIFF and Zarr can be compressed"):
        formats.create(tmp_path / "a.png", image, compress="lzw")


def test_many_pixels_wait_in_a_nameless_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IN_MEMORY", 100)
    image = Image.from_array(pixels_of((3, 40, 50)), axes="ZYX")
    assert formats.create(tmp_path / "a.tif", image, compress="zlib").nbytes == 2 * 6000
    assert formats.create(tmp_path / "a.tif", image).nbytes == 6000
    with formats.create(tmp_path / "a.tif", image, compress="zlib") as out:
        for z in range(3):
            out.write({"Z": z}, image.read({"Z": z}))
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), image.data)


def pyramid(path: Path, pixels: np.ndarray, axes: str, *, subifds: bool, **own: Any) -> None:
    y = axes.index("Y")
    halves = [pixels]
    for _ in range(2):
        whole = (slice(None),) * y
        halves.append(halves[-1][(*whole, slice(None, None, 2), slice(None, None, 2))])
    keywords = {"tile": (32, 32), "compression": "zlib"} | own
    with tifffile.TiffWriter(path, ome=".ome." in path.name) as tif:
        metadata = {"axes": axes} if ".ome." in path.name else None
        tif.write(halves[0], subifds=2 * subifds or None, metadata=metadata, **keywords)
        for level in halves[1:]:
            tif.write(level, subfiletype=1, metadata=None, **keywords)


@pytest.mark.parametrize(
    ("name", "subifds", "axes", "shape"),
    [
        ("a.ome.tif", True, "YX", (256, 192)),
        ("a.ome.tif", True, "TCYX", (2, 2, 128, 128)),
        ("a.ome.tif", True, "YXS", (128, 128, 3)),
        ("a.tif", True, "YX", (256, 192)),
        ("a.tif", False, "YX", (256, 192)),
        ("a.tif", False, "YXS", (128, 192, 3)),
        ("a.tif", False, "YX", (201, 131)),
    ],
)
def test_smaller_copies_are_made_anew(
    tmp_path: Path, name: str, subifds: bool, axes: str, shape: tuple[int, ...]
) -> None:
    rgb = {"photometric": "rgb" if axes[-1] == "S" else "minisblack"}
    pyramid(tmp_path / name, pixels_of(shape, "uint16"), axes, subifds=subifds, **rgb)
    image = formats.open(tmp_path / name)
    assert image.shape == shape
    assert "note" not in image.metadata
    clean = np.asarray(image.data[...]) // 2
    formats.save(tmp_path / f"b{name[1:]}", clean, like=image)
    with (
        tifffile.TiffFile(tmp_path / name) as old,
        tifffile.TiffFile(tmp_path / f"b{name[1:]}") as new,
    ):
        before, after = (tif.series[0].levels for tif in (old, new))
        assert [s.shape for s in after] == [s.shape for s in before]
        assert [s.keyframe.is_subifd for s in after] == [s.keyframe.is_subifd for s in before]
        np.testing.assert_array_equal(after[0].asarray(), clean)
        for level in after[1:]:
            assert level.keyframe.compression == before[0].keyframe.compression
            assert abs(float(level.asarray().mean()) - float(clean.mean())) < 0.5
    assert formats.create(tmp_path / "c.tif", image).lost == ()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool"])
@pytest.mark.parametrize("form", ["", "contig", "separate"])
@pytest.mark.parametrize(
    "storage",
    [
        Storage(8, predictor=True),
        Storage(8, predictor=True, tile=(16, 32), byteorder=">", levels=((20, 25), (7, 9))),
        Storage(32773, byteorder=">"),
        Storage(tile=(32, 16), bigtiff=True),
        Storage(tile=(48, 64), byteorder=">"),
        Storage(levels=((20, 25),), byteorder=">", subifds=False),
    ],
)
def test_files_of_images_beyond_the_memory_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, form: str, storage: Storage
) -> None:
    """Byte by byte: what waits in a file and is read in pieces is written as an array is."""
    monkeypatch.setattr(_tiff_storage, "BUFFER", 100)
    monkeypatch.setattr(_tiff_storage, "BAND", 60)
    shape, axes = {"": ((3, 48, 64), "ZYX"), "contig": ((2, 48, 64, 3), "ZYXC")}.get(
        form, ((2, 3, 48, 64), "ZCYX")
    )
    meta = {"storage": storage, "samples": bool(form)}
    image = Image(pixels_of(shape, dtype), axes, is_rgb=bool(form), metadata=meta)
    for name, size in (("a.tif", writer.IN_MEMORY), ("b.tif", 0)):
        monkeypatch.setattr(writer, "IN_MEMORY", size)
        with formats.create(tmp_path / name, image) as out:
            for z in reversed(range(image.sizes["Z"])):
                out.write({"Z": z}, image.read({"Z": z}))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_memory_does_not_grow_with_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IN_MEMORY", 0)
    monkeypatch.setattr(_tiff_storage, "BUFFER", 2**18)
    monkeypatch.setattr(_tiff_storage, "BAND", 2**17)
    storage = Storage(50000, tile=(256, 256), levels=((1024, 1024), (512, 512)))
    data = np.broadcast_to(np.uint16(7), (2, 2048, 2048))
    image = Image(data, "ZYX", metadata={"storage": storage, "source": "ome"})
    block = np.full((1, 1, 1, 1, 256, 2048), 7, "u2")
    tracemalloc.start()
    with formats.create(tmp_path / "a.ome.tif", image) as out:
        for z, y in np.ndindex(2, 8):
            out.write({"Z": z, "Y": slice(256 * y, 256 * y + 256)}, block)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6, "of 17 MB"
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        sides = [level.shape[-1] for level in tif.series[0].levels]
        assert sides == [2048, 1024, 512]
        assert (tif.series[0].levels[2].asarray() == 7).all()


@pytest.mark.parametrize("subifds", [True, False])
def test_copies_by_any_factor(tmp_path: Path, subifds: bool) -> None:
    pixels = pixels_of((200, 333), "uint16")
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(pixels, subifds=3 * subifds or None, metadata=None)
        for factor in (2, 8, 20):
            tif.write(pixels[::factor, ::factor], subfiletype=1, metadata=None)
    (image,) = formats.open_all([tmp_path / "a.tif"])
    assert "note" not in image.metadata
    copy(image, tmp_path / "b.tif")
    sizes = [(200, 333), (100, 167), (25, 42), (10, 17)]
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        first = tif.pages.first
        pages = list(first.pages or []) if subifds else list(tif.pages)[1:]
        assert [page.shape for page in [first, *pages]] == sizes


@pytest.mark.parametrize("nodata", [None, -9999.0])
def test_pixels_without_data_do_not_count_in_smaller_copies(nodata: float | None) -> None:
    hole = np.nan if nodata is None else nodata
    plane = np.full((4, 6), 10, np.float32)
    plane[0, 0] = plane[2:, 4:] = hole
    small = shrunk(plane, "YX", (2, 3), nodata)
    np.testing.assert_array_equal(small, [[10, 10, 10], [10, 10, hole]])
