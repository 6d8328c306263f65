"""Budgets in minutes of `adapted`: a run that goes on has the one that it had."""

from __future__ import annotations

import pytest

from tiny import CPU, stored
from unnoise.config.config import Config
from unnoise.images.image import Image
from unnoise.training import adapted
from unnoise.training.adapted import CandidateSearch
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

from .adapted_runs import SMALL, photons

pytestmark = pytest.mark.usefixtures("few_steps")


def test_looking_at_a_training_takes_nothing_off_what_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps take 0.1 s, and a look at a tenth of the training 2 s."""
    now = [0.0]
    advance, estimate = TrainingRun.advance, CandidateSearch._estimate

    def step(run: TrainingRun) -> None:
        now[0] += 0.1
        advance(run)

    def look(run: CandidateSearch, *given: object) -> object:
        now[0] += 2
        return estimate(run, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(adapted, "HOPE", 0.0)
    monkeypatch.setattr(TrainingRun, "advance", step)
    monkeypatch.setattr(CandidateSearch, "_estimate", look)
    image = Image.from_array(photons())
    training = {**SMALL, "steps": None, "minutes": 0.2, "validate_every": 1000}
    model = plan([image], Config.parse({"method": "adapted", "training": training}))
    run = CandidateSearch([image], model, CPU, clock=lambda: now[0])
    for _ in run:
        if run._looked and run._run is not None and run._run.fraction > 0.3:
            break
    again = CandidateSearch([image], model, CPU, clock=lambda: now[0])
    again.restore(stored(run.state()))
    assert again.fraction == pytest.approx(run.fraction, abs=1e-6)
    assert again._run is not None
    assert again._run.config.minutes == pytest.approx((12 - 2) / 60, abs=0.01)
