"""Laws of training: repeatable, in the bits and by the settings that were asked for."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from synthetic import clean_and_noisy
from tiny import CPU, finish, run_of, same, start, tiny
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.quality.metrics import psnr
from unnoise.training.loop import TrainingRun
from unnoise.training.losses import ERRORS, mean
from unnoise.training.plan import plan


def test_same_seed_same_result_and_another_seed_another() -> None:
    _, x = clean_and_noisy(96)
    first = finish(start(x, steps=12))
    assert same(first, finish(start(x, steps=12)))
    assert not same(first, finish(start(x, steps=12, seed=1)))


def test_training_leaves_the_global_random_state_alone() -> None:
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    finish(start(clean_and_noisy(96)[1], steps=3))
    assert torch.equal(before_torch, torch.get_rng_state())
    assert np.array_equal(before_numpy, np.random.get_state()[1])  # noqa: NPY002


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


@pytest.mark.parametrize(("channels", "width"), [("independent", 1), ("joint", 3), ("separate", 3)])
def test_a_step_costs_the_same_for_any_number_of_independent_channels(
    channels: str, width: int
) -> None:
    x = np.random.default_rng(0).normal(size=(3, 40, 40))
    config = Config().replace(net={"filters": 4, "channels": channels}, training={"steps": 1})
    image = Image.from_array(x, "CYX")
    run = TrainingRun([image], plan([image], config), CPU)
    patches = run.crops.batch(6, run.rng)
    assert patches.noisy.shape == patches.held_out.shape == (6, width, 32, 32)


# ---- Settings of the loop ----


@pytest.mark.parametrize(("name", "rate"), [("adamw", 5e-3), ("adam", 5e-3), ("sgd", 0.05)])
def test_every_optimiser_trains(name: str, rate: float) -> None:
    x = clean_and_noisy(64)[1]
    run = start(x, steps=60, validate_every=20, optimizer=name, learning_rate=rate)
    finish(run)
    losses = [line["held_out"] for line in run.history]
    assert losses[-1] < 0.8 * losses[0]


def test_without_a_moving_average_the_weights_themselves_are_kept() -> None:
    run = start(clean_and_noisy(48)[1], steps=6, ema=0.0)
    model = finish(run)
    assert all(torch.equal(model.weights[k], v) for k, v in run.net.state_dict().items())
    averaged = start(clean_and_noisy(48)[1], steps=6, ema=0.9)
    model = finish(averaged)
    assert all(
        torch.equal(a, b)
        for a, b in zip(run.net.parameters(), averaged.net.parameters(), strict=True)
    )
    assert not all(torch.equal(model.weights[k], v) for k, v in averaged.net.state_dict().items())


def test_the_gradient_is_clipped_only_if_asked_for() -> None:
    settings = {"optimizer": "sgd", "schedule": "constant", "warmup": 0.0, "weight_decay": 0.0}
    config = tiny(steps=1, learning_rate=0.1, **settings)
    norms = {}
    for clip in ("1e-4", "2e-4", "null"):
        run = run_of(config.set(f"training.clip={clip}"), clean_and_noisy(48)[1])
        before = [p.detach().clone() for p in run.net.parameters()]
        next(iter(run))
        after = [p.detach() for p in run.net.parameters()]
        moved = [(a - b).flatten() for a, b in zip(after, before, strict=True)]
        norms[clip] = torch.cat(moved).norm().item()
    # The first Nesterov step is rate * (1 + 0.9) * gradient.
    assert norms["1e-4"] == pytest.approx(0.1 * 1.9 * 1e-4, rel=0.01)
    assert norms["2e-4"] == pytest.approx(0.1 * 1.9 * 2e-4, rel=0.01)
    assert norms["null"] > 10 * norms["2e-4"]


def test_augmentation_is_that_of_the_structure_or_none() -> None:
    x = clean_and_noisy(48)[1]
    assert len(start(x, steps=1).crops.symmetries) == 8
    assert start(x, steps=1, augment=False).crops.symmetries == [(0, False)]
    line = run_of(tiny("structn2v", steps=1).set("mask.struct=vertical:5"), x).crops.symmetries
    assert set(line) == {(0, False), (0, True), (2, False), (2, True)}


def test_dropout_is_seeded_and_leaves_the_global_random_state_alone() -> None:
    x = clean_and_noisy(48)[1]
    before = torch.get_rng_state()
    first, second = (finish(run_of(tiny(net={"dropout": 0.5}, steps=3), x)) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert same(first, second)


@pytest.mark.parametrize("net", [{}, {"batch_norm": True, "upsample": "linear", "pool": "blur"}])
def test_steps_in_16_bits_go_where_those_in_32_go(net: dict[str, Any]) -> None:
    x = clean_and_noisy(48)[1]
    moved = {}
    for precision in ("float32", "bfloat16"):
        run = run_of(tiny(net=net, steps=1, precision=precision), x)
        next(iter(run))
        moved[precision] = torch.cat([p.grad.flatten() for p in run.net.parameters()])
        state = [*run.net.state_dict().values(), *run.average]
        assert {v.dtype for v in state if v.is_floating_point()} == {torch.float32}
    assert not torch.equal(*moved.values())
    assert torch.cosine_similarity(*moved.values(), dim=0) > 0.999


def test_a_run_in_16_bits_ends_where_one_in_32_ends() -> None:
    truth, x = clean_and_noisy(64)
    mse = {}
    for precision in ("float32", "bfloat16"):
        model = finish(run_of(tiny(steps=300, precision=precision), x))
        mse[precision] = np.mean((predict_array(model, x, dtype=float) - truth) ** 2)
    assert mse["bfloat16"] < 1.05 * mse["float32"] < 0.4 * np.mean((x - truth) ** 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_gives_what_the_cpu_gives() -> None:
    truth, x = clean_and_noisy(128)
    small = {"filters": 4, "depth": 1}
    config = Config().replace(training={"patch": 32, "steps": 400}, net=small)
    image = Image.from_array(x)
    model = finish(TrainingRun([image], plan([image], config), torch.device("cuda")))
    on_cpu, on_cuda = (predict_array(model, x, dtype=np.float64, device=d) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(on_cpu, on_cuda, atol=1e-3)
    peak = float(np.ptp(truth))
    assert psnr(on_cuda, truth, data_range=peak) - psnr(x, truth, data_range=peak) > 5
