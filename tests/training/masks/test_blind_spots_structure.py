"""structN2V: what lies under the footprints is hidden, and nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from oracles import EXCLUDE, assert_drawn_from, evenly, everywhere, lone, numbered, under
from tiny import seeded
from unnoise.training.masks.blind_spots import (
    CENTRE_BLIND,
    REPLACEMENTS,
    hide_structure,
    stratified,
)


@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
@pytest.mark.parametrize("shape", [(7, 8), (3, 4, 5)])
def test_with_a_structure_the_value_of_a_lone_spot_is_nowhere_in_the_input(
    name: str, shape: tuple[int, ...]
) -> None:
    mask = everywhere(shape, 5)
    x = torch.rand(mask.shape, generator=seeded(), requires_grad=True)
    struct = torch.from_numpy(EXCLUDE[len(shape)])
    generator = seeded(1)
    y = REPLACEMENTS[name](x, mask, 2, generator, exclude=struct)
    y = hide_structure(y, x, mask, struct, generator)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert (grad[mask] == 0).all()


STRUCTURES = [
    ((12, 13), EXCLUDE[2]),
    ((12, 13), np.ones((1, 5), np.bool_)),
    ((12, 13), np.ones((9, 1), np.bool_)),
    ((4, 5), np.ones((1, 15), np.bool_)),  # wider than the image
    ((4, 5), np.eye(13, dtype=np.bool_)),
    ((4, 7, 8), EXCLUDE[3]),
    ((4, 7, 8), np.ones((3, 1, 1), np.bool_)),
    ((2, 7, 8), np.ones((7, 1, 3), np.bool_)),
]


@pytest.mark.parametrize("percent", [2.0, 10.0, 40.0])
@pytest.mark.parametrize(("shape", "struct"), STRUCTURES)
def test_exactly_what_lies_under_the_footprints_is_hidden(
    shape: tuple[int, ...], struct: NDArray, percent: float
) -> None:
    n = 12
    x = torch.arange(float(n * np.prod(shape))).view(n, *shape)
    mask = stratified((n, *shape), percent, seeded())
    mask[0], mask[1] = False, True  # no spot, and nothing but spots
    mask[2], mask[3] = (
        lone(shape, (0,) * len(shape))[0],
        lone(shape, tuple(np.subtract(shape, 1)))[0],
    )
    y = torch.where(mask, -1.0, x)
    given = [a.clone() for a in (y, x, mask, torch.from_numpy(struct))]
    result = hide_structure(y, x, mask, given[3], seeded(1))
    # Every fill is the value of another pixel, so the changed pixels tell which were filled.
    assert np.array_equal((result != y).numpy(), under(mask.numpy(), struct) & ~mask.numpy())
    assert all(torch.equal(a, b) for a, b in zip((y, x, mask), given, strict=False))
    assert np.array_equal(given[3], struct)
    for plane in range(n):
        filled = result[plane][(result != y)[plane]]
        assert np.isin(filled, x[plane][~mask[plane]]).all(), "of its plane, never from a spot"


def test_an_asymmetric_footprint_goes_to_its_own_side() -> None:
    x = numbered((5, 5))
    struct = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 0, 1]], dtype=torch.bool)
    y = hide_structure(x, x, lone((5, 5), (2, 2)), struct, seeded())
    assert (y != x).nonzero().tolist() == [[0, 2, 3], [0, 3, 3]]
    corner = hide_structure(x, x, lone((5, 5), (4, 4)), struct, seeded())
    assert torch.equal(corner, x), "nothing wraps around and nothing is pressed onto the border"


def test_fills_are_uniform_over_the_other_pixels_that_are_no_spots() -> None:
    n, shape = 10_000, (4, 5)
    mask = lone(shape, (1, 1), n) | lone(shape, (3, 3), n)
    x = numbered(shape, n)
    struct = torch.ones(1, 3, dtype=torch.bool)
    y = hide_structure(x, x, mask, struct, seeded())
    visible = [q for q in itertools.product(range(4), range(5)) if q not in ((1, 1), (3, 3))]
    for pixel in [(1, 0), (1, 2), (3, 4)]:
        others = [q for q in visible if q != pixel]
        assert_drawn_from(y[:, *pixel].numpy().astype(int), evenly(shape, others))


def test_the_only_visible_pixel_stays() -> None:
    x = numbered((3, 3))
    mask = ~lone((3, 3), (1, 1))
    y = hide_structure(x, x, mask, torch.ones(3, 3, dtype=torch.bool), seeded())
    assert torch.equal(y, x)
