"""Laws of the blind spots, against NumPy loops and the definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from unnoise.training.masks import neighborhoods as window
from unnoise.training.masks.blind_spots import (
    CENTRE_BLIND,
    PATTERNS,
    REPLACEMENTS,
    box_side,
    grid,
    hide_structure,
    stratified,
)

SPOTS = [  # shape of the image, spot, radius: interior, corners, edges, windows beyond the image
    ((9, 9), (4, 4), 2),
    ((9, 9), (0, 0), 2),
    ((9, 9), (0, 5), 2),
    ((9, 9), (8, 7), 3),
    ((5, 6, 7), (2, 3, 3), 1),
    ((5, 6, 7), (0, 5, 6), 2),
    ((3, 6, 7), (1, 0, 3), 5),
]
EXCLUDE = {  # asymmetric, reaching beyond the window; the centre is written both ways
    2: np.array([[0, 1, 0, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 1]], np.bool_),
    3: np.array([[[0, 0, 1]], [[0, 1, 1]], [[1, 0, 0]]], np.bool_),
}
COPYING = ["uniform", "uniform_with_centre", "normal_without_centre"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


def neighbours(
    shape: tuple[int, ...],
    spot: tuple[int, ...],
    radius: int,
    exclude: NDArray | None = None,
    *,
    centre: bool = False,
) -> list[tuple[int, ...]]:
    """Pixels a replacement may read, by the definition, in a loop."""
    found = []
    for q in itertools.product(*(range(n) for n in shape)):
        offset = [b - a for a, b in zip(spot, q, strict=True)]
        if max(abs(o) for o in offset) > radius:
            continue
        if q == spot:
            if centre:
                found.append(q)
            continue
        if exclude is not None:
            at = [o + n // 2 for o, n in zip(offset, exclude.shape, strict=True)]
            if all(0 <= a < n for a, n in zip(at, exclude.shape, strict=True)) and exclude[*at]:
                continue
        found.append(q)
    return found


def lone(shape: tuple[int, ...], spot: tuple[int, ...], n: int = 1) -> torch.Tensor:
    mask = torch.zeros(n, *shape, dtype=torch.bool)
    mask[(slice(None), *spot)] = True
    return mask


def numbered(shape: tuple[int, ...], n: int = 1) -> torch.Tensor:
    """Planes whose values are the numbers of their pixels."""
    return torch.arange(float(np.prod(shape))).view(1, *shape).repeat(n, *[1] * len(shape))


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


def assert_drawn_from(values: NDArray, expected: dict[int, float]) -> None:
    """Chi-square test that pixels were drawn with these probabilities."""
    counts = np.array([(values == pixel).sum() for pixel in expected])
    assert counts.sum() == len(values), "a value came from outside the support"
    p = np.array(list(expected.values()))
    p /= p.sum()
    rare = p * len(values) < 5  # pooled, as the test is only asymptotically right
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        p = np.append(p[~rare], p[rare].sum())
    assert stats.chisquare(counts, p * len(values)).pvalue > 1e-4


def evenly(shape: tuple[int, ...], pixels: list[tuple[int, ...]]) -> dict[int, float]:
    return {int(np.ravel_multi_index(q, shape)): 1 / len(pixels) for q in pixels}


# ---- Which pixel is drawn ----


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


# ---- Where the footprint leaves nothing ----


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


# ---- Values made from the window ----


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


# ---- Laws of every replacement ----


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


def everywhere(shape: tuple[int, ...], times: int) -> torch.Tensor:
    """Masks with a single spot each, at every place in turn."""
    n = int(np.prod(shape))
    return torch.eye(n, dtype=torch.bool).view(n, *shape).repeat(times, *[1] * len(shape))


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


# ---- structN2V ----


def under(mask: NDArray, struct: NDArray) -> NDArray:
    """Pixels at spot + offset that are no spots, in a loop over spots and offsets."""
    hidden = np.zeros_like(mask)
    for plane, *spot in np.argwhere(mask):
        for at in np.argwhere(struct):
            pixel = [int(p + a - n // 2) for p, a, n in zip(spot, at, struct.shape, strict=True)]
            if all(0 <= p < n for p, n in zip(pixel, mask.shape[1:], strict=True)):
                hidden[plane, *pixel] = True
    return hidden & ~mask


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
    assert np.array_equal((result != y).numpy(), under(mask.numpy(), struct))
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


# ---- The regular grid ----


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
