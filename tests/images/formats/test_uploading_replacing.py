"""What is at an address is kept until all of its successor is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from unnoise.errors import InputError
from unnoise.images import formats

OLD = np.random.default_rng(0).integers(0, 99, (600, 48)).astype(np.uint16)
NEW = OLD + 1
NAMES = ["a.tif", "a.zarr"]


class Disk(LocalFileSystem):
    """Stands for a disk of another machine, as of SFTP."""

    protocol = ("disk",)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(LocalFileSystem._strip_protocol("/" + path.removeprefix("disk:").lstrip("/")))


fsspec.register_implementation("disk", Disk, clobber=True)


@pytest.fixture(params=["disk", "memory"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An address on a disk, or in a store that can only copy."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if request.param == "disk":
        yield f"disk://{tmp_path.as_posix().lstrip('/')}/lab"
        return
    yield "memory://lab"
    files = fsspec.filesystem("memory")
    if files.exists("/lab"):
        files.rm("/lab", recursive=True)


def names_at(place: str) -> list[str]:
    files, inner = fsspec.core.url_to_fs(place)
    return sorted(name.rsplit("/", 1)[-1] for name in files.ls(inner, False))


def pixels(address: str) -> np.ndarray:
    return np.asarray(formats.open(address).data[...])


def cut(monkeypatch: pytest.MonkeyPatch, place: str, number: int, error: BaseException) -> None:
    """The file of a number is cut, and then the connection breaks."""
    kind: Any = Disk if place.startswith("disk") else MemoryFileSystem
    put, count = kind.put_file, iter(range(99))

    def cutting(self: Any, here: str, there: str, **own: Any) -> None:
        if next(count) == number:
            content = Path(here).read_bytes()
            if kind is Disk:  # object stores show no half
                self.pipe_file(there, content[: len(content) // 2])
            raise error
        put(self, here, there, **own)

    monkeypatch.setattr(kind, "put_file", cutting)


def break_off(address: str) -> None:
    formats.save(address, NEW, axes="YX", overwrite=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", [ConnectionError("the line went dead"), KeyboardInterrupt()])
def test_a_connection_that_breaks_leaves_what_was_there(
    place: str, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    """The old one was removed first, and the new one lay there in half."""
    address = f"{place}/{name}"
    formats.save(address, OLD, axes="YX")
    for number in (0, 2) if name == "a.zarr" else (0,):
        with monkeypatch.context() as broken:
            cut(broken, place, number, error)
            with pytest.raises((InputError, KeyboardInterrupt)):
                break_off(address)
        assert names_at(place) == [name]
        np.testing.assert_array_equal(pixels(address), OLD)
    formats.save(address, NEW, axes="YX", overwrite=True)
    assert names_at(place) == [name]
    np.testing.assert_array_equal(pixels(address), NEW)


@pytest.mark.parametrize("name", NAMES)
def test_of_a_first_one_that_is_cut_nothing_stays(
    place: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    formats.save(f"{place}/other.npy", OLD, axes="YX")
    cut(monkeypatch, place, 1 if name == "a.zarr" else 0, ConnectionError("the line went dead"))
    with pytest.raises(InputError, match=rf"lab/{name} cannot be written \(the line went dead\)"):
        formats.save(f"{place}/{name}", NEW, axes="YX")
    assert names_at(place) == ["other.npy"]


def test_what_cannot_be_moved_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{place}/a.zarr"
    formats.save(address, OLD, axes="YX")
    kind, move = (Disk, "mv") if place.startswith("disk") else (MemoryFileSystem, "cp_file")

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError("denied")

    with monkeypatch.context() as broken:
        broken.setattr(kind, move, refused)
        with pytest.raises(InputError, match=r"a\.zarr cannot be replaced \(denied\); .*") as told:
            break_off(address)
    (left,) = names_at(place)
    assert f"is whole and lies at {place}/{left}, so give it" in str(told.value)
    assert isinstance(told.value.__cause__, OSError)  # so a result is kept here, too
    np.testing.assert_array_equal(pixels(f"{place}/{left}"), NEW)


@pytest.mark.parametrize("name", NAMES)
def test_disks_that_give_no_name_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def rename(self: Disk, old: str, new: str) -> None:
        if self.exists(new):
            raise FileExistsError(new)
        os.rename(self._strip_protocol(old), self._strip_protocol(new))

    monkeypatch.setattr(Disk, "mv", rename)
    address = f"disk://{tmp_path.as_posix().lstrip('/')}/lab/{name}"
    for image in (OLD, NEW):
        formats.save(address, image, axes="YX", overwrite=True)
        np.testing.assert_array_equal(pixels(address), image)
    assert os.listdir(tmp_path / "lab") == [name]
