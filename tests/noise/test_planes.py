"""Laws of the parts of planes that measures look at."""

from __future__ import annotations

import numpy as np
import pytest

from unnoise.images.image import Image
from unnoise.images.pixel_mask import fill
from unnoise.noise.excluded_pixels import with_mask
from unnoise.noise.planes import (
    block_means,
    blocks,
    calmest,
    centred,
    middle,
    neighboring_planes,
)


@pytest.mark.parametrize("shape", [(17, 33), (2, 16, 9), (3, 2, 8, 8)])
def test_block_means_match_loops(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    means = block_means(x, 8)
    assert means.shape == (*shape[:-2], shape[-2] // 8, shape[-1] // 8)
    for i, j in np.ndindex(means.shape[-2:]):
        part = x[..., 8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
        np.testing.assert_allclose(means[..., i, j], part.mean(axis=(-2, -1)))
        np.testing.assert_array_equal(blocks(x, 8)[..., i, :, j, :], part)


@pytest.mark.parametrize("step", [1, 8])
@pytest.mark.parametrize("n", [5, 31, 32, 33, 200])
def test_the_middle_is_as_wide_as_there_is_and_on_the_grid(n: int, step: int) -> None:
    for at in middle((4, n, n + 1), 32, step):
        assert at.start % step == 0
        assert at.start >= 0
    y, x = np.zeros((n, n + 1))[middle((n, n + 1), 32, step)].shape
    assert (y, x) == (min(n, 32), min(n + 1, 32))


def test_missing_pixels_are_in_the_middle_of_the_others() -> None:
    plane = np.array([[1, 2, 4, np.nan], [7, 9, np.inf, -np.inf]]) + 1e9
    found = centred(plane)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[-3, -2, 0, 0], [3, 5, 0, 0]])
    np.testing.assert_array_equal(centred(np.full((2, 2), np.nan)), np.zeros((2, 2)))


def test_the_calmest_keep_their_order_and_are_never_none() -> None:
    score = np.array([2.0, 0.0, 1.0, 0.0])
    np.testing.assert_array_equal(calmest(score, 0.5), [1, 3])
    np.testing.assert_array_equal(calmest(score, 0.0), [1])
    np.testing.assert_array_equal(calmest(score, 0.1, at_least=9), [1, 3, 2, 0])


def test_planes_alone_are_filled_from_their_own_pixels() -> None:
    movie = np.random.default_rng(0).normal(100, 5, (4, 32, 32))
    movie[1, :, :9], movie[2, 3, 4], movie[3] = np.nan, np.nan, np.nan
    image = with_mask(Image.from_array(movie, "TYX"))
    gone = np.isnan(movie)
    alone, filled = (neighboring_planes(image, 0, "T", alone=a) for a in (True, False))
    for t in range(3):
        np.testing.assert_array_equal(alone[t], fill(movie[t], gone[t]))
    assert not alone[3].any()
    np.testing.assert_array_equal(filled[1, :, :9], movie[0, :, :9])
