"""Whether the saved state of a run is one: it is compared with that of a run that begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unnoise.errors import InputError

NOT_BELOW_0 = ("step", "seconds", "validated", "factor", "rollbacks", "waited", "parts")
TYPES = ("float32", "bfloat16", "float16")


def check_state(fresh: Mapping[str, Any], state: Any) -> None:
    """Refuse a state that does not fit its run.

    Parameters
    ----------
    fresh : mapping
        The state of the same run before its first step.
    state : mapping
        What was read; entries that it lacks are left to whoever restores it.

    Raises
    ------
    InputError
        Naming the first entry that is no finite number, or has another type or shape.

    Examples
    --------
    >>> check_state({"step": 0, "net": torch.zeros(2)}, {"step": 3, "net": torch.ones(2)})
    >>> check_state({"step": 0, "net": torch.zeros(2)}, {"step": 3, "net": torch.ones(3)})
    Traceback (most recent call last):
    unnoise.errors.InputError: the saved training state does not fit its model (net); train anew
    """
    found = _unlike(fresh, state, "")
    if found is not None:
        raise InputError(
            f"the saved training state does not fit its model ({found or 'no state'}); train anew"
        )


def _unlike(like: Any, found: Any, where: str) -> str | None:
    """The name of the first part that is of another kind; None if there is none."""
    name = where.rpartition(".")[2]
    if name == "history":
        return None if _is_history(found) else where
    if name == "dtype":
        return None if found in TYPES else where
    if isinstance(like, Tensor) and not (name == "lowest" and found is None):
        return None if _is_tensor(found, like) else where
    if isinstance(like, Mapping):
        if not isinstance(found, Mapping):
            return where
        shared = {key: found[key] for key in like if key in found} or dict(found)
        parts = [_unlike(like.get(k), v, f"{where}.{k}".lstrip(".")) for k, v in shared.items()]
        return next((part for part in parts if part is not None), None)
    if isinstance(like, list | tuple) and like:
        if not isinstance(found, list | tuple) or len(found) != len(like):
            return where
        parts = [_unlike(a, b, where) for a, b in zip(like, found, strict=True)]
        return next((part for part in parts if part is not None), None)
    return None if _is_plain(found, name, like) else where


def _is_tensor(found: Any, like: Tensor | None = None) -> bool:
    """Whether something is a finite tensor, of the shape and type of another one if given."""
    if not isinstance(found, Tensor):
        return False
    if like is not None and (found.shape, found.dtype) != (like.shape, like.dtype):
        return False
    # A tensor may claim any shape by repeating one value of its storage.
    whole = found.untyped_storage().nbytes() >= found.numel() * found.element_size()
    return whole and bool(torch.isfinite(found).all())


def _is_plain(found: Any, name: str, like: Any = None) -> bool:
    """Whether something is a finite number, a text, or made of them, at any depth."""
    if isinstance(like, str):
        return isinstance(found, str)
    if isinstance(like, bool | int | float) or name in NOT_BELOW_0:
        is_number = isinstance(found, int) or _is_finite(found)
        return is_number and (name not in NOT_BELOW_0 or found >= 0)
    if name in ("best", "loss"):
        return found is None or isinstance(found, int) or _is_finite(found)
    if isinstance(found, Tensor):
        return _is_tensor(found)
    if isinstance(found, Mapping):
        return all(_is_plain(value, str(key)) for key, value in found.items())
    if isinstance(found, list | tuple):
        return all(_is_plain(value, name) for value in found)
    return found is None or isinstance(found, str | int) or _is_finite(found)


def _is_finite(found: Any) -> bool:
    return isinstance(found, float) and math.isfinite(found)


def _is_history(found: Any) -> bool:
    """Records of validations: each has its step and its held-out loss; a loss may be unknown."""
    return isinstance(found, list) and all(
        isinstance(line, Mapping)
        and all(isinstance(line.get(key), int | float) for key in ("step", "seconds", "held_out"))
        and _is_finite(float(line["held_out"]))
        for line in found
    )
