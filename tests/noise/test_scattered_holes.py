"""Noise between scattered pixels without a measurement is that of the pixels around them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import unnoise
from unnoise.noise.scattered_holes import LEAST, with_noise


def holes(shape: tuple[int, ...], share: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.5])
def test_the_noise_of_a_picture_with_scattered_nan(share: float) -> None:
    """Where a tenth or half was missing, 0.93 and 0.57 of it were found, and a correlation."""
    scene = ndimage.gaussian_filter(np.random.default_rng(3).normal(0, 100, (256, 256)), 6)
    y = 100 + scene + np.random.default_rng(0).normal(0, 5, scene.shape)
    y[holes(y.shape, share)] = np.nan
    (channel,) = unnoise.inspect(y).channels
    assert channel.axes == ()
    assert channel.curve is not None
    assert channel.curve.level**0.5 == pytest.approx(5, rel=0.06)


def test_photons_keep_their_gain() -> None:
    y = np.random.default_rng(0).poisson(np.linspace(5, 60, 256), (256, 256)) * 2.0
    y[holes(y.shape, 0.3)] = np.nan
    curve = unnoise.inspect(y).channels[0].curve
    assert curve is not None
    assert curve.gain_low < 2 < curve.gain_high < 2.6


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_noise_in_holes_is_as_strong_and_independent(share: float) -> None:
    y = np.random.default_rng(0).normal(7, 3, (2, 200, 200))
    gone = holes(y.shape, share)
    made, left = with_noise(np.where(gone, 7, y), gone)
    assert left is not None
    assert not (left & ~gone).any()
    now = gone & ~left
    assert now.sum() > 0.98 * gone.sum()
    np.testing.assert_array_equal(made[~now], np.where(gone, 7, y)[~now])
    d = made - 7
    assert d[now].std() == pytest.approx(3, rel=0.04)
    pair = now[:, :, 1:]
    assert abs((d[:, :, 1:] * d[:, :, :-1])[pair].mean()) / 9 < 0.07


def test_large_and_few_holes_stay_as_they_are() -> None:
    y = np.random.default_rng(0).normal(7, 3, (1, 128, 128))
    region = np.zeros(y.shape, np.bool_)
    region[:, 30:90, 40:] = True
    for gone in (region, holes(y.shape, LEAST / 2), np.zeros(y.shape, np.bool_), None):
        made, left = with_noise(y, gone)
        assert made is y
        assert left is gone
