"""A file system that stops answering after any number of reads ends in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import urls

from .zarr_stores import ngff, pixels_of

PIXELS = pixels_of((3, 40, 40))


class Failing(MemoryFileSystem):
    """A file system in memory that answers `left` reads more, and then raises `problem`."""

    protocol = "failing"
    left, reads = 10**9, 0
    problem: type[OSError] = OSError

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(str(path).replace("failing://", "memory://"))

    def _count(self) -> None:
        Failing.reads += 1
        Failing.left -= 1
        if Failing.left < 0:
            raise self.problem(5, "the storage does not answer")

    def cat_file(self, *given: Any, **named: Any) -> Any:
        self._count()
        return super().cat_file(*given, **named)

    def info(self, *given: Any, **named: Any) -> Any:
        self._count()
        return super().info(*given, **named)

    def _open(self, *given: Any, **named: Any) -> Any:
        self._count()
        return super()._open(*given, **named)

    def get_file(self, *given: Any, **named: Any) -> Any:
        self._count()
        return super().get_file(*given, **named)


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[None]:
    fsspec.register_implementation("failing", Failing, clobber=True)
    Failing.left = 10**9
    ngff(tmp_path / "a.zarr", PIXELS, scale={"Z": 2.0})
    formats.save(tmp_path / "a.ome.tif", PIXELS, axes="ZYX")
    fsspec.filesystem("failing").put(f"{tmp_path}/", "/weak/", recursive=True)
    yield
    Failing.left = 10**9
    fsspec.filesystem("failing").rm("/weak", recursive=True)


def _read(name: str) -> np.ndarray:
    return np.asarray(formats.open(f"failing://weak/{name}").read())


@pytest.mark.parametrize("problem", [OSError, TimeoutError])
@pytest.mark.parametrize("name", ["a.zarr", "a.ome.tif"])
def test_every_read_may_fail(failing: None, name: str, problem: type[OSError]) -> None:
    Failing.problem = problem
    before = Failing.reads
    whole = _read(name)
    count = Failing.reads - before
    told = []
    for left in range(count):
        urls._copies.clear()
        Failing.left = left
        try:
            found = _read(name)
        except InputError as error:
            told.append(str(error))
        else:  # some are tried again
            assert (found == whole).all()
    assert told
    assert all("weak" in text and "\n" not in text for text in told)
