"""What TIFF tags tell beside the pixels comes back, or is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from unnoise.images import formats

from .copies import copy, pixels_of

GEO: dict[int, tuple[Any, ...]] = {
    33550: ("d", 3, (10.0, 10.0, 0.0), True),
    33922: ("d", 6, (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0), True),
    34264: ("d", 16, tuple(float(i) for i in range(16)), True),
    34735: ("H", 8, (1, 1, 0, 1, 1024, 0, 1, 1), True),
    34736: ("d", 2, (6378137.0, 298.25), True),
    34737: ("s", 0, "WGS 84 / UTM zone 33N|WGS 84|", True),
    42112: ("s", 0, '<GDALMetadata><Item name="a">b</Item></GDALMetadata>', True),
}
OTHERS: dict[int, tuple[Any, ...]] = {
    315: ("s", 0, "an artist", True),
    33432: ("s", 0, "a copyright", True),
    33434: (5, 1, (1, 250), True),  # exposure time, a rational
    700: ("B", 5, b"<xmp>", True),
    65000: ("H", 3, (7, 8, 9), True),
    65001: ("s", 0, "private", True),
}


def tags_of(path: Path) -> dict[int, Any]:
    with tifffile.TiffFile(path) as tif:
        return {int(tag.code): tag.value for tag in tif.pages.first.tags}


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("nodata", ["-9999", "nan", "0"])
@pytest.mark.parametrize("kind", ["strips", "tiles", "bands", "planes", "bigtiff"])
def test_georeference_date_software_and_private_tags(
    tmp_path: Path, byteorder: str, nodata: str, kind: str
) -> None:
    shape: tuple[int, ...] = {"bands": (40, 50, 4), "planes": (4, 40, 50)}.get(kind, (40, 50))
    keywords: dict[str, Any] = {
        "tiles": {"tile": (16, 16), "compression": "lzw", "predictor": 2},
        "bands": {"planarconfig": "contig", "photometric": "minisblack"},
        "planes": {"planarconfig": "separate", "photometric": "minisblack"},
        "bigtiff": {"bigtiff": True},
    }.get(kind, {})
    extra = GEO | OTHERS | {42113: ("s", 0, nodata, True)}
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels_of(shape, "uint16"),
        byteorder=byteorder,
        metadata=None,
        datetime="2024:01:02 03:04:05",
        software="a microscope",
        extratags=[(code, *value) for code, value in extra.items()],
        **keywords,
    )
    image = formats.open(tmp_path / "a.tif")
    np.testing.assert_equal(image.nodata, float(nodata))
    again = copy(image, tmp_path / "b.tif")
    np.testing.assert_equal(again.nodata, float(nodata))
    before, after = tags_of(tmp_path / "a.tif"), tags_of(tmp_path / "b.tif")
    for code in (*extra, 305, 306):
        np.testing.assert_equal(after[code], before[code])
    assert formats.create(tmp_path / "c.tif", image).lost == ()


@pytest.mark.parametrize(("text", "value"), [("", None), ("none", None), ("-3,4e+38", -3.4e38)])
def test_nodata_that_is_no_number_is_none(tmp_path: Path, text: str, value: float | None) -> None:
    tags = [(42113, "s", 0, text, True)] if text else []
    tifffile.imwrite(tmp_path / "a.tif", pixels_of((40, 50), "float32"), extratags=tags)
    assert formats.open(tmp_path / "a.tif").nodata == value


def test_tags_stay_with_imagej_and_ome(tmp_path: Path) -> None:
    tags = [(code, *value) for code, value in GEO.items()]
    for name, keywords in (("a.tif", {"imagej": True}), ("a.ome.tif", {"ome": True})):
        tifffile.imwrite(
            tmp_path / name,
            pixels_of((3, 40, 50)),
            metadata={"axes": "ZYX"},
            extratags=tags,
            **keywords,
        )
        copy(formats.open(tmp_path / name), tmp_path / f"b{name[1:]}")
        after = tags_of(tmp_path / f"b{name[1:]}")
        assert {code: after[code] for code in GEO} == {
            code: tags_of(tmp_path / name)[code] for code in GEO
        }


def test_what_belongs_to_single_pages_or_to_a_maker_is_named(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for day in (1, 2, 3):
            tif.write(
                pixels_of((40, 50)),
                contiguous=False,
                metadata=None,
                datetime=f"2024:01:0{day} 00:00:00",
                extratags=[(37706, "B", 8, b"by maker", True), (65002, "I", 1, day, False)],
            )
    image = formats.open(tmp_path / "a.tif", axes="TYX")
    lost = formats.create(tmp_path / "b.tif", image).lost
    assert lost == (
        "TVIPS",
        "the date of every single page",
        "the tag 65002 of every single page",
    )
    copy(image, tmp_path / "b.tif")
    assert tags_of(tmp_path / "b.tif")[306] == "2024:01:01 00:00:00"
    assert 37706 not in tags_of(tmp_path / "b.tif")


def test_pages_of_other_images_have_no_say(tmp_path: Path) -> None:
    """Thumbnails and labels of slides have descriptions of their own."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for side, text in ((200, "the slide"), (30, "a label")):
            tif.write(pixels_of((side, side + 7)), metadata=None, description=text)
    image = formats.open(tmp_path / "a.tif")
    assert formats.create(tmp_path / "b.tif", image).lost == ()
    copy(image, tmp_path / "b.tif")
    assert tags_of(tmp_path / "b.tif")[270] == "the slide"


def test_other_formats_name_what_they_do_not_hold(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels_of((40, 50)),
        metadata=None,
        resolution=(10, 10),
        resolutionunit="CENTIMETER",
        datetime="2024:01:02 03:04:05",
        extratags=[(code, *value) for code, value in GEO.items()],
    )
    image = formats.open(tmp_path / "a.tif")
    for name, also in (("a.npy", {"pixel size"}), ("a.png", set())):
        out = formats.create(tmp_path / name, image)
        assert set(out.lost) == {"software", "date", "georeference", "GDAL metadata"} | also
        with pytest.warns(UserWarning, match=rf"not carried from a\.tif to {name}: .*georeference"):
            formats.save(tmp_path / name, image.data[...], like=image)


def test_a_description_is_kept_in_every_dialect(tmp_path: Path) -> None:
    text = "exposure 20 ms"
    pixels, minisblack = pixels_of((3, 40, 50)), {"photometric": "minisblack"}
    keywords: dict[str, Any] = {"description": text, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **keywords, **minisblack)
    image = formats.open(tmp_path / "a.tif", axes="ZYX")
    copy(image, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert (tif.imagej_metadata or {})["Info"] == text
    copy(formats.open(tmp_path / "a.tif", axes="SYX"), tmp_path / "c.tif")
    with tifffile.TiffFile(tmp_path / "c.tif") as tif:
        assert (tif.shaped_metadata or ({},))[0]["description"] == text
    meta = {"axes": "SYX", "gain": 2, "unnoise": {"axes": "SYX"}}
    tifffile.imwrite(tmp_path / "d.tif", pixels, metadata=meta, **minisblack)
    copy(formats.open(tmp_path / "d.tif"), tmp_path / "e.tif")
    with tifffile.TiffFile(tmp_path / "e.tif") as tif:
        assert (tif.shaped_metadata or ({},))[0]["gain"] == 2


def test_exif_is_named_as_it_lies_elsewhere_in_the_file(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x829A] = 0.5
    Pillow.fromarray(pixels_of((40, 50))).save(tmp_path / "a.tif", exif=exif.tobytes())
    image = formats.open(tmp_path / "a.tif")
    assert formats.create(tmp_path / "b.tif", image).lost == ("EXIF",)
    copy(image, tmp_path / "b.tif")
    assert tags_of(tmp_path / "b.tif")[0x010F] == "Maker"
