"""Planes that stand in for those without any measurement."""

from __future__ import annotations

import time

import numpy as np
import pytest

from unnoise.images.image import Image
from unnoise.noise.mask_search import Search


def search(shape: tuple[int, ...], empty: set[tuple[int, int, int, int]]) -> Search:
    """One of an image STCZ with 2x2 pixels, that has found these planes empty."""
    found = Search(
        Image.from_array(np.zeros((*shape, 2, 2), np.uint8), "STCZYX"), None, None, "keep"
    )
    found.empty = empty
    return found


def oracle(
    shape: tuple[int, ...], empty: set[tuple[int, int, int, int]]
) -> dict[tuple[int, ...], tuple[int, ...]]:
    """The plane mirrored about the nearest full one, or that one; along Z, else T, else S."""
    found = {}
    for key in empty:
        for axis in (3, 1, 0):
            line = [(*key[:axis], i, *key[axis + 1 :]) for i in range(shape[axis])]
            full = [i for i, plane in enumerate(line) if plane not in empty]
            if full:
                distance, rim = min((abs(i - key[axis]), i) for i in full)
                back = rim + (distance - 1) * (1 if rim > key[axis] else -1)
                found[key] = line[back if back in full else rim]
                break
    return found


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(1, 9, 2, 1), (2, 3, 1, 7), (3, 1, 2, 5)])
def test_stand_ins_mirror_empty_planes_about_the_nearest(shape, share: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        empty = {key for key in np.ndindex(shape) if rng.random() < share}
        assert search(shape, empty)._stand_ins() == oracle(shape, empty)


def test_many_empty_planes_take_time_that_grows_with_their_number() -> None:
    def seconds(n: int) -> float:
        found = search((1, n, 1, 1), {(0, t, 0, 0) for t in range(1, n, 2)})
        start = time.process_time()
        assert len(found._stand_ins()) == n // 2
        return time.process_time() - start

    few, many = (min(seconds(n) for _ in range(3)) for n in (1000, 16_000))
    assert many < 64 * few, "16 times as many; 256 times where it was quadratic"
