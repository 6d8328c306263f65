"""Recorrupted batches: what is input, target and weight, and what a validation tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from oracles import within
from tiny import constant, seeded, step
from unnoise.training.methods.r2r import NoiseTable, Recorrupted, additive, thinning


@pytest.mark.parametrize("space", [(8, 9), (4, 6, 5)])
def test_the_two_parts_are_input_and_target_drawn_anew_in_every_step(
    space: tuple[int, ...],
) -> None:
    x = torch.randn(3, 2, *space, generator=seeded())
    held = torch.rand(x.shape, generator=seeded(1)) < 0.1
    method = Recorrupted(additive(0.5, [constant(0.01), constant(4.0)]))
    given = step(x, held)
    first, second = method.batch(given), method.batch(given)
    for noisy, target, weight in (first, second):
        assert noisy.shape == target.shape == weight.shape == x.shape
        assert torch.equal(weight, (~held).float())
        torch.testing.assert_close(noisy + 0.25 * target, 1.25 * x)
    assert not torch.equal(first[0], second[0])
    assert torch.equal(method.batch(step(x, held))[0], first[0]), "the generator decides"
    added = (first[0] - x).std((0, 2, *range(3, x.ndim))) / 0.5
    assert added[0] < 0.13 < 1.5 < added[1], "every channel has noise of its own"
    assert torch.equal(method.validation(given)[2], torch.cat([held, held]).float())


@pytest.mark.parametrize(
    ("fraction", "left"), [(0.0, 1.0), (0.3, 1.0), (0.6, 0.7), (0.9, 0.4), (1.0, 0.4)]
)
def test_the_recorruption_weakens_in_a_run_but_not_in_its_validation(
    fraction: float, left: float
) -> None:
    x = torch.zeros(4, 1, 64, 64, dtype=torch.float64)
    method = Recorrupted(additive(0.5, [constant(9.0)]), decay=0.4)
    noisy, target, _ = method.batch(replace(step(x), fraction=fraction))
    assert noisy.std().item() == pytest.approx(3 * 0.5 * left, rel=0.03)
    torch.testing.assert_close(target, -noisy / (0.5 * left) ** 2)
    checked, _, _ = method.validation(replace(step(x), fraction=fraction))
    assert checked.std().item() == pytest.approx(3 * 0.5 * 0.4, rel=0.03)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_weaker_thinning_adds_as_little_noise_as_weaker_normal_noise(share: float) -> None:
    """The variance of the input is 1 / (1 - p) times that of the image, or 1 + alpha**2 times."""
    split = thinning(share, [NoiseTable(np.ones(1), 0.05, 0.0)])
    alpha2 = 1 / (1 - share) - 1
    for left in (1.0, 0.4, 0.1):
        found = 1 / (1 - split.weaker(left).share) - 1
        assert found == pytest.approx(alpha2 * left**2)


def test_the_channel_of_a_patch_chooses_its_noise() -> None:
    x = torch.zeros(4, 1, 64, 64)
    channel = torch.tensor([[1], [0], [0], [1]])
    method = Recorrupted(additive(1.0, [constant(1.0), constant(9.0)]))
    noisy, _, _ = method.batch(step(x, channel=channel))
    assert noisy.std((1, 2, 3)).tolist() == pytest.approx([3, 1, 1, 3], rel=0.1)


def test_the_gradient_is_that_of_the_supervised_loss() -> None:
    """A linear 3x3 filter: its gradient against clean images, at the noise level of y1."""
    rng = np.random.default_rng(0)
    n, alpha, sd = 6000, 0.5, 0.5
    clean = ndimage.gaussian_filter(rng.normal(size=(n, 8, 8)), (0, 1, 1)) * 3
    y = torch.from_numpy(clean + rng.normal(0, sd, clean.shape))[:, None]
    noisy, target, _ = Recorrupted(additive(alpha, [constant(sd**2)])).batch(step(y))
    kernel = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    kernel[0, 0, 1, 1] = 1  # the identity, which a loss against y itself would leave alone
    kernel.requires_grad_()

    def gradients(x: torch.Tensor, aim: torch.Tensor) -> NDArray:
        error = torch.nn.functional.conv2d(x, kernel) - aim[..., 1:-1, 1:-1]
        windows = torch.nn.functional.unfold(x, 3)
        return (2 * error.flatten(1)[:, None] * windows).mean(2).detach().numpy()

    ours = gradients(noisy, target)
    true = gradients(noisy, torch.from_numpy(clean)[:, None])
    for a, b in zip(ours.T, true.T, strict=True):
        assert within(a - b, 0)
    assert true.mean(0)[4] > 0.2, "or the law would say nothing"
    assert not within(gradients(y, y)[:, 4] - true[:, 4], 0)


def test_the_risk_of_validation_is_the_true_one_and_the_noise_of_the_target() -> None:
    sd = 0.5
    clean = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(200, 1, 64, 64)
    y = clean + sd * torch.randn(clean.shape, generator=seeded(7), dtype=torch.float64)
    held = torch.rand(y.shape, generator=seeded(1)) < 0.1
    noisy, target, weight = Recorrupted(additive(0.5, [constant(sd**2)])).validation(step(y, held))
    f = 0.6 * noisy + 0.1  # any net, also one that repeats the pixel
    excess = (f - target) ** 2 - (f - torch.cat([clean, clean])) ** 2
    first, mirrored = excess.chunk(2)
    assert within(first[held].numpy(), sd**2 * 5)
    assert within(mirrored[held].numpy(), sd**2 * 5)
    assert torch.equal(weight > 0, torch.cat([held, held]))
    torch.testing.assert_close(noisy.chunk(2)[0] + noisy.chunk(2)[1], 2 * y)


def test_mirror_images_take_the_added_noise_out_of_the_difference_of_two_nets() -> None:
    clean = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(200, 1, 64, 64)
    y = clean + 0.5 * torch.randn(clean.shape, generator=seeded(7), dtype=torch.float64)
    held = torch.rand(y.shape, generator=seeded(1)) < 0.1
    method = Recorrupted(additive(0.5, [constant(0.25)]), decay=0.4)
    _, target, _ = method.validation(step(y, held))
    nets = [torch.cat([clean, clean]) + shift for shift in (0.0, 0.1)]  # 0.01 apart in truth
    one, two = ((((f - target) ** 2).chunk(2)) for f in nets)
    single = (two[0] - one[0])[held]
    both = ((two[0] - one[0]) + (two[1] - one[1]))[held] / 2
    assert within(both.numpy(), 0.01)
    assert both.std() < 0.25 * single.std()


def test_the_mirror_image_of_clipped_noise_lies_around_what_was_split() -> None:
    """Around the clipped image, inputs and targets of clipped pixels were too bright by twice what
    had been cut off."""
    sigma, low = 0.2, -0.1
    noisy = torch.clamp(sigma * torch.randn(4, 1, 64, 64, generator=seeded()), min=low)
    table = constant(sigma**2, ends=(low, np.inf))
    x = step(noisy, torch.ones_like(noisy, dtype=torch.bool))
    parts = Recorrupted(additive(0.5, [table])).validation(x)[:2]
    inputs, targets = (part.chunk(2) for part in parts)
    centre = (inputs[0] + inputs[1]) / 2
    torch.testing.assert_close(centre, (targets[0] + targets[1]) / 2)
    clipped = noisy == low
    torch.testing.assert_close(centre[~clipped], noisy[~clipped])
    assert (centre[clipped] < low).float().mean() > 0.9
    # The signal is 0; the local mean that tells the tail is the clipped one, so not exactly.
    means = [float(part.mean()) for part in (*inputs, *targets)]
    assert max(map(abs, means)) < 0.03
