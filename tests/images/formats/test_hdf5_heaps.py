"""Texts of HDF5 that have no end are refused, and all others are read as they are."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unnoise.images import formats
from unnoise.images.formats import _hdf5_heaps
from unnoise.images.formats._hdf5_heaps import SIGNATURE, Checked

from . import em_files, ims_files
from .copies import pixels_of

SECONDS = 60
READ = """
import sys
from unnoise.errors import InputError
from unnoise.images import formats
for name in sys.argv[1:]:
    try:
        formats.open(name)
        print("read")
    except InputError as error:
        print(error)
"""


def h5(path: Path, widths: tuple[int, int] = (8, 8), userblock: int = 0) -> Path:
    plan = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    plan.set_sizes(*widths)
    plan.set_userblock(userblock)
    number = h5py.h5f.create(bytes(path), h5py.h5f.ACC_TRUNC, plan)
    with h5py.File(number) as file:
        file["x"] = pixels_of((8, 9, 10))
        file["x"].attrs["axes"] = "TYX"
        file["x"].attrs["note"] = "as it was written " * 9
    return path


def emd(path: Path) -> Path:
    return em_files.emd(path, pixels_of((8, 9)), "YX", ["nm", "nm"])


def ims(path: Path) -> Path:
    ims_files.write(path, pixels_of((1, 1, 2, 16, 16)))
    with h5py.File(path, "r+") as file:
        file["DataSetInfo/Image"].attrs["Unit"] = "um"
    return path


def damaged(path: Path, width: int = 8, at: int = 0, head: bytes = b"") -> None:
    """Have an object of a collection be a free part of no bytes, or begin otherwise."""
    data = bytearray(path.read_bytes())
    start = [m.start() for m in re.finditer(SIGNATURE, bytes(data))][-1] + 8 + width
    start += -start % 8
    for _ in range(at):
        size = int.from_bytes(data[start + 8 : start + 8 + width], "little")
        start += 8 + width + -(8 + width) % 8 + size + -size % 8
    data[start : start + 8 + width] = head or bytes(8 + width)
    path.write_bytes(data)


def test_a_heap_without_an_end_is_refused(tmp_path: Path) -> None:
    paths = [h5(tmp_path / "a.h5"), ims(tmp_path / "a.ims")]
    if find_spec("rsciio"):
        paths.append(emd(tmp_path / "a.emd"))
    for path in list(paths):
        formats.open(path)
        (other := path.with_stem("b")).write_bytes(path.read_bytes())
        damaged(path)
        damaged(other, at=1)
        paths.append(other)
    for i, length in enumerate((2**64 - 16, 2**64 - 24, 5000)):  # to which 16 are added
        paths.append(h5(tmp_path / f"long_{i}.h5"))
        damaged(paths[-1], at=1, head=struct.pack("<HHIQ", 2, 1, 0, length))
    if find_spec("rsciio"):
        text = h5py.string_dtype()
        for i, kind in enumerate((text, np.dtype([("a", text)]))):
            paths.append(emd(tmp_path / f"root_{i}.emd"))
            with h5py.File(paths[-1], "r+") as file:  # in a heap of its own, as it is long
                value = "0" * 10_000
                file.attrs.create("more", value if i == 0 else np.array((value,), kind), dtype=kind)
            damaged(paths[-1])
    for width in (2, 4):
        paths.append(h5(tmp_path / f"{width}.h5", (8, width)))
        damaged(paths[-1], width)
    command = [sys.executable, "-c", READ, *map(str, paths)]  # nothing else can end what hangs
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    assert not done.stderr
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        assert line.startswith(f"{path} cannot be read as "), line


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("userblock", [0, 1024])
def test_sizes_of_any_width(tmp_path: Path, width: int, userblock: int) -> None:
    image = formats.open(h5(tmp_path / "a.h5", (8, width), userblock))
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.data[...], pixels_of((8, 9, 10)))


def test_too_many_objects_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = h5(tmp_path / "a.h5")
    monkeypatch.setattr(_hdf5_heaps, "MOST", 3)  # axes, note, and what is free
    assert formats.open(path).axes == "TYX"
    monkeypatch.setattr(_hdf5_heaps, "MOST", 1)
    with pytest.raises(Exception, match="bad global heap collection signature"):
        formats.open(path)


@given(parts=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 3000)), max_size=9))
@pytest.mark.parametrize("is_damaged", [False, True])
def test_all_but_the_signature_is_as_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, is_damaged: bool, parts: list[tuple[int, int]]
) -> None:
    path = h5(tmp_path_factory.getbasetemp() / f"{is_damaged}.h5")
    wanted = path.read_bytes()
    place = wanted.rindex(SIGNATURE)
    if is_damaged:
        damaged(path)
        changed = bytearray(path.read_bytes())
        changed[place : place + 4] = bytes(4)
        wanted = bytes(changed)
    with Checked(path) as file:
        for at, count in [*parts, *((place - 5 + i, 6 + i % 3) for i in range(12))]:
            file.seek(at)
            seen = bytearray(count)
            assert file.readinto(seen) == len(wanted[at : at + count])
            assert seen.startswith(wanted[at : at + count])
            assert file.tell() == at + len(wanted[at : at + count]) or at > len(wanted)
