"""The curve of correlated noise against the variance that was put in."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import fft, ndimage

from unnoise.noise import correlation, photon_transfer
from unnoise.noise.correlated_curve import measure, of_blocks, shares

TAPS = np.array([1.0, 3.0, 1.0])
"""Correlation of 0.55 with the next pixel and of 0.09 with the one after that."""


def kernel(y, x):
    """A kernel of unit energy, and its autocorrelation, with loops."""
    weights = np.outer(y, x) / np.sqrt((np.outer(y, x) ** 2).sum())
    h, w = weights.shape
    rho = np.zeros((2 * h - 1, 2 * w - 1))
    for dy, dx in np.ndindex(rho.shape):
        for i, j in np.ndindex(h, w):
            m, n = i + dy - h + 1, j + dx - w + 1
            rho[dy, dx] += weights[i, j] * weights[m, n] if 0 <= m < h and 0 <= n < w else 0
    return weights, rho


def noise(weights, side, seed=0):
    white = np.random.default_rng(seed).normal(size=(side, side))
    return ndimage.convolve(white, weights, mode="wrap")[None]


@pytest.mark.parametrize(("y", "x"), [([1], [1]), ([1], [1, 1, 1]), ([1, 1, 1], [1, 1, 1])])
def test_shares_of_low_and_high_frequencies(y, x):
    """The mean power of the cosine coefficients, from simulated blocks."""
    weights, rho = kernel(y, x)
    blocks = noise(weights, 1024).reshape(128, 8, 128, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    power = (fft.dctn(blocks, axes=(1, 2), norm="ortho") ** 2).mean(0)
    i, j = np.indices((8, 8))
    low, high = power[(i + j >= 1) & (i + j <= 8)].mean(), power[i + j >= 10].mean()
    assert shares(rho) == pytest.approx((low, high), rel=0.05)


def test_independent_noise_is_measured_as_such():
    y = 100 + 5 * noise(np.ones((1, 1)), 128)
    found = measure(y, correlation.measure(y))
    assert found.level == photon_transfer.measure(y).level
    assert measure(y, None).level == found.level


def test_what_is_left_of_the_correlation_between_pixels_apart():
    # 12 % of the standard deviation were missing where pixels apart were taken for independent.
    y = np.linspace(0, 60, 320) + 4 * noise(kernel(TAPS, TAPS)[0], 320)
    found = measure(y, correlation.measure(y))
    assert found.level == pytest.approx(16, rel=0.08)


def test_a_correlation_that_is_too_weak_for_a_verdict():
    # 15 % of the variance were missing where such noise was measured as if it were independent.
    weights, _ = kernel(np.array([1.0, 30.0, 1.0]), np.array([1.0, 30.0, 1.0]))
    y = np.linspace(0, 60, 320) + 4 * noise(weights, 320)
    acf = replace(correlation.measure(y), odds=correlation.SURE)
    assert acf.along == ()
    assert photon_transfer.measure(y).level < 0.9 * 16
    assert measure(y, acf).level == pytest.approx(16, rel=0.05)


SHARPENED = {
    "along X": ([1.0], [-0.35, 1.0, -0.35]),
    "difference of rows": ([-1.0, 1.0], [1.0]),
    "both": ([-0.3, 1.0, -0.3], [-0.3, 1.0, -0.3]),
}


@pytest.mark.parametrize("name", SHARPENED)
def test_sharpened_noise(name):
    """It was measured 1.6 to 3 times too strong, as its high frequencies hold more than white's."""
    y, x = (np.array(taps) for taps in SHARPENED[name])
    y = np.linspace(0, 60, 192) + 4 * noise(kernel(y, x)[0], 192)
    acf = correlation.measure(y)
    assert acf.along == ()
    assert acf.sharpened == {"along X": ("X",), "difference of rows": ("Y",)}.get(name, ("Y", "X"))
    assert photon_transfer.measure(y).level > 1.4 * 16
    assert measure(y, acf).level == pytest.approx(16, rel=0.15)


def test_a_little_less_than_nothing_is_no_sharpening():
    y = np.linspace(0, 60, 192) + 4 * noise(np.eye(1), 192)
    white = correlation.measure(y)
    for value, same in ((-0.055, True), (-0.09, False)):
        rho = white.noise.copy()
        rho[6, 5] = rho[6, 7] = value
        acf = replace(white, noise=rho, excess={"Y": (0.0, 0.01), "X": (value, 0.01)})
        assert acf.sharpened == (() if same else ("X",))
        assert (measure(y, acf).level == photon_transfer.measure(y).level) == same


def test_noise_that_grows_with_the_signal():
    scene = np.linspace(20, 120, 320)
    y = scene + np.sqrt(0.5 * scene) * noise(kernel(TAPS, TAPS)[0], 320)
    at = np.array([30, 70, 110])
    np.testing.assert_allclose(measure(y, correlation.measure(y)).at(at), 0.5 * at, rtol=0.15)


def test_noise_that_falls_with_the_signal():
    """As of photographs, whose dark parts a gamma curve brightens."""
    scene = np.linspace(20, 120, 320)
    y = scene + np.sqrt(100 - 0.6 * scene) * noise(kernel(TAPS, TAPS)[0], 320)
    found, at = measure(y, correlation.measure(y)), np.array([30, 70, 110])
    assert found.falls
    np.testing.assert_allclose(found.at(at), 100 - 0.6 * at, rtol=0.15)
    # What was not measured is not made up: variance neither grows on nor reaches zero.
    assert found.at(-300) == found.at(-200)
    assert found.at(300) == found.at(400) > 10


def test_curve_of_blocks():
    rng = np.random.default_rng(0)
    signal = rng.uniform(10, 100, 400)
    variance = (3 * signal + 20) * rng.chisquare(200, 400) / 200
    variance[::20] *= 10  # blocks with texture
    found = of_blocks(signal, variance)
    assert found.gain == pytest.approx(3, rel=0.1)
    assert found.level == pytest.approx(3 * 55 + 20, rel=0.1)
