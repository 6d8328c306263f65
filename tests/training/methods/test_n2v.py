"""Laws of Noise2Void and structN2V: what is hidden, what is compared, what cannot be seen."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from oracles import under
from tiny import seeded, step, unet
from unnoise.config.config import Config
from unnoise.training.masks.blind_spots import CENTRE_BLIND, REPLACEMENTS
from unnoise.training.methods import build
from unnoise.training.methods.n2v import Noise2Void

SPACES = [(14, 16), (4, 10, 12)]
STRUCTS: dict[int, list[Any]] = {
    2: [
        None,
        np.ones((1, 5), bool),
        np.ones((5, 1), bool),
        # Neither symmetric nor convex; its centre is written as 0.
        np.array([[0, 1, 0, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 1]], bool),
    ],
    3: [
        None,
        np.ones((1, 1, 5), bool),
        np.ones((3, 1, 1), bool),
        np.array([[[0, 0, 1]], [[0, 0, 1]], [[1, 0, 0]]], bool),
    ],
}
CASES = [(space, struct) for space in SPACES for struct in STRUCTS[len(space)]]


def method(struct: NDArray | None = None, percent: float = 4.0, **options: Any) -> Noise2Void:
    footprint = None if struct is None else torch.from_numpy(struct.copy())
    return Noise2Void(percent, 2, struct=footprint, **options)


def distinct(space: tuple[int, ...], b: int = 3, c: int = 2) -> torch.Tensor:
    """Patches without two equal values, so that what changed tells what was hidden."""
    n = b * c * int(np.prod(space))
    return torch.randperm(n, generator=seeded(9)).float().view(b, c, *space)


def hidden_by(spots: torch.Tensor, struct: NDArray | None) -> NDArray:
    """Spots and what lies under their footprints."""
    mask = spots.numpy()
    return mask if struct is None else mask | under(mask, struct)


FAR = {"depth": 1, "filters": 3, "activation": "silu"}
"""Every prediction of such a net depends on most of the patch."""


@pytest.mark.parametrize(("space", "struct"), CASES)
@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
@pytest.mark.parametrize("pattern", ["stratified", "grid"])
def test_spots_and_footprints_are_hidden_and_the_loss_is_on_spots_alone(
    space: tuple[int, ...], struct: NDArray | None, name: str, pattern: str
) -> None:
    x = distinct(space)
    held = torch.rand(x.shape, generator=seeded(5)) < 0.2
    n2v = method(struct, replacement=name, pattern=pattern)
    noisy, target, everywhere = n2v.batch(step(x))
    spots = everywhere.bool()
    assert set(everywhere.unique().tolist()) == {0.0, 1.0}
    # A mean may by chance equal the hidden value.
    changed, expected = (noisy != x).numpy(), hidden_by(spots, struct)
    assert not (changed & ~expected).any()
    assert changed[expected].mean() > (0.98 if name in ("mean", "median") else 0.999)
    assert torch.equal(target, x)
    # Held-out pixels are hidden as others are, but never a target: all else stays the same.
    again, target, weight = n2v.batch(step(x, held))
    assert torch.equal(again, noisy)
    assert torch.equal(target, x)
    assert torch.equal(weight.bool(), spots & ~held)
    assert weight.dtype == noisy.dtype == torch.float32
    assert (spots & held).any()
    assert weight.sum() > 0


@pytest.mark.parametrize(("space", "struct"), CASES)
@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
def test_validation_hides_the_held_out_pixels_with_their_structure(
    space: tuple[int, ...], struct: NDArray | None, name: str
) -> None:
    # A peer left the structure out of validation, which so rewarded copying correlated noise.
    x = distinct(space)
    held = torch.rand(x.shape, generator=seeded(5)) < 0.03
    held[:, :, *[0] * len(space)] = held[:, :, *[-1] * len(space)] = True
    noisy, target, weight = method(struct, replacement=name).validation(step(x, held))
    changed, expected = (noisy != x).numpy(), hidden_by(held, struct)
    assert not (changed & ~expected).any()
    assert changed[expected].mean() > (0.98 if name in ("mean", "median") else 0.999)
    assert torch.equal(target, x)
    assert torch.equal(weight, held.float())
    again = method(struct, replacement=name).validation(step(x, held))
    assert all(torch.equal(a, b) for a, b in zip(again, (noisy, target, weight), strict=True))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("percent", [0.2, 1.5, 25.0, 50.0])
def test_the_percentage_is_that_of_compared_pixels_in_2d_and_3d(
    space: tuple[int, ...], percent: float
) -> None:
    # A peer took the square root in 3D, so 1.5 % became 0.2 %.
    x = torch.zeros(2000 if percent < 1 else 100, 1, *space)
    weight = Noise2Void(percent, 2).batch(step(x))[2]
    n = weight.numel()
    assert abs(weight.sum().item() - n * percent / 100) < 5 * (n * percent / 100) ** 0.5


# ---- The gradient law ----


def loss(made: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Compared predictions; targets stand for themselves, as the net cannot change them."""
    noisy, target, weight = batch
    return (weight * (made(noisy) - target.detach()) ** 2).sum()


def lone_spots(space: tuple[int, ...]) -> torch.Tensor:
    """Held-out masks of one pixel: inside, on borders and in corners."""
    places = np.array(list(np.ndindex(*space)))
    some = places[np.random.default_rng(0).permutation(len(places))[:20]]
    corners = [tuple((n - 1) * (k >> i & 1) for i, n in enumerate(space)) for k in range(4)]
    mask = torch.zeros(24, 1, *space, dtype=torch.bool)
    for i, spot in enumerate([*map(tuple, some.tolist()), *corners]):
        mask[i, 0, *spot] = True
    return mask


@pytest.mark.parametrize(("space", "struct"), CASES)
@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
def test_a_hidden_value_reaches_no_prediction_compared_with_it(
    space: tuple[int, ...], struct: NDArray | None, name: str
) -> None:
    held = lone_spots(space)
    x = torch.randn(held.shape, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    made = unet(0.5, ndim=len(space), **FAR).double()
    batch = method(struct, replacement=name).validation(step(x, held))
    (grad,) = torch.autograd.grad(loss(made, batch), x)
    assert (grad != 0).float().mean() > 0.2, "the net must look far for this to mean something"
    if name in CENTRE_BLIND:
        assert (grad[held] == 0).all()
    elif name == "uniform_with_centre":  # shows it where it was drawn, once per window
        assert torch.equal(grad[held] != 0, batch[0][held] == x[held])
    else:  # these always show the value, or a value made of it
        assert (grad[held] != 0).all()


@pytest.mark.parametrize(("space", "struct"), CASES)
@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
def test_in_training_too_where_a_patch_has_a_single_spot(
    space: tuple[int, ...], struct: NDArray | None, name: str
) -> None:
    x = torch.randn(80, 1, *space, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    n2v = method(struct, percent=60 / np.prod(space), replacement=name)
    noisy, target, weight = n2v.batch(step(x))
    alone = weight.flatten(1).sum(1) == 1
    assert alone.sum() > 10
    batch = noisy[alone], target[alone], weight[alone]
    (grad,) = torch.autograd.grad(loss(unet(0.5, ndim=len(space), **FAR).double(), batch), x)
    assert (grad[alone] != 0).any()
    assert (grad[weight.bool() & alone.view(-1, *[1] * (x.ndim - 1))] == 0).all()


@pytest.mark.parametrize(("space", "struct"), CASES)
@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
def test_in_dense_masks_no_value_stands_in_its_own_place(
    space: tuple[int, ...], struct: NDArray | None, name: str
) -> None:
    """There a value may be the replacement of a neighbouring spot, as in the paper."""
    n2v = method(struct, percent=10.0, replacement=name)
    x = torch.randn(1, 1, *space, generator=seeded(1))
    noisy, _, weight = n2v.batch(step(x))
    hidden = hidden_by(weight.bool(), struct)
    for place in np.argwhere(hidden)[::5].tolist():
        other = x.clone()
        other[*place] += 1000
        assert n2v.batch(step(other))[0][*place] == noisy[*place]


@pytest.mark.parametrize(("space", "struct"), [case for case in CASES if case[1] is not None])
@pytest.mark.parametrize("name", sorted(CENTRE_BLIND))
def test_a_spot_is_not_replaced_by_what_is_under_its_footprint(
    space: tuple[int, ...], struct: NDArray, name: str
) -> None:
    """The noise there is that of the spot, which structN2V is all about."""
    held = lone_spots(space)
    x = torch.randn(held.shape, generator=seeded(1), requires_grad=True)
    noisy = method(struct, replacement=name).validation(step(x, held))[0]
    (grad,) = torch.autograd.grad(noisy[held].sum(), x)
    hidden = torch.from_numpy(hidden_by(held, struct))
    assert (grad[hidden] == 0).all()
    assert (grad[~hidden] != 0).any()


@pytest.mark.parametrize("space", SPACES)
def test_with_a_structure_spots_are_nowhere_in_the_input(space: tuple[int, ...]) -> None:
    """Their neighbours hold their noise, so a spot may not even stand elsewhere in the patch."""
    struct = STRUCTS[len(space)][1]
    held = lone_spots(space)
    x = torch.randn(held.shape, generator=seeded(1))
    noisy = method(struct).validation(step(x, held))[0]
    for plane, values, mask in zip(noisy, x, held, strict=True):
        assert not (plane == values[mask]).any()


# ---- Settings ----


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_methods_of_the_settings_are_those_of_the_papers(ndim: int) -> None:
    config = Config.preset("paper", "n2v")
    n2v = build(config, ndim)
    assert n2v == Noise2Void(0.198, 2, "uniform_with_centre", "stratified", None)
    n2v2 = build(Config(method="n2v2"), ndim)
    assert isinstance(n2v2, Noise2Void)
    assert (n2v2.replacement, n2v2.struct) == ("median", None)
    struct = Config(method="structn2v").set("mask.struct=vertical:5").set("mask.pattern=grid")
    made = build(struct, ndim)
    assert isinstance(made, Noise2Void)
    assert made.pattern == "grid"
    assert made.struct is not None
    assert made.struct.dtype == torch.bool
    assert made.struct.tolist() == np.ones((1,) * (ndim - 2) + (5, 1), bool).tolist()


def test_the_footprint_of_the_settings_is_never_written_to() -> None:
    struct = STRUCTS[2][3]
    n2v = method(struct)
    x = distinct((14, 16))
    n2v.batch(step(x))
    n2v.validation(step(x, x % 31 == 0))
    assert np.array_equal(n2v.struct, struct), "a peer wrote into the centre"
    with pytest.raises(dataclasses.FrozenInstanceError):
        n2v.percent = 3.0
