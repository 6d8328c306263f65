"""Laws of cast, with Python's exact integers as oracle."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unnoise.images.pixel_types import cast

INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">u2", ">i4"]


@pytest.mark.parametrize("name", INTEGERS)
@given(values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=8))
def test_cast_rounds_half_to_even_and_clips(name: str, values: list[float]) -> None:
    dtype = np.dtype(name)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    inside = [v % 1.0 * (high - low) + low for v in values if abs(v) < 1e300]
    edges = [float(low), float(high), low - 0.5, high + 0.5, 0.5, 1.5, 2.5, np.inf, -np.inf]
    block = np.array(values + inside + edges)
    got = cast(block, dtype)
    assert got.dtype == dtype
    # Python compares and rounds without error; float64 knows 64-bit integers to 2048 at the top.
    slack = 2048 if dtype.itemsize == 8 else 0
    for value, integer in zip(block.tolist(), got.tolist(), strict=True):
        expected = round(min(max(value, low), high))
        error = expected - integer
        assert error == 0 or (0 < error <= slack and value >= high - slack)


@pytest.mark.parametrize("source", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", INTEGERS)
def test_cast_never_wraps_around_whatever_floats_come(name: str, source: type) -> None:
    info = np.iinfo(name)
    top = float(np.finfo(source).max)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = cast(np.array([-top, top], source), name).tolist()
    assert low == max(info.min, -int(top))
    assert high >= min(info.max - 2048 * (info.bits == 64), int(top))


def test_cast_to_bool_and_floats() -> None:
    """What is too large for a type does not become infinite; what was infinite stays so."""
    x = np.array([-1.0, 0.0, 0.375, 0.5, 1.0, 7.0])
    assert cast(x, bool).tolist() == [False, False, False, True, True, True]
    half = cast(np.array([-np.inf, -1e6, 65504.0, 65519.0, 1e6, 1 / 3]), np.float16)
    assert half.dtype == np.float16
    single = cast(np.array([-1e300, 1 / 3, np.inf, np.nan]), np.float32)
    top = float(np.finfo(np.float32).max)
    assert np.array_equal(single, np.float32([-top, 1 / 3, np.inf, np.nan]), equal_nan=True)
    assert half.tolist() == [-np.inf, -65504, 65504, 65504, 65504, float(np.float16(1 / 3))]
    for dtype in (np.float32, np.float64):
        same = cast(x, dtype)
        assert same.dtype == dtype
        np.testing.assert_array_equal(same, x)


@pytest.mark.parametrize("name", ["?", *INTEGERS, "f2", "f4", "f8"])
def test_values_of_a_type_come_back_unchanged(name: str) -> None:
    x = np.arange(0, 2 if name == "?" else 120).astype(name)
    np.testing.assert_array_equal(cast(x.astype(np.float64), name), x)
