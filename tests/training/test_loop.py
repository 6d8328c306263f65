"""Laws of training: repeatable, resumable, honest about held-out pixels, and it denoises."""

from __future__ import annotations

import io
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from unnoise.config.config import Config
from unnoise.config.methods import CLASSICAL, SHIPPED
from unnoise.config.methods import METHODS as NAMES
from unnoise.errors import InputError, ModelError
from unnoise.images.image import Image
from unnoise.models.model import Model, build_net
from unnoise.quality.metrics import psnr
from unnoise.training import loop as training
from unnoise.training.crops import Crops
from unnoise.training.loop import N_VALIDATIONS, STEPS_PER_VALIDATION, Run, schedule
from unnoise.training.losses import ERRORS, mean
from unnoise.training.methods import Noise2Void, Step
from unnoise.training.plan import plan

CPU = torch.device("cpu")
SMALL = {"filters": 4, "depth": 1}
TRAINED = [name for name in NAMES if name not in (*CLASSICAL, *SHIPPED)]


def scene(size: int = 96, sigma: float = 0.5, seed: int = 0) -> tuple[NDArray, NDArray]:
    """A smooth random picture of unit variance, and the same with white noise."""
    rng = np.random.default_rng(seed)
    truth = ndimage.gaussian_filter(rng.normal(size=(size, size)), 4, mode="wrap")
    truth /= truth.std()
    return truth, truth + sigma * rng.normal(size=truth.shape)


def small(method: str = "n2v", net: dict[str, Any] | None = None, **training: Any) -> Config:
    """Settings of a tiny run."""
    values = {"batch_size": 2, "patch": 32, **training}
    return Config(method=method).replace(training=values, net=SMALL | (net or {}))


def run_of(
    config: Config,
    x: NDArray,
    targets: NDArray | None = None,
    axes: str | None = None,
    **options: Any,
) -> Run:
    images = [Image.from_array(x, axes)]
    partners = None if targets is None else [Image.from_array(targets, axes)]
    return Run(images, plan(images, config, partners), CPU, partners, **options)


def start(x: NDArray, axes: str | None = None, **training: Any) -> Run:
    return run_of(small(**training), x, axes=axes)


def pair(method: str, x: NDArray) -> NDArray | None:
    """A second image for the methods that need one."""
    return x + np.random.default_rng(1).normal(size=x.shape) if method in ("n2n", "care") else None


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


RECIPES: dict[str, tuple[Config, str]] = {
    "n2v": (small(), "YX"),
    "batch_norm": (small(net={"batch_norm": True}), "YX"),
    "dropout": (small(net={"dropout": 0.3}), "YX"),
    "b2u dropout": (small("b2u", net={"dropout": 0.3}), "YX"),
    "n2v2": (small("n2v2"), "YX"),
    "structn2v": (small("structn2v").set("mask.percent=10"), "YX"),
    "median grid": (small().replace(mask={"replacement": "median", "pattern": "grid"}), "YX"),
    "n2n along T": (small("n2n").set("pairs.axis=T"), "TYX"),
    "n2n": (small("n2n"), "YX"),
    "care": (small("care"), "YX"),
    "b2u": (small("b2u").replace(b2u={"phases": 2, "ramp": 0.1}), "YX"),
    "r2r": (small("r2r"), "YX"),
    "gaussian": (small(loss="gaussian"), "YX"),
    "separate": (small(net={"channels": "separate"}), "CYX"),
    "joint": (small(net={"channels": "joint"}, optimizer="adam"), "CYX"),
    "sgd": (small(optimizer="sgd", ema=0.0, schedule="halving"), "YX"),
    "plateau": (
        small(
            schedule="plateau",
            plateau_patience=1,
            patience=30,
            ema=0.0,
            warmup=0.0,
            learning_rate=0.02,
        ),
        "YX",
    ),
}


def trained(recipe: str, steps: int = 12) -> Run:
    config, axes = RECIPES[recipe]
    x = np.random.default_rng(0).normal(size=(3, 48, 48)[-len(axes) :])  # nothing to learn
    config = config.replace(training={"steps": steps, "validate_every": 2})
    return run_of(config, x, pair(config.method, x) if axes != "TYX" else None, axes)


def timeless(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in history]


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """What comes back when a state went to the disk and was read without pickles."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return dict(torch.load(buffer, weights_only=True))


@pytest.mark.parametrize(
    ("recipe", "stop_at"),
    [*((recipe, 7) for recipe in RECIPES), ("n2v", 1), ("n2v", 11), ("plateau", 10)],
)
def test_resuming_equals_the_uninterrupted_run(recipe: str, stop_at: int) -> None:
    whole, broken, resumed = (trained(recipe) for _ in range(3))
    straight = finish(whole)
    for progress in broken:
        if progress.step == stop_at:
            break
    broken.model()  # asking for the model must not change the run
    resumed.restore(stored(broken.state()))
    assert resumed.progress() == broken.progress()
    assert same(broken.model(), resumed.model())
    continued = finish(resumed)
    assert same(straight, continued)
    assert timeless(whole.history) == timeless(resumed.history)
    assert [line["step"] for line in whole.history] == [2, 4, 6, 8, 10, 12]
    assert straight.origin["held_out"] == continued.origin["held_out"]
    if recipe == "plateau":
        assert resumed.factor == whole.factor
        assert broken.factor < 1 or stop_at < 10, "or the law would say nothing about it"


def test_resuming_does_not_start_waiting_anew() -> None:
    def fresh() -> Run:
        config = small(schedule="constant", patience=4, validate_every=2, steps=200)
        return run_of(config, np.random.default_rng(0).normal(size=(48, 48)))

    whole = fresh()
    finish(whole)
    assert whole.stopped
    broken, resumed = fresh(), fresh()
    for progress in broken:
        if progress.step == whole.step - 3:
            break
    assert broken.significant.waited > 0
    resumed.restore(stored(broken.state()))
    finish(resumed)
    assert (resumed.step, resumed.stopped) == (whole.step, True)
    again = fresh()
    again.restore(stored(whole.state()))
    assert list(again) == [], "a run that stopped early has ended for good"


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


def kept(run: Run) -> Run:
    """A run that starts from what another one kept."""
    return Run(run.crops.images, run.model(), CPU)


def test_what_is_kept_is_as_good_as_the_best_validation() -> None:
    """On noise alone the last weights are not the best ones."""
    config = small(steps=40, validate_every=5, schedule="constant", ema=0.0, learning_rate=0.02)
    run = run_of(config, np.random.default_rng(0).normal(size=(48, 48)))
    model = finish(run)
    losses = [line["held_out"] for line in run.history]
    assert run.best == min(losses) < losses[-1]
    assert model.origin["held_out"] == run.best
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
    run = start(scene(48)[1], steps=3, validate_every=1, schedule=schedule)
    monkeypatch.setattr(run, "_held_out_losses", lambda: (next(losses), {}))
    finish(run)
    expected = hard.mean().item() + last * rise * 0.1 / 20
    assert run.best == pytest.approx(expected, abs=1e-9)
    assert run.history[-1]["held_out"] == pytest.approx(hard.mean().item() + rise * 0.1 / 20)


def test_blind2unblind_keeps_its_last_weights() -> None:
    """Its blind risk does not see what the visible phase gains."""
    config = small("b2u", steps=40, validate_every=5, schedule="constant", ema=0.0)
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
    truth, x = scene(128)
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
    hidden, _, _ = run.method.validation(step(noisy, held, torch.Generator().manual_seed(0)))
    with torch.no_grad():
        y = build_net(model).eval()(hidden).numpy()
    error = np.mean((y - clean.noisy)[patches.held_out] ** 2)
    # 256 held-out pixels tell the variance of the noise to 9 %, the risk about as well.
    assert run.best * std**2 == pytest.approx(error * std**2 + 0.25, rel=0.15)
    whole = np.mean((model.predict(x, dtype=np.float64) - truth) ** 2)
    assert whole < error * std**2


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


# ---- Validation ----


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [(4, 10, [4, 8, 10]), (5, 10, [5, 10]), (1, 3, [1, 2, 3]), (99, 7, [7]), (None, 7, [7])],
)
def test_validations_come_when_asked_for_and_at_the_end(
    every: int | None, steps: int, expected: list[int]
) -> None:
    run = start(scene(48)[1], steps=steps, validate_every=every)
    seen = [progress.held_out for progress in run]
    assert [line["step"] for line in run.history] == expected
    losses = {line["step"]: line["held_out"] for line in run.history}
    latest = [max((n for n in losses if n <= k), default=None) for k in range(1, steps + 1)]
    assert seen == [None if n is None else losses[n] for n in latest]


@pytest.mark.parametrize("loss", ["mse", "mae", "gaussian", "laplace"])
def test_the_history_holds_an_interval_around_every_loss(loss: str) -> None:
    run = start(scene(48)[1], steps=6, validate_every=2, loss=loss)
    model = finish(run)
    columns = ["step", "seconds", "learning_rate", "loss", "held_out", "held_out_low"]
    calibration = ["variance_ratio", "inside_50", "inside_95"]
    expected = [
        *columns,
        "held_out_high",
        *(calibration if loss in ("gaussian", "laplace") else []),
    ]
    for line in run.history:
        assert list(line) == expected
        assert line["held_out_low"] < line["held_out"] < line["held_out_high"]
        assert all(math.isfinite(value) for value in line.values())
    assert run.history[-1]["loss"] == run.loss
    best = min(run.history, key=lambda line: line["held_out"])
    told = model.origin.get("calibration", {})
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
    monkeypatch.setattr(training, "N_HELD_OUT", n)
    losses, widths = [], []
    for seed in range(40):
        image = Image.from_array(np.random.default_rng(seed).normal(size=(size, size)))
        model = plan([image], small(net={"filters": 1}, patch=64, steps=1, seed=seed))
        model = model.with_weights({k: 0 * w for k, w in model.weights.items()})
        run = Run([image], model, CPU)
        losses.append(run.validate())
        (line,) = run.history
        assert line["held_out_high"] - losses[-1] == pytest.approx(
            losses[-1] - line["held_out_low"]
        )
        widths.append((line["held_out_high"] - losses[-1]) / 1.96)
    assert np.mean(losses) == pytest.approx(1, abs=4 * np.std(losses) / 40**0.5)
    assert 0.7 < np.std(losses) / np.mean(widths) < 1.5  # 40 runs tell it to 11 %


def test_validation_hides_the_same_pixels_every_time() -> None:
    run = start(scene(48)[1], steps=1)
    assert run.validate() == run.validate()
    before = torch.get_rng_state()
    state = run.generator.get_state()
    run.validate()
    assert torch.equal(state, run.generator.get_state())
    assert torch.equal(before, torch.get_rng_state())


# ---- Schedules, early stopping, budgets ----


def test_the_plateau_schedule_acts_when_the_held_out_loss_stops_falling() -> None:
    config = small(
        schedule="plateau",
        plateau_patience=2,
        plateau_factor=0.25,
        validate_every=2,
        steps=40,
        warmup=0.0,
        learning_rate=0.01,
        ema=0.0,
    )
    run = run_of(config, np.random.default_rng(0).normal(size=(48, 48)))
    finish(run)
    rate, lowest, waited = 0.01, math.inf, 0
    for line in run.history:
        assert line["learning_rate"] == pytest.approx(rate)
        waited = 0 if line["held_out"] < lowest else waited + 1
        lowest = min(lowest, line["held_out"])
        if waited == 2:
            rate, waited = rate * 0.25, 0
    assert rate <= 0.01 / 16, "it acted at least twice"
    assert run.learning_rate == pytest.approx(rate)


@pytest.mark.parametrize("shape", ["cosine", "halving", "constant"])
def test_the_learning_rate_of_the_history_is_that_of_the_schedule(shape: str) -> None:
    run = start(
        scene(48)[1], steps=10, validate_every=1, schedule=shape, warmup=0.2, learning_rate=0.01
    )
    assert run.learning_rate == pytest.approx(0.01 * schedule(0, 0.2, shape))
    for progress in run:
        used = run.optimizer.param_groups[0]["lr"]
        assert used == pytest.approx(0.01 * schedule((progress.step - 1) / 10, 0.2, shape))
    for line in run.history:
        expected = 0.01 * schedule(line["step"] / 10, 0.2, shape)
        assert line["learning_rate"] == pytest.approx(expected)


@pytest.mark.parametrize("method", ["n2v", "n2n"])
def test_early_stopping_ends_a_run_that_has_nothing_to_learn(method: str) -> None:
    x = np.random.default_rng(0).normal(size=(64, 64))
    config = small(method, schedule="constant", patience=4, validate_every=5, steps=400)
    other = np.random.default_rng(1).normal(size=x.shape) if method == "n2n" else None
    run = run_of(config, x, other)
    last = list(run)[-1]
    assert run.stopped
    assert run.step < 200
    assert run.significant.waited == 4
    assert len(run.history) >= 5, "one to compare with, and four without a gain"
    assert run.fraction == last.fraction == 1
    assert (last.step, last.steps, last.remaining) == (run.step, run.step, 0)
    assert list(run) == []
    model = run.model()
    assert model.origin["steps"] == run.step
    assert model.origin["held_out"] == min(line["held_out"] for line in run.history)
    assert model.predict(x).shape == x.shape


def test_early_stopping_leaves_a_run_alone_that_gets_better() -> None:
    config = small(schedule="constant", patience=2, validate_every=15, steps=90, learning_rate=3e-3)
    run = run_of(config, scene()[1])
    finish(run)
    assert (run.step, run.stopped, run.fraction) == (90, False, 1)


class Clock:
    """Counts how often it is asked: every step and every validation takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def timed(minutes: float, **training: Any) -> Run:
    x = np.random.default_rng(0).normal(size=(48, 48))
    return run_of(small(minutes=minutes, **training), x, clock=Clock())


def test_a_budget_in_minutes_is_that_of_the_clock() -> None:
    run = timed(0.2, validate_every=5)
    progress = list(run)
    # Ten steps and two validations make twelve seconds; the last step ends with a validation.
    assert [p.step for p in progress] == list(range(1, len(progress) + 1))
    assert [p.seconds for p in progress] == [1, 2, 3, 4, 6, 7, 8, 9, 10, 12]
    assert [line["seconds"] for line in run.history] == [5, 11]
    np.testing.assert_allclose([p.fraction for p in progress], [p.seconds / 12 for p in progress])
    np.testing.assert_allclose([p.remaining for p in progress], [12 - p.seconds for p in progress])
    assert progress[-1].steps == 10
    assert same(run.model(), finish(timed(0.2, validate_every=5))), (
        "the clock is all that is random"
    )


def test_a_budget_in_minutes_goes_on_where_it_stopped() -> None:
    whole, broken, resumed = (timed(0.2, validate_every=5) for _ in range(3))
    straight = finish(whole)
    for progress in broken:
        if progress.step == 4:
            break
    resumed.restore(stored(broken.state()))
    assert same(straight, finish(resumed))
    assert resumed.history == whole.history


# ---- Settings of the loop ----


@pytest.mark.parametrize(("name", "rate"), [("adamw", 5e-3), ("adam", 5e-3), ("sgd", 0.05)])
def test_every_optimiser_trains(name: str, rate: float) -> None:
    x = scene(64)[1]
    run = start(x, steps=60, validate_every=20, optimizer=name, learning_rate=rate)
    finish(run)
    losses = [line["held_out"] for line in run.history]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("method", TRAINED)
def test_every_method_learns(method: str) -> None:
    truth, x = scene(64)
    other = {"n2n": scene(64)[0] + 0.5 * np.random.default_rng(5).normal(size=x.shape)}
    config = small(method, steps=60, validate_every=20, learning_rate=5e-3)
    if method == "structn2v":  # as easy as the others: few pixels are hidden beside a spot
        config = config.set("mask.struct=horizontal:3").set("mask.percent=10")
    if method == "r2r":  # the noise of late targets, 26 times the image's, would hide the fall
        config = config.set("recorruption.decay=1")
    run = run_of(config, x, {**other, "care": truth}.get(method))
    clean = finish(run).predict(x, dtype=np.float64)
    losses = [line["held_out"] for line in run.history]
    assert losses[-1] < 0.8 * losses[0]
    assert np.mean((clean - truth) ** 2) < 0.9 * np.var(truth)


def test_without_a_moving_average_the_weights_themselves_are_kept() -> None:
    run = start(scene(48)[1], steps=6, ema=0.0)
    model = finish(run)
    assert all(torch.equal(model.weights[k], v) for k, v in run.net.state_dict().items())
    averaged = start(scene(48)[1], steps=6, ema=0.9)
    model = finish(averaged)
    assert all(
        torch.equal(a, b)
        for a, b in zip(run.net.parameters(), averaged.net.parameters(), strict=True)
    )
    assert not all(torch.equal(model.weights[k], v) for k, v in averaged.net.state_dict().items())


def test_the_gradient_is_clipped_only_if_asked_for() -> None:
    settings = {"optimizer": "sgd", "schedule": "constant", "warmup": 0.0, "weight_decay": 0.0}
    config = small(steps=1, learning_rate=0.1, **settings)
    norms = {}
    for clip in ("1e-4", "2e-4", "null"):
        run = run_of(config.set(f"training.clip={clip}"), scene(48)[1])
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
    x = scene(48)[1]
    assert len(start(x, steps=1).crops.symmetries) == 8
    assert start(x, steps=1, augment=False).crops.symmetries == [(0, False)]
    line = run_of(small("structn2v", steps=1).set("mask.struct=vertical:5"), x).crops.symmetries
    assert set(line) == {(0, False), (0, True), (2, False), (2, True)}


def test_dropout_is_seeded_and_leaves_the_global_random_state_alone() -> None:
    x = scene(48)[1]
    before = torch.get_rng_state()
    first, second = (finish(run_of(small(net={"dropout": 0.5}, steps=3), x)) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert same(first, second)


# ---- Every method, in 2D and 3D, with one channel and with three ----


def quick(method: str, x: NDArray, axes: str, channels: str = "independent") -> Model:
    config = small(method, net={"channels": channels}, steps=2, patch=16, patch_z=8)
    run = run_of(config, x, pair(method, x), axes)
    model = finish(run)
    assert run.step == 2
    (line,) = run.history
    assert math.isfinite(line["held_out"])
    return model


@pytest.mark.parametrize("method", TRAINED)
def test_every_method_trains_in_3d(method: str) -> None:
    x = np.random.default_rng(0).normal(size=(16, 24, 20)).astype(np.float32)
    model = quick(method, x, "ZYX")
    assert (model.ndim, model.patch) == (3, (8, 16, 16))
    clean = model.predict(x, axes="ZYX")
    assert clean.shape == x.shape
    assert np.isfinite(clean).all()


@pytest.mark.parametrize("channels", ["independent", "separate", "joint"])
@pytest.mark.parametrize("method", TRAINED)
def test_every_method_trains_on_colours(method: str, channels: str) -> None:
    x = np.random.default_rng(0).normal(100, 20, size=(24, 30, 3)).clip(0, 255).astype(np.uint8)
    model = quick(method, x, "YXC", channels)
    assert model.channels == (0, 1, 2)
    n = len([name for name in model.weights if name.endswith("head.weight")])
    assert n == (3 if channels == "separate" else 1)
    clean = model.predict(x, axes="YXC")
    assert clean.shape == x.shape


@pytest.mark.parametrize("axis", ["S", "T", "Z"])
def test_repeats_along_an_axis_are_pairs(axis: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 32, 32))
    config = small("n2n", steps=2, patch=16).set(f"pairs.axis={axis}")
    model = finish(run_of(config, x, axes=f"{axis}YX"))
    assert model.ndim == 2
    assert model.predict(x, axes=f"{axis}YX").shape == x.shape


def test_clean_targets_give_the_result_their_units() -> None:
    truth, x = scene(64)
    config = small("care", steps=60, learning_rate=5e-3)
    clean = finish(run_of(config, 1000 + 50 * x, truth)).predict(1000 + 50 * x, dtype=np.float64)
    assert np.mean((clean - truth) ** 2) < 0.5 * np.var(truth)


# ---- Uncertainty ----


def test_the_predicted_deviation_is_that_of_the_noise() -> None:
    """Weak noise on the left, strong on the right; at the start both halves get the same."""
    rng = np.random.default_rng(0)
    sigma = np.repeat([1.0, 3.0], 48) * np.ones((96, 1))
    x = np.repeat([10.0, 20.0], 48) + sigma * rng.normal(size=sigma.shape)
    run = start(x, steps=250, loss="gaussian", learning_rate=1e-2)
    model = finish(run)
    clean, std = model.uncertainty(x)
    for half, expected in ((slice(8, 40), 1.0), (slice(56, 88), 3.0)):
        assert std[:, half].mean() == pytest.approx(expected, rel=0.15)
        assert clean[:, half].mean() == pytest.approx(10 * expected / 2 + 5, abs=expected / 4)
    told = model.origin["calibration"]
    assert told["variance_ratio"] == pytest.approx(1, abs=0.25)
    assert told["inside_50"] == pytest.approx(0.5, abs=0.12)
    assert told["inside_95"] == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("loss", ["gaussian", "laplace"])
@pytest.mark.parametrize("channels", ["independent", "separate", "joint"])
def test_uncertainties_have_the_shape_of_the_image(channels: str, loss: str, tta: bool) -> None:
    x = np.random.default_rng(0).poisson(50, size=(24, 2, 30, 3)).astype(np.uint16)
    x[..., 1] = 7  # constant, so copied
    config = small(net={"channels": channels}, steps=2, patch=16, loss=loss)
    model = finish(run_of(config, x, axes="YTXC"))
    clean, std = model.uncertainty(x, axes="YTXC", tta=tta)
    assert clean.shape == std.shape == x.shape
    assert (clean.dtype, std.dtype) == (np.uint16, np.float32)
    assert (clean[..., 1] == 7).all()
    assert (std[..., 1] == 0).all()
    assert (std[..., [0, 2]] > 0).all()
    assert np.array_equal(clean, model.predict(x, axes="YTXC", tta=tta))


def test_uncertainties_are_in_the_units_of_the_image() -> None:
    x = scene(48)[1]
    config = small(steps=4, loss="laplace")
    one, eight = (finish(run_of(config, f * x)).uncertainty(f * x) for f in (1, 8))
    np.testing.assert_allclose(eight[1], 8 * one[1], rtol=1e-4)
    # With clean targets, in their units.
    config = small("care", steps=4, loss="gaussian")
    one, eight = (finish(run_of(config, x, f * x)).uncertainty(x) for f in (1, 8))
    np.testing.assert_allclose(eight[1], 8 * one[1], rtol=1e-4)


@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_other_losses_predict_no_uncertainty(loss: str) -> None:
    x = scene(48)[1]
    model = finish(start(x, steps=1, loss=loss))
    with pytest.raises(ModelError, match=r"no uncertainty; train one with .*loss=gaussian"):
        model.uncertainty(x)
    assert "calibration" not in model.origin


@pytest.mark.parametrize("net", [{}, {"batch_norm": True, "upsample": "linear", "pool": "blur"}])
def test_steps_in_16_bits_go_where_those_in_32_go(net: dict[str, Any]) -> None:
    x = scene(48)[1]
    moved = {}
    for precision in ("float32", "bfloat16"):
        run = run_of(small(net=net, steps=1, precision=precision), x)
        next(iter(run))
        moved[precision] = torch.cat([p.grad.flatten() for p in run.net.parameters()])
        state = [*run.net.state_dict().values(), *run.average]
        assert {v.dtype for v in state if v.is_floating_point()} == {torch.float32}
    assert not torch.equal(*moved.values())
    assert torch.cosine_similarity(*moved.values(), dim=0) > 0.999


@pytest.mark.parametrize("stored", ["bfloat16", "float32", None])
def test_a_run_goes_on_in_the_type_it_began_with(
    stored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on another processor; before types were stored, CPUs computed with float32."""
    monkeypatch.setattr("unnoise.nets.device.has_bfloat16", lambda: stored == "bfloat16")
    x = scene(48)[1]
    began = start(x, steps=4)
    next(iter(began))
    state = began.state()
    if stored is None:
        del state["dtype"]
    monkeypatch.setattr("unnoise.nets.device.has_bfloat16", lambda: stored != "bfloat16")
    resumed = start(x, steps=4)
    assert resumed.dtype != began.dtype
    resumed.restore(state)
    assert resumed.dtype == began.dtype


def test_a_run_in_16_bits_ends_where_one_in_32_ends() -> None:
    truth, x = scene(64)
    mse = {}
    for precision in ("float32", "bfloat16"):
        model = finish(run_of(small(steps=300, precision=precision), x))
        mse[precision] = np.mean((model.predict(x, dtype=float) - truth) ** 2)
    assert mse["bfloat16"] < 1.05 * mse["float32"] < 0.4 * np.mean((x - truth) ** 2)


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
