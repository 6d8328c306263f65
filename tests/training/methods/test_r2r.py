"""Laws of recorruption: two images of the same mean, with independent noise, out of one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from oracles import within
from tiny import constant, seeded
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.noise.correlated_noise import drawn
from unnoise.training.methods import build
from unnoise.training.methods.r2r import (
    SIGNALS,
    NoiseTable,
    Recorrupted,
    additive,
    multiplied,
    thinning,
)

SPACES = [(24, 20), (6, 10, 12)]


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("space", SPACES)
def test_parts_have_the_mean_and_variances_of_the_formula_and_nothing_in_common(
    space: tuple[int, ...], alpha: float
) -> None:
    rng = np.random.default_rng(0)
    signal, sd = 0.7, 0.4
    noisy = rng.normal(signal, sd, (300, *space))
    y = torch.from_numpy(noisy)
    first, second = additive(alpha, [constant(sd**2)])(y, torch.zeros(300).long(), seeded())
    one, two = first.numpy() - signal, second.numpy() - signal
    assert within(one, 0)
    assert within(two, 0)
    assert within(one**2, sd**2 * (1 + alpha**2))
    assert within(two**2, sd**2 * (1 + alpha**-2))
    assert within(one * two, 0)
    assert within(one**2 * two**2, sd**4 * (1 + alpha**2) * (1 + alpha**-2)), "independent"
    np.testing.assert_allclose((first + alpha**2 * second) / (1 + alpha**2), y, atol=1e-12)


def test_the_deviation_follows_the_table_of_the_channel_at_the_mean_of_the_neighbours() -> None:
    tables = [0.2 + 0.1 * np.maximum(SIGNALS + 5, 0), 0.5 * np.exp(-(SIGNALS**2))]
    split = additive(0.5, [NoiseTable(table) for table in tables])
    rng = np.random.default_rng(0)
    y = rng.normal(0, 2, (4, 9, 11))
    channel = torch.tensor([0, 1, 1, 0])
    found = split.deviation(torch.from_numpy(y), channel)
    kernel = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    for plane, c, sd in zip(y, channel.tolist(), found.numpy(), strict=True):
        mean = ndimage.convolve(plane, kernel)
        expected = np.sqrt(np.interp(mean, SIGNALS, tables[c]))
        np.testing.assert_allclose(sd[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=1e-9)


@pytest.mark.parametrize("space", [(5, 6), (3, 5, 4)])
def test_the_deviation_of_a_pixel_does_not_see_the_pixel(space: tuple[int, ...]) -> None:
    split = additive(0.5, [NoiseTable(np.maximum(1 + 0.3 * SIGNALS, 0.01))])
    y = torch.randn(1, *space, generator=seeded(), dtype=torch.float64)
    before = split.deviation(y, torch.zeros(1).long())
    at = (0, *(n // 2 for n in space))
    y[at] += 10
    after = split.deviation(y, torch.zeros(1).long())
    assert after[at] == before[at]
    assert (after != before).any()


@pytest.mark.parametrize("signal", [-1e6, -30.0, 0.0, 1e-3, 5.0, 1e6])
def test_beyond_the_table_its_ends_hold(signal: float) -> None:
    table = 1 + np.maximum(SIGNALS, 0)
    split = additive(0.5, [NoiseTable(table)])
    y = torch.full((1, 8, 8), signal, dtype=torch.float32)
    expected = np.sqrt(np.interp(signal, SIGNALS, table))
    np.testing.assert_allclose(split.deviation(y, torch.zeros(1).long()), expected, rtol=1e-4)


def test_noise_that_grows_with_the_signal_is_split_without_correlation() -> None:
    """Also at the few photons where the table at a noisy estimate is far off for one pixel."""
    gain, offset = 0.2, -0.5
    rng = np.random.default_rng(0)
    signal = 0.5
    y = offset + gain * rng.poisson((signal - offset) / gain, (4000, 9, 9))
    noise = NoiseTable(np.maximum(gain * (SIGNALS - offset), 0))
    parts = additive(0.5, [noise])(torch.from_numpy(y), torch.zeros(4000).long(), seeded())
    one, two = (part.numpy() - signal for part in parts)
    assert within(one, 0)
    assert within(two, 0)
    assert within((one * two).mean((1, 2)), 0)
    beside = (one[:, :, 1:] * two[:, :, :-1]).mean((1, 2))
    assert within(beside, 0), "nor with the neighbours, whose deviation the pixel moves"


RHO = np.zeros((3, 5))


RHO[1] = [0.2, 0.6, 1.0, 0.6, 0.2]


@pytest.mark.parametrize(
    ("rho", "space"),
    [(RHO, (16, 16)), (RHO.T, (9, 13)), (np.array([0.4, 1, 0.4])[:, None, None] * RHO, (6, 8, 9))],
)
def test_correlated_draws_have_the_given_autocorrelation(
    rho: NDArray, space: tuple[int, ...]
) -> None:
    n, alpha, sd = 1500, 0.5, 0.3
    y = torch.zeros(n, *space, dtype=torch.float64)
    split = additive(alpha, [constant(sd**2, autocorrelation=rho)])
    first, second = split(y, torch.zeros(n).long(), seeded())
    z = first.numpy() / alpha / sd
    np.testing.assert_allclose(second, -first / alpha**2)
    lags = itertools.product(*(range(-2, 3) for _ in space))
    for lag in lags:
        a = tuple(slice(max(k, 0), m + min(k, 0)) for k, m in zip(lag, space, strict=True))
        b = tuple(slice(max(-k, 0), m + min(-k, 0)) for k, m in zip(lag, space, strict=True))
        inside = tuple(k + m // 2 for k, m in zip(lag, rho.shape, strict=True))
        known = all(0 <= i < m for i, m in zip(inside, rho.shape, strict=True))
        products = (z[(slice(None), *a)] * z[(slice(None), *b)]).reshape(n, -1).mean(1)
        assert within(products, rho[inside] if known else 0.0), lag
    for axis in range(1, z.ndim):  # a torus would make opposite borders alike
        ends = z.take(0, axis) * z.take(-1, axis)
        assert within(ends.reshape(n, -1).mean(1), 0)


def test_correlated_noise_is_split_into_independent_parts() -> None:
    n, space = 4000, (8, 12)
    noise = drawn(RHO, (n, *space), np.random.default_rng(0))
    y = torch.from_numpy(3 + 0.5 * noise)
    split = additive(0.7, [constant(0.25, autocorrelation=RHO)])
    one, two = (p.numpy() - 3 for p in split(y, torch.zeros(n).long(), seeded()))
    for dx in range(4):
        products = one[:, :, : 12 - dx] * two[:, :, dx:]
        assert within(products.mean((1, 2)), 0), dx


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("photons", [0.3, 4.0, 150.0])
def test_thinned_counts_are_independent_with_the_right_means(share: float, photons: float) -> None:
    gain, offset = 0.05, -0.8
    signal = offset + gain * photons
    y = torch.from_numpy(
        offset + gain * np.random.default_rng(0).poisson(photons, (200, 30, 30)).astype(float)
    )
    split = thinning(share, [NoiseTable(np.ones(1)), NoiseTable(np.ones(1), gain, offset)])
    first, second = split(y, torch.ones(200).long(), seeded())
    one, two = first.numpy() - signal, second.numpy() - signal
    variance = gain**2 * photons
    assert within(one, 0)
    assert within(two, 0)
    assert within(one**2, variance / (1 - share))
    assert within(two**2, variance / share)
    assert within(one * two, 0)
    assert within(one**2 * two**2, variance**2 / share / (1 - share)), "independent"
    np.testing.assert_allclose((1 - share) * first + share * second, y, atol=1e-12)
    for part, kept in ((first, 1 - share), (second, share)):
        counts = (part.numpy() - offset) / gain * kept
        np.testing.assert_allclose(counts, counts.round(), atol=1e-6)
        assert counts.min() > -1e-6


@pytest.mark.parametrize("share", [0.04, 0.2])
@pytest.mark.parametrize("electrons", [0.3, 2.0, 12.0, 60.0])
def test_multiplied_electrons_are_split_into_parts_that_know_nothing_of_each_other(
    share: float, electrons: float
) -> None:
    """Added normal noise fails this: at 0.3 electrons by 0.4 standard deviations."""
    gain, offset, read = 0.05, -0.8, 0.1
    rng = np.random.default_rng(0)
    shape = (30, 64, 64)
    y = gain * rng.standard_gamma(rng.poisson(electrons, shape) + 1e-9)
    y += offset + rng.normal(0, gain * np.sqrt(read), shape)
    signal = offset + gain * electrons
    table = NoiseTable(np.ones(1), gain, offset, None, read * gain**2)
    split = multiplied(share, [NoiseTable(np.ones(1), 1.0, 0.0, None, 1.0), table])
    # The mean is told by neighbours; here it is known: nothing else differs from the law.
    method = torch.from_numpy(y)
    first, second = split(method, torch.ones(len(y)).long(), seeded())
    np.testing.assert_allclose((1 - share) * first + share * second, y, atol=1e-6)
    one, two = first.numpy() - signal, second.numpy() - signal
    variance = gain**2 * (2 * electrons + read)
    assert abs(one.mean()) < 0.02 * np.sqrt(variance)
    assert np.mean(one**2) == pytest.approx(variance / (1 - share), rel=0.05)
    assert np.mean(two**2) == pytest.approx(variance / share, rel=0.1)
    edges = np.quantile(one, [0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
    which = np.digitize(one, edges)
    for k in range(7):  # the target must not be told by the input
        own = two[which == k]
        error = own.std() / np.sqrt(own.size)
        assert abs(own.mean()) < 4 * error + 0.12 * np.sqrt(variance), k


def test_combinations_that_cannot_be() -> None:
    for loss in ("mae", "gaussian", "laplace"):
        with pytest.raises(InputError, match=f"the loss {loss} cannot go with r2r"):
            Config(method="r2r").set(f"training.loss={loss}")
    with pytest.raises(InputError, match="photons are independent"):
        Config(method="r2r").set("recorruption.kind=thinning", "recorruption.correlated=true")
    with pytest.raises(InputError, match="has no settings 'recorruption'"):
        Config().set("recorruption.alpha=1")
    with pytest.raises(InputError, match=r"recorruption\.alpha"):
        Config(method="r2r").set("recorruption.alpha=0")
    with pytest.raises(InputError, match="none; leave use_center_pixel out"):
        Config(method="r2r").set("use_center_pixel=true")
    with pytest.raises(InputError, match="needs the noise"):
        build(Config(method="r2r"), 2)


@pytest.mark.parametrize("kind", ["gaussian", "thinning", "multiplied"])
def test_the_settings_reach_the_method(kind: str) -> None:
    settings = [f"recorruption.kind={kind}", "recorruption.decay=0.7"]
    method = build(Config(method="r2r").set(*settings), 2, [constant(1.0, gain=0.1)])
    assert isinstance(method, Recorrupted)
    assert method.decay == 0.7
