"""Laws of ring correlation: it equals a loop, ends at the band limit, and says when it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import windows

from unnoise.errors import InputError
from unnoise.quality.frc import frc, gaussian_split, resolution


def banded(shape: tuple[int, ...], limit: float, seed: int = 0) -> NDArray:
    """White noise without frequencies above `limit` cycles per pixel, of unit variance."""
    spectrum = fft.fftn(np.random.default_rng(seed).normal(size=shape))
    grid = np.meshgrid(*[fft.fftfreq(n) for n in shape], indexing="ij")
    x = fft.ifftn(spectrum * (np.sqrt(sum(f**2 for f in grid)) <= limit)).real
    return np.asarray(x / x.std())


def loop(a: NDArray, b: NDArray) -> tuple[list[float], list[int]]:
    """Ring by ring, coefficient by coefficient, over the whole spectrum."""
    window = np.ones(a.shape)
    for p in np.ndindex(*a.shape):
        for i, n in zip(p, a.shape, strict=True):
            window[p] *= windows.tukey(n + 2, 0.5)[i + 1]
    spectra = [np.fft.fftn((x - np.average(x, weights=window)) * window) for x in (a, b)]
    longest = max(a.shape)
    rings = [[0.0, 0.0, 0.0, 0] for _ in range(longest)]
    for p in np.ndindex(*a.shape):
        f = [fft.fftfreq(n)[i] for i, n in zip(p, a.shape, strict=True)]
        ring = rings[int(float(np.linalg.norm(f)) * longest + 0.5 + 1e-9)]
        u, v = spectra[0][p], spectra[1][p]
        ring[0] += (u * v.conjugate()).real
        ring[1] += abs(u) ** 2
        ring[2] += abs(v) ** 2
        ring[3] += 1
    used = rings[1 : longest // 2 + 1]
    return [c / np.sqrt(u * v) for c, u, v, _ in used], [n for *_, n in used]


@pytest.mark.parametrize("shape", [(16, 16), (17, 15), (16, 9), (6, 8, 9)])
def test_it_equals_a_loop_over_rings(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=shape)
    b = a + rng.normal(size=shape)
    curve = frc(a, b)
    correlation, count = loop(a, b)
    np.testing.assert_allclose(curve.correlation, correlation, atol=1e-9)
    assert curve.count.tolist() == count
    np.testing.assert_allclose(curve.frequency, np.arange(1, len(count) + 1) / max(shape))


@pytest.mark.parametrize("sigma", [0.5, 2.0])
@pytest.mark.parametrize(
    ("shape", "limit"), [((256, 256), 0.1), ((256, 192), 0.2), ((64, 64), 0.2), ((48,) * 3, 0.2)]
)
def test_resolution_is_the_band_limit(shape: tuple[int, ...], limit: float, sigma: float) -> None:
    for seed in range(3):
        truth, rng = banded(shape, limit, seed), np.random.default_rng(seed + 1)
        a, b = (truth + sigma * rng.normal(size=shape) for _ in range(2))
        found = resolution(frc(a, b))
        assert found is not None
        rings = (1 / found - limit) * max(shape)  # the window smears the limit over some rings
        assert -1 < rings < 4.5


def test_more_noise_means_coarser() -> None:
    x = np.random.default_rng(0).normal(size=(256, 256))
    f = np.hypot(*np.meshgrid(fft.fftfreq(256), fft.fftfreq(256)))
    truth = fft.ifft2(fft.fft2(x) * np.exp(-((f / 0.1) ** 2))).real
    rng = np.random.default_rng(1)
    found = []
    for sigma in (0.01, 0.1, 0.5):
        a, b = gaussian_split(truth + sigma * rng.normal(size=x.shape), sigma**2, rng)
        found.append(resolution(frc(a, b)))
    assert found == sorted(found, key=lambda r: r or 0)
    assert None not in found


def test_independent_noise_does_not_correlate_and_equal_images_do() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 128, 128))
    curve = frc(a, b)
    z = curve.correlation * np.sqrt(curve.count / 2)
    assert 0.7 < z.std() < 1.6  # the window makes coefficients share some noise
    same = frc(a, 3 * a + 7)
    np.testing.assert_allclose(same.correlation, 1)
    assert resolution(same) is None


def test_correlated_noise_inflates_it() -> None:
    rng = np.random.default_rng(0)
    truth, noise = banded((128, 128), 0.1), 0.5 * rng.normal(size=(128, 128))
    shared = noise + np.roll(noise, 1, axis=1)
    honest = resolution(frc(*gaussian_split(truth + noise, 0.25, rng)))
    inflated = resolution(frc(*gaussian_split(truth + shared, 0.25, rng)))  # true variance: 0.5
    assert honest is not None
    assert inflated is None or inflated < 0.7 * honest


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (2, 3)])
@pytest.mark.parametrize("value", [0, 65535])
def test_constants_have_no_common_detail(shape: tuple[int, ...], value: int) -> None:
    x = np.full(shape, value, np.uint16)
    curve = frc(x, x)
    assert (curve.correlation == 0).all()
    assert resolution(curve) is None


def test_an_offset_changes_nothing() -> None:
    a, b = np.random.default_rng(0).integers(0, 100, (2, 32, 32))
    np.testing.assert_allclose(frc(a, b).correlation, frc(a + 1e6, b + 1e6).correlation, atol=1e-8)


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**-57, 2.0**100])
def test_a_unit_changes_nothing(unit: float) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 32, 32))
    np.testing.assert_array_equal(frc(a, b).correlation, frc(a * unit, b * unit).correlation)


def test_misuse_is_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        frc(np.zeros((16, 16)), np.zeros((16, 17)))
