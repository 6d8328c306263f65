"""Noise told from texture: simulated noise over scenes that the net was not trained on."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from synthetic import specimen
from unnoise.noise import noise_or_texture
from unnoise.noise.correlation import SURE
from unnoise.noise.noise_or_texture import judge, measured, told

CAT = data.cat()[:256, 100:356, 1].astype(float)
GRAVEL = data.gravel()[:256, :256].astype(float)


def gaussian(shape, sigma, seed=0):
    """Noise of unit variance, blurred alike in all directions, and its correlation by distance."""
    noise = ndimage.gaussian_filter(
        np.random.default_rng(seed).normal(size=shape), (0, sigma, sigma)
    )
    return noise / noise.std(), lambda lag: np.exp(-(lag**2) / 4 / sigma**2)


@pytest.mark.parametrize("sigma", [0.7, 1.0])
@pytest.mark.parametrize("scene", ["flat", "cat", "specimen"])
def test_noise_alike_in_all_directions(scene, sigma):
    clean = {"flat": np.zeros((256, 256)), "cat": CAT, "specimen": specimen(1)[0]}[scene]
    noise, truth = gaussian((1, *clean.shape), sigma)
    found = judge(clean + 30 * noise)
    assert found.odds > SURE
    for lag in (1, 2, 3):
        for value in (found.rho[6 + lag, 6], found.rho[6, 6 + lag]):
            assert value == pytest.approx(truth(lag), abs=0.12)
    assert np.mean(found.variance) == pytest.approx(900, rel=0.35)


@pytest.mark.parametrize("sigma", [10, 25])
@pytest.mark.parametrize("scene", [CAT, GRAVEL])
def test_white_noise_over_texture(sigma, scene):
    noisy = scene + np.random.default_rng(0).normal(0, sigma, scene.shape)
    assert judge(noisy[None]).odds < SURE


def test_strength_of_white_noise():
    noisy = CAT + np.random.default_rng(0).normal(0, 15, CAT.shape)
    assert np.mean(judge(noisy[None]).variance) == pytest.approx(225, rel=0.15)


def test_nothing_depends_on_unit_or_offset():
    noise, _ = gaussian((1, 128, 128), 0.8)
    a, b = judge(noise), judge(1e-3 * noise + 7)
    assert b.odds == pytest.approx(a.odds, rel=1e-3)
    np.testing.assert_allclose(b.rho, a.rho, atol=1e-4)
    np.testing.assert_allclose(b.variance, 1e-6 * a.variance, rtol=1e-3)


@pytest.mark.parametrize("unit", [2.0**-280, 2.0**-57, 2.0**57, 2.0**280])
def test_units_far_from_one_change_nothing(unit):
    """32 bits hold none of these squares."""
    noise, _ = gaussian((1, 96, 96), 0.8)
    a, b = judge(noise), judge(unit * noise)
    assert b.odds == pytest.approx(a.odds, rel=1e-9)
    np.testing.assert_allclose(b.rho, a.rho, atol=1e-9)
    np.testing.assert_allclose(b.variance / unit**2, a.variance, rtol=1e-9)


def test_both_parts_of_a_block_have_their_own_noise():
    """Their energies are uncorrelated for noise alone, however it is correlated itself."""
    noise, _ = gaussian((1, 512, 512), 1.0)
    blocks = noise[0].reshape(32, 16, 32, 16).transpose(0, 2, 1, 3).reshape(-1, 16, 16)
    even = (blocks + blocks[:, ::-1, ::-1]) / 2
    energy = [(part**2).mean((1, 2)) for part in (even, blocks - even)]
    assert abs(np.corrcoef(*energy)[0, 1]) < 4 / len(blocks) ** 0.5


def test_autocorrelation_of_groups():
    """Of noise without texture every group of blocks shows the autocorrelation."""
    noise, truth = gaussian((1, 512, 512), 0.8)
    near = np.array([truth(np.hypot(*lag)) for lag in told()])
    for candidate in measured(noise).candidates[:4]:
        np.testing.assert_allclose(candidate, near, atol=0.12)


def test_excluded_pixels_say_nothing():
    noise, _ = gaussian((1, 256, 256), 0.8)
    filled = noise.copy()
    filled[:, :, 100:] = 1e-2 * ndimage.gaussian_filter(noise[:, :, 100:], (0, 3, 3))
    excluded = np.zeros(noise.shape, bool)
    excluded[:, :, 100:] = True
    found = judge(filled, excluded)
    assert found.odds > SURE
    assert np.mean(found.variance) == pytest.approx(1, rel=0.25)


def test_too_few_blocks():
    constant = np.zeros((1, 64, 64))
    constant[0, :5, :5] = 1
    assert judge(constant) is None
    assert noise_or_texture.FEWEST > 0
