"""Reading, computing and writing at the same time: one thread that reads, and one that writes.

The order of everything stays, so results do not change. Reading and writing mostly wait for the
disk or run in decoders, which leave the interpreter to others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from queue import Empty, Full, Queue
from typing import Any, TypeVar

ROOM = 1
"""Items that wait for their turn, besides the one that is made and the one that is used."""
TICK = 0.2
"""Seconds after which a thread that waits looks for Ctrl-C, where waiting itself does not."""
T = TypeVar("T")


def ahead(items: Iterable[T], room: int = ROOM) -> Generator[T]:
    """The items of an iterable, of which the next ones are made in a thread of their own.

    The thread ends with the generator, however that ends; what it raises is raised here.

    Parameters
    ----------
    items : iterable
    room : int
        How many may wait.

    Examples
    --------
    >>> list(ahead(n**2 for n in range(4)))
    [0, 1, 4, 9]
    """
    queue: Queue[tuple[str, Any]] = Queue(room)
    stopped = threading.Event()

    def make() -> None:
        source = iter(items)
        try:
            for item in source:
                queue.put(("item", item))
                if stopped.is_set():
                    break
            queue.put(("end", None))
        except BaseException as error:
            queue.put(("error", error))
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=make, name="unnoise-reader", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = _next(queue)
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
            del value  # else an item more stays in memory
    finally:
        stopped.set()
        _emptied(queue, thread)


class Behind:
    """Calls that are made one after the other in a thread of their own.

    Used as a context manager: it ends when all calls were made, or, where the block raised, without
    those that waited. What a call raises is raised by the next one, or at the end; no call is made
    after it.

    Parameters
    ----------
    room : int
        How many may wait.

    Examples
    --------
    >>> found = []
    >>> with Behind() as writer:
    ...     for n in range(4):
    ...         writer(found.append, n)
    >>> found
    [0, 1, 2, 3]
    """

    def __init__(self, room: int = ROOM) -> None:
        self._queue: Queue[tuple[Callable[..., object], tuple[Any, ...]] | None] = Queue(room)
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="unnoise-writer", daemon=True)

    def __enter__(self) -> Behind:
        self._thread.start()
        return self

    def __call__(self, function: Callable[..., object], *given: Any) -> None:
        """Call a function later."""
        self._check()
        self._queue.put((function, given))

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=TICK)
            except Full:  # the calls that wait come first
                continue
            break
        while self._thread.is_alive():
            self._thread.join(TICK)
        if kind is None:
            self._check()

    def _check(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            if self._stopped.is_set():
                continue
            function, given = call
            try:
                function(*given)
            except BaseException as error:
                self._error = error
                self._stopped.set()
            del call, given


def _next(queue: Queue[tuple[str, Any]]) -> tuple[str, Any]:
    while True:
        try:
            return queue.get(timeout=TICK)
        except Empty:
            continue


def _emptied(queue: Queue[Any], thread: threading.Thread) -> None:
    """Wait for the end of a thread that may wait for room."""
    while thread.is_alive():
        try:
            queue.get(timeout=TICK / 10)
        except Empty:
            continue
