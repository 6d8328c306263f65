"""Laws of Noise2Noise: pairs stay pairs, both directions, and the regression of the clean image."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from tiny import seeded
from unnoise.config.config import Config
from unnoise.training.losses import mean
from unnoise.training.methods import build
from unnoise.training.methods.n2n import Noise2Noise
from unnoise.training.methods.step import Step

SPACES = [(4, 5), (2, 3, 4)]


def pairs(n: int, space: tuple[int, ...]) -> Step:
    """Patches whose values tell their pair, and their sign which of the two they are."""
    x = torch.arange(1.0, n + 1).view(n, 1, *[1] * len(space)).repeat(1, 2, *space)
    held = torch.rand(x.shape, generator=seeded(1)) < 0.1
    return Step(x, -x, held, seeded(), 0.0, lambda x: x)


@pytest.mark.parametrize("space", SPACES)
def test_both_directions_are_drawn_equally_often(space: tuple[int, ...]) -> None:
    given = pairs(4000, space)
    noisy, target, _ = Noise2Noise().batch(given)
    assert torch.equal(target, -noisy), "input and target are the two images of one pair"
    assert torch.equal(noisy.abs(), given.x)
    swapped = noisy.flatten(1) < 0
    assert torch.equal(swapped.all(1), swapped.any(1)), "a patch is swapped as a whole"
    assert stats.binomtest(int(swapped.all(1).sum()), 4000).pvalue > 1e-4
    again = Noise2Noise().batch(pairs(4000, space))[0]
    assert torch.equal(noisy, again), "the generator decides"


@pytest.mark.parametrize("space", SPACES)
def test_one_direction_is_first_to_second(space: tuple[int, ...]) -> None:
    given = pairs(50, space)
    noisy, target, _ = Noise2Noise(both_directions=False).batch(given)
    assert torch.equal(noisy, given.x)
    assert torch.equal(target, given.y)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("space", SPACES)
def test_every_pixel_but_the_held_out_ones_is_a_target(space: tuple[int, ...], both: bool) -> None:
    given = pairs(50, space)
    method = Noise2Noise(both)
    weight = method.batch(given)[2]
    assert torch.equal(weight, 1.0 - given.held_out.float())
    noisy, target, weight = method.validation(given)
    assert torch.equal(weight, given.held_out.float())
    assert torch.equal(noisy, given.x), "the same direction every time, to compare validations"
    assert torch.equal(target, given.y)


def test_the_noise_of_the_target_does_not_bias_the_regression() -> None:
    """The best factor from noisy to noisy is that from noisy to clean: Wiener's."""
    generator = seeded()
    clean = torch.randn(60, 1, 32, 32, generator=generator)
    x, y = (clean + 0.7 * torch.randn(clean.shape, generator=generator) for _ in range(2))
    held = torch.zeros_like(x, dtype=torch.bool)
    noisy, target, weight = Noise2Noise().batch(Step(x, y, held, generator, 0.0, lambda x: x))
    factor = (mean(noisy * target, weight) / mean(noisy**2, weight)).item()
    assert factor == pytest.approx(1 / (1 + 0.7**2), abs=0.02)


def test_the_settings_choose_the_directions() -> None:
    for both in (False, True):
        config = Config(method="n2n").replace(pairs={"both_directions": both})
        assert build(config, 2) == Noise2Noise(both)
