"""Laws of Image (lazy, canonical, refusing) and of cast (Python's exact integers as oracle)."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unnoise.errors import AxesError, InputError
from unnoise.images.image import Image, cast

INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">u2", ">i4"]


class Lazy:
    """An array that remembers how many pixels were asked of it."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.pixels = data, data.shape, data.dtype, 0

    def __getitem__(self, where: Any) -> np.ndarray:
        block = self.data[where]
        self.pixels += block.size
        return block


def test_only_the_region_asked_for_is_read() -> None:
    x = np.random.default_rng(0).integers(0, 999, (6, 20, 30, 2), np.uint16)
    lazy = Lazy(x)
    image = Image.from_array(lazy, axes="zyxc")
    assert (image.axes, image.shape, image.dtype) == ("ZYXC", (6, 20, 30, 2), np.uint16)
    assert image.sizes == {"S": 1, "T": 1, "C": 2, "Z": 6, "Y": 20, "X": 30}
    assert lazy.pixels == 0
    block = image.read({"Z": 4, "Y": slice(3, 8), "X": slice(10, 14)})
    assert block.shape == (1, 1, 2, 1, 5, 4)
    assert block.dtype == np.uint16
    assert lazy.pixels == block.size
    for c, y, xx in np.ndindex(2, 5, 4):
        assert block[0, 0, c, 0, y, xx] == x[4, 3 + y, 10 + xx, c]
    np.testing.assert_array_equal(image.read()[0, 0].transpose(1, 2, 3, 0), x)


@given(st.tuples(*[st.integers(1, 40)] * 5), st.integers(1, 50), st.none() | st.integers(1, 50))
def test_the_middle_lies_in_the_middle(
    shape: tuple[int, ...], side: int, depth: int | None
) -> None:
    image = Image.from_array(np.broadcast_to(np.uint8(0), shape), axes="STZYX")
    n = image.sizes
    assert image.middle() == {letter: n[letter] // 2 for letter in "STZ"}
    for grid in (1, 16):
        where = image.middle(side, depth, grid)
        assert all(where[letter] == n[letter] // 2 for letter in ("STZ" if depth is None else "ST"))
        for letter in "YX" if depth is None else "ZYX":
            cut, wanted = where[letter], side if letter in "YX" else depth
            assert isinstance(cut, slice)
            left, right = cut.start, n[letter] - cut.stop
            assert (n[letter] - left - right, left >= 0) == (min(wanted or 0, n[letter]), True)
            if grid == 1 or letter == "Z":
                assert right - left in (0, 1)
            else:
                assert left % grid == 0
                assert 0 <= right - left < 2 * grid


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((8, 8), np.complex64), "complex"),
        (np.zeros((8, 8), object), "object"),
        (np.full((8, 8), "a"), "not numbers"),
        (np.zeros((8, 8), "M8[s]"), "datetime64"),
        (np.zeros((0, 8)), r"empty \(shape \(0, 8\)\)"),
    ],
)
def test_what_cannot_be_denoised_is_refused_by_name(array: np.ndarray, word: str) -> None:
    with pytest.raises(InputError, match=word):
        Image.from_array(array)


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u4", "i8", "f2", "f4", "f8"])
def test_real_numbers_are_accepted_and_kept_as_they_are(dtype: str) -> None:
    image = Image.from_array(np.ones((8, 9), dtype))
    assert image.axes == "YX"
    assert image.read().dtype == np.dtype(dtype)


def test_colour_is_recognised_where_channels_come_last_and_transparency_never() -> None:
    facts = [
        (image.axes, image.is_rgb, image.alpha)
        for image in (
            Image.from_array(np.zeros((32, 32, 3), np.uint8)),
            Image.from_array(np.zeros((32, 32, 4), np.uint8)),
            Image.from_array(np.zeros((32, 32, 4), np.uint8), axes="YXZ"),
            Image.from_array([[0, 1], [2, 3]]),
        )
    ]
    assert facts == [
        ("YXC", True, None),
        ("YXC", True, None),
        ("YXZ", False, None),
        ("YX", False, None),
    ]
    with pytest.raises(AxesError, match="ambiguous"):
        Image.from_array(np.zeros((5, 32, 32)))


def test_what_surrounds_the_pixels_survives_other_pixels_and_letters() -> None:
    image = Image(
        np.zeros((4, 8, 8), np.uint8),
        "ZYX",
        scale={"Z": 0.5, "X": 0.1},
        units={"Z": "micron"},
        path=Path("/data/cells.tif"),
        metadata={"key": 1},
    )
    other = image.with_data(np.ones((4, 8, 8), np.float32)).with_axes("tyx")
    assert (other.axes, other.dtype, other.name) == ("TYX", np.float32, "cells.tif")
    assert (other.scale, other.units, other.metadata) == (image.scale, image.units, image.metadata)
    assert (image.axes, image.dtype) == ("ZYX", np.uint8)
    assert Image.from_array(np.zeros((8, 8))).name == "the image"
    with pytest.raises(AxesError, match="--axes"):
        image.with_axes("YX")
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.axes = "TYX"  # type: ignore[misc]


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
