"""One thread reads ahead, one writes behind: same order, bounded, and nothing is left of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tiny import tiny, untrained
from unnoise.images.image import Image
from unnoise.models import frame_tiles, overlap
from unnoise.models.overlap import ROOM, Behind, ahead
from unnoise.models.predict import predict

WAIT = 30.0
"""Seconds after which a test that hangs fails."""


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("unnoise-")]


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    yield
    assert not threads()


def test_no_more_is_made_than_there_is_room_for() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for n in range(20):
            made.append(n)
            yield n

    for used in ahead(source()):
        assert used < len(made) <= used + 1 + ROOM + 1
    assert made == list(range(20))


def test_the_next_is_made_while_one_is_used() -> None:
    second = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    items = ahead(source())
    assert next(items) == 1
    assert second.wait(WAIT)
    assert list(items) == [2]


@pytest.mark.parametrize("error", [ValueError("damaged"), KeyboardInterrupt(), MemoryError()])
def test_what_the_reader_raises_is_raised_at_its_place(error: BaseException) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise error

    items = ahead(source())
    assert next(items) == 1
    with pytest.raises(type(error)) as raised:
        next(items)
    assert raised.value is error


def test_closing_ends_the_thread_and_the_source() -> None:
    closed: list[str] = []
    made: list[int] = []

    def source() -> Iterator[int]:
        try:
            for n in range(1000):
                made.append(n)
                yield n
        finally:
            closed.append(threading.current_thread().name)

    items = ahead(source())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    assert threads() == ["unnoise-reader"]
    items.close()
    assert not threads()
    assert closed == ["unnoise-reader"]
    assert len(made) < 10


def test_ctrl_c_while_an_item_is_used_ends_the_thread() -> None:
    items = ahead(iter(range(1000)))
    next(items)
    with pytest.raises(KeyboardInterrupt):
        items.throw(KeyboardInterrupt())
    assert not threads()


def test_calls_come_in_their_order_and_are_over_at_the_end() -> None:
    found: list[Any] = []
    with Behind() as writer:
        for n in range(50):
            writer(found.append, n)
        writer(lambda: found.append(threading.current_thread().name))
    assert found == [*range(50), "unnoise-writer"]


def test_what_the_writer_raises_comes_back_and_nothing_follows_it() -> None:
    found: list[int] = []
    problem = OSError(28, "no space left")

    def write(n: int) -> None:
        if n == 3:
            raise problem
        found.append(n)

    def writes(numbers: range) -> None:
        with Behind() as writer:
            for n in numbers:
                writer(write, n)

    with pytest.raises(OSError, match="no space left") as raised:
        writes(range(1000))
    assert raised.value is problem
    assert found == [0, 1, 2]
    with pytest.raises(OSError, match="no space left"):
        writes(range(3, 4))  # the last one


def test_calls_that_wait_are_not_made_where_the_block_fails() -> None:
    begun, go, found = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        assert go.wait(WAIT)
        found.append(1)

    def block() -> None:
        with Behind(room=2) as writer:
            writer(first)
            assert begun.wait(WAIT)
            writer(found.append, 2)
            after = threading.Thread(target=lambda: (writer._stopped.wait(WAIT), go.set()))
            after.start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    assert found == [1]


def test_calls_that_wait_are_not_made_after_one_that_failed() -> None:
    begun, go, found = threading.Event(), threading.Event(), list[int]()

    def fail() -> None:
        begun.set()
        assert go.wait(WAIT)
        raise OSError(28, "no space left")

    def block() -> None:
        with Behind(room=3) as writer:
            writer(fail)
            assert begun.wait(WAIT)
            for n in (1, 2):
                writer(found.append, n)
            go.set()

    with pytest.raises(OSError, match="no space left"):
        block()
    assert found == []


def test_the_next_call_tells_what_went_wrong_before() -> None:
    failed = threading.Event()

    def fail() -> None:
        try:
            raise OSError(28, "no space left")
        finally:
            failed.set()

    def block() -> None:
        with Behind() as writer:
            writer(fail)
            assert failed.wait(WAIT)
            for _ in range(ROOM + 3):  # the last ones find no room before the error is known
                writer(int)
            pytest.fail("nobody told")

    with pytest.raises(OSError, match="no space left"):
        block()


def test_calls_after_one_that_failed_are_taken_and_not_made() -> None:
    """Whoever goes on after the error is told waits for no thread, and is told once."""
    found, failed = list[int](), threading.Event()

    def fail() -> None:
        failed.set()
        raise OSError(28, "no space left")

    def block() -> None:
        with Behind() as writer:
            writer(fail)
            assert failed.wait(WAIT)
            for n in range(100):
                with contextlib.suppress(OSError):
                    writer(found.append, n)

    worker = threading.Thread(target=block, daemon=True)
    worker.start()
    worker.join(WAIT)
    assert not worker.is_alive()
    assert found == []


def test_the_end_waits_for_calls_that_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "TICK", 0.005)
    begun, go, found = threading.Event(), threading.Event(), list[int]()

    def first() -> None:
        begun.set()
        assert go.wait(WAIT)
        found.append(1)

    def block() -> None:
        with Behind(room=1) as writer:
            writer(first)
            assert begun.wait(WAIT)
            writer(found.append, 2)  # there is no room behind it
            threading.Timer(0.05, go.set).start()

    worker = threading.Thread(target=block, daemon=True)
    worker.start()
    worker.join(WAIT)
    assert not worker.is_alive()
    assert found == [1, 2]


def test_closing_waits_for_a_source_that_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "TICK", 0.005)
    begun, go = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        yield 1
        begun.set()
        assert go.wait(WAIT)
        yield 2

    items = ahead(source())
    assert next(items) == 1
    assert begun.wait(WAIT)
    threading.Timer(0.05, go.set).start()
    items.close()
    assert go.is_set()
    assert not threads()


def test_a_program_ends_though_a_thread_hangs() -> None:
    """The interpreter waits for the end of every thread that is no daemon."""
    found: list[bool] = []

    def source() -> Iterator[int]:
        found.append(threading.current_thread().daemon)
        yield 1

    assert list(ahead(source())) == [1]
    with Behind() as writer:
        writer(lambda: found.append(threading.current_thread().daemon))
    assert found == [True, True]


def test_a_source_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "TICK", 0.005)
    late = threading.Event()

    def source() -> Iterator[int]:
        for n in range(3):
            late.wait(0.05)
            yield n

    assert list(ahead(source())) == [0, 1, 2]


class Spied:
    """Pixels that note by which thread they are read."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.readers: set[str] = set()

    def __getitem__(self, index: Any, /) -> np.ndarray:
        self.readers.add(threading.current_thread().name)
        return np.asarray(self.pixels[index])


@pytest.mark.parametrize("ndim", [2, 3])
def test_results_are_the_same_to_the_last_bit(monkeypatch: pytest.MonkeyPatch, ndim: int) -> None:
    x = np.random.default_rng(0).poisson(30, (5, 40, 48)).astype(np.uint16)
    model, _ = untrained(x, tiny().replace(ndim=ndim), "ZYX")
    spied = Spied(x)
    tile = (16, 16) if ndim == 2 else (4, 16, 16)

    def blocks() -> list[tuple[Any, bytes]]:
        found = predict(model, Image(spied, "ZYX"), device="cpu", tile=tile)
        return [(block.where, block.values.tobytes()) for block in found]

    at_once = blocks()
    assert spied.readers == {"unnoise-reader"}
    monkeypatch.setattr(frame_tiles, "ahead", lambda items: (item for item in items))
    assert blocks() == at_once


def test_a_prediction_that_is_closed_leaves_no_thread() -> None:
    x = np.random.default_rng(0).poisson(30, (64, 64)).astype(np.uint16)
    model, image = untrained(x, tiny())
    job = predict(model, image, device="cpu", tile=(16, 16))
    next(job)
    assert threads() == ["unnoise-reader"]
    job.close()
    assert not threads()
