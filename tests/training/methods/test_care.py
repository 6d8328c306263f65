"""Laws of CARE: noisy in, clean as target, everywhere but on held-out pixels."""

from __future__ import annotations

import pytest
import torch

from tiny import seeded
from unnoise.config.config import Config
from unnoise.training.methods import build
from unnoise.training.methods.n2n import Noise2Noise
from unnoise.training.methods.step import Step


@pytest.mark.parametrize("space", [(6, 7), (3, 4, 5)])
def test_the_clean_image_is_the_target(space: tuple[int, ...]) -> None:
    generator = seeded(0)
    noisy, clean = torch.randn(2, 8, 3, *space, generator=generator)
    held = torch.rand(noisy.shape, generator=generator) < 0.1
    before = noisy.clone(), clean.clone(), held.clone(), generator.get_state()
    step = Step(noisy, clean, held, generator, 0.5, lambda x: x)
    method = build(Config(method="care"), len(space))
    assert method == Noise2Noise(both_directions=False)
    for (x, y, weight), expected in (
        (method.batch(step), ~held),
        (method.validation(step), held),
    ):
        assert torch.equal(x, noisy)
        assert torch.equal(y, clean)
        assert torch.equal(weight, expected.float())
    after = noisy, clean, held, generator.get_state()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "nothing is drawn"
