"""Single photons in the dark have the variance of their mean, however few they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from unnoise.noise.correlated_curve import measure
from unnoise.noise.sparse_counts import sparse


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rate", [0.003, 0.01, 0.03])
def test_the_variance_of_sparse_counts_is_their_mean(rate: float, seed: int) -> None:
    """It was 1.2 times as much at 0.03, 1.8 at 0.01, and up to 20 at 0.003."""
    y = np.random.default_rng(seed).poisson(rate, (1, 256, 256)) * 7.0 + 100
    curve = measure(y, None)
    assert curve is not None
    assert curve.level == pytest.approx(49 * rate, rel=4 * curve.level_error)
    assert curve.level_error < 0.1
    assert curve.gain_low < 7 < curve.gain_high
    assert curve.is_signal_dependent
    np.testing.assert_allclose(curve.at(100 + 7 * rate), 49 * rate, rtol=1e-6)


def test_a_scene_of_sparse_counts() -> None:
    rate = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(256, 256)), 8)
    rate = 0.03 * (rate - rate.min()) / np.ptp(rate)
    y = np.random.default_rng(1).poisson(rate)[None]
    curve = measure(y, None)
    assert curve is not None
    assert curve.level == pytest.approx(rate.mean(), rel=0.12)


def test_excluded_pixels_do_not_count() -> None:
    y = np.random.default_rng(0).poisson(0.02, (1, 128, 128)).astype(float)
    gone = np.zeros(y.shape, np.bool_)
    gone[:, :40] = True
    found = sparse(np.where(gone, 0.37, y), gone)
    assert found is not None
    assert found.photons == y[~gone].sum()
    assert found.mean == pytest.approx(y[~gone].mean())
    assert sparse(y, np.ones(y.shape, np.bool_)) is None


def test_what_is_no_count_of_photons() -> None:
    rng = np.random.default_rng(0)
    shape = (1, 256, 256)
    disk = np.zeros(shape)
    disk[:, 40:60, 40:60] = 1
    cut_off = rng.normal(-9, 5, shape).clip(0)
    for y in (disk, cut_off, cut_off.round(), rng.poisson(0.3, shape), np.zeros(shape)):
        assert sparse(y) is None
