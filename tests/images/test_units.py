"""A pixel is as large in the result as in the input, whatever the two formats call its unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.images import formats, units
from unnoise.images.image import Image

SPELLINGS = ("angstrom", "Å", "nm", "µm", "micron", "um", "mm", "inch", "deg")
SUFFIXES = (".ome.tif", ".tif", ".ome.zarr", ".mrc", ".nii", ".fits")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("unit", SPELLINGS)
def test_lengths_survive_or_are_told_to_be_lost(tmp_path: Path, unit: str, suffix: str) -> None:
    pixels = np.arange(72, dtype=np.float32).reshape(8, 9)
    image = Image(pixels, "YX", scale={"Y": 2.0, "X": 0.5}, units={"Y": unit, "X": unit})
    with formats.create(tmp_path / f"a{suffix}", image) as out:
        out.write({}, image.read({}))
    back = formats.open(tmp_path / f"a{suffix}")
    if any(unit in name or name == "pixel size" for name in out.lost):
        assert unit == "deg" or suffix == ".mrc"  # 0.5 inch are 10^8 Å, which MRC holds, but why
        return
    assert dict(back.units) or unit == "deg"
    for letter in "YX":
        own = back.units[letter]
        length = units.metres(own) or float(own == "deg")
        known = units.metres(unit) or 1.0
        assert back.scale[letter] * length == pytest.approx(image.scale[letter] * known, rel=1e-6)


def test_ome_knows_angstrom_and_two_units_at_once(tmp_path: Path) -> None:
    image = Image(
        np.zeros((8, 9), np.float32), "YX", scale={"Y": 2.0, "X": 1.0},
        units={"Y": "angstrom", "X": "nm"},
    )  # fmt: skip
    for name in ("a.ome.tif", "a.ome.zarr"):
        formats.save(tmp_path / name, np.asarray(image.data), like=image)
        assert dict(formats.open(tmp_path / name).units) == {"Y": "Å", "X": "nm"}
    formats.save(tmp_path / "a.nii", np.asarray(image.data), like=image)
    found = formats.open(tmp_path / "a.nii")
    assert dict(found.scale) == pytest.approx({"Y": 2e-4, "X": 1e-3})  # µm, as all have one unit
