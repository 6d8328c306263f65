"""Results at addresses appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import uploading, urls
from unnoise.images.image import Image

PIXELS = np.random.default_rng(0).integers(0, 99, (3, 40, 48)).astype(np.uint16)
IMAGE = Image(PIXELS, "ZYX", scale={"Z": 2.0}, units={"Z": "µm"})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store in memory; temporary folders are made in a folder of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = fsspec.filesystem("memory")
    yield files
    if files.exists("/lab"):
        files.rm("/lab", recursive=True)


def write(place: str, image: Image = IMAGE, **own: Any) -> None:
    with formats.create(place, image, **own) as out:
        out.check()
        for z in range(3):
            out.write({"Z": z}, image.read({"Z": z}))


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr", "a.zarr.zip", "a.npy"])
def test_what_was_sent_is_what_was_written(store: Any, tmp_path: Path, name: str) -> None:
    write(f"memory://lab/results/{name}")
    image = formats.open(f"memory://lab/results/{name}", axes="ZYX" if ".npy" in name else None)
    np.testing.assert_array_equal(image.data[...], PIXELS)
    assert image.scale == ({"Z": 2.0} if ".npy" not in name else {})
    assert [p for p in os.listdir(tmp_path) if "unnoise" not in p] == []
    assert [p.rsplit("/", 1)[-1] for p in store.ls("/lab/results", False)] == [name]


def test_what_is_there_is_kept_until_it_may_be_replaced(store: Any) -> None:
    for name in ("a.tif", "a.zarr"):
        write(f"memory://lab/{name}")
        with pytest.raises(InputError, match=rf"memory://lab/{name} exists; add --overwrite"):
            write(f"memory://lab/{name}")
        other = replace(IMAGE, data=PIXELS[:, ::-1])
        write(f"memory://lab/{name}", other, overwrite=True)
        np.testing.assert_array_equal(formats.open(f"memory://lab/{name}").data[...], other.data)


def interrupted(place: str) -> None:
    with formats.create(place, IMAGE) as out:
        out.write({"Z": 0}, IMAGE.read({"Z": 0}))
        raise KeyboardInterrupt


def test_a_run_that_fails_leaves_nothing(store: Any, tmp_path: Path) -> None:
    for name in ("a.tif", "a.zarr"):
        with pytest.raises(KeyboardInterrupt):
            interrupted(f"memory://lab/{name}")
        assert not store.exists(f"/lab/{name}")
    assert os.listdir(tmp_path) == []


def test_what_makes_a_folder_an_image_is_sent_last(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    put = MemoryFileSystem.put_file

    def watched(self: Any, here: str, there: str, **own: Any) -> None:
        sent.append(there)
        put(self, here, there, **own)

    monkeypatch.setattr(MemoryFileSystem, "put_file", watched)
    write("memory://lab/a.ome.zarr")
    assert sent[-1] == "/lab/a.ome.zarr/zarr.json"
    assert len(sent) > 2


def test_what_cannot_be_written_is_refused_before_anything_is_computed(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="through https:// nothing can be written"):
        formats.create("https://example.org/a.tif", IMAGE)
    write("memory://lab/a.zarr")
    source = formats.open("memory://lab/a.zarr")
    for place in ("memory://lab/a.zarr", "memory://lab/a.zarr/b.zarr"):
        with pytest.raises(InputError, match="input is never overwritten"):
            formats.create(place, source, overwrite=True)

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError("denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refused)
    out = formats.create("memory://lab/b.tif", IMAGE)
    with pytest.raises(InputError, match=r"cannot be written \(denied\); see to the address"):
        out.check()
    monkeypatch.setattr(MemoryFileSystem, "put_file", refused)
    with pytest.raises(InputError, match="cannot be written") as caught:
        write_unchecked(out)
    assert isinstance(caught.value.__cause__, OSError)  # so a result is kept elsewhere


@pytest.mark.parametrize(
    "place",
    [
        "memory:///lab//a.tif",
        "memory://lab/b/../a.tif",
        "memory://lab",
        "memory://lab/a.tif/b.tif",
        "dir://a.tif::memory://lab",
    ],
)
def test_the_input_is_not_overwritten_by_another_spelling(store: Any, place: str) -> None:
    write("memory://lab/a.tif")
    before = store.cat("/lab/a.tif")
    source = formats.open("memory://lab/a.tif")
    with pytest.raises(InputError, match=r"input is never overwritten|through a chain"):
        uploading.check_address(urls.place(place), [source.path or Path()])
    if place.endswith(".tif"):
        with pytest.raises(InputError):
            formats.create(place, source, overwrite=True)
    assert store.cat("/lab/a.tif") == before
    uploading.check_address(urls.place("memory://lab/a.tiff"), [source.path or Path()])


def test_a_file_of_this_machine_is_not_overwritten_through_an_address(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    formats.save(path, PIXELS, axes="ZYX")
    before, source = path.read_bytes(), formats.open(path)
    for start in ("local://", "local:///", "file://", "file://localhost/"):
        with pytest.raises(InputError, match="input is never overwritten"):
            formats.create(f"{start}{path.as_posix().lstrip('/')}", source, overwrite=True)
    with pytest.raises(InputError, match="a chain of addresses nothing is written; name with"):
        uploading.check_address(urls.place(f"dir://a.tif::file://{tmp_path.as_posix()}"), [path])
    assert path.read_bytes() == before


def write_unchecked(out: Any) -> None:
    with out:
        out.write({}, IMAGE.read({}))


def test_names_of_results(store: Any) -> None:
    image = replace(IMAGE, path=Path("data/cells.czi"))
    for out in ("s3://b/clean/", "s3://b/clean/cells.ome.tif"):
        place = formats.output_path(image, out)
        assert isinstance(place, urls.Url)
        assert str(place) == "s3://b/clean/cells.ome.tif"


def test_there_must_be_room_here(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("Usage", (), {"free": 100})
    out = formats.create("memory://lab/a.tif", IMAGE)
    assert isinstance(out, uploading.Uploaded)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    with pytest.raises(InputError, match="no space left"):
        out.check()
