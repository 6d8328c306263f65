from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.noise.artifacts import bad_pixels, small_integers

KINDS = ("uint8", "uint16", "int16")


def photons(rng: np.random.Generator, shape: tuple[int, int], kind: str) -> NDArray:
    """Photons over blobs, of a few counts or hundreds."""
    scene = ndimage.gaussian_filter(rng.random(shape) ** 8, 3, mode="wrap")
    light = rng.choice([2, 20, 300]) * scene / scene.max() + rng.choice([0, 0.3, 5])
    counts = rng.poisson(light) - (9 if kind == "int16" else 0)
    info = np.iinfo(kind)
    return counts.clip(info.min, info.max).astype(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 7, 400])
def test_counting_gives_the_quantiles_that_sorting_does(kind, size) -> None:
    rng = np.random.default_rng(size)
    values = rng.integers(3, 40, size).astype(kind) - (20 if kind == "int16" else 0)
    shares = [0.0, 1.0, *rng.random(20), *np.arange(1, 8) / 8]
    counts, low = small_integers.count(values)
    sorted_ones = np.quantile(values.astype(np.float64), shares)
    np.testing.assert_array_equal(small_integers.quantiles(counts, shares, low), sorted_ones)


@pytest.mark.parametrize("kind", KINDS)
def test_medians_of_eight_are_those_of_all_neighbours(kind) -> None:
    plane = photons(np.random.default_rng(0), (70, 33), kind)
    footprint = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    around = np.stack(
        [
            np.pad(plane, 1, mode="reflect")[i : i + 70, j : j + 33]
            for i, j in np.argwhere(footprint)
        ]
    )
    found = small_integers.twice_the_medians(plane)
    np.testing.assert_array_equal(found, 2 * np.median(around.astype(np.float64), 0))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_the_quick_way_finds_what_the_search_does(seed, kind, monkeypatch) -> None:
    rng = np.random.default_rng(seed)
    plane = photons(rng, (150, 210 + seed), kind)
    if seed % 2:
        plane[tuple(rng.integers(10, 140, (2, 3)))] += np.array([60, 8, 30], kind)
    if seed == 4:
        plane[:40, 30:75] = 7  # padding
    quick = bad_pixels.isolated(plane), bad_pixels.constant(plane)
    monkeypatch.setattr(bad_pixels, "_certainly_none", lambda plane, grain: False)
    monkeypatch.setattr(bad_pixels, "_may_hold", lambda mask, side: True)
    np.testing.assert_array_equal(quick[0], bad_pixels.isolated(plane))
    np.testing.assert_array_equal(quick[1], bad_pixels.constant(plane))


def test_most_planes_need_no_more_than_the_quick_way(monkeypatch) -> None:
    plane = photons(np.random.default_rng(3), (400, 400), "uint16")
    monkeypatch.setattr(bad_pixels, "_around", None)
    assert not bad_pixels.isolated(plane).any()


@pytest.mark.parametrize("side", [1, 4, 15])
def test_a_square_is_never_missed(side) -> None:
    rng = np.random.default_rng(side)
    for _ in range(50):
        mask = rng.random((40, 50)) < 0.3
        y, x = (int(rng.integers(0, n - side + 1)) for n in mask.shape)
        mask[y : y + side, x : x + side] = True
        assert bad_pixels._may_hold(mask, side)
    assert not bad_pixels._may_hold(np.zeros((40, 50), np.bool_), side)
