"""By how much smaller copies are smaller along each axis, as a writer that shrinks them knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from unnoise.app.copies import copies_of
from unnoise.images import formats
from unnoise.images.image import Image


def of_shape(height: int, width: int) -> Image:
    return Image(np.broadcast_to(np.uint8(0), (height, width)), "YX")


@pytest.mark.parametrize("shrunk", [lambda n, f: n // f or 1, lambda n, f: -(-n // f)])
@pytest.mark.parametrize("step", [(2, 2), (2, 4), (4, 2), (3, 3)])
@pytest.mark.parametrize("shape", [(33, 9000), (600, 6000), (6000, 700), (4097, 4095)])
def test_factors_are_those_that_the_writer_took(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, int],
    step: tuple[int, int],
    shrunk: Callable[[int, int], int],
) -> None:
    taken = [(step[0] ** k, step[1] ** k) for k in range(1, 4)]
    smaller = [of_shape(*map(shrunk, shape, factors)) for factors in taken]
    monkeypatch.setattr(formats, "smaller", lambda image: smaller)
    found = [(copy.down, copy.right) for copy in copies_of(of_shape(*shape))]
    sizes = [(copy.image.sizes["Y"], copy.image.sizes["X"]) for copy in copies_of(of_shape(*shape))]
    for (down, right), (tall, wide), factors in zip(found[1:], sizes[1:], taken, strict=True):
        # Where a pixel of the copy lies in the image, at the far end: off by one of it at most.
        assert abs(tall * (down - factors[0])) <= factors[0]
        assert abs(wide * (right - factors[1])) <= factors[1]
    if shape != (33, 9000) or step[0] == step[1]:
        assert found == [(1, 1), *taken]


def test_a_copy_of_no_whole_factor_has_that_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "smaller", lambda image: [of_shape(400, 480)])
    _, copy = copies_of(of_shape(900, 1200))
    assert (copy.down, copy.right) == (2.25, 2.5)
