"""What ImageJ keeps in its files besides pixels comes back with the result."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from synthetic import photons

from .commands import Run

FILTER = ("--method", "gaussian", "--no-report")


def table(channel: int) -> NDArray[np.uint8]:
    """A lookup table from black to red, green or blue, with one entry that no formula gives."""
    found = np.zeros((3, 256), np.uint8)
    found[channel] = np.arange(256)
    found[:, 7] = 200
    return found


def region(y: int, x: int, height: int, width: int) -> bytes:
    """A rectangle as ImageJ stores regions of interest (RoiEncoder of ij.io)."""
    found = bytearray(64)
    found[:8] = struct.pack(">4shBB", b"Iout", 227, 1, 0)
    found[8:16] = struct.pack(">4h", y, x, y + height, x + width)
    return bytes(found)


HYPERSTACK = {
    "axes": "TZCYX",
    "unit": "micron",
    "spacing": 0.4,
    "finterval": 2.5,
    "fps": 0.4,
    "loop": False,
    "mode": "composite",
    "min": 5.0,
    "max": 60.0,
    "Ranges": (5.0, 60.0, 8.0, 70.0),
    "LUTs": [table(0), table(1)],
    "Info": "Objective = 63x\nNote = from Fiji\n",
    "Labels": [f"plane {i}" for i in range(8)],
    "ROI": region(4, 5, 10, 8),
    "Overlays": [region(1, 2, 3, 4), region(9, 9, 5, 5)],
    "Properties": {"name": "value"},
    "xorigin": 3.0,
    "yorigin": 4.0,
}
CASES: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    "hyperstack": ((2, 2, 2, 24, 28), "uint16", HYPERSTACK),
    "one table": ((24, 28), "uint8", {"axes": "YX", "LUTs": [table(1)], "Ranges": (3.0, 50.0)}),
    "each its colour": (
        (3, 24, 28),
        "uint16",
        {"axes": "CYX", "mode": "color", "LUTs": [table(i) for i in range(3)]},
    ),
    "calibrated values": (
        (24, 28),
        "uint16",
        {"axes": "YX", "unit": "nm", "cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "Gray Value"},
    ),
    "three units": (
        (3, 24, 28),
        "float32",
        {"axes": "ZYX", "unit": "micron", "yunit": "nm", "zunit": "mm", "spacing": 2.0},
    ),
    "photograph": (
        (24, 28, 3),
        "uint8",
        {"axes": "YXS", "Info": "hello", "Overlays": [region(1, 1, 2, 2)]},
    ),
}


def saved(path: Path, shape: tuple[int, ...], dtype: str, meta: dict[str, Any]) -> None:
    """As ImageJ saves: big-endian, unless it is a photograph."""
    own: dict[str, Any] = {"photometric": "rgb"} if meta["axes"].endswith("S") else {}
    pixels = photons(shape, 20, dtype=dtype)
    tifffile.imwrite(
        path, pixels, imagej=True, byteorder=">", resolution=(4.0, 5.0), metadata=meta, **own
    )


def told(path: Path) -> dict[str, Any]:
    """Everything that a file says of its pixels, in values that can be compared."""
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej
        series, tags = tif.series[0], tif.pages[0].tags
        found = dict(tif.imagej_metadata or {})
        found |= {
            "axes": series.axes,
            "shape": series.shape,
            "dtype": series.dtype.newbyteorder("="),
        }
        found |= {name: tags[name].value for name in ("XResolution", "YResolution")}
    return {key: str(value) if key != "LUTs" else np.array(value) for key, value in found.items()}


@pytest.mark.parametrize("case", CASES)
def test_what_fiji_saved_comes_back(run: Run, tmp_path: Path, case: str) -> None:
    shape, dtype, meta = CASES[case]
    saved(tmp_path / "a.tif", shape, dtype, meta)
    result = run("denoise", "a.tif", *FILTER)
    assert result.code == 0, result.err
    assert "not carried" not in result.err
    before, after = told(tmp_path / "a.tif"), told(tmp_path / "a_denoised.tif")
    np.testing.assert_array_equal(before.pop("LUTs", 0), after.pop("LUTs", 0))
    assert after == before


def test_a_part_of_a_file_keeps_what_is_said_of_it(run: Run, tmp_path: Path) -> None:
    shape, dtype, meta = CASES["hyperstack"]
    saved(tmp_path / "a.tif", shape, dtype, meta)
    result = run("denoise", "a.tif", *FILTER, "--channels", "1", "-o", "b.tif")
    assert result.code == 0, result.err
    assert "not carried" not in result.err
    before, after = told(tmp_path / "a.tif"), told(tmp_path / "b.tif")
    assert after["Ranges"] == str(HYPERSTACK["Ranges"][2:4])
    assert after["Labels"] == str(HYPERSTACK["Labels"][1::2])
    np.testing.assert_array_equal(np.squeeze(after["LUTs"]), before["LUTs"][1])
    assert after["Info"] == HYPERSTACK["Info"]
    assert after["spacing"] == "0.4"


def test_a_negative_spacing_is_a_size(run: Run, tmp_path: Path) -> None:
    saved(tmp_path / "a.tif", (3, 24, 28), "uint16", {"axes": "ZYX", "spacing": -0.3})
    assert run("denoise", "a.tif", *FILTER).code == 0
    assert told(tmp_path / "a_denoised.tif")["spacing"] == "0.3"
