"""TIFF files are looked at before tifffile follows what they tell of: files, planes, copies."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import _tiff_bounds

PIXELS = np.arange(256, dtype=np.uint16).reshape(16, 16)
MANY = 40_000_000
SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def ome(
    place: Path, inner: str, sizes: str = 'SizeX="16" SizeY="16" SizeT="1"', more: str = ""
) -> Path:
    """An OME-TIFF of one page."""
    text = (
        f'<OME xmlns="{SPACE}">{more}<Image ID="Image:0"><Pixels ID="P" DimensionOrder="XYZCT" '
        f'Type="uint16" {sizes} SizeZ="1" SizeC="1"><Channel ID="C" SamplesPerPixel="1"/>{inner}'
        f'</Pixels><AnnotationRef ID="A"/></Image></OME>'
    )
    tifffile.imwrite(place, PIXELS, metadata=None, description=text)
    return place


def named(name: str, tag: str = "UUID") -> str:
    return f'<TiffData IFD="0"><{tag} FileName="{name}">urn:uuid:1</{tag}></TiffData>'


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files that tifffile opens; none of them ever waits."""
    names: list[str] = []
    real = tifffile.TiffFile.__init__

    def init(self: Any, file: Any, *args: Any, **keywords: Any) -> None:
        assert not Path(file).is_fifo()
        names.append(os.path.realpath(file))
        real(self, file, *args, **keywords)

    monkeypatch.setattr(tifffile.TiffFile, "__init__", init)
    return names


@pytest.mark.parametrize("tag", ["UUID", "MyUUID"])
def test_a_file_outside_is_not_even_opened(tmp_path: Path, opened: list[str], tag: str) -> None:
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "secret.tif", PIXELS)
    opened.clear()
    path = ome(tmp_path / "in" / "a.ome.tif", named(str(tmp_path / "secret.tif"), tag))
    with pytest.raises(InputError, match="outside its folder"):
        formats.open(path)
    assert set(opened) == {os.path.realpath(path)}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_never_answers_is_not_opened(tmp_path: Path, opened: list[str]) -> None:
    os.mkfifo(tmp_path / "b.ome.tif")
    with pytest.raises(InputError, match=r"names b\.ome\.tif, which is no regular file"):
        formats.open(ome(tmp_path / "a.ome.tif", named("b.ome.tif")))


def test_a_file_of_a_set_whose_pages_lead_in_a_circle(tmp_path: Path) -> None:
    page = struct.pack("<HHHIII", 1, 256, 4, 1, 16, 8)  # its width, and itself as the next one
    (tmp_path / "b.ome.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + page)
    with pytest.raises(InputError, match="lead in a circle"):
        formats.open(ome(tmp_path / "a.ome.tif", named("b.ome.tif")))


def test_the_index_of_ndtiff_names_no_files_outside(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS)
    for name in ("b.tif", "../b.tif"):
        parts = json.dumps({"time": 0}).encode(), name.encode()
        line = b"".join(struct.pack("<I", len(part)) + part for part in parts)
        line += struct.pack("<8I", 100, 16, 16, 1, 0, 0, 0, 0)
        (tmp_path / "NDTiff.index").write_bytes(line)
        if name == "b.tif":
            _tiff_bounds.check_index(tmp_path / "a.tif")
    with pytest.raises(InputError, match="outside its folder"):
        _tiff_bounds.check_index(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("inner", "sizes", "more"),
    [
        (f'<TiffData IFD="0" PlaneCount="{MANY}"/>', None, ""),
        (f'<TiffData IFD="0" NumPlanes="{MANY}"/>', None, ""),
        ('<TiffData IFD="0"/>', f'SizeX="16" SizeY="16" SizeT="{MANY}"', ""),
        ('<TiffData IFD="0"/>', f'SizeX="{16 * MANY}" SizeY="16" SizeT="1"', ""),
        ('<TiffData IFD="0"/>', f'SizeX="{-16 * MANY}" SizeY="-16" SizeT="1"', ""),
        (
            '<TiffData IFD="0"/>',
            None,
            '<StructuredAnnotations><XMLAnnotation ID="A" Namespace="openmicroscopy.org/modulo">'
            f'<Value><Modulo><ModuloAlongT Type="phase" Start="0" End="{MANY}"/></Modulo></Value>'
            "</XMLAnnotation></StructuredAnnotations>",
        ),
    ],
)
def test_planes_that_are_not_there_take_no_time(
    tmp_path: Path, inner: str, sizes: str | None, more: str
) -> None:
    place = tmp_path / "a.ome.tif"
    path = ome(place, inner, sizes, more) if sizes else ome(place, inner, more=more)
    started = time.process_time()
    with pytest.raises(InputError, match=r"tell of 4000000[0-2] planes"):
        formats.open(path)
    assert time.process_time() - started < 1


def test_fewer_pages_than_a_document_tells_of_are_no_fault(tmp_path: Path) -> None:
    image = formats.open(ome(tmp_path / "a.ome.tif", '<TiffData IFD="0" PlaneCount="7"/>'))
    np.testing.assert_array_equal(image.data[...], PIXELS)


def test_one_smaller_copy_that_is_named_thousands_of_times(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(PIXELS, subifds=1, metadata=None)
        tif.write(PIXELS[::2, ::2], subfiletype=1, metadata=None)
    assert len(formats.smaller(formats.open(tmp_path / "a.tif"))) == 1
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        tag = tif.pages.first.tags[330]
        copy = tag.value[0]
    count = 20_000
    data[tag.offset + 4 : tag.offset + 12] = struct.pack("<2I", count, len(data))
    (tmp_path / "a.tif").write_bytes(data + struct.pack("<I", copy) * count)
    started = time.process_time()
    with pytest.raises(InputError, match="name 20000 smaller copies, more than it can hold"):
        formats.open(tmp_path / "a.tif")
    assert time.process_time() - started < 1
