"""LIF: the images of a project, in whatever plane they were scanned."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition

from .lif_files import (
    Project,
    write,
    write_description,
    write_lof,
    write_project,
    write_xlif,
)

DATA = Path(__file__).parents[4] / "shared" / "data" / "formats" / "lif"
# What readlif 0.6.6 reads in the order of the axes: start of its SHA-256.
KNOWN = {
    "xzt": ("TCYX", (20, 2, 128, 128), "197a3746a9d83ec1"),
    "xzy": ("ZCYX", (23, 2, 128, 128), "18c5d8f6b5583a65"),
    "xz": ("CYX", (2, 512, 512), "baf5f421935ed2f8"),
}
LENGTHS = {"X": 2.3e-05, "Y": 3.8e-05, "Z": 2e-06, "T": 6.0}


def noise(*shape: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 250, shape).astype(dtype)


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared")
def test_a_real_file_has_the_pixels_that_another_library_reads() -> None:
    images = formats.open_all([DATA / "testdata_2channel_xz.lif"], series="all")
    found = {
        image.metadata["title"]: (
            image.axes,
            image.shape,
            hashlib.sha256(np.ascontiguousarray(image.data[...]).tobytes()).hexdigest()[:16],
        )
        for image in images
    }
    assert found == KNOWN
    for t, c in ((0, 0), (8, 1)):  # frames that others exported
        frame = tifffile.imread(DATA / f"xz_c{c}_t{t}.tif")
        np.testing.assert_array_equal(images[0].data[t, c], frame)
    assert images[0].metadata["note"] == "was scanned along Z and X, which are Y and X here"
    assert images[1].scale == pytest.approx({"Z": 0.22906, "Y": 0.14028, "X": 0.14028}, abs=1e-5)
    lens = "HC PL APO CS2 63x/1.30 GLYC", 63.0, 1.3
    assert images[0].acquisition == Acquisition(("00FF00", "FF0000"), "2021-03-04T16:39:17Z", *lens)


@pytest.mark.parametrize(
    ("dimensions", "axes"),
    [
        ("YX", "YX"),
        ("TZCYX", "TZCYX"),
        ("TCZYX", "TCZYX"),
        ("ZYX", "ZYX"),
        ("TCZX", "TCYX"),
        ("YCZX", "ZCYX"),
        ("XCZY", "ZCYX"),
        ("λYX", "CYX"),
        ("λCYX", "SCYX"),
        ("MYX", "SYX"),
        ("MTZCYX", "STZCYX"),
        ("TYXS", "TYXC"),
    ],
)
def test_dimensions_become_axes(tmp_path: Path, dimensions: str, axes: str) -> None:
    sizes = {"X": 24, "Y": 20, "Z": 5, "T": 4, "C": 2, "λ": 3, "M": 2, "S": 3}
    pixels = noise(*(sizes[d] for d in dimensions), dtype="u1")
    image = formats.open(write(tmp_path / "a.lif", [Project("one", pixels, dimensions, LENGTHS)]))
    assert image.axes == axes
    assert image.is_rgb == ("S" in dimensions)
    np.testing.assert_array_equal(image.data[...], pixels)
    np.testing.assert_array_equal(image.data[-1:, ..., 2:5], pixels[-1:, ..., 2:5])


def test_wavelengths_and_tiles_are_independent_images_together(tmp_path: Path) -> None:
    pixels = noise(2, 4, 3, 2, 20, 24)
    image = formats.open(write(tmp_path / "a.lif", [Project("one", pixels, "MTλCYX", LENGTHS)]))
    assert (image.axes, image.shape) == ("STCYX", (6, 4, 2, 20, 24))
    np.testing.assert_array_equal(image.data[4, 3], pixels[1, 3, 1])
    np.testing.assert_array_equal(image.data[2, :, 1], pixels[0, :, 2, 1])


def test_scale_names_and_the_rest(tmp_path: Path) -> None:
    pixels = noise(3, 5, 2, 20, 24)
    image = formats.open(write(tmp_path / "a.lif", [Project("one", pixels, "TZCYX", LENGTHS)]))
    assert image.scale == {"T": 3.0, "Z": 0.5, "Y": 2.0, "X": 1.0}
    assert image.units == {"T": "s", "Z": "µm", "Y": "µm", "X": "µm"}
    assert image.channel_names == ("dye 0", "dye 1")
    lens = "HC PL APO 63x/1.40", 63.0, 1.4
    known = Acquisition(("00FF00", "FF0080"), "2021-03-04T07:19:06Z", *lens)
    assert image.acquisition == known
    assert "note" not in image.metadata


def test_files_of_one_image_and_those_whose_frames_lie_beside_them(tmp_path: Path) -> None:
    project = Project("one", noise(3, 2, 20, 24), "TCYX", LENGTHS)
    for path in (write_lof(tmp_path / "a.lof", project), write_xlif(tmp_path / "a.xlif", project)):
        image = formats.open(path)
        assert (image.axes, image.scale) == ("TCYX", {"T": 3.0, "Y": 2.0, "X": 1.0})
        np.testing.assert_array_equal(image.data[...], project.pixels)
        np.testing.assert_array_equal(image.data[2, 1:, 3:, :5], project.pixels[2, 1:, 3:, :5])
    os.utime(tmp_path / "frame 3.tif", (0, 0))
    with pytest.raises(InputError, match=r"frame 3\.tif was changed while it was read"):
        image.read()
    (tmp_path / "frame 3.tif").unlink()
    with pytest.raises(InputError, match=r"a\.xlif cannot be read as LIF.*frame 3\.tif"):
        formats.open(tmp_path / "a.xlif").read()


def test_an_object_and_its_description_are_one_image(tmp_path: Path) -> None:
    project = Project("one", noise(3, 2, 20, 24), "TCYX", LENGTHS)
    lof = write_lof(tmp_path / "a.lof", project)
    xlif = write_description(tmp_path / "a.xlif", project, lof.name)
    described = formats.open(xlif)
    assert (described.axes, described.channel_names) == ("TCYX", ("dye 0", "dye 1"))
    np.testing.assert_array_equal(described.data[1:, 1, 3:], project.pixels[1:, 1, 3:])
    (image,) = formats.open_all(formats.find([tmp_path]))
    assert (image.path, image.metadata["files"]) == (lof, [lof, xlif])
    assert described.metadata["files"] == [xlif, lof]


def test_a_project_of_several_files(tmp_path: Path) -> None:
    (tmp_path / "Below").mkdir()
    projects = [Project(name, noise(3, 20, 24), "TYX", LENGTHS) for name in "abcd"]
    write_lof(tmp_path / "a.lof", projects[0])
    write_xlif(tmp_path / "Below" / "b.xlif", projects[1])
    write(tmp_path / "c and d.lif", projects[2:])
    inner = write_project(tmp_path / "Below" / "inner.xlef", ["B.XLIF"])  # as Windows finds it
    place = write_project(tmp_path / "p.xlef", ["a.lof", r"below\inner.xlef", "c%20and%20d.lif"])
    for path, some in ((inner, projects[1:2]), (place, projects)):
        images = formats.open_all([path])
        assert [image.metadata["title"] for image in images] == [one.name for one in some]
        for image, one in zip(images, some, strict=True):
            np.testing.assert_array_equal(image.data[1:, 3:, :5], one.pixels[1:, 3:, :5])
    lost = write_project(tmp_path / "q.xlef", ["lost.lof"])
    with pytest.raises(InputError, match=r"a file that it names is missing: .*lost\.lof"):
        formats.open(lost)


@pytest.mark.parametrize("names", [["p.xlef"], ["b.xlef", "b.xlef"], ["a.lof", "P.xlef"]])
def test_a_project_that_names_a_file_twice_or_itself_is_refused_at_once(
    tmp_path: Path, names: list[str]
) -> None:
    """Forty names of itself kept a reader busy for 6 s, some hundreds for hours."""
    write_lof(tmp_path / "a.lof", Project("one", noise(20, 24), "YX", LENGTHS))
    write_project(tmp_path / "b.xlef", ["a.lof"])
    place = write_project(tmp_path / "p.xlef", names * 300)
    start = time.process_time()
    with pytest.raises(InputError, match="is named twice, or names itself"):
        formats.open(place)
    assert time.process_time() - start < 2


def test_pixels_in_an_object_that_names_other_files_are_refused(tmp_path: Path) -> None:
    """Each of its names would be opened when it is closed."""
    project = Project("one", noise(3, 20, 24), "TYX", LENGTHS)
    lof = write_lof(tmp_path / "a.lof", project)
    xlif = write_description(tmp_path / "a.xlif", project, lof.name)
    named = '<Children><Reference File="a.lof" /></Children><Memory '
    size = 2 * (len(named) - len("<Memory "))
    data = lof.read_bytes().replace("<Memory ".encode("utf-16-le"), named.encode("utf-16-le"))
    at = data.index("<LMS".encode("utf-16-le")) - 13
    head = np.frombuffer(data[at : at + 13], "<u4,<u4,<u1,<u4")[0].tolist()
    fields = struct.pack("<IIBI", head[0], head[1] + size, head[2], head[3] + size // 2)
    lof.write_bytes(data[:at] + fields + data[at + 13 :])
    with pytest.raises(InputError, match=r"a\.lof is named twice, or names itself"):
        formats.open(lof)
    with pytest.raises(InputError, match=r"a\.lof holds pixels, and names other files"):
        formats.open(xlif)


def test_images_are_series_and_one_that_is_cut_off_does_not_hide_the_others(tmp_path: Path) -> None:
    names = ["one", "two", "small", "three"]
    projects = [
        Project(name, noise(20 + i, 24)[-20 : None if name != "small" else -10], "YX", LENGTHS)
        for i, name in enumerate(names)
    ]
    path = write(tmp_path / "a.lif", projects)
    images = formats.open_all([path])
    assert [image.metadata["title"] for image in images] == ["one", "two", "three"]
    np.testing.assert_array_equal(images[2].data[...], projects[3].pixels)
    path.write_bytes(path.read_bytes()[:-8])
    images = formats.open_all([path])
    assert [image.metadata["title"] for image in images] == ["one", "two"]
    assert (
        "cannot be read and are left out: three (its pixels need 960 bytes, which are not"
        in (images[0].metadata["note"])
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_in_one_sentence(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "a.lif", [Project("one", noise(9, 20, 24), "ZYX", LENGTHS)])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"a\.lif (cannot be read as LIF|is empty)"):
        formats.open(path)


def test_a_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.lif", [Project("one", noise(9, 20, 24), "ZYX", LENGTHS)])
    data = path.read_bytes()
    path.write_bytes(data.replace('"20"'.encode("utf-16-le"), '"90"'.encode("utf-16-le")))
    with pytest.raises(InputError, match=r"its pixels need 38880 bytes, which are not there"):
        formats.open(path)
