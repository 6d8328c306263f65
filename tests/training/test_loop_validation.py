"""Held-out pixels are never targets, tell the risk, and choose the weights that are kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from synthetic import clean_and_noisy
from tiny import CPU, finish, run_of, seeded, start, step, tiny
from unnoise.images.image import Image
from unnoise.models.build import build_net
from unnoise.models.predict import predict_array
from unnoise.training import validation_patches
from unnoise.training.crops import Crops
from unnoise.training.loop import STEPS_PER_VALIDATION, TrainingRun
from unnoise.training.methods.n2v import Noise2Void
from unnoise.training.plan import plan


def test_held_out_pixels_are_never_targets() -> None:
    generator = seeded(0)
    x = torch.rand(4, 1, 32, 32, generator=generator)
    held = torch.rand(4, 1, 32, 32, generator=generator) < 0.3
    noisy, target, weight = Noise2Void(percent=25, radius=2).batch(
        step(x, held, generator=generator)
    )
    assert torch.equal(target, x)
    assert weight[held].sum() == 0
    assert weight.sum() > 0
    assert (noisy[held] != x[held]).any(), "they may still be hidden"
    noisy, _, weight = Noise2Void(percent=25, radius=2).validation(
        step(x, held, generator=generator)
    )
    assert torch.equal(weight.bool(), held)
    assert torch.equal(noisy[~held], x[~held])


def test_photon_counts_are_compared_at_every_blind_spot() -> None:
    """At 0.2 photons most neighbours are equal; a mask from "value changed" would bias by 2.9."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.poisson(0.2, (64, 1, 64, 64)).astype(np.float32))
    held = torch.zeros_like(x, dtype=torch.bool)
    generator = seeded(0)
    _, target, weight = Noise2Void(percent=25, radius=2).batch(step(x, held, generator=generator))
    mean = (weight * target).sum() / weight.sum()
    assert abs(mean - 0.2) < 0.01


def test_the_best_held_out_weights_are_kept() -> None:
    run = start(clean_and_noisy(96)[1], steps=3 * STEPS_PER_VALIDATION)
    finish(run)
    assert [h["step"] for h in run.history] == [50, 100, 150]
    assert run.best == min(h["held_out"] for h in run.history)


def kept(run: TrainingRun) -> TrainingRun:
    """A run that starts from what another one kept."""
    return TrainingRun(run.crops.images, run.model(), CPU)


def test_what_is_kept_is_as_good_as_the_best_validation() -> None:
    """On noise alone the last weights are not the best ones."""
    config = tiny(steps=40, validate_every=5, schedule="constant", ema=0.0, learning_rate=0.02)
    run = run_of(config, np.random.default_rng(0).normal(size=(48, 48)))
    model = finish(run)
    losses = [line["held_out"] for line in run.history]
    assert run.best == min(losses) < losses[-1]
    assert model.provenance.held_out == run.best
    assert kept(run).validate() == pytest.approx(run.best, rel=1e-5)


@pytest.mark.parametrize(
    ("schedule", "rise", "last"),
    [
        ("cosine", 0.5, True),  # below what chance does: 1.96 standard errors
        ("cosine", 4.0, False),
        ("halving", 0.5, True),
        ("constant", 0.5, False),  # weights scatter to the end
        ("plateau", 0.5, False),
        ("constant", -1e-6, True),
    ],
)
def test_later_weights_are_kept_unless_they_are_significantly_worse(
    schedule: str, rise: float, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of three validations: the second is the lowest, the third a rise above it."""
    rng = np.random.default_rng(0)
    hard = torch.from_numpy(rng.normal(5, 3, 400))  # what makes a patch harder than another
    scatter = torch.from_numpy(rng.normal(size=400))
    scatter = 0.1 * (scatter - scatter.mean()) / scatter.std()
    losses = iter([hard + 1, hard, hard + scatter + rise * 0.1 / 20])
    run = start(clean_and_noisy(48)[1], steps=3, validate_every=1, schedule=schedule)
    monkeypatch.setattr(run, "_held_out_losses", lambda: (next(losses), {}))
    finish(run)
    expected = hard.mean().item() + last * rise * 0.1 / 20
    assert run.best == pytest.approx(expected, abs=1e-9)
    assert run.history[-1]["held_out"] == pytest.approx(hard.mean().item() + rise * 0.1 / 20)


def test_blind2unblind_keeps_its_last_weights() -> None:
    """Its blind risk does not see what the visible phase gains."""
    config = tiny("b2u", steps=40, validate_every=5, schedule="constant", ema=0.0)
    # Whether the last weights are the worse ones is chance, so the arithmetic is fixed too.
    config = config.set("training.learning_rate=0.02", "training.precision=float32")
    run = run_of(config, np.random.default_rng(0).normal(size=(48, 48)))
    finish(run)
    losses = [line["held_out"] for line in run.history]
    assert min(losses) < losses[-1] == run.best
    assert all(torch.equal(run.model().weights[k], v) for k, v in run.net.state_dict().items())
    assert kept(run).validate() == pytest.approx(losses[-1], rel=1e-5)


def test_held_out_loss_estimates_the_risk() -> None:
    """Blind risk = error against the truth plus the noise variance (Batson and Royer, 2019).

    The error is that of patches, which is above that of the whole image: of 32 pixels a side, so
    many are near the border of what the net sees that it is a sixth.
    """
    truth, x = clean_and_noisy(128)
    run = start(x, steps=150, batch_size=4)
    model = finish(run)
    assert run.best is not None
    std = float(model.affine.std[0])
    patches, clean = (
        Crops(
            [Image.from_array(a)],
            model.affine,
            patch=(32, 32),
            channels=[0],
            symmetries=run.crops.symmetries,
            seed=0,
        ).batch(200, np.random.default_rng(7))
        for a in (x, truth)
    )
    noisy, held = torch.from_numpy(patches.noisy), torch.from_numpy(patches.held_out)
    hidden, _, _ = run.method.validation(step(noisy, held))
    with torch.no_grad():
        y = build_net(model).eval()(hidden).numpy()
    error = np.mean((y - clean.noisy)[patches.held_out] ** 2)
    # 256 held-out pixels tell the variance of the noise to 9 %, the risk about as well.
    assert run.best * std**2 == pytest.approx(error * std**2 + 0.25, rel=0.15)
    whole = np.mean((predict_array(model, x, dtype=np.float64) - truth) ** 2)
    assert whole < error * std**2


# ---- Validation ----


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [(4, 10, [4, 8, 10]), (5, 10, [5, 10]), (1, 3, [1, 2, 3]), (99, 7, [7]), (None, 7, [7])],
)
def test_validations_come_when_asked_for_and_at_the_end(
    every: int | None, steps: int, expected: list[int]
) -> None:
    run = start(clean_and_noisy(48)[1], steps=steps, validate_every=every)
    seen = [progress.held_out for progress in run]
    assert [line["step"] for line in run.history] == expected
    losses = {line["step"]: line["held_out"] for line in run.history}
    latest = [max((n for n in losses if n <= k), default=None) for k in range(1, steps + 1)]
    assert seen == [None if n is None else losses[n] for n in latest]


@pytest.mark.parametrize("loss", ["mse", "mae", "gaussian", "laplace"])
def test_the_history_holds_an_interval_around_every_loss(loss: str) -> None:
    run = start(clean_and_noisy(48)[1], steps=6, validate_every=2, loss=loss)
    model = finish(run)
    columns = ["step", "seconds", "learning_rate", "loss", "held_out", "held_out_low"]
    calibration = ["variance_ratio", "inside_50", "inside_95"]
    expected = [
        *columns,
        "held_out_high",
        "kept",
        *(calibration if loss in ("gaussian", "laplace") else []),
    ]
    for line in run.history:
        assert list(line) == expected
        assert line["held_out_low"] < line["held_out"] < line["held_out_high"]
        assert all(math.isfinite(value) for value in line.values())
    assert run.history[-1]["loss"] == run.loss
    best = min(run.history, key=lambda line: line["held_out"])
    told = {} if model.coverage is None else vars(model.coverage)
    assert told == {key: best[key] for key in expected if key in calibration}


@pytest.mark.parametrize(
    ("size", "n"),
    [
        (448, 1024),
        (96, 1024),
    ],
)
def test_the_interval_is_as_wide_as_the_loss_is_uncertain(
    size: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A net that predicts 0 of white noise: its risk is 1, and other noise tells how uncertain."""
    monkeypatch.setattr(validation_patches, "N_HELD_OUT", n)
    losses, widths = [], []
    for seed in range(40):
        image = Image.from_array(np.random.default_rng(seed).normal(size=(size, size)))
        model = plan([image], tiny(net={"filters": 1}, patch=64, steps=1, seed=seed))
        model = model.with_weights({k: 0 * w for k, w in model.weights.items()})
        run = TrainingRun([image], model, CPU)
        losses.append(run.validate())
        (line,) = run.history
        assert line["held_out_high"] - losses[-1] == pytest.approx(
            losses[-1] - line["held_out_low"]
        )
        widths.append((line["held_out_high"] - losses[-1]) / 1.96)
    assert np.mean(losses) == pytest.approx(1, abs=4 * np.std(losses) / 40**0.5)
    assert 0.7 < np.std(losses) / np.mean(widths) < 1.5  # 40 runs tell it to 11 %


def test_validation_hides_the_same_pixels_every_time() -> None:
    run = start(clean_and_noisy(48)[1], steps=1)
    assert run.validate() == run.validate()
    before = torch.get_rng_state()
    state = run.generator.get_state()
    run.validate()
    assert torch.equal(state, run.generator.get_state())
    assert torch.equal(before, torch.get_rng_state())
