"""Processes that ``torchrun`` has started to work together: their number, and what they share."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import InputError


@dataclass(frozen=True)
class Ranks:
    """One process among those that torchrun has started; alone without it.

    Attributes
    ----------
    rank, size : int
        Its number from 0 on, and how many there are.
    local_rank, local_size : int
        The same on this machine.

    Examples
    --------
    >>> ranks = Ranks()
    >>> ranks.leads, ranks.shared(3.0)
    (True, 3.0)
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes and tells."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """Which items of a batch are for this process."""
        return slice(self.rank, None, self.size)

    def device(self, device: torch.device) -> torch.device:
        """The card of this process, where there are several."""
        if device.type != "cuda" or device.index is not None or self.size == 1:
            return device
        return torch.device("cuda", self.local_rank % torch.cuda.device_count())

    def begin(self, device: torch.device) -> None:
        """Meet the others, once."""
        if self.size > 1 and not torch.distributed.is_initialized():
            if device.type == "cuda":
                torch.cuda.set_device(device)
            backend = "nccl" if device.type == "cuda" else "gloo"
            torch.distributed.init_process_group(backend)
            atexit.register(_leave)

    def meet(self) -> None:
        """Wait for all others."""
        if self.size > 1:
            torch.distributed.barrier()

    def shared(self, value: float, device: torch.device | None = None) -> float:
        """The number that the leading process has."""
        if self.size == 1:
            return value
        box = torch.tensor([value], dtype=torch.float64, device=device)
        torch.distributed.broadcast(box, 0)
        return float(box.item())

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Make each tensor the sum of those of all processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        at = 0
        for tensor in tensors:
            tensor.copy_(flat[at : at + tensor.numel()].view_as(tensor))
            at += tensor.numel()


def _leave() -> None:
    """Leave the others at the end of the process.

    A thread of gloo that still runs then aborts it, now and then, after all was written.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def of_torchrun() -> Ranks:
    """What torchrun says in the environment.

    Examples
    --------
    >>> of_torchrun().size
    1
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if "TORCHELASTIC_RUN_ID" not in os.environ or any(name not in os.environ for name in names):
        return Ranks()
    values = [os.environ[name] for name in names]
    try:
        return Ranks(*map(int, values))
    except ValueError as error:
        told = ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
        raise InputError(
            f"the environment tells of torchrun, but {told} are not all numbers; start by "
            f"torchrun, or take TORCHELASTIC_RUN_ID away"
        ) from error
