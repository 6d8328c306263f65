"""Colours of channels, date and objective go into TIFF and come back."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from unnoise.images import formats
from unnoise.images.acquisition import Acquisition
from unnoise.images.image import Image

KNOWN = Acquisition(("FF0000", "00FF00", "0080FF"), "2020-01-02T03:04:05", "Plan-Apo", 63.0, 1.4)


def image(axes: str = "ZCYX", known: Acquisition = KNOWN, **own) -> Image:
    sizes = {"T": 2, "C": 3, "Z": 4, "Y": 6, "X": 8}
    pixels = np.arange(np.prod([sizes[a] for a in axes]), dtype=np.uint16)
    made = Image.from_array(pixels.reshape([sizes[a] for a in axes]), axes)
    return replace(
        made,
        scale={"Z": 2.0, "Y": 0.5, "X": 0.25},
        units=dict.fromkeys("ZYX", "µm"),
        channel_names=("red", "green", "blue"),
        acquisition=known,
        **own,
    )


def written(path, like: Image) -> Image:
    formats.save(path, np.asarray(like.data[:]), like=like)
    return formats.open(path)


@pytest.mark.parametrize("axes", ["CYX", "ZCYX", "TZCYX", "TCZYX"])
def test_ome_tiff_keeps_all(tmp_path, axes):
    like = image(axes)
    found = written(tmp_path / "a.ome.tif", like)
    assert found.acquisition == KNOWN
    assert (found.axes, found.channel_names) == (axes, like.channel_names)
    assert (found.scale, found.units) == (like.scale, like.units)
    assert np.array_equal(found.data[:], like.data)
    again = written(tmp_path / "b.ome.tif", found)
    assert again.acquisition == KNOWN


def test_the_lens_stands_where_the_schema_wants_it(tmp_path):
    formats.save(tmp_path / "a.ome.tif", np.asarray(image().data), like=image())
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        root = ElementTree.fromstring(tif.ome_metadata)
        assert tif.series[0].axes == "ZCYX"
    names = [child.tag.partition("}")[2] for child in root]
    assert names.index("Instrument") < names.index("Image")
    inner = [child.tag.partition("}")[2] for child in root.find("{*}Image")]
    assert inner == ["AcquisitionDate", "InstrumentRef", "ObjectiveSettings", "Pixels"]
    lens = root.find("{*}Instrument/{*}Objective")
    assert (lens.get("Model"), lens.get("LensNA")) == ("Plan-Apo", "1.4")
    assert [c.get("Color") for c in root.iterfind(".//{*}Channel")] == [
        "-16776961",  # 0xFF0000FF as a signed number of 32 bits
        "16711935",
        "8454143",
    ]


def test_imagej_keeps_colours_as_lookup_tables(tmp_path):
    with pytest.warns(UserWarning, match=r"acquisition date, objective$"):
        formats.save(tmp_path / "a.tif", np.asarray(image().data), like=image())
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        tables = tif.imagej_metadata["LUTs"]
        assert tif.imagej_metadata["mode"] == "composite"
    assert [tuple(table[:, -1]) for table in tables] == [(255, 0, 0), (0, 255, 0), (0, 128, 255)]
    assert formats.open(tmp_path / "a.tif").acquisition == Acquisition(KNOWN.colors)


def test_imagej_keeps_names_of_channels_as_labels_of_planes(tmp_path):
    like = Image(
        np.zeros((3, 2, 6, 8), np.uint8), "ZCYX", channel_names=("DAPI", "µ GFP"),
        path=tmp_path / "a.czi",
    )  # fmt: skip
    found = written(tmp_path / "a.tif", like)
    assert found.channel_names == ("DAPI", "µ GFP")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_imagej
    assert written(tmp_path / "b.ome.tif", found).channel_names == ("DAPI", "µ GFP")
    # Labels that tell planes apart are no names of channels.
    labels = {"axes": "ZCYX", "Labels": [f"plane {i}" for i in range(6)]}
    tifffile.imwrite(tmp_path / "c.tif", np.asarray(like.data), imagej=True, metadata=labels)
    assert formats.open(tmp_path / "c.tif").channel_names == ()


def test_imagej_tells_that_the_name_of_a_single_channel_is_lost(tmp_path):
    like = Image(np.zeros((3, 6, 8), np.uint8), "ZYX", channel_names=("DAPI",))
    assert "channel names" in formats.create(tmp_path / "a.tif", like).lost


def test_a_lookup_table_that_is_no_ramp_is_no_colour(tmp_path):
    fire = np.stack([np.arange(256), np.arange(256) ** 2 // 255, 255 - np.arange(256)])
    tables = [fire.astype(np.uint8), np.stack([np.arange(256, dtype=np.uint8)] * 3)]
    pixels = np.zeros((2, 6, 8), np.uint16)
    metadata = {"axes": "CYX", "mode": "composite", "LUTs": tables}
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=metadata)
    assert formats.open(tmp_path / "a.tif").acquisition.colors == ("", "FFFFFF")


def test_plain_tiff_keeps_all(tmp_path):
    like = replace(image("CYX"), data=np.zeros((3, 6, 8), np.int64))
    assert written(tmp_path / "a.tif", like).acquisition == KNOWN


def test_arrays_say_what_they_lose(tmp_path):
    with pytest.warns(UserWarning, match="channel colours, acquisition date, objective"):
        formats.save(tmp_path / "a.npy", np.asarray(image().data), like=image())


def test_what_was_changed_replaces_what_the_document_says(tmp_path):
    found = written(tmp_path / "a.ome.tif", image())
    other = replace(found, acquisition=replace(KNOWN, objective="another"))
    with pytest.warns(UserWarning, match="OME metadata but sizes, names and channels"):
        again = written(tmp_path / "b.ome.tif", other)
    assert again.acquisition == other.acquisition
