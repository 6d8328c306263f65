"""Any array with any axes is an image that reads as NumPy does, or is refused in a sentence."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import strategies
from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image


@given(strategies.arrays(), strategies.axes())
@settings(max_examples=200)
@example(np.zeros((), np.uint8), None)
@example(np.zeros((0, 4), np.uint8), "YX")
def test_an_array_is_an_image_or_refused(x: NDArray, axes: str | None) -> None:
    try:
        image = Image.from_array(x, axes)
    except InputError:
        return
    assert x.dtype.kind in "buif"
    assert set("YX") <= set(image.axes) <= set(strategies.LETTERS)
    assert len(image.axes) == x.ndim
    assert x.size > 0
    np.testing.assert_array_equal(image.read().ravel(), canonical(x, image.axes).ravel())


def canonical(x: NDArray, axes: str) -> NDArray:
    """STCZYX, an axis at a time."""
    order = [axes.index(letter) for letter in ax.CANONICAL if letter in axes]
    found = x.transpose(order)
    for i, letter in enumerate(ax.CANONICAL):
        if letter not in axes:
            found = np.expand_dims(found, i)
    return found


@given(st.data(), strategies.images())
@settings(max_examples=100)
def test_regions_are_those_of_numpy(data: st.DataObject, given_: tuple[NDArray, str]) -> None:
    x, axes = given_
    image = Image.from_array(x, axes)
    where = data.draw(strategies.regions(image.sizes))
    whole = canonical(x, axes)
    parts = [where.get(letter, slice(None)) for letter in ax.CANONICAL]
    parts = [slice(p, p + 1) if isinstance(p, int) else p for p in parts]
    np.testing.assert_array_equal(image.read(where), whole[tuple(parts)])
    assert image.read(where).dtype == x.dtype
