"""Laws of Blind2Unblind: its masks, its interpolation, and the gradient of the paper's loss."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from tiny import seeded, step, unet
from unnoise.config.config import Config
from unnoise.training.losses import ERRORS, mean
from unnoise.training.methods import build
from unnoise.training.methods.b2u import Blind2Unblind, donut_mean, phases

GRIDS = [((8, 8), 2), ((9, 7), 2), ((9, 12), 3), ((13, 10), 4), ((4, 6, 6), 2), ((5, 7, 6), 3)]


# ---- Masks ----

SMALL = {"depth": 1, "filters": 3, "activation": "silu"}


@pytest.mark.parametrize(("space", "side"), GRIDS)
def test_all_phases_hide_every_pixel_exactly_once(space: tuple[int, ...], side: int) -> None:
    n = side ** len(space)
    mask = phases(torch.zeros(3, 2, *space), side, n, seeded())
    assert mask.dtype == torch.bool
    assert mask.shape == (3, n, 1, *space)
    assert (mask.sum(1) == 1).all()


@pytest.mark.parametrize(("space", "side"), GRIDS)
def test_a_phase_hides_one_pixel_in_every_cell(space: tuple[int, ...], side: int) -> None:
    count = side ** len(space) // 2
    mask = phases(torch.zeros(20, 1, *space), side, count, seeded()).numpy()[:, :, 0]
    for corner in itertools.product(*(range(0, n - side + 1, side) for n in space)):
        cell = (..., *(slice(c, c + side) for c in corner))
        inside = tuple(range(2, mask.ndim))
        assert (mask[cell].sum(inside) == 1).all()
    for plane in mask:  # and the same one in every cell: a lattice
        first = plane[(slice(None), *[slice(side)] * len(space))]
        tiled = np.tile(first, (1, *[-(-n // side) for n in space]))
        np.testing.assert_array_equal(plane, tiled[(slice(None), *map(slice, space))])
        assert (plane.sum(0) <= 1).all(), "a patch never gets a phase twice"


@pytest.mark.parametrize(("side", "count"), [(2, 1), (2, 3), (3, 4)])
def test_phases_are_drawn_equally_often(side: int, count: int) -> None:
    mask = phases(torch.zeros(4000, 1, side, side), side, count, seeded())
    hidden = mask.sum((0, 1, 2)).numpy().ravel()
    assert hidden.sum() == 4000 * count
    # Phases of a patch exclude each other, so the counts vary a little less than independently.
    assert stats.chisquare(hidden).pvalue > 1e-4


def test_patches_have_phases_of_their_own_and_the_generator_decides() -> None:
    x = torch.zeros(30, 1, 6, 6)
    mask = phases(x, 3, 1, seeded())
    assert len({tuple(plane.flatten().tolist()) for plane in mask}) > 5
    assert torch.equal(mask, phases(x, 3, 1, seeded()))
    assert not torch.equal(mask, phases(x, 3, 1, seeded(1)))


# ---- Interpolation ----


def weighted_mean(x: NDArray) -> NDArray:
    """Every pixel from the neighbours it has: weight 1 beside it, half as much per further axis."""
    y = np.empty_like(x)
    for pixel in np.ndindex(*x.shape):
        total = weight = 0.0
        for offset in itertools.product((-1, 0, 1), repeat=x.ndim):
            at = tuple(p + o for p, o in zip(pixel, offset, strict=True))
            if any(offset) and all(0 <= a < n for a, n in zip(at, x.shape, strict=True)):
                w = {1: 1.0, 2: 0.5, 3: 0.25}[sum(map(abs, offset))]
                total, weight = total + w * x[at], weight + w
        y[pixel] = total / weight
    return y


def interpolated(x: torch.Tensor) -> torch.Tensor:
    """`weighted_mean` of every plane of a batch, in float64."""
    planes = [weighted_mean(plane) for plane in x.double().flatten(0, 1).numpy()]
    return torch.from_numpy(np.stack(planes)).view_as(x)


@pytest.mark.parametrize("space", [(5, 6), (2, 7), (1, 4), (4, 5, 6), (2, 2, 3), (1, 4, 4)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_interpolation_is_the_weighted_mean_inside_at_borders_and_in_corners(
    space: tuple[int, ...], offset: float
) -> None:
    # The released code pads with zeros, which darkens borders: the offset would tell.
    x = torch.randn(2, 3, *space, generator=seeded(), dtype=torch.float64) + offset
    expected = interpolated(x)
    np.testing.assert_allclose(donut_mean(x), expected, rtol=1e-12)
    half = donut_mean(x.float())
    assert half.dtype == torch.float32
    np.testing.assert_allclose(half, expected, rtol=1e-5, atol=1e-5)


def test_inside_it_is_the_kernel_of_the_paper() -> None:
    x = torch.zeros(1, 1, 7, 7)
    x[0, 0, 3, 3] = 12
    spread = donut_mean(x)[0, 0, 2:5, 2:5]
    assert spread.tolist() == pytest.approx(np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]))


# ---- Batches ----


@pytest.mark.parametrize(("space", "side"), GRIDS)
def test_every_copy_hides_its_phase_and_is_compared_there(
    space: tuple[int, ...], side: int
) -> None:
    b, c, count = 2, 2, side ** len(space) - 1
    x = torch.randn(b, c, *space, generator=seeded(3))
    held = torch.rand(x.shape, generator=seeded(4)) < 0.1
    method = Blind2Unblind(side, count)
    hidden, target, everywhere = method.batch(step(x))
    weight = method.batch(step(x, held))[2]
    for tensor in (hidden, target, everywhere, weight):
        assert tensor.shape == (b * count, c, *space)
        assert tensor.dtype == torch.float32
    mask = phases(x, side, count, seeded())
    filled = interpolated(x)
    for i, k in np.ndindex(b, count):
        copy, spots = k * b + i, mask[i, k].expand(c, *space)
        assert torch.equal(everywhere[copy].bool(), spots), "all channels of a pixel are hidden"
        assert torch.equal(weight[copy].bool(), spots & ~held[i]), "held-out pixels never count"
        assert torch.equal(hidden[copy][~spots], x[i][~spots])
        torch.testing.assert_close(
            hidden[copy].double()[spots], filled[i][spots], atol=1e-5, rtol=1e-4
        )


def test_pixels_that_are_no_measurement_have_no_weight_in_any_copy_of_their_patch() -> None:
    x = torch.randn(2, 1, 8, 8, generator=seeded())
    excluded = torch.zeros(x.shape, dtype=torch.bool)
    excluded[1, 0, :4] = True
    given = step(x, excluded=excluded)
    _, _, weight = given.measured(Blind2Unblind(2, 4).batch(given))
    left = weight.view(4, 2, 8, 8).sum(0)  # every pixel is hidden in one phase
    assert torch.equal(left, (~excluded[:, 0]).float())


def test_the_input_depends_on_no_hidden_value() -> None:
    """Not even elsewhere: the nearest hidden pixels are too far for the interpolation."""
    for space, side in GRIDS:
        method = Blind2Unblind(side, side ** len(space))
        x = torch.randn(1, 1, *space, generator=seeded(), requires_grad=True)
        hidden, _, weight = method.batch(step(x.clone(), predict=torch.zeros_like))
        for copy, spots in zip(hidden, weight.bool(), strict=True):
            (grad,) = torch.autograd.grad((copy * torch.rand(copy.shape)).sum(), x, None, True)
            assert (grad[0][spots] == 0).all()
            assert (grad[0][~spots] != 0).all()


def test_validation_is_the_blind_risk() -> None:
    x = torch.randn(3, 2, 9, 8, generator=seeded())
    held = torch.rand(x.shape, generator=seeded(1)) < 0.1
    never = step(x, held, predict=lambda x: pytest.fail("validation needs no visible output"))
    hidden, target, weight = Blind2Unblind().validation(never)
    assert torch.equal(weight, held.float())
    assert torch.equal(target, x)
    assert torch.equal(hidden[~held], x[~held])
    torch.testing.assert_close(hidden.double()[held], interpolated(x)[held], atol=1e-5, rtol=1e-4)


# ---- The loss ----


def paper(
    made: torch.nn.Module, x: torch.Tensor, side: int, beta: float, eta: float
) -> torch.Tensor:
    """Equations 8 and 9 of the paper, one grid phase after the other, means over all pixels."""
    h = torch.zeros_like(x)
    filled = interpolated(x)
    for corner in itertools.product(range(side), repeat=x.ndim - 2):
        lattice = (..., *(slice(c, None, side) for c in corner))
        masked = x.clone()
        masked[lattice] = filled[lattice]
        blind = torch.zeros_like(x)
        blind[lattice] = 1
        h = h + blind * made(masked)
    v = made(x).detach()
    revisible = ((h + beta * v - (1 + beta) * x) ** 2).mean()
    return revisible + eta * ((h - x) ** 2).mean()


@pytest.mark.parametrize("fraction", [0.0, 0.8, 0.9, 1.0])
@pytest.mark.parametrize(
    ("space", "side", "eta"),
    [((8, 8), 2, 1.0), ((10, 12), 4, 1.0), ((9, 7), 2, 0.3), ((4, 6, 6), 2, 1.0)],
)
def test_with_all_phases_the_gradient_is_that_of_the_paper(
    space: tuple[int, ...], side: int, eta: float, fraction: float
) -> None:
    """Up to the factor 1 + eta, which Adam does not feel."""
    made = unet(channels=2, ndim=len(space), **SMALL).double()
    x = torch.randn(2, 2, *space, generator=seeded(1), dtype=torch.float64)
    method = Blind2Unblind(side, side ** len(space), (2.0, 20.0), 0.8, eta)

    def see(values: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return made(values)

    hidden, target, weight = method.batch(step(x, fraction=fraction, predict=see))
    ours = mean(ERRORS["mse"](made(hidden), target), weight)
    beta = 2.0 if fraction <= 0.8 else 2 + 18 * (fraction - 0.8) / 0.2
    theirs = paper(made, x, side, beta, eta)
    parameters = list(made.parameters())
    for a, b in zip(
        torch.autograd.grad(ours, parameters), torch.autograd.grad(theirs, parameters), strict=True
    ):
        assert b.abs().max() > 0
        torch.testing.assert_close((1 + eta) * a, b, rtol=1e-9, atol=1e-12)


def test_with_all_phases_the_gradient_at_the_blind_output_is_that_of_the_paper() -> None:
    """The same in the outputs h alone, whatever made them."""
    x = torch.randn(1, 1, 6, 6, generator=seeded(), dtype=torch.float64)
    v = torch.randn(x.shape, generator=seeded(1), dtype=torch.float64)
    h = torch.randn(x.shape, generator=seeded(2), dtype=torch.float64, requires_grad=True)
    beta, eta = 11.0, 0.7
    method = Blind2Unblind(3, 9, (2.0, 20.0), 0.8, eta)
    _, target, weight = method.batch(step(x, fraction=0.9, predict=lambda _: v))
    loss = (weight * (h - target) ** 2).sum()
    (ours,) = torch.autograd.grad(loss, h)
    residual = h + beta * v - (1 + beta) * x
    (theirs,) = torch.autograd.grad((residual**2).sum() + eta * ((h - x) ** 2).sum(), h)
    torch.testing.assert_close((1 + eta) * ours, theirs)


def test_some_phases_estimate_the_loss_of_all_without_bias() -> None:
    made = unet(channels=2, ndim=2, **SMALL).double()
    x = torch.randn(1, 2, 12, 12, generator=seeded(1), dtype=torch.float64)
    generator = seeded()

    def loss(count: int, times: int) -> list[float]:
        many = step(x.repeat(times, 1, 1, 1), generator=generator, predict=torch.zeros_like)
        hidden, target, weight = Blind2Unblind(2, count).batch(many)
        with torch.no_grad():
            error = weight * (made(hidden) - target) ** 2
        parts = error.view(times, -1).sum(1) / weight.view(times, -1).sum(1)
        return parts.tolist()

    (whole,) = loss(4, 1)
    for count in (1, 2):
        parts = loss(count, 300)
        assert np.std(parts) > 0
        assert stats.ttest_1samp(parts, whole).pvalue > 1e-4


def test_the_visible_output_is_of_the_untouched_patch_and_moves_the_target() -> None:
    x = torch.randn(2, 1, 6, 6, generator=seeded())
    seen = []

    def see(values: torch.Tensor) -> torch.Tensor:
        seen.append(values)
        return values - 1  # one too dark everywhere

    _, target, _ = Blind2Unblind(2, 3, (4.0, 4.0), 0.5, eta=1.0).batch(step(x, predict=see))
    assert len(seen) == 1
    assert torch.equal(seen[0], x)
    # The target rises above x by beta / (1 + eta) of what the visible output lacks.
    torch.testing.assert_close(target, (x + 4 / 2).repeat(3, 1, 1, 1))


@pytest.mark.parametrize(
    ("fraction", "beta"),
    [(0, 2), (0.5, 2), (0.8, 2), (0.85, 6.5), (0.9, 11), (0.95, 15.5), (1, 20)],
)
def test_beta_is_constant_then_linear(fraction: float, beta: float) -> None:
    assert Blind2Unblind().strength(fraction) == pytest.approx(beta)


@pytest.mark.parametrize("ramp", [0.0, 0.4, 0.99])
@pytest.mark.parametrize("ends", [(2.0, 20.0), (3.0, 3.0), (5.0, 0.0)])
def test_beta_reaches_its_ends_whenever_the_ramp_begins(
    ramp: float, ends: tuple[float, float]
) -> None:
    method = Blind2Unblind(beta=ends, ramp=ramp)
    values = [method.strength(f) for f in np.linspace(0, 1, 201)]
    assert (values[0], values[-1]) == ends
    assert sorted(values, reverse=ends[1] < ends[0]) == values
    assert method.strength(ramp) == ends[0]
    assert method.strength((1 + ramp) / 2) == pytest.approx(sum(ends) / 2)


def test_the_settings_of_the_paper() -> None:
    method = build(Config.preset("paper", "b2u"), 2)
    assert method == Blind2Unblind(side=4, phases=16, beta=(2.0, 20.0), ramp=0.8, eta=1.0)
