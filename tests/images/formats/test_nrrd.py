"""NRRD: the pixels of pynrrd in the order of its axes reversed, sizes by directions or spacings."""

from __future__ import annotations

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
