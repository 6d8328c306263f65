"""Laws of joined frames: still ones are averaged, changes are seen, tiles change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from unnoise.nets.gaussian_denoiser import lags
from unnoise.nets.joined_frames import REACH, Frames, as_normal, joined, kernels


def noise(n: int = 7, side: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(n, side, side, generator=torch.Generator().manual_seed(seed))


def spot(side: int = 64, width: float = 1.5) -> Tensor:
    x = torch.arange(side) - side // 2
    profile = torch.exp(-(x**2) / (2 * width**2))
    return profile[:, None] * profile


def of(values: Tensor, centre: int = 3) -> tuple[Tensor, Tensor]:
    """Mean and variance."""
    return joined(Frames(values, centre, [1.0] * len(values)))[:2]


def test_still_frames_are_averaged_and_the_variance_of_their_mean_is_told() -> None:
    values = noise()
    mean, variance = of(values)
    plain = variance < 1 / 7 + 1e-7
    assert plain.any()
    torch.testing.assert_close(mean[plain], values.mean(0)[plain], rtol=0, atol=0.01)
    told = float(variance.mean())
    assert float(mean.var()) == pytest.approx(told, rel=0.15)
    assert told < 0.2


def test_frames_of_other_scenes_leave_the_centre_alone() -> None:
    values = noise()
    scenes = 8 * torch.nn.functional.avg_pool2d(noise(seed=1)[None], 5, 1, 2)[0]
    values = values + scenes
    mean, variance = of(values)
    alone = variance > 0.99
    assert alone.float().mean() > 0.7
    torch.testing.assert_close(mean[alone], values[3][alone])
    assert float((mean - scenes[3]).square().mean()) < 1.05


@pytest.mark.parametrize("at", [3, 4, 2, 6])
def test_a_flash_stays_in_its_frame(at: int) -> None:
    """Peak SNR 10, 1.5 pixels wide; by the change of the mean that it makes in the same noise."""
    flash = 10 * spot()
    kept, ghost = [], []
    for seed in range(6):
        values = noise(seed=seed)
        lit = values.clone()
        lit[at] += flash
        for centre in (at, 3 if at != 3 else 5):
            change = of(lit, centre)[0] - of(values, centre)[0]
            share = float((change * flash).sum() / flash.square().sum())
            (kept if centre == at else ghost).append(share)
    assert np.mean(kept) > 0.9
    assert abs(np.mean(ghost)) < 0.04


def test_a_step_is_no_ramp() -> None:
    values = noise()
    values[4:] += 6 * spot(width=3)
    before, after = of(values, 3)[0], of(values, 4)[0]
    middle = (32, 32)
    assert abs(float(before[middle])) < 2.5
    assert float(after[middle]) > 3.5


def test_a_part_is_the_same_part_of_the_whole() -> None:
    values = noise(5, 96) + 3 * spot(96)
    whole = joined(Frames(values, 2, [1.0] * 5))
    part = joined(Frames(values[:, 8:88, 8:88], 2, [1.0] * 5))
    inner = slice(REACH, -REACH)
    for a, b in zip(whole[:3], part[:3], strict=True):
        torch.testing.assert_close(a[8:88, 8:88][inner, inner], b[inner, inner], rtol=0, atol=0)


def test_mirrored_noise_is_not_taken_for_a_change() -> None:
    values = noise(7, 64)
    mirrored = torch.nn.functional.pad(values[None], (16, 16, 16, 16), mode="reflect")[0]
    inside = np.pad(np.ones(64, bool), 16)
    found = joined(Frames(mirrored, 3, [1.0] * 7), inside=[inside, inside])
    for a, b in zip(found[:3], joined(Frames(values, 3, [1.0] * 7))[:3], strict=True):
        a, b = a[18:-18, 18:-18], b[2:-2, 2:-2]  # a change counts around where it is seen
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_pixels_that_are_no_measurement_give_way_to_those_that_are() -> None:
    values, used = noise(), torch.ones(7, 64, 64, dtype=torch.bool)
    used[3, 10, 10] = used[4, 20, 20] = False
    used[:, 30, 30] = False
    values[3, 10, 10] = values[4, 20, 20] = 2.0
    mean, variance = joined(Frames(values, 3, [1.0] * 7, used))[:2]
    others = torch.cat([values[:3], values[4:]])[:, 10, 10]
    if variance[10, 10] < 1 / 6 + 1e-6:
        torch.testing.assert_close(mean[10, 10], others.mean())
    assert variance[10, 10] < 1
    assert mean[30, 30] == values[3, 30, 30]
    assert variance[30, 30] == 1


def test_stronger_noise_counts_less_and_shared_noise_stays() -> None:
    values = noise(2)
    values[1] *= 2
    mean, variance = joined(Frames(values, 0, [1.0, 4.0]))[:2]
    both = variance < 0.8 + 1e-6
    wanted = 0.8 * values[0] + 0.2 * values[1]
    torch.testing.assert_close(mean[both], wanted[both], rtol=0, atol=0.01)
    assert both.float().mean() > 0.9
    assert float(joined(Frames(noise(), 3, [1.0] * 7), shared=0.3)[1].min()) == pytest.approx(0.4)


def test_values_without_a_transform_have_the_same_weights() -> None:
    values = noise() + 5 * spot()
    found = joined(Frames(values, 3, [1.0] * 7, plain=2 * values + 3))
    assert found.plain is not None
    torch.testing.assert_close(found.plain, 2 * found.mean + 3)


def test_correlated_noise_that_is_told_is_no_change() -> None:
    white = noise(5, 66)
    blurred = torch.nn.functional.avg_pool2d(white[None], 3, 1)[0] * 3
    rho = torch.tensor([max(3 - abs(y), 0) * max(3 - abs(x), 0) / 9 for y, x in lags()])
    frames = Frames(blurred, 2, [1.0] * 5)
    told, untold = joined(frames, rho=rho)[1], joined(frames)[1]
    assert told.mean() < 0.25 < untold.mean()


def test_the_tail_of_skewed_noise_is_no_change() -> None:
    """Noise as the transform of few photons leaves it."""
    shape = (2 / 0.6) ** 2
    drawn = np.random.default_rng(0).gamma(shape, size=(7, 64, 64))
    values = torch.from_numpy((shape - drawn) / shape**0.5).float()
    untold, told = (joined(Frames(values, 3, [1.0] * 7, None, s)) for s in (0.0, -0.6))
    assert told[1].mean() < untold[1].mean()
    assert told[2].mean() < 0.4 * untold[2].mean()


@pytest.mark.parametrize("skewness", [0.0, 0.2, 0.6])
def test_skewed_values_become_as_improbable_as_normal_ones(skewness: float) -> None:
    z = torch.linspace(-9, 9, 37, dtype=torch.float64)
    for sign in (1, -1):
        found = as_normal(z, sign * skewness)
        assert (found.diff() > 0).all()
        pearson = stats.pearson3(sign * skewness)
        inner = (np.abs(z.numpy()) <= 4.5) & (np.abs(z.numpy()) >= 1)
        wanted = stats.norm.isf(pearson.sf(z.numpy()[inner]))
        some = np.isfinite(wanted) & (np.abs(wanted) < 5)
        np.testing.assert_allclose(found.numpy()[inner][some], wanted[some], atol=0.55)


def test_an_event_is_seen_in_its_frame_alone() -> None:
    values = noise(9)
    values[4] += 8 * spot()
    values = values + torch.linspace(0, 1, 9)[:, None, None]  # which drifts
    events = [joined(Frames(values, k, [1.0] * 9))[2] for k in (3, 4, 5)]
    assert events[1][32, 32] > 0.9
    assert events[1][:16].mean() < 0.05
    assert max(events[0].mean(), events[2].mean()) < 0.05


def test_kernels_keep_sums_and_widen() -> None:
    for kernel in kernels():
        assert kernel.sum() == pytest.approx(1)
    lengths = [len(kernel) for kernel in kernels()]
    assert lengths == [1, 3, 7, 15, 31]
