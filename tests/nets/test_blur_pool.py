"""Laws of pooling without aliasing: loops as the oracle, constants, mirrors and shifts."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from unnoise.nets.blur_pool import MaxBlurPool


def looped(x: NDArray, stride: tuple[int, ...]) -> NDArray:
    """Pool one map pixel by pixel; a position beyond the border is the nearest inside."""

    def at(position: tuple[int, ...]) -> float:
        return float(
            x[tuple(min(max(p, 0), n - 1) for p, n in zip(position, x.shape, strict=True))]
        )

    out = np.zeros([n // s for n, s in zip(x.shape, stride, strict=True)])
    for cell in np.ndindex(out.shape):
        shifts = [(-1, 0, 1) if s == 2 else (0,) for s in stride]
        for shift in itertools.product(*shifts):
            weight = np.prod(
                [(2 - abs(d)) / 4 for d, s in zip(shift, stride, strict=True) if s == 2]
            )
            corner = [s * c + d for s, c, d in zip(stride, cell, shift, strict=True)]
            ends = itertools.product(
                *[range(c, c + s) for c, s in zip(corner, stride, strict=True)]
            )
            out[cell] += weight * max(at(end) for end in ends)
    return out


@pytest.mark.parametrize(
    ("size", "stride"),
    [
        ((8, 10), (2, 2)),
        ((2, 4), (2, 2)),
        ((7, 9), (2, 2)),
        ((6, 5), (2, 1)),
        ((4, 6, 8), (2, 2, 2)),
        ((5, 6, 4), (1, 2, 2)),
        ((1, 4, 4), (1, 2, 2)),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_it_is_the_loop(size: tuple[int, ...], stride: tuple[int, ...], last: bool) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    layout = torch.channels_last if len(size) == 2 else torch.channels_last_3d
    y = MaxBlurPool(len(size), stride)(x.contiguous(memory_format=layout) if last else x)
    for b, c in np.ndindex(2, 3):
        np.testing.assert_allclose(y[b, c], looped(x[b, c].numpy(), stride), atol=1e-6)


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (2, 2, 2), (1, 2, 2)])
def test_a_constant_stays_to_the_border(stride: tuple[int, ...]) -> None:
    y = MaxBlurPool(len(stride), stride)(torch.full((1, 2, *(6,) * len(stride)), -3.0))
    assert y.shape == (1, 2, *(6 // s for s in stride))
    assert (y == -3).all()


def test_a_mirrored_input_gives_the_mirrored_output() -> None:
    pool, x = MaxBlurPool(2, (2, 2)), torch.randn(1, 2, 12, 8)
    torch.testing.assert_close(pool(x.flip(-1, -2)).flip(-1, -2), pool(x))


def test_a_shift_by_one_pixel_changes_less_than_with_maximum_pooling() -> None:
    x = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))

    def change(pool: torch.nn.Module) -> float:
        a, b = (
            F.interpolate(pool(x.roll(d, -1)), scale_factor=2.0).roll(-d, -1)[..., 4:-4, 4:-4]
            for d in (0, 1)
        )
        return float((a - b).std() / a.std())

    assert change(MaxBlurPool(2, (2, 2))) < 0.75 * change(torch.nn.MaxPool2d(2))


def test_the_filter_is_nothing_to_train_or_save() -> None:
    pool = MaxBlurPool(3, (1, 2, 2))
    assert not list(pool.parameters())
    assert not pool.state_dict()
    assert pool.blur.sum() == 1
    assert pool.double().blur.dtype == torch.float64, "it moves with the net"
    x = torch.randn(1, 2, 2, 4, 4, dtype=torch.float64)
    assert torch.equal(pickle.loads(pickle.dumps(pool))(x), pool(x))


def test_the_gradient_is_the_slope() -> None:
    x = torch.randn(1, 2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(MaxBlurPool(2, (2, 2)).double(), (x,))
