"""Laws of `refined`: two trainings in the shape of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import unnoise
from synthetic import averaged, clean_and_noisy, white
from tiny import CPU, same, stored, tiny
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.models.predict import predict_array
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan
from unnoise.training.refined import STAGES, RefinedRun
from unnoise.training.start import start


def made(x: NDArray, axes: str | None = None, steps: int = 10, **training: float) -> RefinedRun:
    image = Image.from_array(x, axes)
    config = tiny("refined", steps=steps, **{"patch": 16, "validate_every": 2, **training})
    run = start([image], plan([image], config), CPU)
    assert isinstance(run, RefinedRun)
    return run


def noisy() -> NDArray:
    return clean_and_noisy(48)[1]


@pytest.mark.parametrize("stop_at", [1, 3, 4, 5, 9, 10])
def test_resuming_equals_the_uninterrupted_run(stop_at: int) -> None:
    whole, broken, resumed = (made(noisy()) for _ in range(3))
    for _ in whole:
        pass
    for progress in broken:
        if progress.step == stop_at:
            break
    broken.model()  # asking changes nothing
    resumed.restore(broken.state())
    assert resumed.step == broken.step == stop_at
    for _ in resumed:
        pass
    assert resumed.step == whole.step == 10
    straight, continued = whole.model().weights, resumed.model().weights
    assert all(torch.equal(straight[k], continued[k]) for k in straight)
    assert whole.model().provenance.held_out == resumed.model().provenance.held_out is not None
    timeless = [[{**line, "seconds": 0} for line in run.history] for run in (whole, resumed)]
    assert timeless[0] == timeless[1]
    assert [line["stage"] for line in whole.history] == [STAGES[0]] * 2 + [STAGES[1]] * 3
    assert not any("kept" in line for line in whole.history[:2])


def test_what_a_finished_training_said_outlasts_a_stop() -> None:
    broken, resumed, older = (made(noisy()) for _ in range(3))
    for progress in broken:
        if broken._run is not None and progress.step == 1:
            broken._run.rollbacks = 1
        if progress.step == 6:
            break
    state = broken.state()
    resumed.restore(stored(state))
    for _ in resumed:
        pass
    assert [line.partition(" a step")[0] for line in resumed.remarks()] == [f"{STAGES[0]}:"]
    del state["told"], state["held_out"]
    older.restore(stored(state))
    for _ in older:
        pass
    assert same(older.model(), resumed.model())


def test_it_always_has_a_model_that_works_and_progress_never_falls() -> None:
    run, before = made(noisy(), steps=5), 0.0
    assert run.model().weights
    for progress in run:
        assert progress.fraction >= before
        before = progress.fraction
        assert run.model().provenance.steps == progress.step
    assert before == 1
    assert run.model().config == run._planned.config


def test_it_denoises_better_than_the_blind_spots_it_begins_with() -> None:
    truth, x = clean_and_noisy(96)
    run = made(x, steps=200, patch=32, validate_every=40, learning_rate=5e-3)
    errors = {}
    for progress in run:
        if progress.step in (80, 200):
            clean = predict_array(run.model(), x, dtype=np.float64)
            errors[progress.step] = float(np.mean((clean - truth) ** 2))
    assert errors[200] < 0.95 * errors[80]
    assert errors[200] < 0.6 * np.mean((x - truth) ** 2)


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 32, 40), "CYX"), ((2, 3, 32, 40), "TZYX"), ((32, 40, 3), "YXC")]
)
def test_channels_stacks_and_movies(shape: tuple[int, ...], axes: str) -> None:
    x = np.random.default_rng(0).poisson(30, shape).astype(np.uint16)
    config = tiny("refined", steps=4, patch=16)
    model = unnoise.train(x, axes=axes, config=config)
    assert model.ndim == 2
    assert model.predict(x, axes=axes).shape == x.shape


def test_it_says_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match="correlated along X"):
        made(5 * averaged((96, 96), 5, axis=1) + np.linspace(0, 50, 96))
    for wrong, match in [
        ("training.loss=gaussian", "loss gaussian cannot go with refined"),
        ("ndim=3", "refined works on planes"),
        ("use_center_pixel=true", "refined makes none"),
    ]:
        with pytest.raises(InputError, match=match):
            Config(method="refined").set(wrong)
    with pytest.raises(InputError, match="which trains two nets"):
        Config(method="refined").set("training.schedule=constant", "training.patience=3")
    image = Image.from_array(white((64, 64)))
    planned = plan([image], tiny("refined", steps=2))
    assert planned.noise is not None
    unknown = replace(planned, noise=None)
    with pytest.raises(InputError, match="could not be measured, which refined needs"):
        RefinedRun([image], unknown, CPU)


def test_a_budget_in_minutes_is_kept() -> None:
    image, now = Image.from_array(noisy()), [0.0]

    def clock() -> float:
        now[0] += 0.5
        return now[0]

    config = tiny("refined", minutes=1.0, patch=16)
    run = RefinedRun([image], plan([image], config), CPU, clock=clock)
    for _ in run:
        pass
    # Seconds of the clock: the trainings count their own steps, and most of the rest is asking.
    assert 1 < run.step < 130
    assert {line["stage"] for line in run.history} == set(STAGES)


def test_the_second_training_leaves_out_excluded_pixels_too() -> None:
    x = noisy()
    marks = np.zeros(x.shape, np.bool_)
    marks[:, :20] = True
    image = unnoise.with_mask(x, ~marks)
    run = start([image], plan([image], tiny("refined", steps=4, patch=16)), CPU)
    assert isinstance(run, RefinedRun)
    for progress in run:
        if progress.step == 2:
            break
    (learned,) = run._learned()
    np.testing.assert_array_equal(learned.excluded()[0, 0, 0, 0], marks)
    assert np.isfinite(learned.read()).all()


def test_a_run_that_goes_on_keeps_its_budget_in_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps take 0.1 s, the results to learn from 6 s each time they are made."""
    now = [0.0]
    advance, learned = TrainingRun.advance, RefinedRun._learned

    def step(run: TrainingRun) -> None:
        now[0] += 0.1
        advance(run)

    def results(run: RefinedRun) -> list[Image]:
        now[0] += 6
        return learned(run)

    monkeypatch.setattr(TrainingRun, "advance", step)
    monkeypatch.setattr(RefinedRun, "_learned", results)
    image = Image.from_array(noisy())
    config = tiny("refined", minutes=0.25, patch=16, validate_every=1000)
    model = plan([image], config)
    run = RefinedRun([image], model, CPU, clock=lambda: now[0])
    for stop in (70, 75, 80):
        for progress in run:
            if progress.step == stop:
                break
        again = RefinedRun([image], model, CPU, clock=lambda: now[0])
        again.restore(stored(run.state()))
        assert again.fraction == pytest.approx(run.fraction, abs=1e-6)
        run = again
    assert run._run is not None
    assert run._run.config.minutes == pytest.approx((15 - 6 - 6) / 60, abs=0.01)
