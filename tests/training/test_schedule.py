"""Laws of the learning rate and the patience."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from unnoise.config.sections import Training
from unnoise.training.schedule import SHAPES, Patience, schedule, standard_error

# ---- The learning rate ----


def test_the_table_offers_what_the_settings_allow() -> None:
    fields = Training.model_fields
    assert set(SHAPES) == set(fields["schedule"].annotation.__args__)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("warmup", [0.0, 0.03, 0.5])
def test_the_warm_up_rises_evenly_to_one(shape: str, warmup: float) -> None:
    assert schedule(warmup, warmup, shape) == 1
    if warmup:
        values = [schedule(f, warmup, shape) for f in np.linspace(0, warmup * 0.999, 20)]
        assert values[0] == pytest.approx(0.02)
        steps = np.diff(values)
        assert (steps > 0).all()
        np.testing.assert_allclose(steps, steps[0])
        assert values[-1] < 1
        assert schedule(-1e-9, warmup, shape) > 0, "never zero, never below"


@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_cosine_falls_to_zero(warmup: float) -> None:
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        f = warmup + part * (1 - warmup)
        expected = (1 + math.cos(math.pi * part)) / 2
        assert schedule(f, warmup, "cosine") == pytest.approx(expected, abs=1e-12)
    assert schedule(0.3, warmup) == schedule(0.3, warmup, "cosine"), "it is the default"


@pytest.mark.parametrize(
    ("fraction", "factor"),
    [
        *[(0, 1), (0.199, 1), (0.2, 1 / 2), (0.399, 1 / 2), (0.4, 1 / 4), (0.599, 1 / 4)],
        *[(0.6, 1 / 8), (0.799, 1 / 8), (0.8, 1 / 16), (1, 1 / 16)],
    ],
)
def test_halving_halves_at_every_fifth(fraction: float, factor: float) -> None:
    assert schedule(fraction, 0.0, "halving") == factor


@pytest.mark.parametrize("shape", ["constant", "plateau"])
def test_constant_stays_and_plateau_leaves_it_to_the_validations(shape: str) -> None:
    assert {schedule(f, 0.1, shape) for f in np.linspace(0.1, 1, 50)} == {1}


# ---- Patience ----


def losses(rng: np.random.Generator, shift: float, spread: float = 1e-3) -> torch.Tensor:
    """Validation losses of patches that differ widely among each other, all moved alike."""
    hard = np.random.default_rng(99).uniform(0.1, 5, 100)
    return torch.from_numpy(hard + shift + rng.normal(0, spread, 100))


@pytest.mark.parametrize("n", [2, 5, 400])
def test_the_standard_error_is_that_of_scipy(n: int) -> None:
    x = np.random.default_rng(0).normal(size=n)
    assert standard_error(torch.from_numpy(x)) == pytest.approx(stats.sem(x))


def test_a_single_patch_has_no_standard_error() -> None:
    assert standard_error(torch.tensor([3.0])) == 0


def test_pairing_sees_what_is_far_below_the_spread_of_the_patches() -> None:
    rng = np.random.default_rng(0)
    first, second = losses(rng, 0), losses(rng, -0.01)
    assert stats.ttest_ind(first, second).pvalue > 0.5, "unpaired it would be lost"
    patience = Patience()
    patience.see(first, 1.96)
    patience.see(second, 1.96)
    assert patience.waited == 0
    assert torch.equal(patience.lowest, second)


@pytest.mark.parametrize("confidence", [0.0, 1.96])
def test_the_decision_is_the_paired_test(confidence: float) -> None:
    decisions = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        first, second = losses(rng, 0), losses(rng, rng.normal(0, 3e-4))
        patience = Patience()
        patience.see(first, confidence)
        patience.see(second, confidence)
        z = (second - first).mean() / stats.sem((second - first).numpy())
        assert (patience.waited == 0) == bool(z < -confidence)
        decisions.add(patience.waited)
    assert decisions == {0, 1}


def test_chance_is_seldom_taken_for_an_improvement() -> None:
    taken = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        patience = Patience()
        patience.see(losses(rng, 0), 1.96)
        patience.see(losses(rng, 0), 1.96)
        taken += patience.waited == 0
    # One-sided, 2.5 % of the time, a little more as the deviation is estimated.
    assert stats.binomtest(taken, 400, 0.027).pvalue > 1e-3


def test_it_waits_one_by_one_and_starts_anew_after_an_improvement() -> None:
    rng = np.random.default_rng(0)
    patience = Patience()
    waited = []
    for shift in (0, 0.1, 0.05, -0.1, -0.05, -0.09, -0.3, -0.2):
        patience.see(losses(rng, shift), 1.96)
        waited.append(patience.waited)
    # 0.05 is lower than 0.1, but not lower than the lowest.
    assert waited == [0, 1, 2, 0, 1, 2, 0, 1]


def test_small_gains_add_up() -> None:
    """Compared with the last significant low, not with the validation before."""
    hard = np.random.default_rng(99).uniform(0.1, 5, 100)
    wiggle = np.random.default_rng(1).normal(0, 0.02, (40, 100))
    patience = Patience()
    resets = 0
    for k in range(40):
        patience.see(torch.from_numpy(hard - 1e-3 * k + wiggle[k]), 1.96)
        resets += patience.waited == 0
    # Steps of a twentieth of the noise are lost one by one, but not six of them together.
    assert 4 <= resets <= 15


def test_equal_losses_are_no_improvement() -> None:
    same = torch.ones(5)
    for confidence in (0.0, 1.96):
        patience = Patience()
        for expected in range(4):
            patience.see(same.clone(), confidence)
            assert patience.waited == expected


def test_a_monotone_fall_never_waits_and_a_monotone_rise_always() -> None:
    for sign, expected in ((-1, 0), (1, 9)):
        patience = Patience()
        for k in range(10):
            patience.see(torch.linspace(1, 2, 7) + sign * k, 1.96)
        assert patience.waited == expected
