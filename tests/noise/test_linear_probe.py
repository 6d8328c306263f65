"""The risk of a linear blind spot against its error where the clean image is known."""

import numpy as np
import pytest
from scipy import ndimage

from unnoise.noise.linear_probe import linear


def scene(seed=0, size=256):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 2)
    return 20 * smooth / smooth.std()


def truth(noisy, clean, noise, hidden, variance):
    """Error and leak of a least-squares prediction from a 7x7 window, pixel by pixel shifts."""
    columns = []
    for y in range(-3, 4):
        for x in range(-3, 4):
            if (y, x) not in hidden:
                columns.append(np.roll(noisy, (-y, -x), (0, 1))[8:-8, 8:-8].ravel())
    design, target = np.stack(columns, 1), noisy[8:-8, 8:-8].ravel()
    weights = np.linalg.lstsq(design, target, rcond=None)[0]
    error = design @ weights - clean[8:-8, 8:-8].ravel()
    return float((error**2).mean() / variance)


def rho_of(length, r=6):
    rho = np.zeros((2 * r + 1, 2 * r + 1))
    for k in range(-length + 1, length):
        rho[r, r + k] = 1 - abs(k) / length
    return rho


@pytest.mark.parametrize("sigma", [5, 15, 40])
def test_risk_of_white_noise(sigma):
    clean = scene()
    noise = np.random.default_rng(1).normal(0, sigma, clean.shape)
    found = linear((clean + noise)[None], sigma**2, rho_of(1))
    expected = truth(clean + noise, clean, noise, {(0, 0)}, sigma**2)
    assert found.risk == pytest.approx(expected, abs=0.05)
    assert found.kept == 0


@pytest.mark.parametrize("length", [3, 5])
def test_risk_of_correlated_noise(length):
    clean = scene()
    white = np.random.default_rng(1).normal(size=clean.shape)
    noise = 15 * ndimage.uniform_filter1d(white, length, axis=1) * length**0.5
    found = linear((clean + noise)[None], 225, rho_of(length))
    expected = truth(clean + noise, clean, noise, {(0, 0)}, 225)
    assert found.risk == pytest.approx(expected, abs=0.06)
    assert found.kept > 0.5  # its neighbours give the noise away


def test_a_mask_keeps_correlated_noise_out():
    clean = scene()
    white = np.random.default_rng(1).normal(size=clean.shape)
    noise = 25 * ndimage.uniform_filter1d(white, 5, axis=1) * 5**0.5
    y = (clean + noise)[None]
    blind = linear(y, 625, rho_of(5))
    masked = linear(y, 625, rho_of(5), np.ones((1, 9), bool))
    assert masked.kept == pytest.approx(0, abs=1e-9)
    assert masked.risk < 0.7 * blind.risk


@pytest.mark.parametrize("offset", [0, 1e6])
def test_stacks_and_offsets(offset):
    y = np.random.default_rng(0).normal(offset, 3, (4, 64, 64))
    assert abs(linear(y, 9, rho_of(1)).risk) < 0.05


def test_what_cannot_be_predicted():
    assert linear(np.random.default_rng(0).normal(size=(1, 8, 40)), 1, rho_of(1)) is None
    assert linear(np.ones((1, 64, 64)), 0, rho_of(1)) is None
    assert linear(np.ones((1, 64, 64)), 1.0, rho_of(1)) is None
