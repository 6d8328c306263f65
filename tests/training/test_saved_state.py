"""A state that was damaged is refused before the run goes on with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from synthetic import white
from tiny import run_of, stored, tiny
from unnoise.errors import InputError

X = white((40, 40))


def broken_off(method: str, **training: Any) -> tuple[Any, Any]:
    """A run of which four steps were made, and its state."""
    run = run_of(tiny(method, steps=8, validate_every=2, **training), X)
    for progress in run:
        if progress.step == 4:
            break
    return run, stored(run.state())


def set_to(*keys: Any, value: Any) -> Callable[[Any], None]:
    def apply(state: Any) -> None:
        inner = state
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value(inner[keys[-1]]) if callable(value) else value

    return apply


DAMAGE = [
    set_to("step", value=-1),
    set_to("step", value="x"),
    set_to("step", value=float("nan")),
    set_to("seconds", value=None),
    set_to("factor", value=[1]),
    set_to("dtype", value="nn"),
    set_to("dtype", value=3),
    set_to("device", value=None),
    set_to("net", value=3),
    set_to("net", "head.weight", value=lambda w: w * float("nan")),
    set_to("net", "head.weight", value=lambda w: w[..., :1, :0]),
    set_to("net", "head.weight", value=lambda w: w.double()),
    set_to("average", value=lambda found: found[1:]),
    set_to("average", 0, value=lambda w: w / 0),
    set_to("best_weights", "head.weight", value=lambda w: w.flatten()),
    set_to("best_weights", value=None),
    set_to("generator", value=lambda w: w[:-8]),
    set_to("rng", value={}),
    set_to("rng", "bit_generator", value="MT19937"),
    set_to("rng", "state", value=3),
    set_to("optimizer", "memories", value=[]),
    set_to("optimizer", "memories", 0, 0, value=lambda w: w.flatten()[:3]),
    set_to("optimizer", "memories", 1, 0, value=lambda w: w * float("inf")),
    set_to("optimizer", "steps", 0, value="x"),
    set_to("lower", "waited", value=-3),
    set_to("lower", "lowest", value=torch.zeros(1000)),
    set_to("significant", value=None),
    set_to("history", value={}),
    set_to("history", value=[1]),
    set_to("history", 0, "held_out", value=float("nan")),
    set_to("history", 0, value={}),
    set_to("best", value="x"),
]


@pytest.mark.parametrize("number", range(len(DAMAGE)))
def test_a_damaged_state_does_not_go_on(number: int) -> None:
    run, state = broken_off("n2v")
    DAMAGE[number](state)
    with pytest.raises(InputError, match=r"does not fit its model|ran on None"):
        run_of(run._model.config, X).restore(state)


def test_a_tensor_that_claims_a_shape_it_has_no_memory_for_is_refused() -> None:
    run, state = broken_off("n2v")
    state["lower"]["lowest"] = torch.zeros(1).expand(10**12)
    with pytest.raises(InputError, match="lowest"):
        run_of(run._model.config, X).restore(state)


def test_a_whole_state_goes_on_whatever_was_saved() -> None:
    for method in ("n2v", "b2u"):
        run, state = broken_off(method)
        other = run_of(run._model.config, X)
        other.restore(copy.deepcopy(state))
        assert [p.step for p in other] == [5, 6, 7, 8]
