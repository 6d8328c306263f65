"""A run that goes on equals one that was never interrupted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthetic import clean_and_noisy
from tiny import finish, pair, run_of, same, start, stored, timeless, tiny
from unnoise.config.config import Config
from unnoise.errors import InputError
from unnoise.training.loop import TrainingRun

RECIPES: dict[str, tuple[Config, str]] = {
    "n2v": (tiny(), "YX"),
    "batch_norm": (tiny(net={"batch_norm": True}), "YX"),
    "dropout": (tiny(net={"dropout": 0.3}), "YX"),
    "b2u dropout": (tiny("b2u", net={"dropout": 0.3}), "YX"),
    "n2v2": (tiny("n2v2"), "YX"),
    "structn2v": (tiny("structn2v").set("mask.percent=10"), "YX"),
    "median grid": (tiny().replace(mask={"replacement": "median", "pattern": "grid"}), "YX"),
    "n2n along T": (tiny("n2n").set("pairs.axis=T"), "TYX"),
    "n2n": (tiny("n2n"), "YX"),
    "care": (tiny("care"), "YX"),
    "b2u": (tiny("b2u").replace(b2u={"phases": 2, "ramp": 0.1}), "YX"),
    "r2r": (tiny("r2r"), "YX"),
    "gaussian": (tiny(loss="gaussian"), "YX"),
    "separate": (tiny(net={"channels": "separate"}), "CYX"),
    "joint": (tiny(net={"channels": "joint"}, optimizer="adam"), "CYX"),
    "sgd": (tiny(optimizer="sgd", ema=0.0, schedule="halving"), "YX"),
    "plateau": (
        tiny(
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


def trained(recipe: str, steps: int = 12) -> TrainingRun:
    config, axes = RECIPES[recipe]
    x = np.random.default_rng(0).normal(size=(3, 48, 48)[-len(axes) :])  # nothing to learn
    config = config.replace(training={"steps": steps, "validate_every": 2})
    return run_of(config, x, pair(config.method, x) if axes != "TYX" else None, axes)


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
    assert straight.provenance.held_out == continued.provenance.held_out
    if recipe == "plateau":
        assert resumed.factor == whole.factor
        assert broken.factor < 1 or stop_at < 10, "or the law would say nothing about it"


def test_resuming_does_not_start_waiting_anew() -> None:
    def fresh() -> TrainingRun:
        config = tiny(schedule="constant", patience=4, validate_every=2, steps=200)
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


def test_a_run_goes_on_only_on_its_kind_of_device() -> None:
    run = start(clean_and_noisy(96)[1], steps=2)
    state = run.state() | {"device": "cuda"}
    with pytest.raises(InputError, match="add --device cuda"):
        run.restore(state)
    with pytest.raises(InputError, match="does not fit its model"):
        run.restore(run.state() | {"generator": torch.zeros(3, dtype=torch.uint8)})


@pytest.mark.parametrize("stored", ["bfloat16", "float32", None])
def test_a_run_goes_on_in_the_type_it_began_with(
    stored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on another processor; before types were stored, CPUs computed with float32."""
    monkeypatch.setattr("unnoise.nets.device.has_bfloat16", lambda: stored == "bfloat16")
    x = clean_and_noisy(48)[1]
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
