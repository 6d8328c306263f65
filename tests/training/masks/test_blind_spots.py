"""Laws of the patterns of blind spots: how many, where, and never the same twice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from tiny import seeded
from unnoise.training.masks.blind_spots import PATTERNS, box_side, grid, stratified


@pytest.mark.parametrize("space", [(64, 64), (16, 32, 32), (4, 32, 32)])
@pytest.mark.parametrize("percent", [0.198, 1.5, 10.0, 25.0, 50.0])
def test_density_is_the_percentage_in_any_dimension(space: tuple[int, ...], percent: float) -> None:
    n = 150
    mask = stratified((n, *space), percent, seeded())
    spots = mask.sum().item()
    expected = n * np.prod(space) * percent / 100
    assert abs(spots - expected) <= 5 * np.sqrt(expected)


@pytest.mark.parametrize(("space", "percent"), [((32, 32), 6.25), ((8, 16, 16), 100 / 64)])
def test_every_box_of_the_grid_holds_one_spot(space: tuple[int, ...], percent: float) -> None:
    side = round(box_side(percent, len(space)))
    for plane in stratified((5, *space), percent, seeded()).numpy():
        fits = []
        for phase in itertools.product(range(side), repeat=len(space)):
            # Whole boxes of the grid with this phase.
            whole = plane[
                tuple(
                    slice(p, p + (n - p) // side * side) for p, n in zip(phase, space, strict=True)
                )
            ]
            shape = [v for n in whole.shape for v in (n // side, side)]
            sums = whole.reshape(shape).sum(tuple(range(1, 2 * len(space), 2)))
            fits.append(bool((sums == 1).all()))
        assert sum(fits) == 1, "exactly one phase explains the spots"


@pytest.mark.parametrize("percent", [25.0, 7.0])
def test_every_pixel_is_hidden_equally_often(percent: float) -> None:
    n = 20_000
    counts = stratified((n, 12, 13), percent, seeded(3)).sum(0).numpy().ravel()
    p = counts.mean() / n
    # Pixels of one box exclude each other, so the counts vary a little less than binomially.
    chi2 = ((counts - n * p) ** 2 / (n * p * (1 - p))).sum()
    assert stats.chi2.sf(chi2, counts.size - 1) > 1e-4
    if percent == 25.0:
        assert abs(p - 0.25) < 0.002


def test_planes_have_spots_of_their_own() -> None:
    mask = stratified((8, 32, 32), 5.0, seeded())
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(mask, 2))
    assert torch.equal(mask, stratified((8, 32, 32), 5.0, seeded()))


@pytest.mark.parametrize("space", [(64, 64), (16, 32, 32), (4, 32, 32)])
@pytest.mark.parametrize("percent", [0.05, 0.198, 1.5, 10.0, 25.0, 50.0])
def test_density_of_the_grid(space: tuple[int, ...], percent: float) -> None:
    n = 150
    spots = grid((n, *space), percent, seeded()).sum().item()
    # Along an axis of length l there are floor(l / side) spots, or one more for the remainder.
    along = np.array(space) / box_side(percent, len(space))
    low, share = np.floor(along), along % 1
    square = low**2 * (1 - share) + (low + 1) ** 2 * share
    variance = n * (square.prod() - along.prod() ** 2)
    assert abs(spots - n * along.prod()) <= 5 * np.sqrt(variance) + 1e-6 * spots


@pytest.mark.parametrize("space", [(40, 50), (9, 20, 21)])
@pytest.mark.parametrize("percent", [0.5, 1.5, 6.25, 10.0, 25.0, 37.0, 50.0])
def test_spots_of_the_grid_lie_on_one_lattice(space: tuple[int, ...], percent: float) -> None:
    side = box_side(percent, len(space))
    mask = grid((20, *space), percent, seeded())
    for plane in mask.numpy():
        rows = [
            np.flatnonzero(plane.any(axis=tuple(a for a in range(len(space)) if a != axis)))
            for axis in range(len(space))
        ]
        outer = np.zeros_like(plane)
        outer[np.ix_(*rows)] = True
        assert np.array_equal(plane, outer)
        for at, size in zip(rows, space, strict=True):
            # Spot k at floor((k + phase) * side) bounds the phase from both sides.
            k = np.arange(len(at))
            if len(at):
                assert (at / side - k).max() < ((at + 1) / side - k).min() + 1e-5
            assert len(at) in (np.floor(size / side), np.ceil(size / side))


@pytest.mark.parametrize("percent", [25.0, 7.0])
@pytest.mark.parametrize("space", [(12, 13), (5, 6, 7)])
def test_the_grid_hides_every_pixel_equally_often(percent: float, space: tuple[int, ...]) -> None:
    n, p = 20_000, percent / 100
    counts = grid((n, *space), percent, seeded(3)).sum(0).numpy()
    assert np.abs(counts - n * p).max() < 5 * np.sqrt(n * p * (1 - p))


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_patterns_are_seeded_and_differ_between_planes(name: str) -> None:
    mask = PATTERNS[name]((8, 32, 32), 0.4, seeded())
    assert mask.dtype == torch.bool
    assert torch.equal(mask, PATTERNS[name]((8, 32, 32), 0.4, seeded()))
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(mask, 2))
