"""What cannot be read of a store is told in one sentence that names it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import _zarr_store

from .copies import copy
from .zarr_stores import ngff, pixels_of


def changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_missing_chunks_are_legal_and_told(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)), chunks=(1, 8, 20))
    (path / "0" / "c" / "1" / "2" / "0").unlink()
    (path / "0" / "c" / "0" / "0" / "0").unlink()
    image = formats.open(path)
    assert image.metadata["note"].startswith("2 of its chunks are missing and read as 0, which Zar")
    assert (image.data[1, 16:] == 0).all()
    assert (image.data[2] > 0).all()


def test_none_is_missing_of_what_is_written_here(tmp_path: Path) -> None:
    source = np.zeros((40, 40), np.uint8)  # all chunks are as if they were missing
    formats.save(tmp_path / "a.zarr", source)
    assert "note" not in formats.open(tmp_path / "a.zarr").metadata


@pytest.mark.parametrize("stored", [{}, {"version": "0.4"}, {"shards": (1, 16, 16)}])
def test_a_damaged_chunk_is_named(tmp_path: Path, stored: dict[str, Any]) -> None:
    stored = {"chunks": (1, 8, 8), **stored}
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)), **stored)
    name = "0/2/1/0" if "version" in stored else "0/c/2/1/0"
    (path / name).write_bytes((path / name).read_bytes()[:30])
    image = formats.open(path)
    assert (image.data[1] > 0).all()
    with pytest.raises(InputError, match=rf"a\.zarr: the chunk {name} cannot be decoded.*again"):
        image.data[:, :, 3]


def test_a_damaged_chunk_is_known_without_reading_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 65,536 chunks all others are missing, which is legal."""
    store = {"shape": (4096, 4096), "chunks": (16, 16), "dtype": "uint16", "zarr_format": 2}
    zarr.create_array(tmp_path / "a.zarr", **store)
    (tmp_path / "a.zarr" / "200.201").write_bytes(b"damaged")
    image = formats.open(tmp_path / "a.zarr")
    reads: list[object] = []
    read = zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda a, i: (reads.append(i), read(a, i))[1])
    with pytest.raises(InputError, match=r"the chunk 200\.201 cannot be decoded"):
        image.data[3190:3220, 3190:3260]
    assert len(reads) == 1


def test_a_store_that_goes_while_it_is_read_does_not_become_zeros(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)))
    image = formats.open(path)
    shutil.rmtree(path)
    with pytest.raises(InputError, match=r"a\.zarr cannot be reached any longer"):
        image.data[0]


def test_metadata_that_promise_too_much_allocate_nothing(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=pixels_of((20, 20)), chunks=(8, 8))
    changed(tmp_path / "a.zarr" / "zarr.json", shape=[10**6, 10**6])
    image = formats.open(tmp_path / "a.zarr")
    assert image.shape == (10**6, 10**6)
    assert (image.data[:8, :8] > 0).all()
    with pytest.raises(InputError, match="no space left"):
        formats.create(tmp_path / "b.zarr", image).check()


@pytest.mark.parametrize("shards", [(0, 0), (0, 20), (-1, -1), (24, 13)])
def test_shards_that_hold_no_pixels_or_parts_of_chunks(
    tmp_path: Path, shards: tuple[int, int]
) -> None:
    zarr.create_array(
        tmp_path / "a.zarr", data=pixels_of((24, 20)), chunks=(12, 20), shards=(24, 20)
    )
    grid = {"name": "regular", "configuration": {"chunk_shape": shards}}
    changed(tmp_path / "a.zarr" / "zarr.json", chunk_grid=grid)
    with pytest.raises(InputError, match=r"a\.zarr cannot be read as Zarr"):
        formats.open(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("version", "codec"),
    [
        (2, {"compressor": {"id": "nonesuch"}}),
        (3, {"codecs": [{"name": "bytes"}, {"name": "nonesuch", "configuration": {}}]}),
    ],
)
def test_a_codec_that_is_not_installed_is_named(
    tmp_path: Path, version: int, codec: dict[str, Any]
) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=pixels_of((20, 20)), zarr_format=version)
    changed(tmp_path / "a.zarr" / (".zarray" if version == 2 else "zarr.json"), **codec)
    said = "compressed in a way that is not installed here .*nonesuch.*; install the package"
    with pytest.raises(InputError, match=said):
        formats.open(tmp_path / "a.zarr")


def test_codecs_of_imagecodecs_are_at_hand(tmp_path: Path) -> None:
    from imagecodecs.numcodecs import Jpeg2k, register_codecs

    register_codecs("imagecodecs_jpeg2k", verbose=False)
    pixels = pixels_of((20, 24), "uint8")
    zarr.create_array(
        tmp_path / "a.zarr",
        data=pixels,
        zarr_format=2,
        compressors=Jpeg2k(level=0, reversible=True),
    )
    np.testing.assert_array_equal(formats.open(tmp_path / "a.zarr").data[...], pixels)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"zarr_format": 9}'])
def test_broken_metadata(tmp_path: Path, content: str) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((20, 20)), "YX")
    for file in (path / "zarr.json", path / "0" / "zarr.json"):
        whole = file.read_text()
        file.write_text(content)
        with pytest.raises(InputError, match=r"a\.zarr.* (cannot be read as Zarr|holds no Zarr)"):
            formats.open(path)
        file.write_text(whole)
    assert formats.open(path).shape == (20, 20)


@pytest.mark.parametrize(
    "axes", [3, [{"name": "y", "type": {}}, {"name": "x", "type": [1]}], [None, {}]]
)
def test_metadata_of_ome_that_are_of_another_kind(tmp_path: Path, axes: object) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((20, 20)), "YX")
    group = zarr.open_group(path)
    group.attrs.put({"ome": {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}})
    with pytest.raises(InputError, match=r"a\.zarr.*(cannot be read as Zarr|ambiguous)"):
        formats.open(path)


def test_metadata_of_ome_that_name_what_is_not_there(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((20, 20)), "YX")
    group = zarr.open_group(path)
    for datasets in ([{"path": "7"}], [], [{}]):
        group.attrs.put({"ome": {"multiscales": [{"datasets": datasets}]}})
        with pytest.raises(InputError, match=r"a\.zarr.* (holds no Zarr|cannot be read as Zarr)"):
            formats.open(path)


def nested(path: Path, levels: int) -> Path:
    """Plates in plates, each of which names the next one ten times, and at last an array."""
    for level in range(levels):
        group = zarr.open_group(path / "/".join("a" * level), mode="w", zarr_format=2)
        names = ["a", "/a", "a/"] + ["a"] * 7
        group.attrs.put({"plate": {"wells": [{"path": name} for name in names]}})
    zarr.create_array(path / "/".join("a" * levels), data=pixels_of((20, 20)), zarr_format=2)
    return path


def test_plates_in_plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert formats.numbers(nested(tmp_path / "a.zarr", 3), "all") == [0]
    with pytest.raises(InputError, match=r"b\.zarr is a Zarr group without an image"):
        formats.open(nested(tmp_path / "b.zarr", 7))
    monkeypatch.setattr(_zarr_store, "MOST_GROUPS", 2)
    with pytest.raises(InputError, match=r"a\.zarr: it has more than 2 groups .*; name one of its"):
        formats.open(tmp_path / "a.zarr")
    assert formats.open(tmp_path / "a.zarr" / "a" / "a").shape == (20, 20)


def test_an_array_that_is_named_several_times_is_one_image(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((20, 20)), "YX")
    group = zarr.open_group(path)
    (one,) = group.attrs["ome"]["multiscales"]
    group.attrs.put({"ome": {"multiscales": [one] * 5}})
    assert [image.name for image in formats.open_all([path], series="all")] == ["a.zarr"]


def test_levels_that_are_named_several_times_are_opened_once(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((20, 20)), "YX", levels=2)
    group = zarr.open_group(path)
    (one,) = group.attrs["ome"]["multiscales"]
    more = one["datasets"][1:]
    group.attrs.put({"ome": {"multiscales": [one | {"datasets": one["datasets"] + more * 99}]}})
    assert [copy.shape for copy in formats.smaller(formats.open(path))] == [(10, 10)]
    aliases = [more[0] | {"path": "/" * i + "1"} for i in range(99)]
    group.attrs.put({"ome": {"multiscales": [one | {"datasets": one["datasets"] + aliases}]}})
    assert len(formats.smaller(formats.open(path))) == 64


@pytest.mark.parametrize("zipped", [False, True])
def test_metadata_of_too_many_values(tmp_path: Path, zipped: bool) -> None:
    """A zip file of 24 kB held 8 million, which took 1.1 GB."""
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=pixels_of((20, 20)), zarr_format=2)
    for count, is_read in ((100_000, True), (1_000_001, False)):
        (path / ".zattrs").write_text('{"a":[' + "[]," * count + "[]]}")
        file = shutil.make_archive(str(path), "zip", path) if zipped else path
        if is_read:
            assert formats.open(file).shape == (20, 20)
        else:
            with pytest.raises(InputError, match=r"a\.zarr.*metadata in \.zattrs .* copy what is"):
                formats.open(file)


def test_a_folder_or_a_zip_file_without_zarr(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(InputError, match=r"a\.zarr holds no Zarr group or array \(no zarr\.json"):
        formats.open(tmp_path / "a.zarr")
    (tmp_path / "a.zarr.zip").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(InputError, match=r"a\.zarr\.zip cannot be read as Zarr"):
        formats.open(tmp_path / "a.zarr.zip")


def test_results_are_read_where_nothing_may_be_written(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)))
    for item in [*path.rglob("*"), path]:
        item.chmod(0o555 if item.is_dir() else 0o444)
    try:
        image = formats.open(path)
        assert (image.data[...] == pixels_of((3, 20, 20))).all()
        copy(image, tmp_path / "b.zarr")
    finally:
        for item in [path, *path.rglob("*")]:
            item.chmod(0o755)
