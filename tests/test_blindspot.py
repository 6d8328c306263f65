"""Laws of the blind spots, against NumPy loops and the definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from unnoise.blindspot import REPLACEMENTS, box_side, stratified, uniform


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("space", [(64, 64), (16, 32, 32), (4, 32, 32)])
@pytest.mark.parametrize("percent", [0.198, 1.5, 10.0, 25.0, 50.0])
def test_density_is_the_percentage_in_any_dimension(space: tuple[int, ...], percent: float) -> None:
    n = 400
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


def window(shape: tuple[int, ...], spot: tuple[int, ...], radius: int) -> list[tuple[int, ...]]:
    """Neighbours by the definition, in a loop."""
    ranges = (
        range(max(p - radius, 0), min(p + radius, n - 1) + 1)
        for p, n in zip(spot, shape, strict=True)
    )
    return [q for q in itertools.product(*ranges) if q != spot]


@pytest.mark.parametrize(
    ("shape", "spot", "radius"),
    [
        ((9, 9), (4, 4), 2),
        ((9, 9), (0, 0), 2),
        ((9, 9), (0, 5), 2),
        ((9, 9), (8, 7), 3),
        ((5, 6, 7), (2, 3, 3), 1),
        ((5, 6, 7), (0, 5, 6), 2),
        ((3, 6, 7), (1, 0, 3), 5),
    ],
)
def test_uniform_is_uniform_over_the_cropped_window_without_the_centre(
    shape: tuple[int, ...], spot: tuple[int, ...], radius: int
) -> None:
    n = 40_000
    x = torch.arange(float(np.prod(shape))).view(1, *shape).expand(n, *shape)
    mask = torch.zeros(n, *shape, dtype=torch.bool)
    mask[(slice(None), *spot)] = True
    drawn = uniform(x, mask, radius, seeded(1))[(slice(None), *spot)].numpy().astype(int)
    allowed = [int(np.ravel_multi_index(q, shape)) for q in window(shape, spot, radius)]
    counts = np.array([(drawn == value).sum() for value in allowed])
    assert counts.sum() == n, "a value came from outside the window or from the centre"
    assert stats.chisquare(counts).pvalue > 1e-4


def test_values_are_read_before_any_is_written() -> None:
    x = torch.rand(3, 16, 16, generator=seeded())
    y = uniform(x, torch.ones_like(x, dtype=torch.bool), 2, seeded(1))
    originals = [set(plane.ravel().tolist()) for plane in x]
    assert all(set(plane.ravel().tolist()) <= o for plane, o in zip(y, originals, strict=True))


@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
@pytest.mark.parametrize("space", [(24, 24), (8, 16, 16)])
def test_only_blind_spots_change_and_never_see_themselves(
    name: str, space: tuple[int, ...]
) -> None:
    x = torch.rand(4, *space, generator=seeded(), requires_grad=True)
    mask = stratified((4, *space), 3.0, seeded(1))
    y = REPLACEMENTS[name](x, mask, 2, seeded(2))
    assert torch.equal(y[~mask], x[~mask])
    # Change hidden values alone: where every replacement came from a visible pixel, nothing moves.
    lonely = x.detach().clone()
    lonely[mask] += 100
    z = REPLACEMENTS[name](lonely, mask, 2, seeded(2))
    moved = (y != z) & mask
    assert ((z - y)[moved] == 100).all(), "a moved value must be that of another hidden pixel"
    (grad,) = torch.autograd.grad(y[mask].sum(), x)
    assert grad.sum() == mask.sum(), "each replacement is exactly one pixel"


def test_a_lone_spot_has_no_gradient_to_its_own_value() -> None:
    x = torch.rand(1, 15, 15, generator=seeded(), requires_grad=True)
    mask = torch.zeros(1, 15, 15, dtype=torch.bool)
    mask[0, 7, 7] = True
    (grad,) = torch.autograd.grad(uniform(x, mask, 2, seeded()).sum(), x)
    assert grad[0, 7, 7] == 0
