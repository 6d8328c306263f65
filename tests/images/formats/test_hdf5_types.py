"""Damaged types and fill values of HDF5 are refused in a sentence as a file is opened."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

import unnoise

from . import em_files, ims_files
from .copies import pixels_of

VLEN_TEXT = bytes.fromhex("19 01")
"""Version 1 of class 9, values of any length, and a text."""
OPEN = """
import sys
import numpy as np
import unnoise
from unnoise.errors import InputError
for name in sys.argv[1:]:
    try:
        np.asarray(unnoise.open(name, axes="ZYX").data[...])
        print("read")
    except InputError as error:
        print(error)
"""


def h5(path: Path) -> Path:
    """Axes by an attribute; a ragged one, and a record of one, which are right."""
    with h5py.File(path, "w") as file:
        file["x"] = pixels_of((8, 9, 10))
        about = file["x"].attrs
        about["axes"] = "TYX"
        ragged = h5py.vlen_dtype(np.uint8)
        parts = np.empty(2, object)
        parts[:] = [np.uint8([1, 2]), np.uint8([3])]
        about.create("ragged", parts, dtype=ragged)
        both = np.dtype([("number", "i4"), ("name", h5py.string_dtype())])
        about.create("both", np.array([(1, "a")], both), dtype=both)
    return path


def emd(path: Path) -> Path:
    return em_files.emd(path, pixels_of((4, 8, 9)), "ZYX", ["nm", "nm", "nm"])


def ims(path: Path) -> Path:
    ims_files.write(path, pixels_of((1, 1, 4, 16, 16)))
    with h5py.File(path, "r+") as file:
        file["DataSetInfo/Image"].attrs["Unit"] = "um"
    return path


def opened(*paths: Path) -> list[str]:
    """What comes of files, in another process, which they could end."""
    command = [sys.executable, "-c", OPEN, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


NEEDS_READER = pytest.mark.skipif(find_spec("rsciio") is None, reason="RosettaSciIO is not there")


@pytest.mark.parametrize("write", [h5, pytest.param(emd, marks=NEEDS_READER), ims])
def test_a_third_kind_of_values_of_any_length_is_refused(tmp_path: Path, write: object) -> None:
    suffix = write.__name__  # type: ignore[attr-defined]
    path = write(tmp_path / f"whole.{suffix}")  # type: ignore[operator]
    whole = path.read_bytes()
    places = [n for n in range(len(whole)) if whole.startswith(VLEN_TEXT, n)]
    assert places
    damaged = [tmp_path / f"{n}.{suffix}" for n in places]
    for file, place in zip(damaged, places, strict=True):
        file.write_bytes(whole[: place + 1] + b"\6" + whole[place + 2 :])
    found = opened(path, *damaged)
    assert found[0] == "read"
    refused = [text for text in found[1:] if "neither a sequence nor a text" in text]
    assert len(refused) == len(places)


def test_what_is_right_stays_readable(tmp_path: Path) -> None:
    found = unnoise.open(h5(tmp_path / "a.h5"))
    assert found.axes == "TYX"
    assert np.array_equal(found.data[...], pixels_of((8, 9, 10)))


def test_a_damaged_fill_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=pixels_of((8, 9, 10)), chunks=(4, 9, 10), fillvalue=7)
    whole = path.read_bytes()
    # Version 2 of the message: allocated late, written if it was set, defined; then its length.
    place = whole.index(bytes.fromhex("02 03 02 01 01 00 00 00 07"))
    path.write_bytes(whole[: place + 7] + b"\xfc" + whole[place + 8 :])
    (text,) = opened(path)
    assert "fill value" in text
