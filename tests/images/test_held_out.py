"""Laws of the held-out pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unnoise.images.held_out import HELD_OUT_BOX, held_out

Shape = tuple[int, ...]
KEY = (3, 0, 1, 2, 0)


@pytest.mark.parametrize(
    ("origin", "shape", "side"),
    [((0, 0), (64, 96), 8), ((2**40, 8000), (64, 64), 8), ((400, 0, 4), (16, 8, 32), 4)],
)
def test_every_box_holds_out_one_pixel(origin: Shape, shape: Shape, side: int) -> None:
    assert side ** len(shape) == HELD_OUT_BOX
    mask = held_out(origin, shape, KEY)
    assert (mask.shape, mask.dtype) == (shape, np.bool_)
    for corner in itertools.product(*(range(0, n, side) for n in shape)):
        assert mask[tuple(slice(c, c + side) for c in corner)].sum() == 1


@given(st.data(), st.integers(2, 3))
@settings(deadline=None)
def test_overlapping_crops_agree(data: st.DataObject, n: int) -> None:
    full = (70, 61) if n == 2 else (17, 30, 25)
    origin = tuple(data.draw(st.integers(0, f - 1)) for f in full)
    shape = tuple(data.draw(st.integers(1, f - o)) for f, o in zip(full, origin, strict=True))
    cut = tuple(slice(o, o + s) for o, s in zip(origin, shape, strict=True))
    whole = held_out((0,) * n, full, KEY)
    np.testing.assert_array_equal(held_out(origin, shape, KEY), whole[cut])


@pytest.mark.parametrize(("shape", "side"), [((1024, 1024), 8), ((64, 128, 128), 4)])
def test_positions_in_the_box_are_uniform_and_unrelated_between_boxes(
    shape: Shape, side: int
) -> None:
    spots = np.argwhere(held_out((0,) * len(shape), shape, KEY))
    box, place = spots // side, spots % side
    flat = np.ravel_multi_index(tuple(place.T), (side,) * len(shape))
    assert stats.chisquare(np.bincount(flat, minlength=HELD_OUT_BOX)).pvalue > 1e-4
    order = np.empty([n // side for n in shape], int)
    order[tuple(box.T)] = flat
    for axis in range(len(shape)):
        a, b = np.delete(order, 0, axis).ravel(), np.delete(order, -1, axis).ravel()
        table = np.histogram2d(a // 8, b // 8, bins=8)[0]
        assert stats.chi2_contingency(table).pvalue > 1e-4


@pytest.mark.parametrize("position", range(len(KEY)))
def test_every_part_of_the_key_gives_other_pixels(position: int) -> None:
    other = list(KEY)
    other[position] += 1
    a, b = (held_out((0, 0), (512, 512), tuple(key)) for key in (KEY, other))
    shared = int((a & b).sum())  # 4096 boxes that agree by chance, 1 in 64
    assert abs(shared - 64) < 5 * 8
