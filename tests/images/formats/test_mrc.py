"""MRC: the pixels and sizes of mrcfile, in the order of the axes, and what is written is valid."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image

from .copies import copy, pixels_of, same
from .damaged import check_damage, refusal, shared

SHARED = {  # name -> order of mrcfile's axes in ZYX, pixel size
    "EMD-3001.map": ((2, 0, 1), {"Z": 0.45875, "Y": 0.3925, "X": 0.44825}),
    "EMD-3197.map": ((0, 1, 2), {"Z": 11.4, "Y": 11.4, "X": 11.4}),
    "EMD-3197.map.bz2": ((0, 1, 2), {"Z": 11.4, "Y": 11.4, "X": 11.4}),
}

STARTS = {"mapc": "x", "mapr": "y", "maps": "z"}


def written(path: Path, array: np.ndarray, **header: int) -> Path:
    with mrcfile.new(path, array, overwrite=True) as file:
        file.voxel_size = 2.5
        imod = [header.pop("stamp", 0), header.pop("flags", 0)]
        file.header.extra2 = bytes(40) + np.array(imod, "<i4").tobytes()
        for name, value in header.items():
            file.header[name] = value
    return path


@pytest.mark.parametrize("name", SHARED)
def test_real_maps_have_the_pixels_of_mrcfile(name: str, tmp_path: Path) -> None:
    order, scale = SHARED[name]
    path = shared(f"mrc/{name}")
    image = formats.open(path)
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(image.data[...], file.data.transpose(order))
        start = {int(file.header[k]): int(file.header[f"n{a}start"]) for k, a in STARTS.items()}
    assert image.axes == "ZYX"
    assert dict(image.scale) == pytest.approx(scale, rel=1e-5)
    assert set(image.units.values()) == {"angstrom"}
    same(image, copy(image, tmp_path / "copy.mrc"))
    with mrcfile.open(tmp_path / "copy.mrc") as file:
        np.testing.assert_array_equal(file.data, image.data[...])
        assert file.nstart.tolist() == (start[1], start[2], start[3])
        assert file.header.rms == pytest.approx(image.data[...].std(), rel=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
@pytest.mark.parametrize("suffix", [".mrc", ".rec", ".mrc.gz", ".map.bz2"])
def test_a_round_trip_keeps_everything(tmp_path: Path, dtype: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    scale = {"Z": 3.0, "Y": 1.5, "X": 1.25}
    array = pixels_of((3, 8, 9), "int8").astype(dtype)
    image = Image(array, "ZYX", scale=scale, units=dict.fromkeys(scale, "angstrom"))
    same(image, copy(image, path))
    # mrcfile adds squares of float16 up in float16, which overflows.
    assert dtype == "float16" or mrcfile.validate(path, print_file=io.StringIO())
    again = formats.open(path)
    same(again, copy(again, tmp_path / f"b{suffix}"))


@pytest.mark.parametrize(
    ("axes", "shape", "back"),
    [
        ("YX", (8, 9), "YX"),
        ("SYX", (3, 8, 9), "SYX"),
        ("TYX", (3, 8, 9), "TYX"),
        ("TZYX", (2, 3, 8, 9), "TZYX"),
        ("SZYX", (2, 3, 8, 9), "SZYX"),
        ("ZYX", (1, 8, 9), "ZYX"),
        ("YXZ", (8, 9, 3), "ZYX"),
    ],
)
def test_stacks_volumes_and_movies_come_back_as_such(
    tmp_path: Path, axes: str, shape: tuple[int, ...], back: str
) -> None:
    image = Image(pixels_of(shape, "int16"), axes)
    result = copy(image, tmp_path / "a.mrc")
    assert result.axes == back
    np.testing.assert_array_equal(result.read(), image.read())
    assert mrcfile.validate(tmp_path / "a.mrc", print_file=io.StringIO())


def test_the_space_group_tells_stacks_from_volumes_and_says_so(tmp_path: Path) -> None:
    array = pixels_of((4, 8, 9), "int16")
    image = formats.open(written(tmp_path / "a.mrc", array, ispg=0))
    assert image.axes == "SYX"
    assert "--axes ZYX" in image.metadata["note"]
    assert formats.open(tmp_path / "a.mrc", axes="TYX").axes == "TYX"
    assert formats.open(written(tmp_path / "a.rec", array, ispg=0)).axes == "ZYX"
    assert formats.open(written(tmp_path / "b.mrc", array, ispg=1)).axes == "ZYX"


def test_bytes_have_a_sign_unless_imod_says_otherwise(tmp_path: Path) -> None:
    array = np.arange(-32, 32, dtype="i1").reshape(8, 8)
    image = formats.open(written(tmp_path / "a.mrc", array))
    assert image.dtype == "int8"
    np.testing.assert_array_equal(image.data[...], array)
    old = formats.open(written(tmp_path / "b.mrc", array, stamp=1146047817))
    np.testing.assert_array_equal(old.data[...], array.view("u1"))
    new = formats.open(written(tmp_path / "c.mrc", array, stamp=1146047817, flags=1))
    assert new.dtype == "int8"


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    array = pixels_of((3, 8, 9), "int16")
    path = written(tmp_path / "a.mrc", array.astype(">i2"))
    image = formats.open(path)
    np.testing.assert_array_equal(image.data[...], array)
    same(image, copy(image, tmp_path / "b.mrc"))


def test_an_extended_header_and_labels_are_kept(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc", pixels_of((3, 8, 9), "int16")) as file:
        file.set_extended_header(np.frombuffer(b"angles and doses".ljust(160), "V160"))
        file.header.exttyp = b"MRCO"
        file.add_label("aligned")
        file.header.origin = (1.0, 2.0, 3.0)
    copy(formats.open(tmp_path / "a.mrc"), tmp_path / "b.mrc")
    with mrcfile.open(tmp_path / "b.mrc") as file:
        assert file.extended_header.tobytes().startswith(b"angles and doses")
        assert file.header.origin.tolist() == (1.0, 2.0, 3.0)
        assert file.get_labels()[0].startswith("Created by mrcfile")
        assert "aligned" in file.get_labels()[1]


@pytest.mark.parametrize(
    ("mode", "word"), [(3, "complex"), (4, "complex"), (101, "4 bits"), (77, "mode")]
)
def test_modes_without_real_numbers_are_refused(tmp_path: Path, mode: int, word: str) -> None:
    path = written(tmp_path / "a.mrc", pixels_of((3, 8, 9), "float32"), mode=mode)
    assert word in refusal(path)


@pytest.mark.parametrize("width", [112, 19778])
def test_a_width_that_begins_as_files_of_other_kinds_do_is_read(tmp_path: Path, width: int) -> None:
    start = np.array([width], "<i4").tobytes()
    assert start.startswith((b"p\0\0\0", b"BM"))  # as LIF and BMP do
    array = pixels_of((42, 2, width), "int16")  # 42 is the ninth byte of a LIF
    image = formats.open(written(tmp_path / "a.mrc", array))
    np.testing.assert_array_equal(image.data[...], array)
    same(image, copy(image, tmp_path / "b.mrc"))
    formats.save(tmp_path / "c.tif", array, axes="ZYX")
    (tmp_path / "c.mrc").write_bytes((tmp_path / "c.tif").read_bytes())
    assert "is a TIFF" in formats.open(tmp_path / "c.mrc").metadata["note"]


def test_statistics_are_those_of_the_finite_pixels(tmp_path: Path) -> None:
    array = pixels_of((3, 8, 9), "int16").astype(np.float32)
    array[0, :3], array[1] = np.nan, np.inf
    known = array[np.isfinite(array)].astype(np.float64)
    formats.save(tmp_path / "a.mrc", array, axes="ZYX")
    formats.save(tmp_path / "b.mrc", np.full_like(array, np.nan), axes="ZYX")
    with mrcfile.open(tmp_path / "a.mrc") as file:
        found = [float(file.header[name]) for name in ("dmin", "dmax", "dmean", "rms")]
    assert found == pytest.approx([known.min(), known.max(), known.mean(), known.std()], rel=1e-6)
    with mrcfile.open(tmp_path / "b.mrc") as file:  # as MRC2014 writes what is not known
        assert file.header.dmax < file.header.dmin
        assert file.header.dmean < file.header.dmax
        assert file.header.rms < 0


def test_what_mrc_lacks_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"MRC holds int8, .*, not uint8"):
        formats.create(tmp_path / "a.mrc", Image(pixels_of((3, 8, 9)), "ZYX"))
    with pytest.raises(InputError, match=r"not CYX of shape .*\.tif"):
        formats.create(tmp_path / "a.mrc", Image(pixels_of((3, 8, 9), "int16"), "CYX"))


def test_other_units_become_angstrom_and_what_is_lost_is_named(tmp_path: Path) -> None:
    image = Image(pixels_of((8, 9), "int16"), "YX", scale={"X": 0.2}, units={"X": "nm"})
    assert dict(copy(image, tmp_path / "a.mrc").scale) == {"X": pytest.approx(2.0)}
    movie = Image(pixels_of((2, 8, 9), "int16"), "TYX", scale={"T": 0.2}, units={"T": "s"})
    assert formats.create(tmp_path / "b.mrc", movie).lost == ("pixel size",)


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz"])
def test_damaged_files_end_in_a_sentence(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / "whole.mrc", pixels_of((3, 8, 9), "int16"))
    if suffix != ".mrc":
        copy(formats.open(path), tmp_path / "whole.mrc.gz")
    check_damage(tmp_path / f"a{suffix}", (tmp_path / f"whole{suffix}").read_bytes())


def test_a_header_that_promises_a_trillion_pixels_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mrc", pixels_of((3, 8, 9), "int16"))
    sizes = np.array([10_000, 10_000, 10_000], "<i4").tobytes()
    path.write_bytes(sizes + path.read_bytes()[12:])
    tracemalloc.start()
    assert "10000 x 10000 x 10000" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()
