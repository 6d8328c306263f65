"""What the dialects of TIFF say of their pixels survives a copy: scale, units, names, colours."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats

from .copies import copy, pixels_of, same

IMAGEJ = {
    "unit": "\\u00B5m",
    "spacing": 0.5,
    "finterval": 2.5,
    "Labels": [f"plane {i}" for i in range(24)],
    "Ranges": (0.0, 9.0, 1.0, 8.0),
    "Info": "made µp",
    "mode": "composite",
    "min": 0.0,
    "max": 9.0,
    "Properties": {"key": "value"},
}


def test_imagej_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    meta = {"axes": "TZCYX", **IMAGEJ}
    pixels = pixels_of((4, 3, 2, 9, 8), "uint16")
    tifffile.imwrite(path, pixels, imagej=True, resolution=(4.0, 2.0), metadata=meta)
    image = formats.open(path)
    assert image.scale == pytest.approx({"X": 0.25, "Y": 0.5, "Z": 0.5, "T": 2.5})
    assert image.units == {"X": "µm", "Y": "µm", "Z": "µm", "T": "sec"}
    same(image, copy(image, tmp_path / "b.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        written = tif.imagej_metadata or {}
        assert {key: written[key] for key in IMAGEJ} == IMAGEJ
    # What ImageJ cannot hold goes to OME-TIFF, and the unit becomes one that OME knows.
    with pytest.warns(UserWarning, match=r"not carried .* ImageJ metadata \(Info, Labels, Ranges"):
        formats.save(tmp_path / "c.tif", pixels.astype(float), like=image)
    double = formats.open(tmp_path / "c.tif")
    assert double.metadata["source"] == "ome"
    assert double.scale == pytest.approx(image.scale)
    assert double.units == {"X": "µm", "Y": "µm", "Z": "µm", "T": "s"}


def test_imagej_units_may_differ_by_axis(tmp_path: Path) -> None:
    meta = {"axes": "ZYX", "unit": "micron", "zunit": "nm", "spacing": 300.0}
    tifffile.imwrite(
        tmp_path / "a.tif", pixels_of((4, 9, 8)), imagej=True, resolution=(1, 1), metadata=meta
    )
    image = formats.open(tmp_path / "a.tif")
    assert image.scale == {"X": 1.0, "Y": 1.0, "Z": 300.0}
    assert image.units == {"X": "micron", "Y": "micron", "Z": "nm"}
    same(image, copy(image, tmp_path / "b.tif"))


OME = {
    "PhysicalSizeX": 0.25,
    "PhysicalSizeXUnit": "nm",
    "PhysicalSizeY": 0.5,
    "PhysicalSizeYUnit": "µm",
    "PhysicalSizeZ": 2.0,
    "PhysicalSizeZUnit": "mm",
    "TimeIncrement": 3.0,
    "TimeIncrementUnit": "min",
    "Name": "a <cell>",
    "Description": "two & more",
    "Channel": {"Name": ["DAPI", "GFP"], "Color": [255, -1], "EmissionWavelength": [450, 520]},
}


@pytest.mark.parametrize("axes", ["TZCYX", "CZTYX", "ZTCYX"])
def test_ome_metadata(tmp_path: Path, axes: str) -> None:
    shape = tuple({"T": 3, "Z": 4, "C": 2, "Y": 9, "X": 8}[a] for a in axes)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        pixels_of(shape, "float32"),
        ome=True,
        metadata={"axes": axes, **OME},
    )
    image = formats.open(tmp_path / "a.ome.tif")
    assert image.axes == axes
    assert image.scale == {"X": 0.25, "Y": 0.5, "Z": 2.0, "T": 3.0}
    assert image.units == {"X": "nm", "Y": "µm", "Z": "mm", "T": "min"}
    assert image.channel_names == ("DAPI", "GFP")
    same(image, copy(image, tmp_path / "b.ome.tif"))
    elements = []
    for name in "ab":
        with tifffile.TiffFile(tmp_path / f"{name}.ome.tif") as tif:
            elements.append(ElementTree.fromstring(tif.ome_metadata or ""))
    for path in ("Image", "Image/{*}Pixels", "Image/{*}Pixels/{*}Channel", "Image/{*}Description"):
        old, new = ([(e.attrib, e.text) for e in root.findall("{*}" + path)] for root in elements)
        assert old == new
        assert old


WHOLE = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/{schema}" UUID="urn:uuid:1" Creator="it">
<Instrument ID="Instrument:0"><Objective ID="Objective:0" NominalMagnification="60"/></Instrument>
<Image ID="Image:0" Name="µ"><AcquisitionDate>2024-01-02T03:04:05</AcquisitionDate>
<InstrumentRef ID="Instrument:0"/><StageLabel Name="here" X="1.5"/>
<Pixels ID="Pixels:0" DimensionOrder="XYCTZ" Type="uint16" SizeX="8" SizeY="9" SizeZ="1" SizeC="2"
 SizeT="2" SignificantBits="12" PhysicalSizeX="0.5" PhysicalSizeY="0.5" BigEndian="true">
<Channel ID="Channel:0:0" Name="a"/><Channel ID="Channel:0:1" Name="b"/>
<TiffData FirstC="0" IFD="3" PlaneCount="1"/><TiffData FirstC="1" IFD="2" PlaneCount="1"/>
<TiffData FirstC="0" FirstT="1" IFD="1" PlaneCount="1"/><TiffData FirstC="1" FirstT="1" IFD="0"
 PlaneCount="1"/>
<Plane TheZ="0" TheC="0" TheT="0" DeltaT="0.25" ExposureTime="0.1" PositionX="3"/>
<Plane TheZ="0" TheC="1" TheT="1" DeltaT="7.5" PositionZ="4"/></Pixels>
<AnnotationRef ID="Annotation:0"/></Image>
<StructuredAnnotations><XMLAnnotation ID="Annotation:0"><Value><own xmlns="else">kept</own></Value>
</XMLAnnotation></StructuredAnnotations></OME>"""
PLACED = {"Type", "SignificantBits", "BigEndian", "UUID"}


def facts(xml: str | None) -> list[tuple[str, str, dict[str, str]]]:
    """All elements of a document but those that tell where the pixels are."""
    return [
        (e.tag, (e.text or "").strip(), {k: v for k, v in e.attrib.items() if k not in PLACED})
        for e in ElementTree.fromstring(xml or "").iter()
        if not e.tag.endswith("TiffData")
    ]


@pytest.mark.parametrize("schema", ["2016-06", "2013-06"])
@pytest.mark.parametrize("dtype", ["uint16", "float32", "uint8"])
def test_the_whole_document_of_ome_comes_back(tmp_path: Path, schema: str, dtype: str) -> None:
    planes = pixels_of((4, 9, 8), "uint16")
    xml, gray = WHOLE.format(schema=schema).encode(), "minisblack"
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, planes, description=xml, metadata=None, photometric=gray)
    image = formats.open(tmp_path / "a.ome.tif")
    assert image.axes == "TCYX"
    np.testing.assert_array_equal(image.data[...], planes[[[3, 2], [1, 0]]])
    formats.save(tmp_path / "b.ome.tif", image.data[...].astype(dtype), like=image)
    again = formats.open(tmp_path / "b.ome.tif")
    np.testing.assert_array_equal(again.data[...], image.data[...])
    assert (again.axes, again.dtype, again.scale) == ("TCYX", dtype, image.scale)
    with (
        tifffile.TiffFile(tmp_path / "a.ome.tif") as a,
        tifffile.TiffFile(tmp_path / "b.ome.tif") as b,
    ):
        assert facts(b.ome_metadata) == facts(a.ome_metadata)
        root = ElementTree.fromstring(b.ome_metadata or "")
    pixels = root.find("{*}Image/{*}Pixels")
    assert pixels is not None
    assert pixels.get("Type") == {"float32": "float"}.get(dtype, dtype)
    assert pixels.get("SignificantBits") == ("12" if dtype == "uint16" else None)


def test_under_other_axes_the_document_is_not_true_any_more(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels_of((3, 9, 8)), ome=True, metadata={"axes": "TYX", **OME}
    )
    assert formats.create(tmp_path / "b.tif", formats.open(tmp_path / "a.ome.tif")).lost == ()
    as_stack = formats.open(tmp_path / "a.ome.tif", axes="ZYX")
    lost = ("OME metadata but sizes, names and channels",)
    assert formats.create(tmp_path / "b.tif", as_stack).lost == lost
    assert formats.open(tmp_path / "a.ome.tif", axes="TYX").metadata["ome"]


def test_ome_channels_under_other_axes(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels_of((3, 9, 8)), ome=True, metadata={"axes": "TYX"}
    )
    image = formats.open(tmp_path / "a.ome.tif", axes="CYX")
    same(image, copy(image, tmp_path / "b.ome.tif"))


def test_ome_that_was_renamed_or_lost_its_companions(tmp_path: Path) -> None:
    pixels = pixels_of((3, 9, 8))
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, ome=True, metadata={"axes": "ZYX"})
    shutil.copy(tmp_path / "a.ome.tif", tmp_path / "b.tif")
    same(formats.open(tmp_path / "a.ome.tif"), formats.open(tmp_path / "b.tif"))
    uuid = "urn:uuid:00000000-0000-0000-0000-00000000000"
    blocks = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="part{z}.ome.tif">{uuid}{z}'
        f"</UUID></TiffData>"
        for z in range(3)
    )
    xml = (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}0"><Image '
        f'ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="8" '
        f'SizeY="9" SizeZ="3" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>{blocks}</Pixels>'
        f"</Image></OME>"
    )
    for z in range(3):
        tifffile.imwrite(
            tmp_path / f"part{z}.ome.tif", pixels[z], ome=False, description=xml, metadata=None
        )
    image = formats.open(tmp_path / "part0.ome.tif")
    np.testing.assert_array_equal(image.data[...], pixels)


@pytest.mark.parametrize(("unit", "name"), [("INCH", "inch"), ("CENTIMETER", "cm"), ("NONE", "")])
def test_plain_tags(tmp_path: Path, unit: str, name: str) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels_of((9, 8)),
        photometric="miniswhite",
        resolution=(300, 150),
        resolutionunit=unit,
        description="from the microscope",
        metadata=None,
        extratags=[(274, 3, 1, 3, True)],
    )
    image = formats.open(tmp_path / "a.tif")
    assert image.scale == pytest.approx({"X": 1 / 300, "Y": 1 / 150})
    assert image.units == {"X": name, "Y": name}
    same(image, copy(image, tmp_path / "b.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        page = tif.pages.first
        assert page.description == "from the microscope"
        assert page.tags.valueof("XResolution") == (300, 1)
        assert page.tags.valueof("YResolution") == (150, 1)
        assert page.tags.valueof("ResolutionUnit").name == unit
        assert page.tags.valueof("Orientation") == 3
        assert page.photometric.name == "MINISWHITE"


def test_plain_without_scale(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels_of((9, 8)))
    image = formats.open(tmp_path / "a.tif")
    assert dict(image.scale) == {}
    same(image, copy(image, tmp_path / "b.tif"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("imagej", [False, True])
def test_a_lookup_table_is_kept_and_indexed_colours_are_refused(
    tmp_path: Path, dtype: str, imagej: bool
) -> None:
    count = 256 if imagej or dtype == "uint8" else 65536
    green = np.zeros((3, count), np.uint16)
    green[1] = np.linspace(0, 65535, count)
    pixels = pixels_of((9, 8), dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, colormap=green, imagej=imagej)
    image = formats.open(tmp_path / "a.tif")
    same(image, copy(image, tmp_path / "b.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        np.testing.assert_array_equal(tif.pages.first.colormap, green)
    if not imagej:
        labels = np.repeat(np.repeat(pixels, 9, axis=0), 9, axis=1)
        tifffile.imwrite(tmp_path / "c.tif", labels, colormap=np.roll(green, 5, axis=1))
        with pytest.raises(InputError, match=r"c\.tif holds indexed colours in areas of one"):
            formats.open(tmp_path / "c.tif")


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
@pytest.mark.parametrize("colours", [2, 4])
def test_alpha(tmp_path: Path, kind: str, colours: int) -> None:
    photometric = "rgb" if colours == 4 else "minisblack"
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels_of((9, 8, colours)),
        photometric=photometric,
        planarconfig="contig",
        extrasamples=[kind],
        iccprofile=b"profile",
    )
    image = formats.open(tmp_path / "a.tif")
    assert image.axes == "YXC"
    assert image.is_rgb == (colours == 4)
    assert image.alpha == (None if kind == "unspecified" else colours - 1)
    same(image, copy(image, tmp_path / "b.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages.first.extrasamples[0].name == kind.upper()
        assert tif.pages.first.photometric.name == photometric.upper()
        assert tif.pages.first.iccprofile == b"profile"
