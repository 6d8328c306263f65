"""Without memory for a batch its parts give the same training, but for the order of sums."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from synthetic import photons
from tiny import tiny
from unnoise.images.image import Image
from unnoise.nets.unet import UNet
from unnoise.training.loop import TrainingRun
from unnoise.training.plan import plan

X = photons((64, 64)).astype(np.float32)
FULL = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
)


def run(method: str = "n2v", **training: Any) -> TrainingRun:
    image = Image.from_array(X)
    config = tiny(method, batch_size=6, **{"steps": 4, **training})
    return TrainingRun([image], plan([image], config), torch.device("cpu"))


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A device whose memory is full beyond so many patches."""
    limit: dict[str, Any] = {"most": 10**9, "error": FULL[0], "seen": []}
    true = UNet.forward

    def forward(self: UNet, x: torch.Tensor) -> torch.Tensor:
        limit["seen"].append(len(x))
        if len(x) > limit["most"]:
            raise limit["error"]
        return true(self, x)

    monkeypatch.setattr(UNet, "forward", forward)
    return limit


@pytest.mark.parametrize("method", ["n2v", "b2u"])
def test_parts_give_the_same_training(room: dict[str, Any], method: str) -> None:
    whole, halved = run(method), run(method)
    for _ in whole:
        pass
    room["most"] = 2
    with pytest.warns(UserWarning, match="not enough memory for a batch of 6"):
        for _ in halved:
            pass
    assert max(room["seen"][-3:]) <= 2
    assert halved.parts.count == 4
    for a, b in zip(halved.average, whole.average, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)  # AdamW divides by small gradients
    assert halved.best == pytest.approx(whole.best, rel=1e-4)


@pytest.mark.parametrize("error", FULL)
def test_every_device_says_it_in_its_words(room: dict[str, Any], error: Exception) -> None:
    room |= {"most": 3, "error": error}
    with pytest.warns(UserWarning, match="in 2 parts"):
        run(steps=1).advance()


def test_other_errors_and_a_single_patch_are_not_tried_again(room: dict[str, Any]) -> None:
    room |= {"most": 3, "error": RuntimeError("shapes do not fit")}
    with pytest.raises(RuntimeError, match="shapes"):
        run().advance()
    room |= {"most": 0, "error": FULL[0]}
    with warnings.catch_warnings(action="ignore"), pytest.raises(torch.OutOfMemoryError):
        run().advance()


def test_who_goes_on_takes_the_same_parts(room: dict[str, Any]) -> None:
    whole = run(steps=4)
    room["most"] = 3
    with warnings.catch_warnings(action="ignore"):
        steps = iter(whole)
        next(steps), next(steps)
        later = run(steps=4)
        later.restore(whole.state())
        room["most"] = 10**9  # there is room again
        for rest in (steps, iter(later)):
            for _ in rest:
                pass
    for a, b in zip(later.average, whole.average, strict=True):
        assert torch.equal(a, b)
