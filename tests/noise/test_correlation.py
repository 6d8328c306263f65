"""The measured autocorrelation against that of the simulated noise."""

import itertools

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from unnoise.noise import correlation
from unnoise.noise.autocovariance import lagged_products, mixing
from unnoise.noise.correlation import measure


def kernel_acf(kernel, r=6):
    """Autocorrelation of white noise filtered with a kernel, by lag in (y, x), with loops."""
    h, w = kernel.shape
    rho = np.zeros((2 * r + 1, 2 * r + 1))
    for dy, dx in itertools.product(range(-r, r + 1), repeat=2):
        for y, x in itertools.product(range(h), range(w)):
            if 0 <= y + dy < h and 0 <= x + dx < w:
                rho[r + dy, r + dx] += kernel[y, x] * kernel[y + dy, x + dx]
    return rho / rho[r, r]


def filtered(kernel, shape, seed=0):
    """Noise of unit variance: white noise filtered with a kernel."""
    white = np.random.default_rng(seed).normal(size=shape)
    noise = ndimage.convolve(white, np.broadcast_to(kernel, (1, *kernel.shape)), mode="wrap")
    return noise / np.sqrt((kernel**2).sum())


KERNELS = {
    "white": np.ones((1, 1)),
    "3 along X": np.ones((1, 3)),
    "5 along X": np.ones((1, 5)),
    "3 along Y": np.ones((3, 1)),
    "5 along Y": np.ones((5, 1)),
    "3x3": np.ones((3, 3)),
    "diagonal": np.eye(3)[::-1],
    "weak": np.array([[1, 0.2]]),
    "sharpened": np.array([[-0.3, 1, -0.3]]),
}
AXES = {"white": (), "3x3": ("Y", "X"), "weak": ("X",)}
AXES |= {f"{n} along {k}": (k,) for n in (3, 5) for k in "YX"}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("planes", [1, 3])
def test_autocorrelation_is_that_of_the_noise(name, planes):
    # 0.03 is about four standard errors of a value from 77 blocks.
    y = filtered(KERNELS[name], (planes, 352, 352)) * 7 + 100
    found = measure(y)
    np.testing.assert_allclose(found.rho, kernel_acf(KERNELS[name]), atol=0.12 / planes**0.5)
    near = slice(4, 9)
    expected = kernel_acf(KERNELS[name])[near, near]
    np.testing.assert_allclose(found.rho[near, near], expected, atol=0.09)


@pytest.mark.parametrize("name", KERNELS)
def test_errors_cover_the_autocorrelation(name):
    found = measure(filtered(KERNELS[name], (4, 256, 256), seed=3))
    off = np.abs(found.rho - kernel_acf(KERNELS[name]))
    centre = found.error == 0
    assert (off[~centre] < 3.5 * found.error[~centre]).mean() > 0.97


def test_a_slow_background_changes_nothing():
    y, x = np.mgrid[:256, :256] / 256
    slow = 300 * y**2 - 500 * x * y + 80 * x  # quadratic, so that blocks lose all of it
    noise = filtered(KERNELS["3 along X"], (1, 256, 256))
    a, b = measure(noise), measure(noise + slow)
    np.testing.assert_allclose(a.rho[6], b.rho[6], atol=0.05)


@pytest.mark.parametrize(("side", "reach"), [(8, 2), (16, 4)])
def test_detrending_is_undone_exactly(side, reach):
    """The expected sums of detrended noise, from its covariance matrix, give the covariance."""
    lags, matrix = mixing(side, reach)
    rng = np.random.default_rng(0)
    truth = {lag: rng.normal() for lag in lags}
    covariance = np.zeros((side**2, side**2))
    for i, j in itertools.product(range(side**2), repeat=2):
        dy, dx = j // side - i // side, j % side - i % side
        lag = (dy, dx) if (dy, dx) >= (0, 0) else (-dy, -dx)
        covariance[i, j] = truth.get(lag, 0.0)
    t = np.linspace(-1, 1, side)
    y, x = (a.ravel() for a in np.meshgrid(t, t, indexing="ij"))
    surface = np.stack([y**0, y, x, y**2, y * x, x**2], 1)
    project = np.eye(side**2) - surface @ np.linalg.pinv(surface)
    left = project @ covariance @ project
    sums = np.zeros(len(lags))
    for k, (dy, dx) in enumerate(lags):
        for i in range(side**2):
            a, b = i // side + dy, i % side + dx
            if 0 <= a < side and 0 <= b < side:
                sums[k] += left[i, a * side + b]
    np.testing.assert_allclose(np.linalg.solve(matrix, sums), list(truth.values()), atol=1e-8)


def test_sums_of_products_match_loops():
    blocks = np.random.default_rng(0).normal(size=(2, 8, 8))
    sums = lagged_products(blocks, 2, axes=(1, 2))
    for b, dy, dx in itertools.product(range(2), range(3), range(-2, 3)):
        expected = sum(
            blocks[b, y, x] * blocks[b, y + dy, x + dx]
            for y, x in itertools.product(range(8), repeat=2)
            if y + dy < 8 and 0 <= x + dx < 8
        )
        assert sums[b, 2 + dy, 2 + dx] == pytest.approx(expected)


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("seed", range(3))
def test_axes_and_mask(name, seed):
    found = measure(filtered(KERNELS[name], (1, 256, 256), seed) * 20 + 50)
    assert found.along == AXES[name]
    mask = found.mask()
    if name == "white":
        assert mask is None
        return
    truth = kernel_acf(KERNELS[name]) > 0.15
    rows, columns = (np.flatnonzero(truth.any(axis)) for axis in (1, 0))
    truth = truth[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # All that is correlated is hidden, and at most two pixels more at each end.
    assert all(m % 2 for m in mask.shape)
    assert all(t <= m <= t + 4 for m, t in zip(mask.shape, truth.shape, strict=True))
    inner = tuple(
        slice((m - t) // 2, (m + t) // 2) for m, t in zip(mask.shape, truth.shape, strict=True)
    )
    assert mask[inner][truth].all()
    if "along X" in name:
        assert mask.shape[0] == 1
    if "along Y" in name:
        assert mask.shape[1] == 1
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])


@pytest.mark.parametrize("picture", ["camera", "coins", "moon", "page", "text"])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("sigma", [5, 10, 25])
def test_texture_is_no_correlation(picture, seed, sigma):
    scene = getattr(data, picture)().astype(float)
    noise = np.random.default_rng(seed).normal(0, sigma, scene.shape)
    assert measure((scene + noise)[None]).along == ()


@pytest.mark.parametrize("picture", ["camera", "coins", "moon", "page", "text"])
@pytest.mark.parametrize("mean", [0.2, 1, 10, 100, 200])
def test_texture_is_no_correlation_in_counts(picture, mean):
    scene = getattr(data, picture)().astype(float)
    counts = np.random.default_rng(0).poisson(scene / scene.mean() * mean)
    assert measure(counts[None]).along == ()


@pytest.mark.parametrize("picture", ["camera", "coins"])
@pytest.mark.parametrize("name", ["3 along X", "5 along X", "3 along Y", "5 along Y", "3x3"])
def test_axes_over_pictures(picture, name):
    scene = getattr(data, picture)().astype(float)
    noise = filtered(KERNELS[name], (1, *scene.shape)) * 25
    found = measure(scene + noise)
    assert found.along == AXES[name]
    truth = kernel_acf(KERNELS[name])[6]
    if "along X" in name:
        np.testing.assert_allclose(found.neighbours[6, 4:9], truth[4:9], atol=0.12)


@pytest.mark.parametrize("n", [4, 8, 20])
@pytest.mark.parametrize("letter", ["Z", "T"])
def test_correlation_between_planes(n, letter):
    scene = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(n, 128, 128)), 4)
    scene = 50 + scene * 400  # a specimen that neighbouring slices share
    noise = np.random.default_rng(0).normal(0, 10, (n + 2, 128, 128))
    assert letter not in measure(scene + noise[:n], letter).along
    smeared = (noise[:-2] + noise[1:-1] + noise[2:]) / 3**0.5
    found = measure(scene + smeared, letter)
    assert found.along == (letter,)
    assert found.excess[letter][0] == pytest.approx(2 / 3, abs=0.1)
    assert found.reach(letter) == 2
    assert found.reach("X") == 0


def test_smooth_scenes_are_no_noise():
    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter(rng.normal(size=(1, 256, 256)), (0, 8, 8)) * 1000
    found = measure(scene + rng.normal(0, 0.3, scene.shape))
    assert found.along == ()
    assert found.fade < correlation.FADE


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 16, 90), (2, 31, 17), (1, 63, 64)])
def test_small_images(shape):
    found = measure(np.random.default_rng(0).normal(1e6, 3, shape))
    assert found.along == ()
    assert np.isfinite(found.rho).all()
    assert found.rho[len(found.rho) // 2, len(found.rho) // 2] == 1


@pytest.mark.parametrize("value", [0, 65535, 1e6])
def test_constant_planes_have_none(value):
    assert measure(np.full((2, 64, 64), value)) is None


def test_constant_regions_are_left_out():
    y = np.random.default_rng(0).normal(100, 5, (1, 256, 256))
    y[0, :100] = 0
    found = measure(y)
    assert found.along == ()
    assert np.median(found.variance) == pytest.approx(25, rel=0.1)
