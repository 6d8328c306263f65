"""Laws of the residual: white noise passes; lost structure and kept noise are found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, stats

from unnoise.errors import InputError
from unnoise.quality.whiteness import REACH, _ranks, residual_structure, whiteness


def steps(seed: int, shape: tuple[int, ...] = (128, 128), height: float = 6.0) -> NDArray:
    """Squares of random brightness with sharp edges."""
    rng = np.random.default_rng(seed)
    return np.kron(rng.uniform(0, height, [n // 16 for n in shape]), np.ones([16] * len(shape)))


def loops(z: NDArray, used: NDArray, lag: tuple[int, ...]) -> float:
    """Autocorrelation at one lag, by a loop over all pairs."""
    mean = z[used].mean()
    pairs = []
    for p in np.ndindex(*z.shape):
        q = tuple(i + j for i, j in zip(p, lag, strict=True))
        if all(0 <= i < n for i, n in zip(q, z.shape, strict=True)) and used[p] and used[q]:
            pairs.append((z[p] - mean) * (z[q] - mean))
    return float(np.mean(pairs) / z[used].var())


@pytest.mark.parametrize("shape", [(20, 17), (5, 12, 9)])
def test_autocorrelation_equals_a_loop(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    r, v = rng.normal(size=shape), rng.uniform(0.5, 2, shape)
    used = rng.uniform(size=shape) < 0.8
    result = whiteness(r, np.where(used, v, 0))
    assert result.rho.shape == (2 * REACH + 1,) * len(shape)
    for lag in itertools.product(range(-2, 3), repeat=len(shape)):
        found = result.rho[tuple(i + REACH for i in lag)]
        assert found == pytest.approx(loops(r / np.sqrt(v), used, lag), abs=1e-9)


@pytest.mark.parametrize("shape", [(96, 96), (12, 40, 40)])
def test_p_is_uniform_for_noise_of_any_tail_and_brightness(shape: tuple[int, ...]) -> None:
    p, inside = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        v = np.exp(ndimage.gaussian_filter(rng.normal(size=shape), 3) * 10)
        noise = rng.laplace(scale=np.sqrt(0.5), size=shape) * np.sqrt(v)
        result = whiteness(noise, v)
        p.append(result.p)
        inside.append(abs(result.largest) < result.limit)
    assert 0.35 < np.mean(p) < 0.65
    assert np.mean(np.array(p) < 0.05) <= 0.13
    assert np.mean(inside) >= 0.87


def test_a_wrong_variance_does_not_make_independent_noise_correlated() -> None:
    v = steps(1) ** 2 + 0.1
    p = [
        whiteness(np.random.default_rng(s).normal(size=v.shape) * np.sqrt(v), 1).p
        for s in range(40)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.15


@pytest.mark.parametrize(("shape", "axis"), [((64, 64), 0), ((64, 64), 1), ((9, 40, 40), 0)])
def test_correlated_noise_is_found_at_its_lag(shape: tuple[int, ...], axis: int) -> None:
    noise = np.random.default_rng(0).normal(size=shape)
    result = whiteness(noise + np.roll(noise, 2, axis=axis), 2.0)
    assert result.p < 1e-6
    assert result.largest == pytest.approx(0.5, abs=0.05)
    assert result.largest > result.limit
    assert np.abs(result.at).tolist() == [2 * (a == axis) for a in range(len(shape))]


def interval_law(noise: str, shape: tuple[int, ...]) -> float:
    hits = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = steps(seed, shape) + 1
        v = {"gaussian": np.ones(shape), "poisson": truth}[noise]
        draws = {"gaussian": truth + rng.normal(size=shape), "poisson": rng.poisson(truth)}
        hits.append(not residual_structure(draws[noise], truth, v).correlation.significant)
    return float(np.mean(hits))


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
@pytest.mark.parametrize("shape", [(128, 128), (16, 48, 48)])
def test_a_perfect_result_leaks_nothing(noise: str, shape: tuple[int, ...]) -> None:
    assert interval_law(noise, shape) >= 0.9


@pytest.mark.parametrize("shape", [(128, 128), (16, 64, 64)])
def test_blurred_edges_leak_and_the_map_shows_where(shape: tuple[int, ...]) -> None:
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        truth = steps(seed, shape)
        noisy = truth + rng.normal(size=shape)
        result = residual_structure(noisy, ndimage.gaussian_filter(truth, 1.5), 1.0)
        found.append(result.correlation.low > 0)
        lost = (truth - ndimage.gaussian_filter(truth, 1.5)) ** 2
        at_edges = lost > np.quantile(lost, 0.9)
        assert result.map.shape == shape
        assert result.map[at_edges].mean() > 1.2 * result.map[lost < np.median(lost)].mean()
        assert (result.significance[at_edges] > 4).mean() > 0.2
    assert np.mean(found) >= 0.9


def test_kept_noise_shows_as_energy_below_one() -> None:
    truth = steps(0)
    noisy = truth + np.random.default_rng(0).normal(size=truth.shape)
    result = residual_structure(noisy, 0.5 * noisy + 0.5 * truth, 1.0)
    assert result.energy == pytest.approx(0.25, abs=0.02)
    assert (result.map < 1).all()
    assert (result.significance < -4).mean() > 0.9
    assert abs(result.correlation.value) < 0.05  # kept noise alone is no structure


def test_the_map_of_white_noise_has_unit_spread() -> None:
    noise = np.random.default_rng(0).normal(size=(400, 400))
    significance = residual_structure(noise, steps(0, (400, 400)) * 0, 1.0).significance
    assert significance.std() == pytest.approx(1, abs=0.1)
    assert (np.abs(significance) > 4).mean() < 2e-3


def test_a_flat_clean_image_cannot_tell() -> None:
    noisy = steps(0) + np.random.default_rng(0).normal(size=(128, 128))
    result = residual_structure(noisy, np.full(noisy.shape, noisy.mean()), 1.0)
    assert (result.correlation.low, result.correlation.high) == (-1, 1)
    assert result.energy > 2


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**-57, 2.0**100])
def test_units_change_nothing(unit: float) -> None:
    rng = np.random.default_rng(0)
    truth = steps(0)
    noisy, lost = truth + rng.normal(size=truth.shape), ndimage.gaussian_filter(truth, 2)
    a, b = (residual_structure(u * noisy, u * lost, u**2) for u in (1.0, unit))
    assert a.correlation == b.correlation
    assert b.correlation.low > 0


@pytest.mark.parametrize("offset", [65000, 1e6])
def test_offsets_change_nothing(offset: float) -> None:
    rng = np.random.default_rng(0)
    truth = np.round(steps(0) * 4)
    noisy = truth + np.round(rng.normal(0, 4, truth.shape))
    a, b = (
        residual_structure(noisy, truth, 16),
        residual_structure(noisy + offset, truth + offset, 16),
    )
    assert a.correlation.value == pytest.approx(b.correlation.value, abs=1e-6)
    integers = residual_structure(
        (noisy + offset).astype(np.uint32), (truth + offset).astype(np.uint32), 16
    )
    assert integers.energy == pytest.approx(a.energy)


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (3, 4, 40)])
@pytest.mark.parametrize("variance", [0, 1])
def test_constants_and_tiny_images_give_numbers(shape: tuple[int, ...], variance: float) -> None:
    for x in (np.zeros(shape), np.full(shape, 0.1), np.random.default_rng(0).normal(size=shape)):
        w, result = whiteness(x, variance), residual_structure(x, np.zeros(shape), variance)
        numbers = [w.largest, w.limit, w.p, result.energy, *result.map.ravel()]
        assert np.isfinite([*numbers, *w.rho.ravel(), *result.significance.ravel()]).all()
        assert np.isfinite([result.correlation.low, result.correlation.high]).all()


def test_pixels_without_variance_are_left_out() -> None:
    noise = np.random.default_rng(0).normal(size=(64, 64))
    v = np.ones(noise.shape)
    v[:, :32] = 0
    bad = np.where(v == 0, 1000.0, noise)
    np.testing.assert_allclose(whiteness(bad, v).rho, whiteness(noise[:, 32:], 1).rho, atol=1e-9)
    assert residual_structure(bad, noise * 0, v).energy == pytest.approx(
        (noise[:, 32:] ** 2).mean()
    )


def test_ranks_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).poisson(3, 200).astype(float)
    assert np.array_equal(_ranks(values), stats.rankdata(values))


def test_misuse_is_refused() -> None:
    x = np.zeros((16, 16))
    with pytest.raises(InputError, match="shape"):
        whiteness(np.zeros(16), 1)
    with pytest.raises(InputError, match="negative"):
        residual_structure(x, x, -1)
    with pytest.raises(InputError, match="one shape"):
        residual_structure(x, np.zeros((16, 17)), 1)
    with pytest.raises(InputError, match="NaN"):
        residual_structure(x, np.full(x.shape, np.nan), 1)
