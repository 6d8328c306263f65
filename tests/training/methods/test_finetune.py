"""Laws of the fine-tuning by recorruption."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tiny import constant, seeded
from unnoise.config.config import Config
from unnoise.nets.variance_stabilized import ALPHA
from unnoise.training.methods import build
from unnoise.training.methods.finetune import Finetune
from unnoise.training.methods.r2r import SIGNALS, NoiseTable, additive
from unnoise.training.methods.step import Step

VARIANCE = 0.04


def step(x: torch.Tensor, seed: int = 0, held: float = 0.02) -> Step:
    mask = torch.from_numpy(np.random.default_rng(seed).random(x.shape) < held)
    return Step(x, x, mask, seeded(seed), 0.0, lambda y: y)


def white(*shape: int, strength: float = 0.2) -> torch.Tensor:
    rng = np.random.default_rng(9)
    return torch.from_numpy(strength * rng.standard_normal(shape))


def test_input_and_target_share_the_mean_and_none_of_the_noise() -> None:
    x = white(4, 1, 96, 96)
    noisy, target, _ = Finetune(additive(ALPHA, [constant(VARIANCE)])).batch(step(x))
    assert noisy.var().item() == pytest.approx(VARIANCE * (1 + ALPHA**2), rel=0.05)
    assert target.var().item() == pytest.approx(VARIANCE * (1 + ALPHA**-2), rel=0.05)
    correlation = (noisy * target).mean() / (noisy.std() * target.std())
    assert abs(correlation.item()) < 4 / x.numel() ** 0.5
    # y1 / a**2 + y2 gives the image back, up to its weight
    again = (noisy / ALPHA**2 + target) / (1 + ALPHA**-2)
    assert torch.allclose(again, x, atol=1e-9)


def test_held_out_pixels_are_no_target_and_the_only_ones_of_validation() -> None:
    method, now = (
        Finetune(additive(ALPHA, [constant(VARIANCE)])),
        step(white(2, 1, 32, 32), held=0.1),
    )
    assert now.held_out.any()
    weight = method.batch(now)[2]
    assert not weight[now.held_out].any()
    assert (weight[~now.held_out] > 0).all()
    assert torch.equal(method.validation(now)[2] > 0, now.held_out)


def test_validation_is_blind() -> None:
    """What a held-out pixel shows changes the target there, and the input nowhere else or there."""
    method, x = Finetune(additive(ALPHA, [constant(VARIANCE)])), white(1, 1, 24, 24)
    now = step(x, held=0.0)
    now.held_out[..., 10, 12] = True
    other = x.clone()
    other[..., 10, 12] += 5
    first, target, _ = method.validation(now)
    again, changed, _ = method.validation(Step(other, other, now.held_out, now.generator, 0, id))
    assert torch.allclose(first, again)
    assert (changed - target).abs().sum().item() == pytest.approx(5)


def test_errors_count_in_units_of_the_noise() -> None:
    """Channels alike, and bright noisy pixels less than dark ones: weights are 1 / variance."""
    rising = NoiseTable(np.where(SIGNALS < 0, 0.01, 0.09), None)
    method = Finetune(additive(ALPHA, [rising, constant(4.0)]))
    x = torch.full((1, 2, 32, 32), -3.0).double()
    x[..., 16:] = 3.0
    weight = method.batch(step(x, held=0.0))[2]
    dark, bright = weight[0, 0, 4, 4], weight[0, 0, 4, 28]
    assert (dark / bright).item() == pytest.approx(9, rel=1e-3)
    assert torch.allclose(weight.mean((0, 2, 3)), torch.ones(2).double())


def test_found_by_name() -> None:
    method = build(Config(method="adapted"), 2, [constant(VARIANCE)])
    assert isinstance(method, Finetune)
