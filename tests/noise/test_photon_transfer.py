"""The photon-transfer curve against the closed formula of the simulated camera."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from unnoise.noise.photon_transfer import measure, scaled


def camera(scene, gain, offset, read, seed=0):
    """Counts of a camera over expected electrons: variance = gain (y - offset) + read^2."""
    rng = np.random.default_rng(seed)
    return gain * rng.poisson(scene) + offset + rng.normal(0, read, scene.shape)


def ramp(low, high, shape=(1, 256, 256)):
    return np.broadcast_to(np.linspace(low, high, shape[-1]), shape)


@pytest.mark.parametrize("picture", ["camera", "coins", "moon", "page"])
@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_level_over_pictures(picture, sigma):
    scene = getattr(data, picture)().astype(float)
    noise = np.random.default_rng(sigma).normal(0, sigma, scene.shape)
    found = measure((scene + noise)[None])
    # Texture adds to the variance of weak noise; that of sigma 10 comes out 3 % high (coins).
    assert found.level == pytest.approx(sigma**2, rel={10: 0.06, 25: 0.05, 50: 0.05}[sigma])
    assert abs(found.level / sigma**2 - 1) < 4 * found.level_error


@pytest.mark.parametrize("n", [1, 4, 16])
def test_level_of_stacks(n):
    noise = np.random.default_rng(n).normal(0, 3, (n, 128, 128))
    scene = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 500, noise.shape), (1, 6, 6))
    assert measure(scene + noise).level == pytest.approx(9, rel=0.1 / n**0.5 + 0.03)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("gain", "offset", "read", "low", "high"),
    [(1, 0, 0, 2, 60), (2.5, 100, 5, 5, 300), (0.4, 500, 2, 50, 3000), (20, 300, 40, 1, 40)],
)
def test_gain_of_a_camera(gain, offset, read, low, high, seed):
    found = measure(camera(ramp(low, high), gain, offset, read, seed))
    assert found.gain == pytest.approx(gain, rel=0.1)
    assert found.gain_low < found.gain < found.gain_high
    assert found.is_signal_dependent
    signal = gain * np.linspace(low, high, 5) + offset
    truth = gain * (signal - offset) + read**2
    np.testing.assert_allclose(found.at(signal)[2:], truth[2:], rtol=0.1)
    assert found.level == pytest.approx(gain**2 * (low + high) / 2 + read**2, rel=0.06)


def test_the_interval_of_the_gain_covers_it():
    inside = [
        found.gain_low < 2 < found.gain_high
        for seed in range(40)
        if (found := measure(camera(ramp(5, 100), 2, 100, 5, seed)))
    ]
    assert np.mean(inside) > 0.85  # 95 % but for chance and for the bins' correlation


@pytest.mark.parametrize("picture", ["camera", "coins"])
@pytest.mark.parametrize("peak", [20, 100])
def test_gain_over_pictures(picture, peak):
    scene = getattr(data, picture)() / 255 * peak
    found = measure(camera(scene, 3, 100, 3)[None])
    assert found.gain == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("mean", [0.2, 1, 10, 200])
def test_poisson_counts_have_variance_equal_to_their_mean(mean):
    counts = np.random.default_rng(0).poisson(ramp(0.5 * mean, 1.5 * mean))
    found = measure(counts)
    assert found.level == pytest.approx(mean, rel=0.08)
    assert found.gain == pytest.approx(1, abs=0.25)


def test_constant_noise_is_not_signal_dependent():
    noise = np.random.default_rng(0).normal(0, 5, (1, 256, 256))
    found = measure(ramp(0, 1000) + noise)
    assert not found.is_signal_dependent
    np.testing.assert_allclose(found.at([0, 500, 1000]), found.level)
    assert found.gain_low < 0 < found.gain_high


def test_multiplicative_noise_is_no_line():
    scene = ramp(10, 500, (2, 512, 512))
    found = measure(scene * (1 + 0.1 * np.random.default_rng(0).normal(size=scene.shape)))
    assert not found.is_line
    np.testing.assert_allclose(found.at([100, 300]), [100, 900], rtol=0.2)


@pytest.mark.parametrize("unit", [1e-30, 1e-6, 1e6, 1e30])
def test_units_change_the_unit_alone(unit):
    y = camera(ramp(5, 100), 2, 100, 5)
    a, b = measure(y), measure(y * unit)
    assert b.level == pytest.approx(a.level * unit**2, rel=1e-3)
    assert b.gain == pytest.approx(a.gain * unit, rel=1e-3)
    np.testing.assert_allclose(b.signal, a.signal * unit, rtol=1e-3)
    np.testing.assert_allclose(b.at(a.signal * unit), a.at(a.signal) * unit**2, rtol=1e-3)


@pytest.mark.parametrize("offset", [0, 65000, 1e6, 1e9])
def test_offsets_change_nothing(offset):
    noise = np.random.default_rng(0).normal(0, 5, (1, 256, 256))
    assert measure(noise + offset).level == pytest.approx(measure(noise).level, rel=1e-3)


@pytest.mark.parametrize(("scale", "offset"), [(1, 1e4), (1, 3e5), (1, 1e12), (1e-4, 300)])
def test_the_gain_is_that_of_the_picture_without_its_offset(scale, offset):
    y = camera(ramp(5, 100, (1, 128, 128)), 2, 100, 5)
    a, b = measure(y), measure(y * scale + offset)
    assert b.is_signal_dependent
    assert b.gain / scale == pytest.approx(a.gain, rel=1e-4)
    half = b.gain_high - b.gain_low
    assert half / scale == pytest.approx(a.gain_high - a.gain_low, rel=1e-4)
    at = np.array([110, 200])
    np.testing.assert_allclose(b.at(at * scale + offset) / scale**2, a.at(at), rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_types(dtype):
    y = np.random.default_rng(0).normal(120, 8, (1, 128, 128)).round().astype(dtype)
    assert measure(y).level == pytest.approx(64, rel=0.1)


def test_clipped_and_constant_blocks_are_left_out():
    y = np.random.default_rng(0).normal(100, 10, (1, 256, 256))
    y[0, :80] = 0
    y[0, 80:120] = 255
    assert measure(y).level == pytest.approx(100, rel=0.08)


@pytest.mark.parametrize("planes", [np.full((1, 64, 64), 7.0), np.zeros((3, 16, 16))])
def test_constant_planes_have_no_curve(planes):
    assert measure(planes) is None


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 16, 100), (2, 17, 33)])
def test_small_images(shape):
    found = measure(np.random.default_rng(0).normal(100, 5, shape))
    assert 0.4 < found.level / 25 < 2.5
    assert np.isfinite(found.at([0, 100, 1e4])).all()
    assert (found.at([0, 100, 1e4]) > 0).all()


def test_shares_are_those_of_the_measured_coefficients():
    y = camera(ramp(5, 100), 2, 100, 5)
    a, b = measure(y), measure(y, shares=(0.5, 0.5))
    assert b.level == pytest.approx(2 * a.level)
    np.testing.assert_allclose(b.variance, 2 * a.variance)
    np.testing.assert_allclose(b.at([150, 250]), 2 * a.at([150, 250]))


def test_a_scaled_curve_is_that_of_the_scaled_picture():
    y = camera(ramp(5, 100), 2, 100, 5)
    a, b = measure(y), measure(4 * y)  # a power of two is exact
    np.testing.assert_allclose(scaled(a, 4.0, 1.0).at([700, 900]), b.at([700, 900]))
    np.testing.assert_allclose(scaled(a, 1.0, 0.5).at([150, 250]), a.at([150, 250]) / 2)


def test_offset_and_read_noise_are_read_off_the_line():
    bright = measure(camera(ramp(20, 400), 2, 200, 0))
    assert bright.read_noise == 0
    assert bright.offset == pytest.approx(200, abs=40)
    dark = measure(camera(ramp(1, 30), 1, 0, 8))
    assert dark.offset == 0
    assert dark.read_noise == pytest.approx(8, rel=0.1)
