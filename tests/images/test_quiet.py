"""What libraries warn of is silent where that is asked, and nowhere else: not in other threads."""

from __future__ import annotations

import ast
import asyncio
import logging
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise.images import formats
from unnoise.images.quiet import quiet, unlogged

SOURCE = Path(unnoise.__file__).parent


def overlapping(
    first: AbstractContextManager[None],
    second: AbstractContextManager[None],
    inside: Callable[[], None] = lambda: None,
) -> None:
    """Two threads: the second one comes before the first has left, and leaves after it."""
    steps = [threading.Event() for _ in range(3)]

    def early() -> None:
        with first:
            steps[0].set()
            assert steps[1].wait(10)

    def late() -> None:
        assert steps[0].wait(10)
        with second:
            steps[1].set()
            assert steps[2].wait(10)

    with ThreadPoolExecutor(2) as threads:
        ends = threads.submit(early), threads.submit(late)
        assert steps[1].wait(10)
        inside()
        ends[0].result()
        inside()
        steps[2].set()
        ends[1].result()


def warn() -> None:
    warnings.warn("of the program", stacklevel=2)


def test_a_block_ignores_what_is_warned_in_it() -> None:
    with quiet():
        warn()
    with pytest.warns(UserWarning, match="of the program"):
        warn()


def test_of_the_kinds_of_nested_blocks_all_are_ignored() -> None:
    with quiet(DeprecationWarning), quiet(ResourceWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.warn("open", ResourceWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="of the program"):
            warn()


def test_other_threads_are_warned_and_filters_stay_what_they_were() -> None:
    before = list(warnings.filters)

    def inside() -> None:
        with pytest.raises(UserWarning, match="of the program"):  # errors in these tests
            warn()

    overlapping(quiet(), quiet(), inside)
    assert list(warnings.filters) == before
    inside()


@pytest.mark.parametrize("order", ["abAB", "abBA", "baAB", "baBA"])
def test_filters_that_others_put_back_hold_nothing_of_a_block(order: str) -> None:
    """`a` and `A` begin and end the block of another library, `b` and `B` one of these."""
    before = list(warnings.filters)
    others, block = warnings.catch_warnings(), quiet()
    steps = {
        "a": others.__enter__,
        "b": block.__enter__,
        "A": partial(others.__exit__, None, None, None),
        "B": partial(block.__exit__, None, None, None),
    }
    for step in order:
        steps[step]()
    assert list(warnings.filters) == before


def test_what_asyncio_runs_elsewhere_for_a_block_is_silent_too() -> None:
    """Zarr reads in a thread of its own."""

    async def elsewhere() -> None:
        await asyncio.to_thread(warn)

    with quiet():
        asyncio.run(elsewhere())


def test_a_logger_has_its_level_back_when_the_last_block_ends() -> None:
    logger = logging.getLogger("unnoise.test")
    logger.setLevel(logging.INFO)

    def inside() -> None:
        assert not logger.isEnabledFor(logging.CRITICAL)

    overlapping(unlogged("unnoise.test"), unlogged("unnoise.test"), inside)
    assert logger.level == logging.INFO


@pytest.mark.parametrize("name", ["a.mrc", "a.fits", "a.zarr", "a.fits.fz"])
def test_files_opened_in_threads_leave_the_filters_alone(tmp_path: Path, name: str) -> None:
    before = list(warnings.filters)
    formats.save(tmp_path / name, np.arange(64, dtype=np.float32).reshape(8, 8))
    with ThreadPoolExecutor(4) as threads:
        images = list(threads.map(formats.open, [tmp_path / name] * 24))
    images[0].data[...]  # its file stays open
    assert list(warnings.filters) == before


def test_no_thread_puts_back_the_filters_of_another() -> None:
    """Only `info` records warnings: a command of its own."""
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("catch_warnings", "simplefilter")
    }
    assert users == {"app/info.py"}
