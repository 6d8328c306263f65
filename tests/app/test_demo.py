"""The simulated camera against the moments that EMVA 1288 predicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage import data

from unnoise.app.demo import camera, noisy_and_truth


@pytest.mark.parametrize("photons", [1.0, 30.0, 2000.0])
@pytest.mark.parametrize(
    ("gain", "read_noise", "offset"), [(2.0, 2.0, 100.0), (0.5, 1.5, 250.0), (3.7, 6.3, 150.5)]
)
def test_mean_and_variance_follow_the_emva_model(
    photons: float, gain: float, read_noise: float, offset: float
) -> None:
    n = 250_000
    counts = camera(
        np.full(n, photons),
        gain=gain,
        read_noise=read_noise,
        offset=offset,
        rng=np.random.default_rng(7),
    ).astype(np.float64)
    var = gain**2 * (photons + read_noise**2) + 1 / 12  # rounding adds 1/12
    fourth = gain**4 * (photons + 3 * (photons + read_noise**2) ** 2)  # Poisson + normal
    assert abs(counts.mean() - (gain * photons + offset)) < 5 * math.sqrt(var / n)
    assert abs(counts.var() - var) < 5 * math.sqrt((fourth - var**2 + var) / n)


def test_a_camera_without_read_noise_records_multiples_of_the_gain() -> None:
    rng = np.random.default_rng(0)
    counts = camera(np.full(10_000, 4.0), gain=3.0, read_noise=0.0, offset=100.0, rng=rng)
    assert set(((counts.astype(int) - 100) % 3).tolist()) == {0}
    zeros = (counts == 100).mean()  # Poisson: P(0) = exp(-4)
    assert abs(zeros - math.exp(-4)) < 5 * math.sqrt(math.exp(-4) / 10_000)


def test_counts_are_clipped_to_sixteen_bits_not_wrapped() -> None:
    bright = camera(np.full((16, 16), 1e6), rng=np.random.default_rng(0))
    dark = camera(np.zeros((16, 16)), offset=-1000.0, rng=np.random.default_rng(0))
    assert bright.dtype == dark.dtype == np.uint16
    assert (bright == 65535).all()
    assert (dark == 0).all()


def test_noise_is_independent_from_pixel_to_pixel() -> None:
    x = camera(np.full((512, 512), 30.0), rng=np.random.default_rng(0)).astype(np.float64)
    z = (x - x.mean()) / x.std()
    for pair in (z[1:] * z[:-1], z[:, 1:] * z[:, :-1], z[1:, 1:] * z[:-1, :-1]):
        assert abs(pair.mean()) < 5 / math.sqrt(pair.size)


def test_the_seed_decides_the_noise_and_nothing_else() -> None:
    (a, truth), (b, same), (c, other) = noisy_and_truth(0), noisy_and_truth(0), noisy_and_truth(1)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(truth, same)
    np.testing.assert_array_equal(truth, other)
    assert (a != c).mean() > 0.9
    photons = np.full((8, 8), 20.0)
    first, second = (camera(photons, rng=rng) for rng in [np.random.default_rng(3)] * 2)
    assert (first != second).any()  # one generator goes on, it does not start again


def test_the_truth_is_what_the_noisy_picture_scatters_around() -> None:
    noisy, truth = noisy_and_truth(0)
    assert noisy.shape == truth.shape == data.coins().shape
    assert (noisy.dtype, truth.dtype) == (np.uint16, np.float64)
    assert np.corrcoef(truth.ravel(), data.coins().ravel())[0, 1] == pytest.approx(1)
    z = (noisy - truth) / np.sqrt(4 * ((truth - 100) / 2 + 4) + 1 / 12)
    assert abs(z.mean()) < 5 / math.sqrt(z.size)
    assert z.var() == pytest.approx(1, abs=0.03)
    # The same in the dark and in the light.
    for part in (z[truth < np.median(truth)], z[truth >= np.median(truth)]):
        assert abs(part.mean()) < 5 / math.sqrt(part.size)
        assert part.var() == pytest.approx(1, abs=0.04)
