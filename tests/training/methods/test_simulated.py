"""Laws of training on clean patches with noise that is drawn anew."""

from __future__ import annotations

import torch

from tiny import seeded, step
from unnoise.noise.noise_models import PoissonGauss, VarianceCurve
from unnoise.training.methods.simulated import Simulated

FLAT = VarianceCurve([0.0, 1.0], [9.0, 9.0])
CAMERA = PoissonGauss(4.0, 0.0, 0.0)
FAR = (-1e9, 1e9)


def test_the_input_has_the_noise_of_its_channel_and_the_target_none() -> None:
    x = torch.zeros(8, 2, 64, 64)
    made = Simulated([FLAT, CAMERA], [50.0, 50.0], [6.0, 10.0], [FAR, FAR])
    noisy, target, weight = made.batch(step(x))
    assert target is x
    assert (weight == 1).all()
    for c, variance in enumerate([9 / 36, 200 / 100]):
        assert abs(noisy[:, c].mean().item()) < 0.05
        assert abs(noisy[:, c].var().item() / variance - 1) < 0.05


def test_one_by_one_every_plane_has_a_channel_of_its_own() -> None:
    x, channel = torch.zeros(6, 1, 64, 64), torch.tensor([[0], [1]] * 3)
    made = Simulated([FLAT, CAMERA], [50.0, 50.0], [1.0, 1.0], [FAR, (49.0, 51.0)])
    noisy, *_ = made.batch(step(x, channel=channel))
    assert abs(noisy[::2].var().item() / 9 - 1) < 0.1
    assert noisy[1::2].abs().max() <= 1, "nothing beyond what the camera can record"


def test_held_out_pixels_are_compared_in_validations_alone_and_draws_are_repeatable() -> None:
    x = torch.zeros(1, 1, 32, 32)
    held = torch.zeros_like(x, dtype=torch.bool)
    held[..., ::8, ::8] = True
    made = Simulated([FLAT], [0.0], [1.0], [FAR])
    noisy, _, weight = made.batch(step(x, held))
    again, _, checked = made.validation(step(x, held))
    assert torch.equal(weight == 0, held)
    assert torch.equal(checked == 1, held)
    assert torch.equal(noisy, again)
    other, *_ = made.batch(step(x, held, generator=seeded(1)))
    assert not torch.equal(noisy, other)
