"""What stands in a blind spot: drawn or made from its neighbours, never from itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from oracles import EXCLUDE, assert_drawn_from, evenly, everywhere, lone, neighbours, numbered
from tiny import seeded
from unnoise.training.masks import neighborhoods as window
from unnoise.training.masks.blind_spots import CENTRE_BLIND, REPLACEMENTS, stratified

SPOTS = [  # shape of the image, spot, radius: interior, corners, edges, windows beyond the image
    ((9, 9), (4, 4), 2),
    ((9, 9), (0, 0), 2),
    ((9, 9), (0, 5), 2),
    ((9, 9), (8, 7), 3),
    ((5, 6, 7), (2, 3, 3), 1),
    ((5, 6, 7), (0, 5, 6), 2),
    ((3, 6, 7), (1, 0, 3), 5),
]


COPYING = ["uniform", "uniform_with_centre", "normal_without_centre"]


def drawn(
    name: str,
    shape: tuple[int, ...],
    spot: tuple[int, ...],
    radius: int,
    exclude: NDArray | None = None,
    n: int = 4_000,
) -> NDArray:
    """Which pixels replace a spot in many planes."""
    footprint = None if exclude is None else torch.from_numpy(exclude)
    y = REPLACEMENTS[name](
        numbered(shape, n), lone(shape, spot, n), radius, seeded(1), exclude=footprint
    )
    return y[(slice(None), *spot)].numpy().astype(int)


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize("name", ["uniform", "uniform_with_centre"])
@pytest.mark.parametrize(("shape", "spot", "radius"), SPOTS)
def test_uniform_is_uniform_over_the_cropped_window(
    shape: tuple[int, ...], spot: tuple[int, ...], radius: int, name: str, excluding: bool
) -> None:
    # Peers drew the offset +1 twice as often and 0 never (a negative index), or clamped windows
    # at borders, so that corners kept their own value one time in four.
    exclude = EXCLUDE[len(shape)] if excluding else None
    centre = name == "uniform_with_centre"
    allowed = neighbours(shape, spot, radius, exclude, centre=centre)
    assert_drawn_from(drawn(name, shape, spot, radius, exclude), evenly(shape, allowed))


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize(("shape", "spot", "radius"), SPOTS)
def test_normal_offsets_are_those_inside_the_image_and_off_the_centre(
    shape: tuple[int, ...], spot: tuple[int, ...], radius: int, excluding: bool
) -> None:
    exclude = EXCLUDE[len(shape)] if excluding else None
    expected = {}
    for q in neighbours(shape, spot, max(shape), exclude):
        offset = np.subtract(q, spot)
        p = np.prod(stats.norm.cdf((offset + 0.5) / 4) - stats.norm.cdf((offset - 0.5) / 4))
        expected[int(np.ravel_multi_index(q, shape))] = float(p)
    assert_drawn_from(drawn("normal_without_centre", shape, spot, 1, exclude, n=10_000), expected)


def test_normal_offsets_have_a_standard_deviation_of_four_pixels() -> None:
    values = drawn("normal_without_centre", (61, 61), (30, 30), 2, n=4_000)
    offsets = np.stack(np.unravel_index(values, (61, 61))) - 30
    assert np.abs(offsets).max() > 12
    # Rounding adds 1/12 to the variance; without the centre it grows by one in a hundred.
    assert offsets.std(axis=1) == pytest.approx(np.sqrt((16 + 1 / 12) * 1.01), abs=0.2)
    assert np.abs(offsets.mean(axis=1)).max() < 0.3


@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (3, 3), (1, 1, 2), (2, 1, 3)])
def test_tiny_images_end_and_never_see_themselves(name: str, shape: tuple[int, ...]) -> None:
    for spot in itertools.product(*(range(n) for n in shape)):
        x = numbered(shape)
        x[(0, *spot)] = 1e6
        y = REPLACEMENTS[name](x, lone(shape, spot), 3, seeded())
        assert y.max() < 1e6


@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
@pytest.mark.parametrize("shape", [(7, 7), (3, 5, 5)])
def test_a_window_under_the_footprint_is_left_for_the_plane_outside_it(
    name: str, shape: tuple[int, ...]
) -> None:
    exclude = np.ones([3] * (len(shape) - 2) + [5, 5], np.bool_)
    spot = (*[n // 2 for n in shape[:-1]], 0)
    allowed = neighbours(shape, spot, max(shape), exclude)
    values = drawn(name, shape, spot, 1, exclude, n=2_000)
    if name == "normal_without_centre":  # which has no window and stays near the spot
        assert set(values) <= set(evenly(shape, allowed))
    else:
        assert_drawn_from(values, evenly(shape, allowed))


@pytest.mark.parametrize("at", [(0, 0), (1, 2), (2, 1)])
def test_the_only_pixel_of_a_window_that_the_footprint_leaves_is_taken(at: tuple[int, int]) -> None:
    exclude = np.ones((3, 3), np.bool_)
    exclude[at] = False
    (only,) = neighbours((7, 7), (3, 3), 1, exclude)
    assert set(drawn("uniform", (7, 7), (3, 3), 1, exclude, n=20)) == {7 * only[0] + only[1]}


@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 3)])
def test_a_plane_under_the_footprint_still_gives_any_pixel_but_the_centre(
    name: str, shape: tuple[int, ...]
) -> None:
    exclude = np.ones([9] * len(shape), np.bool_)
    spot = tuple(n - 1 for n in shape)
    values = drawn(name, shape, spot, 2, exclude, n=1_000)
    assert_drawn_from(values, evenly(shape, neighbours(shape, spot, max(shape))))


def test_a_footprint_wider_than_the_normal_offsets_ends() -> None:
    exclude = np.ones((41, 41), np.bool_)
    values = drawn("normal_without_centre", (48, 48), (24, 24), 2, exclude, n=500)
    assert set(values) <= set(evenly((48, 48), neighbours((48, 48), (24, 24), 48, exclude)))
    assert len(set(values)) > 100


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize("radius", [1, 2, 4])
@pytest.mark.parametrize("name", ["mean", "median"])
@pytest.mark.parametrize("shape", [(8, 9), (3, 6, 7)])
def test_mean_and_median_of_the_cropped_window_without_the_centre(
    name: str, shape: tuple[int, ...], radius: int, excluding: bool
) -> None:
    # Peers clamped the window at borders: in a corner the hidden pixel was in it many times.
    x = torch.randn(2, *shape, generator=seeded())
    mask = torch.rand(x.shape, generator=seeded(1)) < 0.4
    mask[:, *[0] * len(shape)] = mask[:, *[-1] * len(shape)] = True
    exclude = EXCLUDE[len(shape)] if excluding else None
    footprint = None if exclude is None else torch.from_numpy(exclude)
    y = REPLACEMENTS[name](x, mask, radius, seeded(2), exclude=footprint)
    expected = x.numpy().copy()
    for plane, *spot in mask.nonzero().tolist():
        values = [x[plane, *q].item() for q in neighbours(shape, tuple(spot), radius, exclude)]
        expected[plane, *spot] = np.mean(values) if name == "mean" else np.median(values)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(y[~mask], x[~mask])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ways_to_sort_give_the_same_median(dtype: torch.dtype) -> None:
    x = torch.randn(2, 12, 13, generator=seeded(), dtype=dtype)
    mask = stratified((2, 12, 13), 25.0, seeded(1))
    y = REPLACEMENTS["median"](x, mask, 2, seeded())
    z = REPLACEMENTS["median"](x.clone().requires_grad_(), mask, 2, seeded())
    assert torch.equal(y, z.detach())


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize(("shape", "spot", "radius"), SPOTS)
def test_normal_fitted_has_mean_and_deviation_of_the_window(
    shape: tuple[int, ...], spot: tuple[int, ...], radius: int, excluding: bool
) -> None:
    n = 6_000
    exclude = EXCLUDE[len(shape)] if excluding else None
    x = torch.rand(1, *shape, generator=seeded())
    inside = neighbours(shape, spot, radius, exclude, centre=True)
    window_values = np.array([x[0, *q].item() for q in inside])
    y = REPLACEMENTS["normal_fitted"](
        x.repeat(n, *[1] * len(shape)),
        lone(shape, spot, n),
        radius,
        seeded(1),
        exclude=None if exclude is None else torch.from_numpy(exclude),
    )[:, *spot].numpy()
    z = (y - window_values.mean()) / window_values.std()
    assert stats.kstest(z, stats.norm.cdf).pvalue > 1e-4
    # Tight enough to tell the population's deviation from the sample's in a corner.
    assert abs(z.std() - 1) < 4.5 / np.sqrt(2 * n)


@pytest.mark.parametrize("shape", [(40, 40), (10, 16, 16)])
def test_normal_additive_adds_noise_of_the_radius(shape: tuple[int, ...]) -> None:
    x = torch.randn(8, *shape, generator=seeded()) * 100
    mask = stratified(tuple(x.shape), 25.0, seeded(1))
    y = REPLACEMENTS["normal_additive"](x, mask, 5, seeded(2))
    assert stats.kstest((y - x)[mask].numpy(), stats.norm(0, 5).cdf).pvalue > 1e-4
    assert torch.equal(y[~mask], x[~mask])


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
@pytest.mark.parametrize("space", [(24, 24), (6, 12, 12)])
def test_only_blind_spots_change_and_nothing_given_is_touched(
    name: str, space: tuple[int, ...], excluding: bool
) -> None:
    x = torch.rand(4, *space, generator=seeded())
    mask = stratified((4, *space), 20.0, seeded(1))
    exclude = torch.from_numpy(EXCLUDE[len(space)].copy()) if excluding else None
    before = x.clone(), mask.clone()
    y = REPLACEMENTS[name](x, mask, 2, seeded(2), exclude=exclude)
    assert torch.equal(y[~mask], x[~mask])
    assert torch.equal(x, before[0])
    assert torch.equal(mask, before[1])
    assert y.data_ptr() != x.data_ptr()
    if exclude is not None:
        assert np.array_equal(exclude, EXCLUDE[len(space)]), "a peer wrote into the mask's centre"
    if name != "identity":
        assert (y != x)[mask].float().mean() > 0.9
    assert torch.equal(y, REPLACEMENTS[name](x, mask, 2, seeded(2), exclude=exclude))
    nothing = torch.zeros_like(mask)
    assert torch.equal(REPLACEMENTS[name](x, nothing, 2, seeded(), exclude=exclude), x)


@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
@pytest.mark.parametrize("excluding", [False, True])
def test_chunks_and_memory_order_do_not_matter(
    name: str, excluding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(3, 5, 6, 7, generator=seeded())
    mask = stratified((3, 5, 6, 7), 30.0, seeded(1))
    exclude = torch.from_numpy(EXCLUDE[3]) if excluding else None
    whole = REPLACEMENTS[name](x, mask, 2, seeded(2), exclude=exclude)
    order = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(REPLACEMENTS[name](order, mask, 2, seeded(2), exclude=exclude), whole)
    monkeypatch.setattr(window, "CHUNK", 200)
    chunked = REPLACEMENTS[name](x, mask, 2, seeded(2), exclude=exclude)
    assert torch.equal(chunked[~mask], x[~mask])
    if name in ("mean", "median", "identity"):
        torch.testing.assert_close(chunked, whole)
    elif name in COPYING:
        assert np.isin(chunked, x).all()


@pytest.mark.parametrize("name", COPYING)
def test_values_are_read_before_any_is_written(name: str) -> None:
    x = torch.rand(3, 16, 16, generator=seeded())
    y = REPLACEMENTS[name](x, torch.ones_like(x, dtype=torch.bool), 2, seeded(1))
    originals = [set(plane.ravel().tolist()) for plane in x]
    assert all(set(plane.ravel().tolist()) <= o for plane, o in zip(y, originals, strict=True))


@pytest.mark.parametrize("name", COPYING)
@pytest.mark.parametrize("space", [(24, 24), (8, 16, 16)])
def test_a_copied_value_is_that_of_one_pixel(name: str, space: tuple[int, ...]) -> None:
    x = torch.rand(4, *space, generator=seeded(), requires_grad=True)
    mask = stratified((4, *space), 3.0, seeded(1))
    y = REPLACEMENTS[name](x, mask, 2, seeded(2))
    # Change hidden values alone: where every replacement came from a visible pixel, nothing moves.
    lonely = x.detach().clone()
    lonely[mask] += 100
    z = REPLACEMENTS[name](lonely, mask, 2, seeded(2))
    moved = (y != z) & mask
    assert ((z - y)[moved] == 100).all(), "a moved value must be that of another hidden pixel"
    (grad,) = torch.autograd.grad(y[mask].sum(), x)
    assert grad.sum() == mask.sum(), "each replacement is exactly one pixel"


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
@pytest.mark.parametrize("shape", [(7, 8), (3, 4, 5)])
def test_a_spot_has_no_gradient_to_its_own_value(
    name: str, shape: tuple[int, ...], excluding: bool
) -> None:
    mask = everywhere(shape, 5)
    x = torch.rand(mask.shape, generator=seeded(), requires_grad=True)
    exclude = torch.from_numpy(EXCLUDE[len(shape)]) if excluding else None
    y = REPLACEMENTS[name](x, mask, 2, seeded(1), exclude=exclude)
    (grad,) = torch.autograd.grad(y[mask].sum(), x)
    assert bool((grad[mask] == 0).all()) == (name in CENTRE_BLIND)
