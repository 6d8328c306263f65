"""Counts of no photon are no clipped grey levels, and clipped grey levels are no counts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synthetic import smooth
from unnoise.noise.photon_transfer import measure
from unnoise.noise.sparse_counts import are_counts, at_an_end


def counts(light: float, n: int = 1, side: int = 128) -> tuple[NDArray, NDArray]:
    """Photons of a scene whose brightest places have so many, and what was expected of them."""
    scene = np.exp(1.2 * smooth((side, side), 8))
    scene = light * scene / np.quantile(scene, 0.999)
    return np.random.default_rng(0).poisson(scene, (n, side, side)), scene


@pytest.mark.parametrize("light", [1.0, 3.0, 10.0, 30.0])
@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (12, 100)])
def test_photons_are_counts_whatever_their_unit(light: float, gain: int, offset: int) -> None:
    planes = counts(light)[0] * gain + offset
    assert are_counts(planes)
    assert not at_an_end(planes)[planes == offset].any()
    assert at_an_end(planes)[planes == planes.max()].all()


@pytest.mark.parametrize("sigma", [3.0, 9.0, 40.0])
@pytest.mark.parametrize("black", [-1.0, 0.0, 1.0])
def test_grey_levels_that_were_cut_off_are_not(sigma: float, black: float) -> None:
    rng = np.random.default_rng(0)
    scene = black * sigma + 2 * sigma * np.maximum(smooth((128, 128), 8), 0)
    planes = np.clip(np.round(scene + rng.normal(0, sigma, scene.shape)), 0, 255)[None]
    assert not are_counts(planes)
    assert at_an_end(planes)[planes == 0].all()


def test_what_has_no_common_darkest_value_is_not() -> None:
    rng = np.random.default_rng(0)
    assert not are_counts(rng.normal(size=(1, 64, 64)))
    assert not are_counts(np.zeros((1, 64, 64)))
    assert not are_counts(rng.integers(0, 2, (1, 64, 64)))  # two levels, of which none is a two
    assert not are_counts(rng.poisson(0.7, (1, 16, 16)))  # four blocks do not tell


@pytest.mark.parametrize("light", [2.0, 5.0, 10.0, 20.0])
def test_the_noise_of_few_photons_is_that_of_all_blocks(light: float) -> None:
    """Before, bright blocks alone told it where there were enough: four times too much at 5."""
    planes, scene = counts(light, 8)
    curve = measure(planes)
    assert curve is not None
    signal = np.quantile(scene, [0.2, 0.5, 0.9])
    np.testing.assert_allclose(curve.at(signal), signal, rtol=0.15, atol=0.02)
