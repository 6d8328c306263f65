"""Which processor computes, in which precision, and how much memory there is."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

import torch

from unnoise.errors import InputError, expect
from unnoise.images import cgroup

Net = TypeVar("Net", bound=torch.nn.Module)

DEVICES = ("auto", "cpu", "cuda", "mps")


def select_device(name: str = "auto") -> torch.device:
    """The device of a name; ``auto`` takes CUDA, then Apple MPS, then the CPU.

    Raises
    ------
    InputError
        For an unknown name or a device this machine lacks.

    Examples
    --------
    >>> select_device("cpu")
    device(type='cpu')
    """
    name = str(name) if isinstance(name, torch.device) else name
    expect("device", name, str, "auto, cpu, cuda or mps")
    kind = name.split(":")[0]
    if kind not in DEVICES:
        raise InputError(f"unknown device '{name}'; choose one of {', '.join(DEVICES)}")
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind == "auto":
        return torch.device(next((k for k, available in has.items() if available), "cpu"))
    if not has.get(kind, True):
        raise InputError(f"this machine has no {kind} device; use --device cpu or --device auto")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except RuntimeError as error:
        raise InputError(f"device '{name}' cannot be used; use --device auto") from error
    return device


def to_device(net: Net, device: torch.device) -> Net:
    """A net on its device, channels last where that is faster (1.4 times on CPU)."""
    net = net.to(device)
    if device.type == "mps":
        return net
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in net.parameters():
        if tensor.ndim in layouts:
            # Not `contiguous`: of one channel it keeps strides that say channels first, and the
            # first convolution would then reorder every map (6 instead of 2 ms of a step).
            layout = torch.empty_like(tensor, memory_format=layouts[tensor.ndim])
            tensor.data = layout.copy_(tensor.data)
    return net


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[Any]:
    """Maps in a 16-bit type (see `training_dtype`) while this lasts; nothing for float32."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


OPERATORS = ("cudnn.conv", "cudnn.rnn", "cuda.matmul", "mkldnn.conv", "mkldnn.matmul")
"""What may compute in fewer bits, on cards or CPUs, where the program around has allowed it."""
_switch, _running = threading.Lock(), 0
_undo: list[Callable[[], object]] = []
"""How many blocks of `full_precision` run now, and what puts back what was before the first."""


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Convolutions and products of matrices in 32 bits while this lasts, in any number of threads.

    The switches belong to the process: the first block sets them, the last one puts them back.
    """
    global _running
    with _switch:
        if not _running:
            _undo[:] = _exact()
        _running += 1
    try:
        yield
    finally:
        with _switch:
            _running -= 1
            while not _running and _undo:
                _undo.pop()()


def _exact() -> list[Callable[[], object]]:
    """Ask for 32 bits, and give what puts back what was, the last one first.

    By the older switches where PyTorch tells them: it refuses to where precisions were set by
    operator. So those are set by operator that still have fewer bits then.
    """
    undo: list[Callable[[], object]] = []
    cudnn = torch.backends.cudnn
    with contextlib.suppress(RuntimeError):
        if cudnn.allow_tf32:
            cudnn.allow_tf32 = False
            undo.append(partial(setattr, cudnn, "allow_tf32", True))
    with contextlib.suppress(RuntimeError):
        allowed = torch.get_float32_matmul_precision()
        if allowed != "highest":
            torch.set_float32_matmul_precision("highest")
            undo.append(partial(torch.set_float32_matmul_precision, allowed))
    for name in OPERATORS:
        try:
            operator = attrgetter(name)(torch.backends)
            precision = operator.fp32_precision
        except AttributeError:  # an older PyTorch
            continue
        if precision not in ("none", "ieee"):
            operator.fp32_precision = "ieee"
            undo.append(partial(setattr, operator, "fp32_precision", precision))
    return undo


def training_dtype(device: torch.device, precision: str = "auto", ndim: int = 2) -> torch.dtype:
    """The type of the maps in a training step.

    Parameters
    ----------
    device : torch.device
    precision : str
        ``float32``, ``bfloat16``, or ``auto``: bfloat16 where CUDA cards and CPUs compute with it,
        float16 on older cards, float32 elsewhere. A CPU without such units emulates bfloat16 and is
        then five times slower than with float32; one that has them takes 0.5 to 0.7 of the time.
    ndim : int
        Of the patches. In 3D CPUs stay with float32: of maps two slices thick the weights got
        gradients out of memory that nobody had written (oneDNN in PyTorch 2.13, AVX-512 BF16).

    Raises
    ------
    InputError
        For bfloat16 where it is not known to be computed, or is computed wrong.

    Examples
    --------
    >>> training_dtype(torch.device("cpu"), "float32")
    torch.float32
    """
    if precision == "bfloat16" and device.type not in ("cpu", "cuda"):
        raise InputError(
            f"{device.type} is not known to compute with bfloat16; set training.precision=float32"
        )
    if precision == "bfloat16" and device.type == "cpu" and ndim == 3:
        raise InputError(
            "3D training in bfloat16 is computed wrong on CPUs; leave training.precision=auto"
        )
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        # Older cards emulate bfloat16, slowly.
        modern = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if modern else torch.float16
    fast = device.type == "cpu" and ndim == 2 and has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def has_bfloat16() -> bool:
    """Whether the CPU computes with bfloat16 (AVX-512 BF16 or AMX)."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:  # an older PyTorch
        return False
    return any(capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def keep_memory() -> None:
    """Ask the C library to keep freed memory for the next step instead of returning it.

    The maps of every step (or tile) are as large as those of the one before. By default glibc hands
    them back to the system, which clears every page before it gives it out again: a tenth of a step
    of the plain net, a fifth of a tile. It stays so until `return_memory`. With other C libraries
    this does nothing.
    """
    _keep(KEPT)


def return_memory() -> None:
    """Undo `keep_memory`, and return what is free: for programs that go on when a job is done.

    Else whatever they do next has its arrays in the heap, too, and what is freed there stays: a
    server was 15 MB larger.
    """
    _keep(USUAL)
    release_memory()


def share_heap() -> None:
    """Let all threads that begin from now on have the first one's heap, whose end can be returned.

    With a heap of its own a thread keeps what is free at the end of it, as `release_memory` looks
    between what is in use: a server was 37 MB larger now and then.
    """
    _allow((M_ARENA_MAX, 1))


def _keep(size: int) -> None:
    """From which size on blocks, and free memory, are returned."""
    _allow((M_MMAP_THRESHOLD, size), (M_TRIM_THRESHOLD, size))


def _allow(*options: tuple[int, int]) -> None:
    """Set options of glibc; other C libraries have none of them."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        for option, value in options:
            libc.mallopt(option, value)


def release_memory() -> None:
    """Ask the C library to return what is free: maps of another size would not fit into it.

    Tiles at the borders of a stack have many sizes. What `keep_memory` keeps of each added up to
    1.7 GB where a tile takes 0.8 (n2v in 3D, 4 GB of 16 bit).
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
KEPT = 2**30
"""Blocks below this size, and at most so much free memory, stay with the process."""
USUAL = 2**17
"""What glibc begins with."""


def free_memory(device: torch.device) -> int:
    """Bytes that a computation on the device may still take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return cgroup.free_memory()
