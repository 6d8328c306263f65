"""PyTorch as it starts, whatever the program around has set; imports torch only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_lock = threading.Lock()
_inside: list[torch.dtype] = []
"""The types that numbers had by default when a call came in; the first one comes back at last."""


@contextmanager
def own_state() -> Iterator[None]:
    """Within a ``with``, or a decorated function, results do not depend on the caller's state.

    Gradients are known, also within `torch.no_grad` or `torch.inference_mode`; nothing is cast
    automatically; numbers are float32 and tensors begin on the CPU unless something else is said.
    The default type is one of the whole process, so other threads have it, too, until the end.

    Examples
    --------
    >>> with torch.inference_mode(), torch.autocast("cpu"), own_state():
    ...     product = torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)
    >>> product.requires_grad, product.dtype
    (True, torch.float32)
    """
    with ExitStack() as stack:
        stack.enter_context(_float32())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps", "xpu"):
            if _is_casting(kind):
                # Cast weights are kept until the outermost one ends, which is the caller's: they
                # would be those of the first step for ever.
                stack.enter_context(torch.autocast(kind, enabled=False, cache_enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def _is_casting(kind: str) -> bool:
    """Whether the caller has turned casts on; older versions know not all kinds of devices."""
    try:
        return torch.is_autocast_enabled(kind)
    except RuntimeError:
        return False


@contextmanager
def _float32() -> Iterator[None]:
    """The default type, put back when the last of several calls has ended."""
    with _lock:
        _inside.append(_inside[0] if _inside else torch.get_default_dtype())
        if torch.get_default_dtype() != torch.float32:
            torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _lock:
            before = _inside.pop()
            if not _inside and before != torch.float32:
                torch.set_default_dtype(before)
