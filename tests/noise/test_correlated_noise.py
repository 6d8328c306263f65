"""Drawn noise has the autocorrelation that was asked for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from oracles import within
from unnoise.noise.correlated_noise import drawn, root

ROW = np.array([[0.2, 0.6, 1.0, 0.6, 0.2]])
ROUND = np.outer([0.3, 1.0, 0.3], [0.4, 1.0, 0.4])


@pytest.mark.parametrize("rho", [ROW, ROW.T, ROUND])
def test_products_at_every_lag(rho: NDArray) -> None:
    n, space = 3000, (8, 11)
    z = drawn(rho, (n, *space), np.random.default_rng(0))
    assert z.shape == (n, *space)
    centre = [m // 2 for m in rho.shape]
    for y, x in itertools.product(range(3), range(4)):
        products = z[:, y:, x:] * z[:, : space[0] - y, : space[1] - x]
        inside = centre[0] + y < rho.shape[0] and centre[1] + x < rho.shape[1]
        known = rho[centre[0] + y, centre[1] + x] if inside else 0.0
        assert within(products.mean((1, 2)), known), (y, x)
    ends = z[:, 0] * z[:, -1]  # a torus would make opposite borders alike
    assert within(ends.mean(1), 0)


def test_white_noise_is_plain() -> None:
    first, again = (drawn(None, (4, 5), np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first, again)
    assert np.array_equal(first, np.random.default_rng(1).standard_normal((4, 5)))


def test_a_spectrum_that_cannot_be_keeps_its_variance() -> None:
    impossible = np.array([[0.9, 1.0, 0.9]])  # negative at the highest frequency
    power = root(impossible, (1, 16))
    assert np.isfinite(power).all()
    full = np.concatenate([power[0] ** 2, power[0, 1:-1] ** 2])
    assert full.mean() == pytest.approx(1)
