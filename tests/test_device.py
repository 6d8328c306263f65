"""Which processor is picked, and that a wrong name is refused."""

from __future__ import annotations

import contextlib

import pytest
import torch

from unnoise.device import autocast, free_memory, half, pick, place
from unnoise.errors import InputError
from unnoise.nets import UNet


def test_unknown_and_absent_devices_are_refused() -> None:
    with pytest.raises(InputError, match="choose one of auto, cpu, cuda, mps"):
        pick("tpu")
    for kind, available in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if not available:
            with pytest.raises(InputError, match=f"no {kind} device; use --device cpu"):
                pick(kind)
    with pytest.raises(InputError):
        pick("cuda:99")


def test_auto_is_a_device_that_works() -> None:
    assert torch.ones(2, device=pick()).sum().item() == 2


def test_mixed_precision_is_for_cuda_only() -> None:
    for name in ("cpu", "mps"):
        device = torch.device(name)
        assert isinstance(autocast(device), contextlib.nullcontext)
        assert half(device) == torch.float32


def test_placing_changes_the_layout_but_not_the_result() -> None:
    generator = torch.Generator().manual_seed(0)
    for ndim in (2, 3):
        net = UNet(channels=1, ndim=ndim, depth=1, filters=4)
        x = torch.rand(1, 1, *(16,) * ndim, generator=generator)
        before = net(x)
        torch.testing.assert_close(place(net, torch.device("cpu"))(x), before)


def test_free_memory_is_positive() -> None:
    assert free_memory(torch.device("cpu")) > 1e7
