"""Files of electron microscopes: the pixels of RosettaSciIO, or a sentence of what they are."""

from __future__ import annotations

import importlib
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from unnoise.errors import AxesError, InputError
from unnoise.images import formats

from .copies import pixels_of
from .damaged import check_damage, refusal, shared
from .em_files import blo, dm3, dm4, emd, ser

pytest.importorskip("rsciio")

SHARED = {  # name -> module of RosettaSciIO, axes, pixel size, units
    "128x128_TEM_acquire-sum1_1.ser": ("tia", "YX", (21.4793, 21.4793), ("nm", "nm")),
    "STEM_HAADF_Diffraction_Micro.emd": ("emd", "YX", (0.08737, 0.08737), ("µm", "µm")),
    "dmTest_float32_nonSquare_diffPixelSize.dm3": (
        "digitalmicrograph",
        "YX",
        (2.0, 1.0),
        ("angstrom", "nm"),
    ),
    "dmTest_float32_nonSquare_diffPixelSize.dm4": (
        "digitalmicrograph",
        "YX",
        (2.0, 1.0),
        ("angstrom", "nm"),
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_real_files_have_the_pixels_of_rosettasciio(name: str) -> None:
    module, axes, sizes, units = SHARED[name]
    path = shared(f"em/{name}")
    image = formats.open(path)
    (signal,) = importlib.import_module(f"rsciio.{module}").file_reader(str(path))
    np.testing.assert_array_equal(image.data[...], signal["data"])
    np.testing.assert_array_equal(image.data[9:12, 5], signal["data"][9:12, 5])
    assert (image.axes, image.dtype) == (axes, signal["data"].dtype)
    assert tuple(image.scale.values()) == pytest.approx(sizes, rel=1e-4)
    assert tuple(image.units.values()) == units


def test_a_scan_of_patterns_is_refused() -> None:
    assert "4D-STEM scan, 3 x 2 places with a pattern of 144 x 144" in refusal(
        shared("em/test1.blo")
    )


def test_a_scan_that_was_made_here_is_refused_too(tmp_path: Path) -> None:
    scan = blo(tmp_path / "a.blo", np.zeros((2, 3, 4, 4), np.uint8))
    assert "4D-STEM scan, 2 x 3 places with a pattern of 4 x 4" in refusal(scan)


@pytest.mark.parametrize("make", [dm3, dm4])
@pytest.mark.parametrize("dtype", ["f4", "u2", "i2"])
def test_a_picture_of_digital_micrograph(
    tmp_path: Path, dtype: str, make: Callable[..., Path]
) -> None:
    array = pixels_of((8, 9), dtype)
    image = formats.open(make(tmp_path / f"a.{make.__name__}", array))
    np.testing.assert_array_equal(image.data[...], array)
    assert (image.axes, image.dtype, dict(image.scale)) == ("YX", dtype, {"Y": 0.5, "X": 0.5})
    assert formats.output_path(image).name == "a_denoised.ome.tif"


def test_a_stack_of_digital_micrograph_tells_its_axis_or_people_do(tmp_path: Path) -> None:
    array = pixels_of((4, 8, 9), "u2")
    assert formats.open(dm3(tmp_path / "a.dm3", array, unit="s")).axes == "TYX"
    path = dm3(tmp_path / "b.dm3", array, unit="")
    with pytest.raises(AxesError, match="--axes ZYX"):
        formats.open(path)
    (image,) = formats.open_all([path], axes="ZYX")
    np.testing.assert_array_equal(image.data[...], array)
    np.testing.assert_array_equal(image.data[2:, 3:5, 1], array[2:, 3:5, 1])


def test_a_series_of_tia_is_a_movie(tmp_path: Path) -> None:
    array = pixels_of((3, 8, 9), "u2")
    image = formats.open(ser(tmp_path / "a.ser", array))
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.data[...], array)
    assert dict(image.scale) == {"T": 0.5, "Y": pytest.approx(2.0), "X": pytest.approx(2.0)}
    assert dict(image.units) == {"T": "s", "Y": "nm", "X": "nm"}


@pytest.mark.parametrize(
    ("shape", "names", "units", "axes"),
    [
        ((8, 9), "yx", ["nm", "nm"], "YX"),
        ((3, 8, 9), "zyx", ["nm", "nm", "nm"], "ZYX"),
        ((3, 8, 9), "tyx", ["s", "nm", "nm"], "TYX"),
    ],
)
def test_a_file_of_the_berkeley_emd(
    tmp_path: Path, shape: tuple[int, ...], names: str, units: list[str], axes: str
) -> None:
    array = pixels_of(shape, "uint16")
    image = formats.open(emd(tmp_path / "a.emd", array, names, units))
    assert image.axes == axes
    np.testing.assert_array_equal(image.data[...], array)
    np.testing.assert_array_equal(image.data[..., 3:5, 7], array[..., 3:5, 7])
    assert set(image.scale.values()) == {0.5}


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    scan = emd(tmp_path / "a.emd", np.zeros((2, 3, 8, 9), "u2"), "abcd", ["nm"] * 4)
    assert "4D-STEM" in refusal(scan)
    waves = emd(tmp_path / "b.emd", np.zeros((8, 9), "c8"), "yx", ["nm", "nm"])
    assert "complex" in refusal(waves)


def test_a_missing_reader_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("rsciio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rsciio", None)
    path = ser(tmp_path / "a.ser", pixels_of((1, 8, 9), "u2"))
    with pytest.raises(InputError, match=r"pip install 'unnoise\[formats-em\]'"):
        formats.open(path)


def test_nothing_under_gpl_is_imported_before_such_a_file_is_opened() -> None:
    code = (
        "import sys, unnoise.images.formats.em; "
        "sys.exit(any(m.startswith(('rsciio', 'dask')) for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LISTS = {
    "structures of nothing": ([4, 20, 15, 0, 0], 2**31 - 1, "elements of 0 bytes"),
    "texts of nothing": ([4, 20, 18, 0], 2**31 - 1, "elements of 0 bytes"),
    "a text that goes back": ([2, 18], -40, "a tag of -40 bytes"),
    "numbers beyond the end": ([3, 20, 3], 2**31 - 1, "longer than the rest"),
    "unknown numbers": ([1], 99, "unknown type 99"),
    "lists of lists": ([4, 20], 20, "unknown type 20"),
    "a structure of texts": ([4, 15, 0, 1, 0], 18, "unknown type 18"),
    "a text in three parts": ([4], 18, "unknown type 18 in 4 parts"),
}
"""Numbers of a value, the last of them, and what is said of it."""


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("name", LISTS)
def test_tags_of_digital_micrograph_that_do_not_end_are_refused_at_once(
    tmp_path: Path, name: str, version: int
) -> None:
    """RosettaSciIO made two billion elements of 400 bytes, or went back in them for ever."""
    numbers, last, said = LISTS[name]
    place = (dm3 if version == 3 else dm4)(tmp_path / f"a.dm{version}", pixels_of((4, 5), "u2"))
    data, size = place.read_bytes(), "i" if version == 3 else "q"
    head = 8 + struct.calcsize(f">{size}")
    (count,) = struct.unpack_from(f">{size}", data, head + 2)
    fields = struct.pack(f">{len(numbers) + 1}{size}", *numbers, last)
    tag = struct.pack(">BH4s", 21, 4, b"Text") + bytes(8 * (version == 4)) + b"%%%%" + fields
    group = data[head : head + 2] + struct.pack(f">{size}", count + 1) + tag
    place.write_bytes(data[:head] + group + data[head + 2 + len(struct.pack(f">{size}", 0)) :])
    start = time.process_time()
    assert said in refusal(place)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("sides", [(2**22, 2**22), (2**31, 5), (0, 2**31)])
@pytest.mark.parametrize("make", [dm3, dm4])
def test_sides_of_pictures_that_are_not_there_are_refused_at_once(
    tmp_path: Path, make: Callable[..., Path], sides: tuple[int, int]
) -> None:
    """RosettaSciIO made a table of the blocks of two in 1.4 kB, for minutes."""
    array = pixels_of((4, 5), "u2")
    place = make(tmp_path / f"a.{make.__name__}", array, sides=sides)
    start = time.process_time()
    assert "pixels or more, and has" in refusal(place)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("suffix", [".dm3", ".dm4", ".ser", ".emd"])
def test_damaged_files_end_in_a_sentence(tmp_path: Path, suffix: str) -> None:
    array = pixels_of((1, 40, 36), "u2")
    whole = tmp_path / f"whole{suffix}"
    if suffix in (".dm3", ".dm4"):
        (dm3 if suffix == ".dm3" else dm4)(whole, array[0])
    elif suffix == ".ser":
        ser(whole, array)
    else:
        emd(whole, array[0], "yx", ["nm", "nm"])
    end = 100 if suffix in (".dm3", ".dm4") else 1  # after the pixels comes their type
    check_damage(tmp_path / f"a{suffix}", whole.read_bytes(), end=end)


@pytest.mark.parametrize("packed", [zlib.compress(b"ABCD"), zlib.compress(bytes(2**24), 9)])
@pytest.mark.parametrize("name", ["data", "dim1"])
def test_chunks_of_emd_of_another_size_are_refused(
    tmp_path: Path, packed: bytes, name: str
) -> None:
    array = np.arange(64 * 64, dtype="u2").reshape(64, 64)
    for path in (tmp_path / "a.emd", tmp_path / "b.emd"):
        with h5py.File(emd(path, array, "yx", ["nm", "nm"]), "a") as file:
            group = file["signals/picture"]
            about, known = dict(group[name].attrs), group[name][...]
            del group[name]
            half = (32, *known.shape[1:])
            one = group.create_dataset(name, data=known, chunks=half, compression="gzip")
            one.attrs.update(about)
            if path.stem == "b":
                one.id.write_direct_chunk((32, *[0] * (one.ndim - 1)), packed)
    np.testing.assert_array_equal(formats.open(tmp_path / "a.emd").data[...], array)
    assert "does not have its" in refusal(tmp_path / "b.emd")
    if name == "data":  # what is right can be read
        part = formats.open(tmp_path / "b.emd").data[:32]
        np.testing.assert_array_equal(part, array[:32])
