"""Laws of the optimisers: those of torch.optim, step for step."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from unnoise.config.sections import Training
from unnoise.training.optimizer import OPTIMIZERS

SETTINGS: dict[str, Any] = {"learning_rate": 0.01, "betas": (0.8, 0.7), "weight_decay": 0.1}
PEERS = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.8, 0.7), weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.7), weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
}


def weights(seed: int = 0) -> list[torch.nn.Parameter]:
    rng = np.random.default_rng(seed)
    shapes = [(3, 2, 3, 3), (4,), ()]
    made = [torch.nn.Parameter(torch.from_numpy(np.asarray(rng.normal(size=s)))) for s in shapes]
    made[0].data = made[0].data.contiguous(memory_format=torch.channels_last)
    return made


def gradients(ps: list[torch.nn.Parameter], step: int, skipped: int | None = None) -> None:
    rng = np.random.default_rng([1, step])
    for i, p in enumerate(ps):
        g = torch.from_numpy(np.asarray(rng.normal(size=tuple(p.shape)) * 10.0 ** (i - 1)))
        p.grad = None if i == skipped else g


def test_the_table_offers_what_the_settings_allow() -> None:
    assert set(OPTIMIZERS) == set(Training.model_fields["optimizer"].annotation.__args__)


@pytest.mark.parametrize("name", sorted(PEERS))
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_steps_are_those_of_torch(name: str, decay: float) -> None:
    ours, theirs = weights(), weights()
    optimizer = OPTIMIZERS[name](ours, Training(**SETTINGS | {"weight_decay": decay}))
    peer = PEERS[name](theirs)
    peer.param_groups[0]["weight_decay"] = decay
    for step in range(12):
        rate = 0.01 / (1 + step)
        optimizer.param_groups[0]["lr"] = peer.param_groups[0]["lr"] = rate
        skipped = 1 if step in (0, 5) else None  # a weight of a net that had no turn
        gradients(ours, step, skipped)
        gradients(theirs, step, skipped)
        optimizer.step()
        peer.step()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-12)


def test_the_first_step_of_adam_goes_by_the_rate() -> None:
    # By hand: the corrected moments are g and g ** 2.
    start, g = np.array([1.0, -2.0, 3.0]), np.array([0.5, 0.25, -4.0])
    for name, expected in {
        "adamw": start * (1 - 0.01 * 0.1) - 0.01 * np.sign(g),  # decay apart from the gradient
        "adam": start - 0.01 * np.sign(g + 0.1 * start),
    }.items():
        p = torch.nn.Parameter(torch.from_numpy(start.copy()))
        optimizer = OPTIMIZERS[name]([p], Training(**SETTINGS))
        p.grad = torch.from_numpy(g)
        optimizer.step()
        np.testing.assert_allclose(p.detach(), expected, atol=1e-8)


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_restored_optimiser_goes_on_to_the_bit(name: str) -> None:
    ours, again = weights(), weights(seed=5)
    first = OPTIMIZERS[name](ours, Training(**SETTINGS))
    for step in range(3):
        gradients(ours, step, skipped=2 if step == 1 else None)
        first.step()
    second = OPTIMIZERS[name](again, Training(**SETTINGS))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for a, b in zip(ours, again, strict=True):
        b.data.copy_(a.data)
    for step in range(3, 6):
        for ps, optimizer in ((ours, first), (again, second)):
            gradients(ps, step)
            optimizer.step()
    for a, b in zip(ours, again, strict=True):
        assert torch.equal(a, b)


def test_a_state_of_other_weights_is_refused() -> None:
    state = OPTIMIZERS["adamw"]([torch.zeros(3)], Training()).state_dict()
    with pytest.raises(ValueError, match="other shapes"):
        OPTIMIZERS["adamw"]([torch.zeros(4)], Training()).load_state_dict(state)
    with pytest.raises(ValueError, match="other shapes"):
        OPTIMIZERS["sgd"]([torch.zeros(3)], Training()).load_state_dict(state)


def test_no_gradient_no_step_and_zero_grad_forgets() -> None:
    ps = weights()
    before = [p.detach().clone() for p in ps]
    optimizer = OPTIMIZERS["adamw"](ps, Training(**SETTINGS))
    gradients(ps, 0)
    optimizer.zero_grad()
    assert all(p.grad is None for p in ps)
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ps, before, strict=True))
    assert optimizer.steps == [0, 0, 0]


def test_a_training_loads_no_compiler() -> None:
    # It takes 1.6 CPU seconds, a third of the time to the first step.
    code = """
import sys, numpy as np, torch, unnoise
unnoise.train(np.random.default_rng(0).normal(size=(64, 64)), steps=2, method="n2v")
print([name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
