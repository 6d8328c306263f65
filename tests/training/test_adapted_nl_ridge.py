"""NL-Ridge beside instant, where a training does not help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synthetic import averaged, smooth
from unnoise.models import folder as checkpoint
from unnoise.training import adapted
from unnoise.training.adapted import CandidateSearch
from unnoise.training.nl_ridge import RIDGE, TRUSTED

from .adapted_runs import finished, judging, made, photons, result

pytestmark = pytest.mark.usefixtures("few_steps")


def test_nl_ridge_takes_the_place_of_a_training_that_cannot_win(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(adapted, "HOPE", 0.25)
    monkeypatch.setattr(adapted, "LOOK", 0.3)
    monkeypatch.setattr(adapted, "DOUBT", 0.0)
    opposite = {"instant": [0.0, 1.5**0.5], "self-trained": [9.0, 9.0], RIDGE: [1.0, 0.0]}
    monkeypatch.setattr(CandidateSearch, "_estimate", judging(opposite))
    array = photons()
    model = finished(made(array)).model()
    assert model.choice.candidate == f"instant + {RIDGE}"
    assert model.second is not None
    assert model.second.share == pytest.approx(0.6 * TRUSTED)
    (own, rest), (ridge, share) = model.members
    assert ridge.config.method == RIDGE
    for name in ("knots", "log_sigma", "shift"):  # behind the same transform
        assert torch.equal(own.weights[name], ridge.weights[name])
    assert (own.passes, ridge.passes.count) == (None, 1)
    first, second = (
        result(replace(model, second=replace(model.second, share=w)), array) for w in (0, 1)
    )
    both = result(model, array)
    np.testing.assert_allclose(both, rest * first + share * second, rtol=1e-9)
    checkpoint.save(tmp_path / "m", model)
    assert np.array_equal(result(checkpoint.load(tmp_path / "m"), array), both)


def test_nl_ridge_is_not_asked_where_the_training_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapted, "HOPE", 0.0)
    right = {"instant": [2.5, 2.0], "self-trained": [0.0, 2.0]}
    monkeypatch.setattr(CandidateSearch, "_estimate", judging(right))
    assert RIDGE not in finished(made(photons())).risks


def test_of_correlated_noise_it_is_told_what_instant_is_told() -> None:
    """It once was not asked there."""
    noisy = smooth((64, 64), 4, mean=100, sd=20) + 15 * averaged((64, 64), 3, 1)
    run = finished(made(noisy))
    assert RIDGE in run.risks
    assert run._ridge is not None
    assert run._ridge.weights["rho"].any()
    assert torch.equal(run._ridge.weights["rho"], run._instant.weights["rho"])
