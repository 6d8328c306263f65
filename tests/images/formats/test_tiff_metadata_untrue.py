"""What is not right in the metadata of a TIFF file counts as not there, and nothing is invented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image

PIXELS = np.arange(3 * 16 * 16, dtype=np.uint16).reshape(3, 16, 16)
pytestmark = pytest.mark.filterwarnings("ignore:not carried from")
TARGETS = ("b.tif", "b.ome.tif", "b.png")


def saved(path: Path, targets: Sequence[str] = TARGETS) -> Image:
    """The image of a file, which is written in some formats, with its pixels as they are."""
    image = formats.open(path)
    for name in targets:
        formats.save(path.with_name(name), image.data[...], like=image, overwrite=True)
        again = formats.open(path.with_name(name))
        np.testing.assert_array_equal(again.data[...], image.data[...])
    return image


@pytest.mark.parametrize(
    ("own", "scale", "units"),
    [
        ({"scale": {"X": 0, "Y": 0}}, {}, {}),
        ({"scale": {"X": "a", "Y": [2]}}, {}, {}),
        ({"scale": [1, 2]}, {}, {}),
        ({"scale": {"X": -1, "Y": math.inf, "Z": math.nan}}, {}, {}),
        ({"scale": {"X": 10**400, "Y": 2}, "units": {"Y": "mm"}}, {"Y": 2}, {"Y": "mm"}),
        ({"scale": {"Q": 1}, "units": {"Q": "mm"}}, {}, {}),
        (
            {"scale": {"X": 2, "Y": 2}, "units": {"X": ["a"], "Y": "mm"}},
            {"X": 2, "Y": 2},
            {"Y": "mm"},
        ),
        ({"scale": {"X": 2, "Y": 2}, "units": 5}, {"X": 2, "Y": 2}, {}),
        ({"scale": {"X": 1e-320, "Y": 1e300}}, {"X": 1e-320, "Y": 1e300}, {}),
        ({"channel_names": [1, {}], "acquisition": [7], "axes": 5}, {}, {}),
        ({"channel_names": 5, "acquisition": {"colors": [[math.inf, 0, 0]]}}, {}, {}),
        ("scale", {}, {}),
        (None, {}, {}),
    ],
)
def test_numbers_and_names_of_plain_files(
    tmp_path: Path, own: Any, scale: dict[str, float], units: dict[str, str]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], metadata={"unnoise": own})
    image = saved(tmp_path / "a.tif")
    assert (image.scale, image.units, image.channel_names) == (scale, units, ())


@pytest.mark.parametrize("key", ["Labels", "Info", "ROI", "Overlays", "Plot", "Ranges", "LUTs"])
@pytest.mark.parametrize("value", ["5", "2.5", "true"])
def test_numbers_in_the_text_of_imagej(tmp_path: Path, key: str, value: str) -> None:
    text = f"ImageJ=1.54f\nimages=3\nslices=3\nspacing=2\n{key}={value}\n{key.lower()}={value}\n"
    tifffile.imwrite(
        tmp_path / "a.tif", PIXELS, metadata=None, description=text, photometric="minisblack"
    )
    assert saved(tmp_path / "a.tif", ("b.tif",)).scale == {"Z": 2}
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert (tif.imagej_metadata or {}).get(key) is None


@pytest.mark.parametrize(
    "line",
    ["Properties=4", "shape=5", "rgb=true", "colormapped=true", "spacing=nan", "spacing=inf"],
)
def test_other_lines_of_the_text_of_imagej(tmp_path: Path, line: str) -> None:
    text = f"ImageJ=1.54f\nimages=3\nslices=3\n{line}\n"
    tifffile.imwrite(
        tmp_path / "a.tif", PIXELS, metadata=None, description=text, photometric="minisblack"
    )
    assert saved(tmp_path / "a.tif", ("b.tif",)).scale == {}


@pytest.mark.parametrize("text", ["inf", "0,5", "", "-1", "nan"])
def test_sizes_of_ome(tmp_path: Path, text: str) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif", PIXELS, metadata={"axes": "ZYX", "PhysicalSizeX": 7.25}
    )
    data = (tmp_path / "a.ome.tif").read_bytes()
    size = b'PhysicalSizeX="7'
    end = data.index(b'"', data.index(size) + len(size))
    old = data[data.index(size) : end + 1]
    new = f'PhysicalSizeX="{text}"'.encode().ljust(len(old))
    (tmp_path / "a.ome.tif").write_bytes(data.replace(old, new[: len(old)]))
    assert "X" not in saved(tmp_path / "a.ome.tif", ("b.ome.tif", "b.tif")).scale


@pytest.mark.parametrize(
    "tag",
    [
        (274, 3, 2, (1, 2)),
        (274, 4, 1, 70_000),
        (274, 3, 1, 0),
        (274, 2, 0, "up"),
        (34675, 3, 4, (1, 2, 3, 4)),
        (34675, 2, 0, "profile"),
    ],
)
def test_orientation_and_profile_of_other_types(tmp_path: Path, tag: tuple[Any, ...]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], metadata=None, extratags=[(*tag, True)])
    image = saved(tmp_path / "a.tif")
    assert not {"orientation", "icc"} & set(image.metadata)


def test_a_name_that_no_file_has(tmp_path: Path) -> None:
    for call in (formats.open, lambda path: formats.open_all([path])):
        with pytest.raises(InputError, match="holds a character that no name has"):
            call(str(tmp_path / "a\0b.tif"))


@pytest.mark.parametrize("source", ["plain", "imagej"])
@pytest.mark.parametrize("known", ["Z", "XZ", "YZ", "X", "XYZ", ""])
def test_sizes_that_are_not_known_are_not_invented(tmp_path: Path, known: str, source: str) -> None:
    scale = dict.fromkeys(known, 3.0)
    image = replace(
        Image.from_array(PIXELS, "ZYX"),
        scale=scale,
        units=dict.fromkeys(known, "nm"),
        metadata={"source": source},
    )
    formats.save(tmp_path / "a.tif", PIXELS, like=image)
    again = formats.open(tmp_path / "a.tif")
    assert again.scale == pytest.approx(scale)
    assert again.units == image.units
    is_imagej = again.metadata["source"] == "imagej"
    assert is_imagej == (known in ("XYZ", ""))


@pytest.mark.parametrize(("size", "unit"), [(1e-10, "m"), (5e6, "nm"), (1e-12, "m")])
def test_sizes_that_imagej_cannot_count_are_kept_elsewhere(
    tmp_path: Path, size: float, unit: str
) -> None:
    image = replace(
        Image.from_array(PIXELS, "ZYX"), scale={"X": size, "Y": size}, units={"X": unit, "Y": unit}
    )
    formats.save(tmp_path / "a.tif", PIXELS, like=image)
    assert formats.open(tmp_path / "a.tif").scale == pytest.approx(image.scale)
