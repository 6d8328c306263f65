"""Which processor is picked, and that a wrong name is refused."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from load.server import heap
from unnoise.errors import InputError
from unnoise.nets.device import (
    autocast,
    free_memory,
    full_precision,
    has_bfloat16,
    select_device,
    to_device,
    training_dtype,
)
from unnoise.nets.unet import UNet


def test_unknown_and_absent_devices_are_refused() -> None:
    with pytest.raises(InputError, match="choose one of auto, cpu, cuda, mps"):
        select_device("tpu")
    for kind, available in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if not available:
            with pytest.raises(InputError, match=f"no {kind} device; use --device cpu"):
                select_device(kind)
    with pytest.raises(InputError):
        select_device("cuda:99")


def test_auto_is_a_device_that_works() -> None:
    assert torch.ones(2, device=select_device()).sum().item() == 2


def test_16_bits_are_for_processors_that_compute_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, mps = torch.device("cpu"), torch.device("mps")
    for has, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr("unnoise.nets.device.has_bfloat16", lambda has=has: has)
        assert training_dtype(cpu) == dtype
        assert training_dtype(cpu, "float32") == training_dtype(mps) == torch.float32
        assert (
            training_dtype(cpu, "bfloat16") == torch.bfloat16
        )  # slow without the units, but possible
        assert (
            training_dtype(cpu, "auto", ndim=3)
            == training_dtype(cpu, "float32", ndim=3)
            == torch.float32
        )
    with pytest.raises(InputError, match=r"mps .* set training.precision=float32"):
        training_dtype(mps, "bfloat16")
    with pytest.raises(InputError, match=r"3D .* wrong on CPUs; leave training.precision=auto"):
        training_dtype(cpu, "bfloat16", ndim=3)
    assert isinstance(autocast(cpu, torch.float32), contextlib.nullcontext)
    with autocast(cpu, torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/cpuinfo")
@pytest.mark.skipif(not hasattr(torch.cpu, "get_capabilities"), reason="an older PyTorch")
def test_bfloat16_is_found_where_the_system_lists_it() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    assert has_bfloat16() == bool({"avx512_bf16", "amx_bf16"} & set(flags))


def test_placing_changes_the_layout_but_not_the_result() -> None:
    generator = torch.Generator().manual_seed(0)
    for ndim in (2, 3):
        net = UNet(channels=1, ndim=ndim, depth=1, filters=4)
        x = torch.rand(1, 1, *(16,) * ndim, generator=generator)
        before = net(x)
        torch.testing.assert_close(to_device(net, torch.device("cpu"))(x), before)


def test_free_memory_is_positive() -> None:
    assert free_memory(torch.device("cpu")) > 1e7


def assert_in_a_process(code: str) -> None:
    """Run what prints True in a process of its own: what others left in the heap is not there."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr


@pytest.mark.skipif(not heap(), reason="another C library")
def test_memory_is_kept_until_it_is_returned() -> None:
    """In a process of its own: what others left free in the heap would be taken first."""
    code = """
from load.server import heap
from unnoise.nets.device import keep_memory, return_memory
def mapped():  # bytes of a block that go back to the system with it
    before = heap()["mapped"]
    block = bytearray(2**22)
    return (heap()["mapped"] - before) * bool(block)
keep_memory()
kept = mapped()
return_memory()
print(kept < 2**22 <= mapped())
"""
    assert_in_a_process(code)


@pytest.mark.skipif(not heap(), reason="another C library")
def test_what_a_thread_has_freed_is_returned_where_threads_share_a_heap() -> None:
    """In a process of its own, as it stays so: 37 MB were left at the end of a thread's heap."""
    code = """
import threading
import numpy as np
from unnoise.nets.device import keep_memory, return_memory, share_heap
def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon"))
def look():
    keep_memory()
    np.ones(37 * 2**17)
share_heap()
before = resident()
thread = threading.Thread(target=look)
thread.start()
thread.join()
return_memory()
print(resident() - before < 5)
"""
    assert_in_a_process(code)


def test_products_of_matrices_have_all_their_bits_whatever_is_allowed() -> None:
    x = torch.randn(300, 300, generator=torch.Generator().manual_seed(0))
    exact = x.double() @ x.double()
    torch.set_float32_matmul_precision("medium")
    try:
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
            torch.testing.assert_close(x @ x, exact.float(), atol=1e-4, rtol=1e-5)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
