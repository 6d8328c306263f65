"""Laws of files that are written in pieces: the same bytes as at once, and nothing left behind."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from synthetic import photons
from unnoise.errors import InputError
from unnoise.images import atomic, formats
from unnoise.images import axes as ax
from unnoise.images.formats import unfinished
from unnoise.images.formats.unfinished import Unfinished
from unnoise.images.formats.writer import Writer
from unnoise.images.image import Image


def image_of(folder: Path, compression: str | None = None) -> Image:
    """A stack of a file, which says how results are stored."""
    import tifffile

    x = photons((5, 20, 30))
    meta = {"axes": "ZYX"}
    tifffile.imwrite(folder / "in.tif", x, compression=compression, metadata=meta)
    return formats.open(folder / "in.tif")


def writer(image: Image, path: Path) -> Writer:
    return formats.create(path, image, dtype=np.float32)


def content(path: Path) -> dict[str, bytes]:
    """All bytes of a file or a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(f.relative_to(path.parent)): f.read_bytes() for f in files if f.is_file()}


REGIONS = [
    {"Z": slice(z, z + 2), "Y": slice(y, y + 10)} for z, y in itertools.product((0, 2, 4), (0, 10))
]


@pytest.mark.parametrize(
    ("name", "compression"),
    [("a.tif", None), ("a.tif", "zlib"), ("a.npy", None), ("a.mrc", None), ("a.zarr", None)],
)
def test_pieces_of_several_runs_make_the_same_file_as_one_writer(
    name: str, compression: str | None, tmp_path: Path
) -> None:
    image = image_of(tmp_path, compression)
    pixels = ax.to_canonical(np.asarray(image.data[...]) * 0.5, "ZYX").astype(np.float32)
    (tmp_path / "once").mkdir()
    with writer(image, tmp_path / "once" / name) as out:
        out.write({}, pixels)
    path = tmp_path / name
    first = Unfinished(writer(image, path))
    first.create()
    first.keep({"what": 1})
    for region in REGIONS[::2]:
        first.write(region, pixels[ax.index(ax.CANONICAL, region)])
    first.flush()
    assert not path.exists()
    assert (unfinished.header(path) or {})["what"] == 1
    second = Unfinished(writer(image, path))  # as another process would
    for region in REGIONS[1::2]:
        second.write(region, pixels[ax.index(ax.CANONICAL, region)])
    second.flush()
    np.testing.assert_array_equal(second.read({}), pixels)
    second.finish()
    assert content(path) == content(tmp_path / "once" / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "in.tif", "once"])


def test_pixels_that_are_laid_out_anew_get_nothing_from_who_still_writes_to_earlier_ones(
    tmp_path: Path,
) -> None:
    image, path = image_of(tmp_path), tmp_path / "a.zarr"
    ones = np.ones((1, 1, 1, 5, 20, 30), np.float32)
    first = Unfinished(writer(image, path))
    first.create()
    first.keep({})
    first.write({}, ones)
    assert first.is_current()
    second = Unfinished(writer(image, path))
    second.create()
    second.keep({})
    assert not first.is_current()
    first.write({}, ones)
    assert second.is_current()
    assert (second.read({}) == 0).all()
    second.finish()
    assert (np.asarray(formats.open(path).data[...]) == 0).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "in.tif"]
    assert not second.is_current()


@pytest.mark.parametrize("token", [None, 7, "..", "../../elsewhere", "0" * 15])
def test_a_plan_that_tells_of_no_folder_of_pixels_is_nothing_to_go_on_with(
    tmp_path: Path, token: object
) -> None:
    part = Unfinished(writer(image_of(tmp_path), tmp_path / "a.npy"))
    part.create()
    (part.folder / "pixels").touch()
    about = dict.fromkeys(("result", "source", "model", "command"), "")
    known = {"token": token, "plan": {"sizes": [2], "sides": [1]}, "about": about}
    for kept, count in ((known, 0), ({**known, "token": part.token}, 1)):
        (part.folder / "plan.json").write_text(json.dumps(kept))
        assert len(list(unfinished.parts(tmp_path))) == count
        assert (unfinished.header(tmp_path / "a.npy") is not None) == bool(count)


def test_what_was_killed_while_it_was_laid_out_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    assert unfinished.header(path) is None
    part = Unfinished(writer(image_of(tmp_path), path))
    part.create()
    assert unfinished.header(path) is None
    part.keep({})
    assert unfinished.header(path) == {"token": part.token}
    (part.folder / "plan.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        unfinished.header(path)


@pytest.mark.parametrize(
    ("name", "broken", "content"),
    [
        ("a.tif", "pixels", b""),
        ("a.npy", "pixels", b"1234"),
        ("a.npy", "offset.json", b""),
        ("a.zarr", "pixels/0/zarr.json", b""),
        ("a.zarr", "pixels/0/zarr.json", b"{}"),
    ],
)
def test_what_a_machine_that_lost_its_power_has_spoilt_is_not_gone_on_with(
    tmp_path: Path, name: str, broken: str, content: bytes
) -> None:
    image, path = image_of(tmp_path), tmp_path / name
    first = Unfinished(writer(image, path))
    first.create()
    first.keep({})
    (first.own / broken).write_bytes(content)
    second = Unfinished(writer(image, path))
    block = np.zeros((1, 1, 1, 6, 20, 30), np.float32)
    said = r"unfinished.* cannot be read .*; remove that folder, or begin anew with --overwrite"
    with pytest.raises(InputError, match=said):
        second.write({}, block[..., : image.data.shape[0], :, :])


def test_space_that_is_taken_is_not_asked_for_again(tmp_path: Path) -> None:
    image = image_of(tmp_path)
    before = writer(image, tmp_path / "a.npy").needed
    assert before == image.data.shape[0] * 20 * 30 * 4
    Unfinished(writer(image, tmp_path / "a.npy")).create()
    assert writer(image, tmp_path / "a.npy").needed == 0


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_file_that_has_its_name_is_known_after_a_kill(
    tmp_path: Path, compression: str | None
) -> None:
    """Killed before what was beside it went: nothing is encoded again, and all of it can go."""
    image, path, other = image_of(tmp_path, compression), tmp_path / "a.tif", tmp_path / "b.tif"
    parts = [Unfinished(writer(image, place)) for place in (path, other)]
    for part in parts:
        part.create()
        assert not unfinished.is_named(part.writer.path)
    parts[1].finish(keep=True)
    assert unfinished.is_named(other)
    unfinished.tidy(path, other)
    assert parts[1].folder.exists(), "the first is unfinished yet"
    before = other.read_bytes()
    parts[1].finish(keep=True)
    parts[0].finish()
    assert other.read_bytes() == before
    unfinished.tidy(path, other)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif", "in.tif"]


@pytest.mark.parametrize("swaps", [True, False])
def test_an_old_folder_is_no_unfinished_result_though_it_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    """Killed after two folders were exchanged: going on would put the old one back."""
    image, path = image_of(tmp_path), tmp_path / "a.zarr"
    with writer(image, path) as out:
        out.write({}, np.zeros((1, 1, 1, 5, 20, 30), np.float32))
    if not swaps:
        monkeypatch.setattr(atomic, "_swap", lambda one, other: False)
    monkeypatch.setattr(atomic, "_remove", lambda place: None)  # as if it were killed there
    part = Unfinished(formats.create(path, image, dtype=np.float32, overwrite=True))
    part.create()
    part.keep({})
    part.write({}, np.ones((1, 1, 1, 5, 20, 30), np.float32))
    assert not unfinished.is_named(path)
    part.finish(keep=True)
    monkeypatch.undo()
    again = Unfinished(formats.create(path, image, dtype=np.float32, overwrite=True))
    again.finish(keep=True)
    assert unfinished.is_named(path)
    assert (np.asarray(formats.open(path).data[...]) == 1).all()
    unfinished.tidy(path)
    assert not part.folder.exists()
