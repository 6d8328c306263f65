"""Folders that are images: found, opened, written whole or not at all, never the input."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import registry
from unnoise.images.image import Image


class Planes:
    """A sink that never holds the image: a file per plane."""

    closed = 0

    def __init__(self, part: Path) -> None:
        self.part = part
        part.mkdir()

    def __setitem__(self, index: tuple[slice, ...], block: np.ndarray) -> None:
        z, y, x = index
        assert (y.start, y.stop, x.start, x.stop) == (0, 6, 0, 5)
        for k, plane in zip(range(z.start, z.stop), block, strict=True):
            np.save(self.part / f"{k}.npy", plane)

    def close(self) -> None:
        Planes.closed += 1


def read(path: Path, axes: str | None) -> Image:
    files = sorted(path.glob("*.npy"))
    return Image(np.stack([np.load(file) for file in files]), axes or "ZYX", path=path)


def prepare(path: Path, like: Image, dtype: np.dtype) -> object:
    def layout(part: Path) -> tuple[Planes, object]:
        sink = Planes(part)
        return sink, lambda: (part / "done").touch()

    layout.waiting = 1000  # type: ignore[attr-defined]
    return layout


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    """The image of a folder, whose format is that of another package."""
    toy = SimpleNamespace(read=read, prepare=prepare, suffixes=(".planes",), folders=True)
    monkeypatch.setattr(registry, "_loaded", lambda: ({".planes": toy}, []))
    pixels = np.arange(3 * 6 * 5, dtype=np.uint8).reshape(3, 6, 5)
    formats.save(tmp_path / "a.planes", pixels, axes="ZYX")
    image = formats.open(tmp_path / "a.planes")
    np.testing.assert_array_equal(image.data[...], pixels)
    return image


def start_and_fail(path: Path, image: Image) -> None:
    with formats.create(path, like=image, overwrite=True) as out:
        out.write({"Z": 0}, image.read({"Z": 0}))
        raise KeyboardInterrupt


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_written_whole_or_not_at_all(stack: Image, tmp_path: Path) -> None:
    assert names(tmp_path / "a.planes") == ["0.npy", "1.npy", "2.npy", "done"]
    Planes.closed = 0
    with pytest.raises(KeyboardInterrupt):
        start_and_fail(tmp_path / "b.planes", stack)
    assert names(tmp_path) == ["a.planes"]
    assert Planes.closed == 1
    with formats.create(tmp_path / "b.planes", stack) as out:
        assert names(tmp_path) == [f".b.planes.{os.getpid()}.part", "a.planes"]
        assert out.nbytes == 3 * 6 * 5 + 1000
        out.write({"Z": slice(1, None)}, stack.read({"Z": slice(1, None)}))
        out.write({"Z": 0}, stack.read({"Z": 0}))
    assert names(tmp_path) == ["a.planes", "b.planes"]
    assert Planes.closed == 2


def test_an_existing_folder_is_swapped_when_the_new_one_is_whole(
    stack: Image, tmp_path: Path
) -> None:
    path = tmp_path / "b.planes"
    formats.save(path, np.zeros((4, 6, 5), np.uint8), axes="ZYX")
    with pytest.raises(InputError, match=r"b\.planes exists; add --overwrite"):
        formats.create(path, stack)
    with pytest.raises(KeyboardInterrupt):
        start_and_fail(path, stack)
    assert names(path) == ["0.npy", "1.npy", "2.npy", "3.npy", "done"]
    with formats.create(path, stack, overwrite=True) as out:
        out.write({}, stack.read())
        assert "3.npy" in names(path)
    assert names(path) == names(tmp_path / "a.planes")
    assert names(tmp_path) == ["a.planes", "b.planes"]


def test_the_input_is_never_changed(stack: Image, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.planes is the input itself"):
        formats.create(tmp_path / "a.planes", stack, overwrite=True)
    with pytest.raises(InputError, match=r"b\.npy lies in the input .*a\.planes"):
        formats.create(tmp_path / "a.planes" / "b.npy", stack, overwrite=True)
    inside = formats.open(tmp_path / "a.planes" / "1.npy")
    with pytest.raises(InputError, match=r"a\.planes holds the input .*1\.npy"):
        formats.create(tmp_path / "a.planes", inside, overwrite=True)
    formats.create(tmp_path / "a.planes" / "b.npy", inside)  # beside a file that is the input


def test_a_folder_of_another_kind_is_no_place(stack: Image, tmp_path: Path) -> None:
    for name in ("b.tif", "b.npy"):
        (tmp_path / name).mkdir()
        with pytest.raises(InputError, match=rf"{name} is a folder; choose another"):
            formats.create(tmp_path / name, stack, overwrite=True)
    (tmp_path / "c.planes").touch()  # a file of that name may be replaced
    with formats.create(tmp_path / "c.planes", stack, overwrite=True) as out:
        out.write({}, stack.read())
    assert (tmp_path / "c.planes").is_dir()


def test_folders_are_found_beside_files(stack: Image, tmp_path: Path) -> None:
    formats.save(tmp_path / "t10.planes", stack.data[...], axes="ZYX")
    formats.save(tmp_path / "t2.npy", stack.data[...], axes="ZYX")
    (tmp_path / "a_denoised.planes").mkdir()  # an earlier result
    (tmp_path / "other").mkdir()
    found = [tmp_path / name for name in ("a.planes", "t2.npy", "t10.planes")]
    assert formats.find([tmp_path]) == found
    assert formats.find([tmp_path / "t*"]) == found[1:]
    assert formats.find([tmp_path / "a.planes"]) == found[:1]


def test_results_of_folders_are_named_like_those_of_files(stack: Image, tmp_path: Path) -> None:
    a = tmp_path / "a.planes"
    assert formats.output_path(stack) == tmp_path / "a_denoised.planes"
    assert formats.output_path(stack, f"{a}/") == a  # a slash does not make it a folder of results
    assert formats.output_path(stack, tmp_path) == a
    assert formats.output_path(stack, f"{tmp_path}/new/") == tmp_path / "new" / "a.planes"
    assert formats.output_path(stack, "b.tif") == Path("b.tif")


def test_what_lies_in_an_image_has_its_result_beside_the_whole(
    tmp_path: Path, stack: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MARKERS", {"done": ".planes"})
    for inner in ("x.planes", "x.planes/0", "x.planes/0/1", "unnamed"):
        (tmp_path / inner).mkdir()
        (tmp_path / inner / "done").touch()
    place = formats.output_path
    assert place(tmp_path / "x.planes" / "0" / "1") == tmp_path / "x_0_1_denoised.planes"
    assert place(tmp_path / "x.planes" / "0", "new/") == Path("new/x_0.planes")
    assert place(tmp_path / "unnamed") == tmp_path / "unnamed_denoised.planes"
    assert formats.find([tmp_path / "unnamed", tmp_path / "x.planes" / "0"]) == [
        tmp_path / "unnamed",
        tmp_path / "x.planes" / "0",
    ]


def test_results_of_what_can_only_be_read_are_ome_tiff(tmp_path: Path) -> None:
    image = Image(np.zeros((8, 9), np.uint16), "YX", path=tmp_path / "a.czi")
    assert formats.output_path(image) == tmp_path / "a_denoised.ome.tif"
    assert formats.output_path(image, f"{tmp_path}/out/") == tmp_path / "out" / "a.ome.tif"
    assert formats.output_path(image, tmp_path / "b.npy") == tmp_path / "b.npy"
    assert "a.czi: its format can be read but not written" in formats.rewritten(
        image, formats.output_path(image)
    )
    assert formats.rewritten(image, tmp_path / "b.npy") == ""
    with pytest.raises(InputError, match=r"b\.czi: images are read from \.czi files but not writ"):
        formats.create(tmp_path / "b.czi", like=image)
    for name in ("a.czi", "a_denoised.ome.tif", "a_series3_denoised.ome.tif", "b_denoised.ome.tif"):
        (tmp_path / name).touch()
    found = [path.name for path in formats.find([tmp_path])]
    assert found == ["a.czi", "b_denoised.ome.tif"]
