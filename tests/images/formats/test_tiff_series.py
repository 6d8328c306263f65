"""Files with several images, and images of several files: each is opened, and written, once."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import _ome_xml
from unnoise.images.image import Image

from .copies import copy, pixels_of

SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def write(path: Path, *images: np.ndarray, **keywords: Any) -> None:
    with tifffile.TiffWriter(path, ome=".ome." in path.name) as tif:
        for pixels in images:
            tif.write(pixels, contiguous=False, **keywords)


def shapes(images: Sequence[Image]) -> list[tuple[int, ...]]:
    return [image.shape for image in images]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("keywords", [{"metadata": None}, {}])
def test_a_thumbnail_never_hides_the_image(
    tmp_path: Path, order: tuple[int, ...], keywords: dict[str, Any]
) -> None:
    both = pixels_of((64, 64)), pixels_of((512, 512))
    write(tmp_path / "a.tif", *(both[i] for i in order), **keywords)
    image = formats.open(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data[...], both[1])
    large, small = order.index(1), order.index(0)
    assert f"series {large} of shape (512, 512), of full size, is used" in image.metadata["note"]
    assert f"left out are series {small} of shape (64, 64)" in image.metadata["note"]
    (again,) = formats.open_all([tmp_path / "a.tif"])
    assert (again.shape, again.metadata["note"]) == ((512, 512), image.metadata["note"])
    for number, shape in ((large, (512, 512)), (small, (64, 64))):
        chosen = formats.open(tmp_path / "a.tif", series=number)
        assert chosen.shape == shape
        assert "note" not in chosen.metadata
    with pytest.raises(InputError, match=r"a\.tif has no series 2; it holds 2, counted from 0"):
        formats.open(tmp_path / "a.tif", series=2)
    every = formats.open_all([tmp_path / "a.tif"], series="all")
    assert sorted(shapes(every)) == [(64, 64), (512, 512)]


def test_pages_of_many_sizes_and_types(tmp_path: Path) -> None:
    pages = [
        pixels_of((30, 40)),
        pixels_of((90, 80, 3)),
        pixels_of((200, 100), "uint16"),
        pixels_of((100, 50), "uint16"),  # of the same proportions, but it does not say reduced
    ]
    write(tmp_path / "a.tif", *pages, metadata=None)
    for number, page in enumerate(pages):
        image = formats.open(tmp_path / "a.tif", series=number)
        np.testing.assert_array_equal(image.data[...], page)
    assert formats.open(tmp_path / "a.tif").shape == (90, 80, 3)


def test_a_reduced_first_page_and_a_mask_are_no_images_of_full_size(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(pixels_of((50, 60, 3)), subfiletype=1, metadata=None, photometric="rgb")
        tif.write(pixels_of((40, 50), "uint16"), metadata=None)
        tif.write(pixels_of((40, 50), "bool"), subfiletype=4, metadata=None)
    image = formats.open(tmp_path / "a.tif")
    assert (image.shape, image.dtype) == ((40, 50), np.uint16)
    assert formats.create(tmp_path / "b.tif", image).lost == ("transparency mask",)


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif"])
def test_images_that_are_alike_have_one_output_each(tmp_path: Path, name: str) -> None:
    both = [pixels_of((5, 24, 20)) + i for i in range(2)]
    with tifffile.TiffWriter(tmp_path / name, ome=name != "a.tif") as tif:
        for i, pixels in enumerate(both):
            meta = {"axes": "TYX", "Name": f"pos{i}", "unnoise": {"axes": "TYX"}}
            if name != "a.tif":
                meta.pop("unnoise")
            tif.write(pixels, contiguous=False, metadata=meta, photometric="minisblack")
    images = formats.open_all([tmp_path / name])
    for image, pixels in zip(images, both, strict=True):
        np.testing.assert_array_equal(image.data[...], pixels)
        assert "note" not in image.metadata
    end = name[1:]
    assert [p.name for p in formats.output_paths(images)] == [
        f"a_series{i}_denoised{end}" for i in range(2)
    ]
    assert [p.name for p in formats.output_paths(images, tmp_path / f"b{end}")] == [
        f"b_series{i}{end}" for i in range(2)
    ]
    into = formats.output_paths(images, tmp_path / "new")
    assert into == [tmp_path / "new" / f"a_series{i}{end}" for i in range(2)]
    assert "one of those of full size" in formats.open(tmp_path / name).metadata["note"]
    for image, place in zip(images, formats.output_paths(images), strict=True):
        copy(image, place)
        if name != "a.tif":
            with tifffile.TiffFile(place) as tif:
                root = _ome_xml.parse(tif.ome_metadata)
            assert root is not None
            names = [i.get("Name") for i in root.findall("{*}Image")]
            assert names == [f"pos{images.index(image)}"]
    assert formats.find([tmp_path]) == [tmp_path / name]  # the results are no inputs


def test_series_of_files_that_hold_one_image(tmp_path: Path) -> None:
    formats.save(tmp_path / "a.png", pixels_of((20, 30)))
    for series in (None, 0, "all"):
        assert len(formats.open_all([tmp_path / "a.png"], series=series)) == 1
    with pytest.raises(InputError, match=r"a\.png holds one image, so there is no series 1"):
        formats.open_all([tmp_path / "a.png"], series=1)
    with pytest.raises(InputError, match=r"a\.png holds one image, so there is no series 1"):
        formats.open(tmp_path / "a.png", series=1)


def ome_set(folder: Path, along: str, *, images: int = 1) -> list[np.ndarray]:
    """Write three files with four planes each, a Z stack, that are one image along T or C, or
    `images` of their own; each document names all files and has stage positions.
    """
    sizes = {"T": 1, "C": 1} | ({along: 3} if images == 1 else {})
    ids = [f"urn:uuid:{uuid.UUID(int=k + 1)}" for k in range(3)]
    elements = []
    for i in range(images):
        channels = "".join(f'<Channel ID="Channel:{i}:{c}"/>' for c in range(sizes["C"]))
        which = range(3) if images == 1 else [i]
        data = "".join(
            f'<TiffData First{along}="{k if images == 1 else 0}" IFD="0" PlaneCount="4"><UUID '
            f'FileName="part{k}.ome.tif">{ids[k]}</UUID></TiffData>'
            for k in which
        )
        planes = "".join(
            f'<Plane TheZ="{z}" TheT="{k if along == "T" and images == 1 else 0}" '
            f'TheC="{k if along == "C" and images == 1 else 0}" PositionX="{10 * k + z}"/>'
            for k in which
            for z in range(4)
        )
        elements.append(
            f'<Image ID="Image:{i}" Name="image {i}"><Pixels ID="Pixels:{i}" '
            f'DimensionOrder="XYZTC" Type="uint8" SizeX="20" SizeY="24" SizeZ="4" '
            f'SizeT="{sizes["T"]}" SizeC="{sizes["C"]}">{channels}{data}{planes}</Pixels></Image>'
        )
    folder.mkdir(exist_ok=True)
    parts = [pixels_of((4, 24, 20)) + 10 * k for k in range(3)]
    for k, pixels in enumerate(parts):
        xml = f'<OME xmlns="{SPACE}" UUID="{ids[k]}">{"".join(elements)}</OME>'
        tifffile.imwrite(
            folder / f"part{k}.ome.tif",
            pixels,
            description=xml,
            metadata=None,
            photometric="minisblack",
        )
    return parts


def positions(path: Path) -> list[float]:
    with tifffile.TiffFile(path) as tif:
        root = _ome_xml.parse(tif.ome_metadata)
    assert root is not None
    return [float(plane.get("PositionX", -1)) for plane in root.iterfind(".//{*}Plane")]


def test_a_file_of_a_set_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    parts = ome_set(tmp_path, "T")
    image = formats.open(tmp_path / "part0.ome.tif")
    np.testing.assert_array_equal(image.read({"T": 2})[0, 0, 0], parts[2])
    os.utime(tmp_path / "part2.ome.tif", (0, 0))
    with pytest.raises(InputError, match=r"part2\.ome\.tif was changed while it was read"):
        image.read({"T": 2})


@pytest.mark.parametrize("along", ["T", "C"])
def test_a_set_of_files_is_one_image(tmp_path: Path, along: str) -> None:
    parts = ome_set(tmp_path / "a", along)
    for inputs in (
        [tmp_path / "a"],
        sorted((tmp_path / "a").iterdir()),
        [tmp_path / "a/part1.ome.tif"],
    ):
        (image,) = formats.open_all(formats.find(inputs))
        assert image.axes == f"{along}ZYX"
        np.testing.assert_array_equal(image.data[...], np.stack(parts))
        assert "one of 3 files that hold one image" in image.metadata["note"]
    (result,) = formats.output_paths([image], tmp_path / "results")
    copy(image, result)
    with tifffile.TiffFile(result) as tif:
        assert len(tif.pages) == 12
        assert not tif.series[0].is_multifile
        np.testing.assert_array_equal(tif.asarray(), np.stack(parts))
    assert positions(result) == [10 * k + z for k in range(3) for z in range(4)]
    with pytest.raises(InputError, match="the input is never overwritten"):
        formats.create(tmp_path / "a/part2.ome.tif", image, overwrite=True)


@pytest.mark.parametrize("along", ["T", "C"])
@pytest.mark.parametrize("missing", [[0], [0, 2]])
def test_a_member_of_an_incomplete_set_opens_by_its_own_planes(
    tmp_path: Path, along: str, missing: list[int]
) -> None:
    parts = ome_set(tmp_path, along)
    for k in missing:
        (tmp_path / f"part{k}.ome.tif").unlink()
    there = [k for k in range(3) if k not in missing]
    images = formats.open_all(formats.find([tmp_path]))
    assert len(images) == len(there)
    for k, image in zip(there, images, strict=True):
        assert image.axes == "ZYX"
        np.testing.assert_array_equal(image.data[...], parts[k])
        gone = ", ".join(f"part{m}.ome.tif" for m in missing)
        assert f"others are missing ({gone}); its own planes" in image.metadata["note"]
        again = copy(image, tmp_path / "new" / f"{k}.ome.tif")
        assert again.axes == "ZYX"
        assert "note" not in again.metadata
        assert positions(tmp_path / "new" / f"{k}.ome.tif") == [10 * k + z for z in range(4)]


def test_files_of_a_set_with_an_image_each_are_each_their_own(tmp_path: Path) -> None:
    parts = ome_set(tmp_path, "T", images=3)
    images = formats.open_all(formats.find([tmp_path]))
    assert [image.name for image in images] == [f"part{k}.ome.tif" for k in range(3)]
    for k, image in enumerate(images):
        np.testing.assert_array_equal(image.data[...], parts[k])
        assert "note" not in image.metadata
        copy(image, tmp_path / "new" / image.name)
        assert positions(tmp_path / "new" / image.name) == [10 * k + z for z in range(4)]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_whose_document_is_in_another_one(tmp_path: Path, is_there: bool) -> None:
    parts = ome_set(tmp_path, "T")
    binary = f'<OME xmlns="{SPACE}"><BinaryOnly MetadataFile="part2.ome.tif" UUID="x"/></OME>'
    for k in range(2):
        tifffile.imwrite(
            tmp_path / f"part{k}.ome.tif",
            parts[k],
            description=binary,
            metadata=None,
            photometric="minisblack",
        )
    if is_there:
        (image,) = formats.open_all(formats.find([tmp_path]))
        np.testing.assert_array_equal(image.data[...], np.stack(parts))
        return
    (tmp_path / "part2.ome.tif").unlink()
    image = formats.open(tmp_path / "part0.ome.tif", axes="ZYX")
    np.testing.assert_array_equal(image.data[...], parts[0])
    assert "OME metadata lay in part2.ome.tif, which is not read" in image.metadata["note"]
    np.testing.assert_array_equal(copy(image, tmp_path / "new.tif").data[...], parts[0])


def test_a_document_that_names_another_file_is_named_as_lost(tmp_path: Path) -> None:
    """A file that was renamed opens by its pages; by its UUID it would have been found."""
    ome_set(tmp_path, "T", images=3)
    path = tmp_path / "renamed.ome.tif"
    data = (tmp_path / "part0.ome.tif").read_bytes().replace(b' UUID="', b' uuid="', 1)
    path.write_bytes(data.replace(b"part0.ome.tif", b"gone0.ome.tif"))
    for k in range(3):
        (tmp_path / f"part{k}.ome.tif").unlink()
    image = formats.open(path, axes="ZYX")
    assert image.shape == (4, 24, 20)
    assert formats.create(tmp_path / "b.tif", image).lost == ("OME metadata",)


@pytest.mark.parametrize("way", ["tiles", "strips", "lzw", "raw"])
def test_a_header_that_declares_too_much_is_damaged(tmp_path: Path, way: str) -> None:
    """It is neither a lack of memory nor of disk space."""
    keywords: dict[str, Any] = {
        "tiles": {"tile": (16, 16), "compression": "zlib"},
        "strips": {"rowsperstrip": 5, "compression": "zlib"},
        "lzw": {"compression": "lzw"},
        "raw": {},
    }[way]
    tifffile.imwrite(tmp_path / "a.tif", pixels_of((40, 50)), metadata=None, **keywords)
    for tag in ("ImageWidth", "ImageLength"):
        with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
            tif.pages.first.tags[tag].overwrite(2**20)
            if way in ("lzw", "raw"):
                tif.pages.first.tags["RowsPerStrip"].overwrite(2**20)
    with pytest.raises(InputError, match=r"a\.tif cannot be read as TIFF, .* damaged"):
        formats.open(tmp_path / "a.tif")


def test_a_file_of_many_images_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = tifffile.TiffFile.__init__

    def init(self: Any, file: Any, *args: Any, **keywords: Any) -> None:
        opened.append(str(file))
        real(self, file, *args, **keywords)

    path = tmp_path / "a.ome.tif"
    every = [pixels_of((16, 20)) + i for i in range(20)]
    write(path, *every)
    monkeypatch.setattr(tifffile.TiffFile, "__init__", init)
    images = formats.open_all([path])
    assert len(images) == 20
    assert len(opened) == 1
    for image, pixels in zip(images, every, strict=True):
        np.testing.assert_array_equal(image.data[...], pixels)
    write(path, *every[:3])  # another file is parsed anew
    assert len(formats.open_all([path])) == 3
    with pytest.raises(InputError, match="has no series 3"):
        formats.open(path, series=3)
