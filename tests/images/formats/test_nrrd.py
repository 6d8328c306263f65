"""NRRD: the pixels of pynrrd in the order of its axes reversed, sizes by directions or spacings."""

from __future__ import annotations

import bz2
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest

from unnoise.errors import AxesError
from unnoise.images import formats

from .copies import copy, pixels_of
from .damaged import check_damage, refusal

SPACE: dict[str, Any] = {
    "space": "left-posterior-superior",
    "space directions": np.array([[0.3, 0.4, 0], [0, 0.5, 0], [0, 0, 2.0]]),
    "kinds": ["domain", "domain", "domain"],
}


def written(path: Path, array: np.ndarray, **header: Any) -> Path:
    """A file whose array is in C order."""
    nrrd.write(str(path), array, dict(header or SPACE), index_order="C")  # it changes the header
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_pixels_and_sizes_come_as_pynrrd_has_them(
    tmp_path: Path, encoding: str, dtype: str
) -> None:
    array = pixels_of((3, 8, 9), dtype)
    image = formats.open(written(tmp_path / "a.nrrd", array, **SPACE, encoding=encoding))
    assert (image.axes, image.dtype) == ("ZYX", dtype)
    np.testing.assert_array_equal(image.data[...], array)
    np.testing.assert_array_equal(image.data[1:, 2:4], array[1:, 2:4])
    assert dict(image.scale) == pytest.approx({"Z": 2.0, "Y": 0.5, "X": 0.5})
    assert set(image.units.values()) == {"mm"}


def test_pixels_may_lie_beside_the_header(tmp_path: Path) -> None:
    array = pixels_of((3, 8, 9), "int16")
    array[0, 0, 0] = np.array([0x1F, 0x8B], "u1").view("<i2")[0]  # as a file of gzip begins
    for encoding, name in (("raw", "a.raw"), ("gzip", "a.raw.gz")):
        header = SPACE | {"encoding": encoding}
        nrrd.write(str(tmp_path / "a.nhdr"), array, header, detached_header=True, index_order="C")
        np.testing.assert_array_equal(formats.open(tmp_path / "a.nhdr").data[...], array)
        (tmp_path / name).unlink()
        assert "which is missing" in refusal(tmp_path / "a.nhdr")


@pytest.mark.parametrize(
    ("shape", "kinds", "axes"),
    [
        ((2, 3, 8, 9), ["space", "space", "space", "time"], "TZYX"),
        ((3, 8, 9, 3), ["RGB-color", "domain", "domain", "domain"], "ZYXC"),
        ((8, 9, 4), ["RGBA-color", "domain", "domain"], "YXC"),
        ((8, 9, 6), ["list", "domain", "domain"], "YXC"),
        ((6, 8, 9), ["domain", "domain", "list"], "CYX"),
    ],
)
def test_kinds_tell_the_axes(
    tmp_path: Path, shape: tuple[int, ...], kinds: list[str], axes: str
) -> None:
    array = pixels_of(shape)
    image = formats.open(written(tmp_path / "a.nrrd", array, kinds=kinds))
    assert image.axes == axes
    assert image.is_rgb == (kinds[0] in ("RGB-color", "RGBA-color"))
    assert image.alpha == (3 if kinds[0] == "RGBA-color" else None)
    np.testing.assert_array_equal(image.data[...], array)


def test_without_kinds_spacings_tell_and_else_people_do(tmp_path: Path) -> None:
    array = pixels_of((3, 8, 9))
    path = written(tmp_path / "a.nrrd", array, spacings=[0.1, 0.2, 0.5], units=["um"] * 3)
    image = formats.open(path)
    assert (image.axes, dict(image.scale)) == ("ZYX", {"Z": 0.5, "Y": 0.2, "X": 0.1})
    assert set(image.units.values()) == {"um"}
    nrrd.write(str(path), array, {"kinds": ["???"] * 3}, index_order="C")
    with pytest.raises(AxesError, match="--axes ZYX"):
        formats.open(path)
    assert formats.open(path, axes="TYX").axes == "TYX"


def test_results_are_ome_tiff_and_tell_what_they_do_not_keep(tmp_path: Path) -> None:
    image = formats.open(written(tmp_path / "a.nrrd", pixels_of((3, 8, 9), "uint16")))
    path = formats.output_path(image)
    assert path.name == "a_denoised.ome.tif"
    assert "NRRD header" in formats.create(path, image).lost
    result = copy(image, path)
    assert dict(result.scale) == pytest.approx(dict(image.scale))
    assert dict(result.units) == dict(image.units)


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ({"kinds": ["complex", "domain", "domain"]}, "complex"),
        ({"kinds": ["domain", "domain", "3D-symmetric-matrix"]}, "tensors"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, header: dict[str, Any], word: str) -> None:
    assert word in refusal(written(tmp_path / "a.nrrd", pixels_of((6, 8, 2)), **header))


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_damaged_files_end_in_a_sentence(tmp_path: Path, encoding: str) -> None:
    header = SPACE | {"encoding": encoding}
    whole = written(tmp_path / "whole.nrrd", pixels_of((3, 8, 9), "int16"), **header)
    check_damage(tmp_path / "a.nrrd", whole.read_bytes())


def test_a_header_that_promises_a_trillion_pixels_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nrrd", pixels_of((3, 8, 9), "int16"))
    path.write_bytes(path.read_bytes().replace(b"sizes: 9 8 3", b"sizes: 10000 10000 10000"))
    tracemalloc.start()
    assert "10000 x 10000 x 10000" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


HEADER = b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 8 8\n"


@pytest.mark.parametrize("encoding", ["ascii", "raw"])
def test_a_second_name_of_the_pixels_leads_nowhere(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "secret.txt").write_text("42 " * 64)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/ok.txt").write_text("1 " * 64)
    own, other = b"ok.txt", os.fsencode(tmp_path / "secret.txt")
    for first, second in ((own, other), (other, own)):
        names = b"data file: %b\ndatafile: %b\n\n" % (first, second)
        header = HEADER + b"encoding: " + encoding.encode() + b"\n" + names
        (tmp_path / "in/a.nhdr").write_bytes(header)
        assert "data file and datafile" in refusal(tmp_path / "in/a.nhdr")
    for name in (b"data file", b"datafile"):
        header = HEADER + b"encoding: ascii\n" + name + b": ok.txt\n\n"
        (tmp_path / "in/a.nhdr").write_bytes(header)
        assert (formats.open(tmp_path / "in/a.nhdr").data[...] == 1).all()


def test_what_lies_before_the_pixels_is_left_out(tmp_path: Path) -> None:
    pixels = pixels_of((8, 8), "uint8")
    text = " ".join(map(str, pixels.ravel())).encode()
    for encoding, content in ((b"raw", pixels.tobytes()), (b"text", text)):
        for lines, skip in ((b"line skip", b"byte skip"), (b"lineskip", b"byteskip")):
            fields = b"encoding: %b\n%b: 2\n%b: 3\n\n" % (encoding, lines, skip)
            (tmp_path / "a.nrrd").write_bytes(HEADER + fields + b"one\n\n---" + content)
            np.testing.assert_array_equal(formats.open(tmp_path / "a.nrrd").data[...], pixels)


@pytest.mark.parametrize(
    "fields",
    [b"encoding: raw\nline skip: 900000000\n\n", b"encoding: bzip2\nbyte skip: 900000000\n\n"],
)
def test_long_ways_to_the_pixels_are_not_gone(tmp_path: Path, fields: bytes) -> None:
    packed = bz2.compress(bytes(45_000_000)) * 20 + bz2.compress(bytes(64))
    (tmp_path / "a.nrrd").write_bytes(HEADER + fields + packed)
    start = time.process_time()
    assert "900000000" in refusal(tmp_path / "a.nrrd")
    assert time.process_time() - start < 1


def test_a_header_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\n")
    os.truncate(tmp_path / "a.nrrd", 300_000_000)
    tracemalloc.start()
    assert "does not end" in refusal(tmp_path / "a.nrrd")
    assert tracemalloc.get_traced_memory()[1] < 5e7
    tracemalloc.stop()


@pytest.mark.parametrize("text", [b"1 " * 63, b"1 " * 40 + b"a " * 60, b""])
def test_text_of_too_few_numbers_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.nrrd").write_bytes(HEADER + b"encoding: text\n\n" + text)
    assert "NRRD" in refusal(tmp_path / "a.nrrd")


def test_units_of_space_belong_to_its_axes(tmp_path: Path) -> None:
    directions = np.array([[0, 0, 0.002], [0, 3.0, 0], [4.0, 0, 0]])
    header = {"kinds": ["domain"] * 3, "space dimension": 3, "space units": ["um", "um", "mm"]}
    path = tmp_path / "a.nrrd"

    def known(**more: Any) -> tuple[dict[str, float], dict[str, str]]:
        image = formats.open(written(path, pixels_of((3, 8, 9)), **header | more))
        return dict(image.scale), dict(image.units)

    scale, units = known(**{"space directions": directions})
    assert scale == pytest.approx({"X": 0.002, "Y": 3.0, "Z": 4.0})
    assert units == {"X": "mm", "Y": "um", "Z": "um"}
    directions[0, 0] = 1.5  # along both 1.5 µm and 0.002 mm
    scale, units = known(**{"space directions": directions})
    assert scale["X"] == pytest.approx(2.5)
    assert units["X"] == "um"
    scale, units = known(**{"space directions": directions, "space units": ["um", "um", "s"]})
    assert set(scale) == {"Y", "Z"}
    assert known(spacings=[1.0, 2.0, 3.0]) == ({"X": 1.0, "Y": 2.0, "Z": 3.0}, {})
