"""Laws of training: repeatable, resumable, honest about held-out pixels, and it denoises."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.config import Config
from unnoise.errors import InputError
from unnoise.image import Image
from unnoise.losses import ERRORS, mean
from unnoise.methods import Noise2Void, Step
from unnoise.metrics import psnr
from unnoise.model import Model
from unnoise.plan import plan
from unnoise.training import N_VALIDATIONS, STEPS_PER_VALIDATION, Run, schedule

CPU = torch.device("cpu")


def scene(size: int = 96, sigma: float = 0.5, seed: int = 0) -> tuple[NDArray, NDArray]:
    """A smooth random picture of unit variance, and the same with white noise."""
    rng = np.random.default_rng(seed)
    truth = ndimage.gaussian_filter(rng.normal(size=(size, size)), 4, mode="wrap")
    truth /= truth.std()
    return truth, truth + sigma * rng.normal(size=truth.shape)


def start(x: NDArray, axes: str | None = None, **training: Any) -> Run:
    small = {"filters": 4, "depth": 1}
    config = Config().replace(training={"batch_size": 2, "patch": 32, **training}, net=small)
    image = Image.from_array(x, axes)
    return Run([image], plan([image], config), CPU)


def finish(run: Run) -> Model:
    for _ in run:
        pass
    return run.model()


def step(x: torch.Tensor, held_out: torch.Tensor, generator: torch.Generator) -> Step:
    return Step(x, x, held_out, generator, 0.0, lambda x: x)


def same(a: Model, b: Model) -> bool:
    return all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)


def test_same_seed_same_result_and_another_seed_another() -> None:
    _, x = scene()
    first = finish(start(x, steps=12))
    assert same(first, finish(start(x, steps=12)))
    assert not same(first, finish(start(x, steps=12, seed=1)))


def test_training_leaves_the_global_random_state_alone() -> None:
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    finish(start(scene()[1], steps=3))
    assert torch.equal(before_torch, torch.get_rng_state())
    assert np.array_equal(before_numpy, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("stop_at", [1, 7, 24])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_resuming_equals_the_uninterrupted_run(stop_at: int, batch_norm: bool) -> None:
    _, x = scene()
    net = {"filters": 4, "depth": 1, "batch_norm": batch_norm}
    config = Config().replace(training={"batch_size": 2, "patch": 32, "steps": 25}, net=net)
    image = Image.from_array(x)

    def fresh() -> Run:
        return Run([image], plan([image], config), CPU)

    whole = fresh()
    straight = finish(whole)
    broken = fresh()
    for progress in broken:
        if progress.step == stop_at:
            break
    broken.model()  # asking for the model must not change the run
    resumed = fresh()
    resumed.restore(broken.state())
    assert same(straight, finish(resumed))
    timeless = [
        [{k: v for k, v in h.items() if k != "seconds"} for h in r.history]
        for r in (whole, resumed)
    ]
    assert timeless[0] == timeless[1]


def test_held_out_pixels_are_never_targets() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 1, 32, 32, generator=generator)
    held = torch.rand(4, 1, 32, 32, generator=generator) < 0.3
    noisy, target, weight = Noise2Void(percent=25, radius=2).batch(step(x, held, generator))
    assert torch.equal(target, x)
    assert weight[held].sum() == 0
    assert weight.sum() > 0
    assert (noisy[held] != x[held]).any(), "they may still be hidden"
    noisy, _, weight = Noise2Void(percent=25, radius=2).validation(step(x, held, generator))
    assert torch.equal(weight.bool(), held)
    assert torch.equal(noisy[~held], x[~held])


def test_photon_counts_are_compared_at_every_blind_spot() -> None:
    """At 0.2 photons most neighbours are equal; a mask from "value changed" would bias by 2.9."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.poisson(0.2, (64, 1, 64, 64)).astype(np.float32))
    held = torch.zeros_like(x, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    _, target, weight = Noise2Void(percent=25, radius=2).batch(step(x, held, generator))
    mean = (weight * target).sum() / weight.sum()
    assert abs(mean - 0.2) < 0.01


def test_losses_are_the_weighted_means() -> None:
    rng = np.random.default_rng(0)
    y, t, w = (rng.random((2, 1, 5, 5)).astype(np.float32) for _ in range(3))
    total = {"mse": 0.0, "mae": 0.0}
    for i in itertools.product(*map(range, y.shape)):
        total["mse"] += float(w[i]) * (float(y[i]) - float(t[i])) ** 2
        total["mae"] += float(w[i]) * abs(float(y[i]) - float(t[i]))
    for name in ("mse", "mae"):
        error = ERRORS[name](torch.from_numpy(y), torch.from_numpy(t))
        ours = mean(error, torch.from_numpy(w)).item()
        assert ours == pytest.approx(total[name] / float(w.sum()), rel=1e-5)


def test_schedule_rises_then_falls_to_zero() -> None:
    values = [schedule(f, 0.1) for f in np.linspace(0, 1, 101)]
    assert values[10] == max(values) == 1
    assert all(a < b for a, b in itertools.pairwise(values[:11]))
    assert all(a > b for a, b in itertools.pairwise(values[10:]))
    assert values[-1] == pytest.approx(0, abs=1e-12)
    assert schedule(0, 0) == 1


def test_budget_in_minutes_ends_in_time_and_validates() -> None:
    run = start(scene()[1], minutes=0.03)
    last = list(run)[-1]
    assert run.fraction == 1
    assert 1.8 <= last.seconds < 4
    assert 1 <= len(run.history) <= N_VALIDATIONS
    assert last.held_out is not None


def test_the_best_held_out_weights_are_kept() -> None:
    run = start(scene()[1], steps=3 * STEPS_PER_VALIDATION)
    finish(run)
    assert [h["step"] for h in run.history] == [50, 100, 150]
    assert run.best == min(h["held_out"] for h in run.history)


def test_held_out_loss_estimates_the_risk() -> None:
    """Blind risk = error against the truth plus the noise variance (Batson and Royer, 2019)."""
    truth, x = scene(128)
    run = start(x, steps=150, batch_size=4)
    model = finish(run)
    assert run.best is not None
    clean = model.predict(x, dtype=np.float64)
    std = float(model.affine.std[0])
    expected = np.mean((clean - truth) ** 2) + 0.25
    assert run.best * std**2 == pytest.approx(expected, rel=0.15)


def test_it_denoises_smooth_signal_in_white_noise() -> None:
    truth, x = scene(128)
    clean = finish(start(x, steps=400)).predict(x, dtype=np.float64)
    peak = float(np.ptp(truth))
    gain = psnr(clean, truth, data_range=peak) - psnr(x, truth, data_range=peak)
    assert gain > 5


def test_it_denoises_a_stack_in_3d() -> None:
    rng = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(rng.normal(size=(16, 48, 48)), 3, mode="wrap")
    truth /= truth.std()
    x = truth + 0.5 * rng.normal(size=truth.shape)
    model = finish(start(x, "ZYX", steps=200))
    assert model.ndim == 3
    peak = float(np.ptp(truth))
    clean = model.predict(x, axes="ZYX", dtype=np.float64)
    assert psnr(clean, truth, data_range=peak) - psnr(x, truth, data_range=peak) > 4


def test_a_run_goes_on_only_on_its_kind_of_device() -> None:
    run = start(scene()[1], steps=2)
    state = run.state() | {"device": "cuda"}
    with pytest.raises(InputError, match="add --device cuda"):
        run.restore(state)
    with pytest.raises(InputError, match="does not fit its model"):
        run.restore(run.state() | {"generator": torch.zeros(3, dtype=torch.uint8)})


@pytest.mark.parametrize(("channels", "width"), [("independent", 1), ("joint", 3), ("separate", 3)])
def test_a_step_costs_the_same_for_any_number_of_independent_channels(
    channels: str, width: int
) -> None:
    x = np.random.default_rng(0).normal(size=(3, 40, 40))
    config = Config().replace(net={"filters": 4, "channels": channels}, training={"steps": 1})
    image = Image.from_array(x, "CYX")
    run = Run([image], plan([image], config), CPU)
    patches = run.crops.batch(6, run.rng)
    assert patches.noisy.shape == patches.held_out.shape == (6, width, 32, 32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_gives_what_the_cpu_gives() -> None:
    truth, x = scene(128)
    small = {"filters": 4, "depth": 1}
    config = Config().replace(training={"patch": 32, "steps": 400}, net=small)
    image = Image.from_array(x)
    model = finish(Run([image], plan([image], config), torch.device("cuda")))
    on_cpu, on_cuda = (model.predict(x, dtype=np.float64, device=d) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(on_cpu, on_cuda, atol=1e-3)
    peak = float(np.ptp(truth))
    assert psnr(on_cuda, truth, data_range=peak) - psnr(x, truth, data_range=peak) > 5
