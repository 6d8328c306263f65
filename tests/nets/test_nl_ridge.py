"""Laws of NL-Ridge, and its formulas in loops of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.fft import dctn

from synthetic import smooth
from unnoise.nets import nl_ridge
from unnoise.nets.gaussian_denoiser import lags
from unnoise.nets.nl_ridge import NLRidge, groups, ridge, stein

SIGMA = 0.3


def noisy(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return smooth(shape, 4, rng, sd=1, mode="wrap") + rng.normal(0, SIGMA, shape)


def denoised(x: NDArray, sigma: float = SIGMA) -> NDArray:
    net = NLRidge().eval()
    return np.asarray(net(torch.from_numpy(x)[None, None], torch.tensor(sigma))[0, 0].numpy())


def restricted(gram: NDArray, noise: float) -> NDArray:
    """Weights I - noise G^-1 among those that sum to 1, by their equations with a multiplier.

    Of least ``tr(T' G T) - 2 tr(G T) + 2 noise tr(T)`` where 1' T = 1': the risk, whose Gram matrix
    of clean patches is that of noisy ones less the noise.
    """
    k = len(gram)
    one = np.ones((k, 1))
    system = np.block([[gram, one], [one.T, np.zeros((1, 1))]])
    return np.linalg.solve(system, np.vstack([gram - noise * np.eye(k), one.T]))[:k]


def correlation(rho: dict[tuple[int, int], float]) -> torch.Tensor:
    """As the net is told it."""
    return torch.tensor([[rho.get(lag, rho.get((-lag[0], -lag[1]), 0.0)) for lag in lags()]])


def parts_of(
    rho: dict[tuple[int, int], float], side: int, count: int
) -> list[tuple[NDArray, float]]:
    """Rows of the cosine transform of patches by the power of the noise, in loops."""
    both = {(0, 0): 1.0, **rho, **{(-y, -x): value for (y, x), value in rho.items()}}
    place = list(np.ndindex(side, side))
    covariance = np.array([[both.get((a - c, b - d), 0.0) for c, d in place] for a, b in place])
    rows = np.stack(
        [dctn(one.reshape(side, side), norm="ortho").ravel() for one in np.eye(side**2)]
    )
    rows = rows.T
    power = np.einsum("ij,jk,ik->i", rows, covariance, rows)
    order = np.argsort(power.round(9), kind="stable")
    return [(rows[part], float(power[part].mean())) for part in np.array_split(order, count)]


def a_pass(
    x: NDArray, pilot: NDArray, first: bool, rho: dict[tuple[int, int], float] | None = None
) -> NDArray:
    """One pass in loops, for planes that patches on the grid cover."""
    rho = rho or {}
    near_by = {lag for y, z in rho for lag in ((y, z), (-y, -z))}
    count = 3 if rho and all(y == 0 for y, _ in rho) else 1
    parts = parts_of(rho, nl_ridge.SIDES[not first], count)
    p, k = nl_ridge.SIDES[not first], nl_ridge.COUNTS[not first]
    noise = p * p * SIGMA**2
    reach, total, weights = nl_ridge.SEARCH, np.zeros_like(x), np.zeros_like(x)
    last = [n - p for n in x.shape]
    for i in range(0, last[0] + 1, nl_ridge.STEP):
        for j in range(0, last[1] + 1, nl_ridge.STEP):
            near = [
                (y, z)
                for y in range(max(i - reach, 0), min(i + reach, last[0]) + 1)
                for z in range(max(j - reach, 0), min(j + reach, last[1]) + 1)
                if max(abs(y - i), abs(z - j)) <= nl_ridge.NEAR or (y - i) % 2 == (z - j) % 2 == 0
            ]
            wanted = pilot[i : i + p, j : j + p]
            far = [
                ((pilot[y : y + p, z : z + p] - wanted) ** 2).sum()
                + 1e9 * ((y - i, z - j) in near_by)
                for y, z in near
            ]
            found = [near[n] for n in np.argsort(far)[:k]]
            group = np.stack([x[y : y + p, z : z + p].ravel() for y, z in found], 1)
            guide = np.stack([pilot[y : y + p, z : z + p].ravel() for y, z in found], 1)
            clean, squares = np.zeros_like(group), np.zeros(len(found))
            for rows, power in parts:
                own = len(rows) / p**2 * power
                inner = rows @ guide
                gram = inner.T @ inner + (0 if first else own * noise) * np.eye(len(found))
                theta = restricted(gram, own * noise)
                clean += rows.T @ (rows @ group @ theta)
                squares += own * (theta**2).sum(0)
            for (y, z), patch, sum_of in zip(found, clean.T, squares, strict=True):
                weight = 1 / sum_of
                total[y : y + p, z : z + p] += weight * patch.reshape(p, p)
                weights[y : y + p, z : z + p] += weight
    return total / weights


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The formulas of the paper alone, which float64 can invert."""
    monkeypatch.setattr(nl_ridge, "ROUNDING", 0.0)
    monkeypatch.setattr(nl_ridge, "VARIES", 1e3)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("near", [3, 4, 9])
def test_the_formulas_in_loops(near: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nl_ridge, "NEAR", near)
    monkeypatch.setattr(nl_ridge, "SEARCH", 6)
    monkeypatch.setattr(nl_ridge, "COUNTS", (8, 16))
    monkeypatch.setattr(nl_ridge, "SIDES", (5, 5))
    x = noisy(25, 29)
    pilot = a_pass(x, x, first=True)
    np.testing.assert_allclose(denoised(x), a_pass(x, pilot, first=False), atol=1e-6)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("rho", [{(0, 1): 0.6, (0, 2): 0.3}, {(0, 1): 0.25, (1, 0): 0.2}])
def test_correlated_noise_in_loops(
    rho: dict[tuple[int, int], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nl_ridge, "SEARCH", 6)
    monkeypatch.setattr(nl_ridge, "COUNTS", (6, 12))
    for name in ("SIDES", "SIDES_CORRELATED"):
        monkeypatch.setattr(nl_ridge, name, (5, 5))
    x = noisy(17, 21)
    found = NLRidge()(torch.from_numpy(x)[None, None], torch.tensor(SIGMA), correlation(rho))
    pilot = a_pass(x, x, True, rho)
    np.testing.assert_allclose(found[0, 0].numpy(), a_pass(x, pilot, False, rho), atol=1e-6)


def test_stripes_go_only_where_they_are_told() -> None:
    clean = smooth((64, 64), 4, np.random.default_rng(0), sd=1, mode="wrap")
    white = np.random.default_rng(1).normal(0, SIGMA, (64, 68))
    x = clean + sum(white[:, k : k + 64] for k in range(5)) / 5**0.5
    rho = correlation({(0, lag): 1 - lag / 5 for lag in range(1, 5)})
    planes = torch.from_numpy(np.stack([x, x])[:, None])
    both = NLRidge()(planes, torch.tensor(SIGMA), torch.cat([rho, torch.zeros_like(rho)]))
    told, untold = (((one - clean) ** 2).mean() for one in both[:, 0].numpy())
    np.testing.assert_array_equal(both[1, 0].numpy(), denoised(x))
    assert told < 0.85 * untold


@pytest.mark.usefixtures("exact")
def test_both_estimates_are_those_of_least_risk_among_weights_that_sum_to_1() -> None:
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(2, 25, 3)) @ rng.normal(size=(2, 3, 12)) + 50.0
    y = clean + rng.normal(0, SIGMA, clean.shape)
    noise = 25 * SIGMA**2
    for made, gram in (
        (stein(torch.from_numpy(y), SIGMA**2), y.mT @ y),
        (
            ridge(torch.from_numpy(y), torch.from_numpy(clean), SIGMA**2),
            clean.mT @ clean + noise * np.eye(12),
        ),
    ):
        for i in range(2):
            theta = restricted(gram[i], noise)
            np.testing.assert_allclose(made[0][i].numpy(), y[i] @ theta, atol=1e-8)
            np.testing.assert_allclose(made[1][i, 0].numpy(), (theta**2).sum(0), rtol=1e-8)


def test_groups_hold_themselves_also_where_all_patches_are_alike() -> None:
    plane = torch.zeros(33, 37)
    found = torch.cat(list(groups(plane, 9, 18)))
    corners = [37 * y + x for y in range(0, 25, 4) for x in range(0, 29, 4)]
    assert found.shape == (len(corners), 18)
    assert all(corner in row for corner, row in zip(corners, found.tolist(), strict=True))
    assert all(len(set(row)) == 18 for row in found.tolist())


@pytest.mark.parametrize(("believed", "left"), [(1.0, 0.12), (1.5, 0.2)])
def test_the_noise_goes_also_where_there_is_less_of_it(believed: float, left: float) -> None:
    clean = smooth((64, 64), 4, np.random.default_rng(0), sd=1, mode="wrap")
    x = noisy(64, 64)
    error = ((denoised(x, believed * SIGMA) - clean) ** 2).mean()
    assert error < left * ((x - clean) ** 2).mean()


@pytest.mark.parametrize("factor", [0.01, 30.0])
def test_an_image_of_other_contrast_and_brightness_gives_that_of_the_result(factor: float) -> None:
    x = noisy(32, 32)
    expected = factor * denoised(x) + 5 * factor
    other = denoised(factor * x + 5 * factor, factor * SIGMA)
    np.testing.assert_allclose(other, expected, atol=1e-5 * factor)


def test_no_contrast_is_too_high() -> None:
    x = np.zeros((40, 44), np.float32)
    x[12:, 20:] = 1e4
    np.testing.assert_allclose(denoised(x, 0.1), x, atol=0.1)
    assert np.isfinite(denoised(np.zeros((20, 20), np.float32), 0.1)).all()


@pytest.mark.parametrize("shape", [(1, 3), (16, 16), (17, 40), (9, 70)])
def test_any_size(shape: tuple[int, int]) -> None:
    clean = denoised(noisy(*shape))
    assert clean.shape == shape
    assert np.isfinite(clean).all()


def test_planes_pass_alone() -> None:
    x = np.stack([noisy(24, 28, seed=seed) for seed in range(2)])
    both = NLRidge()(torch.from_numpy(x)[:, None], torch.tensor(SIGMA))[:, 0].numpy()
    for plane, clean in zip(x, both, strict=True):
        np.testing.assert_allclose(clean, denoised(plane), atol=1e-12)


def test_shifts_with_the_grid_and_looks_no_further_than_the_radius(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nl_ridge, "SEARCH", 5)
    monkeypatch.setattr(nl_ridge, "COUNTS", (8, 12))
    net = NLRidge()
    grid, radius = net.grid[0], net.radius[0]
    side = 2 * radius + 3 * grid
    x = noisy(side, side)
    whole, part = denoised(x), denoised(x[grid:, grid:])
    inner = slice(radius, -radius)
    np.testing.assert_allclose(part[inner, inner], whole[grid:, grid:][inner, inner], atol=1e-9)
    other = x.copy()
    other[side // 2, side // 2] += 5
    reached = np.argwhere(np.abs(denoised(other) - whole) > 1e-9) - side // 2
    assert np.abs(reached).max() <= radius
