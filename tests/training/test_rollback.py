"""A step without a number costs that step; a run that goes on does what one that ran on does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from synthetic import photons
from tiny import finish, run_of, same, stored, timeless, tiny
from unnoise.errors import UnnoiseError
from unnoise.training.loop import TrainingRun
from unnoise.training.rollback import MOST, SLOWER

X = photons((40, 44)).astype(np.float32)
BAD = (torch.nan, torch.inf, -torch.inf)


def spoiled(at: set[int], value: float = torch.nan, **training: object) -> TrainingRun:
    """A run some of whose steps see one pixel that is no number."""
    run = run_of(tiny(steps=12, validate_every=4, **training), X)
    prepared: Callable[..., object] = run._prepared

    def spoil(patches: object, *more: object) -> object:
        step = prepared(patches, *more)
        if run.step + 1 in at:
            step.x.view(-1)[7] = value  # type: ignore[attr-defined]
        return step

    run._prepared = spoil  # type: ignore[assignment, method-assign]
    return run


@pytest.mark.parametrize("value", BAD)
def test_a_batch_that_gives_no_number_is_found_in_its_step(value: float) -> None:
    run = spoiled({6}, value)
    steps = 0
    for progress in run:
        steps += 1
        assert all(bool(torch.isfinite(p).all()) for p in run.net.parameters()), progress.step
        assert all(bool(torch.isfinite(a).all()) for a in run.average)
        if progress.step == 6:
            assert all(torch.equal(run.best_weights[k], v) for k, v in run.net.state_dict().items())
            assert run.factor == SLOWER
    assert (steps, run.rollbacks) == (12, 1)
    assert all(bool(torch.isfinite(w).all()) for w in run.model().weights.values())
    assert any("no finite number" in text for text in run.remarks())


def test_a_run_that_stays_whole_says_nothing_of_it() -> None:
    run = spoiled(set())
    finish(run)
    assert (run.rollbacks, run.factor, run.remarks()) == (0, 1.0, [])


def test_after_three_times_it_ends_with_a_sentence_and_a_whole_model() -> None:
    run = spoiled({2, 3, 4, 5})
    with pytest.raises(UnnoiseError, match=r"diverged at step 5, .* 3 times .*learning_rate"):
        finish(run)
    assert run.rollbacks == MOST + 1
    assert all(bool(torch.isfinite(w).all()) for w in run.model().weights.values())


def test_an_infinite_gradient_of_a_finite_loss_is_found_too() -> None:
    run = spoiled(set())
    first = next(iter(run.net.parameters()))
    first.register_hook(lambda grad: grad * (torch.nan if run.step == 5 else 1.0))
    finish(run)
    assert run.rollbacks == 1
    assert all(bool(torch.isfinite(w).all()) for w in run.model().weights.values())


@pytest.mark.parametrize("stop", [3, 6, 7])
def test_a_run_that_goes_on_goes_back_to_the_same_weights(stop: int) -> None:
    bad = {6, 9}
    whole = spoiled(bad)
    expected = finish(whole)
    first = spoiled(bad)
    for progress in first:
        if progress.step == stop:
            break
    second = spoiled(bad)
    second.restore(stored(first.state()))
    assert same(finish(second), expected)
    assert second.rollbacks == 2
    assert timeless(second.history) == timeless(whole.history)


def test_states_of_before_have_no_rollbacks() -> None:
    run = spoiled(set())
    for progress in run:
        if progress.step == 3:
            break
    state = stored(run.state())
    del state["rollbacks"]
    again = spoiled(set())
    again.restore(state)
    assert again.rollbacks == 0


def overflowing(at: set[int], rate: float = 1e12, **training: object) -> TrainingRun:
    """A run some of whose steps leave weights so large that the validation after them overflows."""
    settings = {"steps": 12, "validate_every": 2, "warmup": 0.0, "precision": "float32"}
    run = run_of(tiny(**{**settings, **training}), X)
    left = set(at)

    class Jumping(TrainingRun):
        @property
        def learning_rate(self) -> float:
            return rate if self.step + 1 in left else super().learning_rate

        def advance(self) -> None:
            super().advance()
            left.discard(self.step)

    run.__class__ = Jumping
    return run


@pytest.mark.parametrize("at", [2, 6, 12])
def test_a_validation_without_a_number_is_undone(at: int) -> None:
    run = overflowing({at})
    for progress in run:
        assert all(bool(torch.isfinite(w).all()) for w in run.model().weights.values())
        if progress.step >= at:
            assert run.rollbacks == 1
            again = overflowing(set())
            again.restore(stored(run.state()))
            assert same(again.model(), run.model())
    assert [line["step"] for line in run.history] == [n for n in (2, 4, 6, 8, 10, 12) if n != at]
    assert all(np.isfinite(line["held_out"]) for line in run.history)
    assert run.best is not None
    assert np.isfinite(run.best)
    assert any("no finite number" in text for text in run.remarks())


def test_validations_without_a_number_end_a_run_after_three_times() -> None:
    run = overflowing({4, 6, 8, 10})
    with pytest.raises(UnnoiseError, match=r"diverged at step 10, .* 3 times"):
        finish(run)
    assert all(bool(torch.isfinite(w).all()) for w in run.model().weights.values())


def test_a_run_whose_only_validation_gives_no_number_does_not_end_well() -> None:
    run = overflowing({4}, steps=4, validate_every=4)
    with pytest.raises(UnnoiseError, match="diverged at step 4, its last one, before any valid"):
        finish(run)
