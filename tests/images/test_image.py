"""Laws of Image: lazy, canonical, refusing."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unnoise.errors import AxesError, InputError
from unnoise.images.image import Image
from unnoise.noise import excluded_pixels
from unnoise.noise.excluded_pixels import with_mask


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


@pytest.mark.parametrize(
    ("data", "axes", "message"),
    [
        (np.zeros((8, 9)), "ZYX", "name 3 dimensions but the image has 2"),
        (np.zeros((8, 8, 9)), "ZZX", "name a letter twice"),
        (np.zeros((8, 9)), "YQ", "contain Q"),
        (np.zeros((8, 9)), 3, "axes"),
        ("cells.tif", "YX", "cells.tif.*not an image"),
        (None, "YX", "give a NumPy array"),
        ([[1], [2, 3]], "YX", "no array of numbers"),
    ],
)
def test_an_image_of_other_axes_or_of_no_pixels_is_refused(
    data: Any, axes: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Image(data, axes)


def test_an_image_is_made_of_lists_masked_arrays_and_letters_of_any_case() -> None:
    image = Image([[1, 2, 3], [4, 5, 6]], "yx")  # type: ignore[arg-type]
    assert (image.axes, image.shape) == ("YX", (2, 3))
    assert image.read({"Y": 1})[0, 0, 0, 0].tolist() == [[4, 5, 6]]
    hidden = np.arange(6).reshape(2, 3) == 4
    given_ = np.ma.MaskedArray(np.arange(6).reshape(2, 3), hidden.copy(), fill_value=-1)
    image = Image(given_, "YX")
    given_[0, 0] = np.ma.masked
    np.testing.assert_array_equal(image.hidden, hidden)
    assert not isinstance(image.data, np.ma.MaskedArray)
    assert image.fill_value == -1
    both = dataclasses.replace(image, data=given_)
    assert both.hidden is not None
    assert both.hidden.tolist() == [[True, False, False], [False, True, False]]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("huge", [False, True])
def test_an_image_that_knows_its_pixels_can_be_copied_and_pickled(
    again: Any, huge: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(100, 5, (3, 40, 48)).astype(np.float32)
    x[1, 20, 30], x[2, 5] = 9e3, np.nan
    if huge:
        monkeypatch.setattr(excluded_pixels, "ALL", 500)
    image = with_mask(x, np.arange(48) + np.zeros((40, 1)) > 9, axes="TYX")
    before = image.read()
    other = again(image)
    np.testing.assert_array_equal(other.read(), before)
    np.testing.assert_array_equal(other.excluded(), image.excluded())
    np.testing.assert_array_equal(other.kept(), image.kept())
    assert (other.mask.notes, other.mask.counts) == (image.mask.notes, image.mask.counts)
    further = with_mask(other, nan="fill")
    assert not further.kept()[0, 2, 0, 0, 5, 10:].any()
    assert further.kept()[:, :2, ..., :10].all()
    assert other.data is not image.data
