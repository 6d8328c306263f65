"""Blocks in which a library warns or logs in vain, whatever other threads do meanwhile."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_ignored: ContextVar[tuple[type[Warning], ...]] = ContextVar("ignored", default=())
"""What is ignored in this thread, and in what asyncio runs for it in others."""
_lock, _running = threading.Lock(), 0
_lists: list[Any] = []
"""The lists of filters that hold `_FILTER` while blocks run."""
_levels: dict[str, list[int]] = {}
"""Logger -> how many blocks silence it now, and its level before the first."""


class _OfThisThread(type):
    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, _ignored.get())


class _Ignored(Warning, metaclass=_OfThisThread):
    """Every kind that is ignored where this is asked; no kind outside the blocks."""


_FILTER = ("ignore", None, _Ignored, None, 0)


@contextmanager
def quiet(kind: type[Warning] = Warning) -> Iterator[None]:
    """Without warnings of a library about what is dealt with here, or of no interest.

    `warnings.catch_warnings` puts back the filters of the whole process: of two threads within it
    the last one puts back those of the other, and the program never warns again. This block is
    one of its thread, and has to begin and end there.

    Parameters
    ----------
    kind : type
        The warnings that are ignored.

    Examples
    --------
    >>> with quiet():
    ...     warnings.warn("nobody sees this")
    """
    global _running
    with _lock:
        _running += 1
        if not any(one is warnings.filters for one in _lists):
            warnings.filters.insert(0, _FILTER)  # type: ignore[attr-defined]
            _lists.append(warnings.filters)
    token = _ignored.set((*_ignored.get(), kind))
    try:
        yield
    finally:
        _ignored.reset(token)
        with _lock:
            _running -= 1
            if not _running:
                for one in _lists:
                    one[:] = [known for known in one if known is not _FILTER]
                _lists.clear()


@contextmanager
def unlogged(name: str) -> Iterator[None]:
    """Without what a logger tells, in all threads until the last of such blocks has ended.

    Examples
    --------
    >>> with unlogged("liffile"):
    ...     logging.getLogger("liffile").error("nobody sees this")
    """
    logger = logging.getLogger(name)
    with _lock:
        _levels.setdefault(name, [0, logger.level])[0] += 1
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _lock:
            _levels[name][0] -= 1
            if not _levels[name][0]:
                logger.setLevel(_levels.pop(name)[1])
