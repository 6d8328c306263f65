"""A file of many images is looked through once while several of them are opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_known: ContextVar[dict[Path, Any] | None] = ContextVar("known", default=None)


@contextmanager
def once() -> Iterator[None]:
    """Within it, `listed` remembers; later a file may have changed.

    Examples
    --------
    >>> with once():
    ...     [listed(Path("plate.zarr"), iter(range(5)).__next__) for _ in range(3)]
    [0, 0, 0]
    """
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def listed(path: Path, make: Callable[[], Any]) -> Any:
    """What was found at a path within `once`, or else what `make` finds.

    Examples
    --------
    >>> [listed(Path("plate.zarr"), iter([i]).__next__) for i in range(3)]
    [0, 1, 2]
    """
    known = _known.get()
    if known is None:
        return make()
    if path not in known:
        known.clear()  # files are opened one after the other
        known[path] = make()
    return known[path]
