"""Steps, stops, saves, models asked for and resumptions in any order: the run is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tiny import run_of, same, stored, timeless, tiny
from unnoise.training.loop import TrainingRun

STEPS = 8
X = np.random.default_rng(0).normal(size=(40, 40))


def fresh(method: str) -> TrainingRun:
    return run_of(tiny(method, steps=STEPS, validate_every=2), X)


_straight: dict[str, tuple[list[Any], list[Any]]] = {}


def straight(method: str) -> tuple[list[Any], list[Any]]:
    """The models after every step of a run that nobody touched, and its history."""
    if method not in _straight:
        run = fresh(method)
        models = [run.model()]
        for _ in run:
            models.append(run.model())
        _straight[method] = models, timeless(run.history)
    return _straight[method]


class Runs(RuleBasedStateMachine):
    """A run that is stopped, saved and resumed as often as hypothesis likes."""

    @initialize(method=st.sampled_from(("n2v", "b2u")))
    def begin(self, method: str) -> None:
        self.method, self.run, self.saved = method, fresh(method), None

    @rule(n=st.integers(1, 4))
    def go_on(self, n: int) -> None:
        for _, _ in zip(range(n), self.run, strict=False):
            pass

    @rule()
    def ask_for_the_model(self) -> None:
        self.run.model()

    @rule()
    def save(self) -> None:
        self.saved = stored(self.run.state())

    @rule()
    def stop_and_resume(self) -> None:
        state = stored(self.run.state())
        self.run = fresh(self.method)
        self.run.restore(state)

    @rule()
    def fall_back_to_the_last_save(self) -> None:
        if self.saved is not None:
            self.run = fresh(self.method)
            self.run.restore(self.saved)

    @rule()
    def die(self) -> None:
        self.run = fresh(self.method)

    @invariant()
    def is_the_run_that_nobody_touched(self) -> None:
        if hasattr(self, "run"):
            models, history = straight(self.method)
            assert same(self.run.model(), models[self.run.step])
            assert timeless(self.run.history) == history[: len(self.run.history)]


@pytest.mark.parametrize("examples", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_no_order_of_stops_changes_a_run(examples: int) -> None:
    options = settings(max_examples=examples, stateful_step_count=12, deadline=None)
    run_state_machine_as_test(Runs, settings=options)
