"""Learning rates, early stopping, and budgets in steps and minutes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from synthetic import clean_and_noisy
from tiny import finish, run_of, same, start, stored, tiny
from unnoise.models.predict import predict_array
from unnoise.training.loop import N_VALIDATIONS, TrainingRun, schedule


def test_schedule_rises_then_falls_to_zero() -> None:
    values = [schedule(f, 0.1) for f in np.linspace(0, 1, 101)]
    assert values[10] == max(values) == 1
    assert all(a < b for a, b in itertools.pairwise(values[:11]))
    assert all(a > b for a, b in itertools.pairwise(values[10:]))
    assert values[-1] == pytest.approx(0, abs=1e-12)
    assert schedule(0, 0) == 1


def test_the_plateau_schedule_acts_when_the_held_out_loss_stops_falling() -> None:
    config = tiny(
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
        clean_and_noisy(48)[1],
        steps=10,
        validate_every=1,
        schedule=shape,
        warmup=0.2,
        learning_rate=0.01,
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
    config = tiny(method, schedule="constant", patience=4, validate_every=5, steps=400)
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
    assert model.provenance.steps == run.step
    assert model.provenance.held_out == min(line["held_out"] for line in run.history)
    assert predict_array(model, x).shape == x.shape


def test_early_stopping_leaves_a_run_alone_that_gets_better() -> None:
    config = tiny(schedule="constant", patience=2, validate_every=15, steps=90, learning_rate=3e-3)
    run = run_of(config, clean_and_noisy(96)[1])
    finish(run)
    assert (run.step, run.stopped, run.fraction) == (90, False, 1)


class Clock:
    """Counts how often it is asked: every step and every validation takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def timed(minutes: float, **training: Any) -> TrainingRun:
    x = np.random.default_rng(0).normal(size=(48, 48))
    return run_of(tiny(minutes=minutes, **training), x, clock=Clock())


def test_budget_in_minutes_ends_in_time_and_validates() -> None:
    run = timed(1.0)
    last = list(run)[-1]
    assert run.fraction == 1
    assert 60 <= last.seconds < 62
    assert 1 <= len(run.history) <= N_VALIDATIONS
    assert last.held_out is not None


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
