"""Laws of the sharpening: detail of the power that is there, and no more."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from synthetic import smooth, white
from unnoise.training.sharpening import MOST, sharpened


def test_what_was_smoothed_away_comes_back_as_far_as_it_is_above_the_noise() -> None:
    truth = 10 * smooth((128, 160), 2, seed=0)
    noisy = truth + white(truth.shape, 1)
    dull = ndimage.gaussian_filter(truth, 1.0)
    sharp = sharpened(dull, noisy)
    assert np.var(sharp - truth) < 0.3 * np.var(dull - truth)
    assert abs(sharp.mean() - dull.mean()) < 1e-9


def test_noise_is_no_detail() -> None:
    noise = white((128, 128), 2)
    dull = ndimage.gaussian_filter(noise, 2.0)
    assert np.var(sharpened(dull, 5 + noise)) < 1.3 * np.var(dull)
    np.testing.assert_allclose(sharpened(np.full((40, 40), 3.0), white((40, 40), 3)), 3)


def test_no_detail_is_amplified_by_more_than_the_bound_or_weakened() -> None:
    truth = 50 * smooth((96, 96), 1.5, seed=4)
    noisy = truth + white(truth.shape, 5)
    np.testing.assert_allclose(
        sharpened(0.1 * truth, noisy).std(), 0.1 * MOST * truth.std(), rtol=0.1
    )
    np.testing.assert_allclose(sharpened(3 * truth, noisy), 3 * truth, atol=0.1)
