"""Noise and spots in the symmetric and the antisymmetric part of blocks."""

import numpy as np
import pytest
from scipy import ndimage

from unnoise.noise.block_features import MANY, coarse, common, energies

SIDE = 16


def parts(blocks):
    even = (blocks + blocks[:, ::-1, ::-1]) / 2
    return even, blocks - even


def told(blocks, unit=1.0):
    """All numbers, of groups that hold all blocks."""
    both = parts(unit * blocks)
    energy = np.stack([energies(part) for part in both])
    every = np.arange(len(blocks))
    groups = [[every, every]] * 4
    return coarse(both, energy, groups, np.ones(len(blocks), np.bool_), 1e-12 * unit**2)


def noise(sigma, n=MANY):
    white = np.random.default_rng(0).normal(size=(n, SIDE + 8, SIDE + 8))
    return (
        ndimage.gaussian_filter(white, (0, sigma, sigma))[:, 4:-4, 4:-4]
        if sigma
        else (white[:, 4:-4, 4:-4])
    )


@pytest.mark.parametrize("sigma", [0, 0.6, 0.9])
def test_squares_of_noise_have_nothing_in_common_at_any_place(sigma):
    assert told(noise(sigma))[0] == pytest.approx(np.log(1.1), abs=0.03)


def test_spots_lie_at_the_same_places_in_both_parts():
    spots = noise(0)
    spots[np.arange(len(spots)), 4, 5] += 12
    assert told(spots)[0] > np.log(1.5)


def test_energies_of_noise_have_nothing_in_common():
    logs = np.log([energies(part) for part in parts(noise(0.8, 4000))])
    assert np.abs(common(logs)[::2]).max() < 0.1


def test_means_take_most_from_white_noise():
    white, spread = told(noise(0)), told(noise(0.9))
    after = 12  # what was seen place by place
    assert white[after] == pytest.approx(np.log(1 / 4), abs=0.02)
    assert spread[after] > np.log(1 / 2)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_unit_does_not_matter(unit):
    blocks = noise(0.6, 50)
    np.testing.assert_allclose(told(blocks, unit), told(blocks), atol=1e-4)
