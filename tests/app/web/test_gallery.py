"""Names of images: each stands for one state of all files in which an image lies."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from unnoise.app.web import gallery
from unnoise.app.web.gallery import Gallery, Picture
from unnoise.app.web.workspace import Workspace
from unnoise.errors import InputError


@pytest.fixture
def shown(tmp_path: Path) -> Gallery:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    return Gallery(workspace)


def seen(shown: Gallery, path: Path) -> tuple[str, float]:
    """A page that is loaded: the name of its image, and a pixel."""
    name = shown.name(Picture(path))
    image = shown.image(name)
    assert image is not None
    return name, float(image.original({"Y": 0, "X": 0}).ravel()[0])


def replaced(path: Path, pixels: np.ndarray) -> None:
    """Written again by another program, in the same size and surely at another time."""
    part = path.with_name("part")
    pixels.tofile(part)
    os.utime(part, ns=(time.time_ns(), path.stat().st_mtime_ns + 10**9))
    part.replace(path)


def test_pixels_beside_a_header_are_shown_anew_when_they_change(
    shown: Gallery, tmp_path: Path
) -> None:
    pixels = np.full((32, 32), 100, np.uint16)
    pixels.tofile(tmp_path / "a.raw")
    (tmp_path / "a.nhdr").write_text(
        "NRRD0004\ntype: uint16\ndimension: 2\nsizes: 32 32\nendian: little\nencoding: raw\n"
        "data file: a.raw\n"
    )
    first = seen(shown, tmp_path / "a.nhdr")
    assert seen(shown, tmp_path / "a.nhdr") == first
    replaced(tmp_path / "a.raw", pixels + 7)
    # A page that is open mixes no pixels of two states; one that is loaded shows the new ones.
    with pytest.raises(InputError, match=r"a\.raw was changed"):
        shown.image(first[0]).original()  # type: ignore[union-attr]
    name, value = seen(shown, tmp_path / "a.nhdr")
    assert name != first[0]
    assert (first[1], value) == (100, 107)
    assert seen(shown, tmp_path / "a.nhdr") == (name, value)


@pytest.mark.parametrize("most", [2000, 2])
def test_chunks_that_are_rewritten_in_place_are_seen(
    shown: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Of a folder of many files it is only known that some time has passed."""
    monkeypatch.setattr(gallery, "CHUNKS", most)
    now = [1000.0]
    monkeypatch.setattr(gallery, "time", SimpleNamespace(monotonic=lambda: now[0]))
    path = tmp_path / "a.zarr"
    array = zarr.open_array(path, mode="w", shape=(64, 64), dtype="u2", chunks=(32, 32))
    array[:] = np.full((64, 64), 100, np.uint16)
    folder = path.stat()
    first = seen(shown, path)
    assert seen(shown, path) == first
    array[:] = np.full((64, 64), 9, np.uint16)
    for file in path.rglob("*"):
        if file.is_file():
            os.utime(file, ns=(time.time_ns(), folder.st_mtime_ns + 10**9))
    os.utime(path, ns=(folder.st_atime_ns, folder.st_mtime_ns))  # as file systems may have it
    now[0] += gallery.RENEWED
    second = seen(shown, path)
    assert second[0] != first[0]
    assert (first[1], second[1]) == (100, 9)
    assert seen(shown, path) == second


def test_only_so_many_names_are_remembered(
    shown: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "NAMED", 2)
    names = []
    for n in range(3):
        np.save(tmp_path / f"{n}.npy", np.full((8, 8), n))
        names.append(shown.name(Picture(tmp_path / f"{n}.npy")))
    assert shown.image(names[0]) is None
    assert shown.image(names[2]) is not None
    assert shown.name(Picture(tmp_path / "0.npy")) != names[0]
    assert len(shown._names) == len(shown._pictures) == 2
