"""What is written as Zarr is valid, keeps what its input had, and is made with bounded memory."""

from __future__ import annotations

import errno
import itertools
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import yaozarrs
import zarr

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition
from unnoise.images.formats import _zarr_sink, _zarr_writing
from unnoise.images.image import Image

from .copies import copy, same
from .zarr_stores import ngff, pixels_of

KNOWN = {
    "scale": {"T": 2.5, "Z": 0.3, "Y": 0.1, "X": 0.1},
    "units": {"T": "s", "Z": "µm", "Y": "µm", "X": "µm"},
    "channel_names": ("DAPI", "GFP"),
    "acquisition": Acquisition(("0000FF", "00FF00"), "2021-05-04T12:00:00", "Plan 20x", 20.0, 0.8),
}


def image_of(shape: tuple[int, ...], axes: str, dtype: str = "uint16", **known: Any) -> Image:
    return replace(Image.from_array(pixels_of(shape, dtype), axes), **known)


@pytest.mark.parametrize("suffix", [".zarr", ".ome.zarr", ".zarr.zip", ".ozx"])
def test_all_that_is_known_goes_there_and_back(tmp_path: Path, suffix: str) -> None:
    image = image_of((2, 2, 3, 30, 40), "TCZYX", **KNOWN)
    written = copy(image, tmp_path / f"a{suffix}")
    same(image, written)
    assert written.acquisition == image.acquisition
    assert formats.create(tmp_path / "b.zarr", image).lost == ()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a{suffix}"]
    if suffix.endswith(".zarr"):
        yaozarrs.validate_zarr_store(str(tmp_path / f"a{suffix}"))
    again = copy(written, tmp_path / f"b{suffix}")
    same(image, again)
    assert again.acquisition == image.acquisition


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64", "bool"])
def test_types(tmp_path: Path, dtype: str) -> None:
    image = image_of((3, 20, 30), "ZYX", dtype)
    same(image, copy(image, tmp_path / "a.zarr"))
    with pytest.raises(InputError, match=r"Zarr holds no .*128; write float64"):
        formats.create(tmp_path / "b.zarr", image, dtype=np.longdouble)


@pytest.mark.parametrize(
    ("axes", "kept"),
    [("TZCYX", "TCZYX"), ("YXC", "CYX"), ("YX", "YX"), ("XYZ", "ZYX"), ("SYX", "SYX")],
)
def test_axes_come_in_the_order_of_ome_zarr(tmp_path: Path, axes: str, kept: str) -> None:
    sizes = dict(zip("STCZYX", (4, 4, 3, 5, 20, 30), strict=True))
    image = image_of(tuple(sizes[k] for k in axes), axes, "uint8")
    written = copy(image, tmp_path / "a.zarr")
    assert (written.axes, written.is_rgb) == (kept, axes == "YXC")
    np.testing.assert_array_equal(written.read(), image.read())
    yaozarrs.validate_zarr_store(str(tmp_path / "a.zarr"))


def test_more_axes_than_ome_zarr_has_make_a_plain_array(tmp_path: Path) -> None:
    image = image_of((2, 2, 3, 20, 30), "SCZYX", channel_names=("a", "b"), scale={"Z": 3.0})
    image = replace(image, units={"Z": "µm"})
    same(image, copy(image, tmp_path / "a.zarr"))
    assert isinstance(zarr.open(tmp_path / "a.zarr"), zarr.Array)


CODECS: list[dict[str, Any]] = [
    {"version": "0.4", "compressors": numcodecs.Blosc("lz4", 3), "chunks": (1, 7, 9)},
    {"version": "0.4", "compressors": numcodecs.Zlib(4), "filters": [numcodecs.Delta("<u2")]},
    {"version": "0.4", "compressors": None},
    {"version": "0.5", "compressors": [zarr.codecs.GzipCodec(level=2)], "chunks": (2, 9, 9)},
    {"version": "0.5", "shards": (2, 16, 24), "chunks": (1, 8, 8)},
    {"version": "0.5", "compressors": [zarr.codecs.BloscCodec(typesize=2, cname="zstd")]},
]


@pytest.mark.parametrize("stored", CODECS)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_result_is_stored_as_its_input(
    tmp_path: Path, stored: dict[str, Any], dtype: str
) -> None:
    more = {"name": "cells"}
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 40, 50)), levels=3, more=more, **stored)
    image = formats.open(path)
    with formats.create(tmp_path / "b.zarr", image, dtype=dtype) as out:
        out.write({}, image.read())
    assert out.lost == ()
    source, result = zarr.open_group(path), zarr.open_group(tmp_path / "b.zarr")
    for level in "012":
        a, b = source[level], result[level]
        assert (b.shape, b.chunks, b.shards) == (a.shape, a.chunks, a.shards)
        assert b.metadata.zarr_format == a.metadata.zarr_format
        assert [type(c) for c in b.compressors] == [type(c) for c in a.compressors]
        assert dtype != "uint16" or (b.compressors, b.filters) == (a.compressors, a.filters)
    attributes = dict(result.attrs)
    assert attributes.get("ome", attributes)["multiscales"][0]["name"] == "cells"
    yaozarrs.validate_zarr_store(str(tmp_path / "b.zarr"))


@pytest.mark.parametrize("shards", [None, (1, 2, 16, 16)])
def test_an_order_of_axes_is_kept_with_the_axes(
    tmp_path: Path, shards: tuple[int, ...] | None
) -> None:
    """Of one channel all was computed before it could not be written."""
    order = zarr.codecs.TransposeCodec(order=(3, 1, 0, 2))
    path = ngff(
        tmp_path / "a.zarr", pixels_of((2, 3, 16, 20)), "CZYX", filters=[order], shards=shards
    )
    whole = formats.open(path)
    one = replace(whole, data=whole.data[1], axes="ZYX")
    for name, image, kept in (("b", whole, (order,)), ("c", one, ())):
        result = copy(image, tmp_path / f"{name}.zarr")
        np.testing.assert_array_equal(result.data[...], image.data[...])
        assert zarr.open_group(tmp_path / f"{name}.zarr")["0"].filters == kept


def test_what_loses_something_is_not_repeated(tmp_path: Path) -> None:
    zarr.create_array(
        tmp_path / "a.zarr",
        data=pixels_of((20, 20), "float32"),
        filters=[numcodecs.BitRound(10)],
        zarr_format=2,
    )
    out = formats.create(tmp_path / "b.zarr", formats.open(tmp_path / "a.zarr"))
    assert out.lost == ("bitround compression (zstd instead, which loses nothing)",)


def test_a_compression_can_be_asked_for(tmp_path: Path) -> None:
    image = image_of((40, 50), "YX")
    for name, kind in (("zlib", "GzipCodec"), ("blosc", "BloscCodec"), ("zstd", "ZstdCodec")):
        with formats.create(tmp_path / f"{name}.zarr", image, compress=name) as out:
            out.write({}, image.read())
        (codec,) = zarr.open_group(tmp_path / f"{name}.zarr")["0"].compressors
        assert type(codec).__name__ == kind
    with pytest.raises(InputError, match="unknown compression 'lzw' of Zarr; choose one of none"):
        formats.create(tmp_path / "a.zarr", image, compress="lzw")


@pytest.mark.parametrize("version", [2, 3])
def test_plain_arrays_stay_plain_unless_named_otherwise(tmp_path: Path, version: int) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr",
        data=pixels_of((3, 20, 24)),
        chunks=(2, 8, 8),
        zarr_format=version,
        chunk_key_encoding={"name": "v2", "separator": "."},
        dimension_names=["time", "lat", "lon"] if version == 3 else None,
        attributes={"station": "A"}
        | ({"_ARRAY_DIMENSIONS": ["time", "y", "x"]} if version == 2 else {}),
    )
    image = formats.open(tmp_path / "a.zarr")
    same(image, copy(image, tmp_path / "b.zarr"))
    result = zarr.open_array(tmp_path / "b.zarr")
    assert (result.chunks, result.attrs["station"]) == (array.chunks, "A")
    assert result.metadata.zarr_format == version
    if version == 3:
        assert result.metadata.dimension_names == ("time", "lat", "lon")
    else:
        assert result.attrs["_ARRAY_DIMENSIONS"] == ["time", "y", "x"]
        assert (tmp_path / "b.zarr" / "0.0.0").exists()
    copy(image, tmp_path / "c.ome.zarr")
    group = zarr.open_group(tmp_path / "c.ome.zarr")
    assert (group.attrs["station"], group.metadata.zarr_format) == ("A", version)
    yaozarrs.validate_zarr_store(str(tmp_path / "c.ome.zarr"))


def test_position_display_and_foreign_attributes_stay(tmp_path: Path) -> None:
    window = {"min": 0, "max": 4095, "start": 10, "end": 900}
    omero = {"channels": [{"color": "FF0000", "window": window, "active": False}], "id": 7}
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)), attributes={"omero": omero})
    group = zarr.open_group(path)
    attributes = json.loads(json.dumps(dict(group.attrs)))
    steps = attributes["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    steps[:] = [
        {"type": "scale", "scale": [1, 2, 2]},
        {"type": "translation", "translation": [5, 0, 8]},
    ]
    group.attrs.put({**attributes, "lab": "B"})
    image = formats.open(path)
    copy(image, tmp_path / "b.zarr")
    result = dict(zarr.open_group(tmp_path / "b.zarr").attrs)
    assert result["lab"] == "B"
    assert result["ome"]["omero"] == omero
    (dataset,) = result["ome"]["multiscales"][0]["datasets"]
    assert dataset["coordinateTransformations"][1]["translation"] == [5, 0, 8]
    assert formats.create(tmp_path / "b.npy", image).lost[-2:] == ("position", "display settings")


def test_missing_values_of_a_folder_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"holds other things than Zarr; choose another name"):
        formats.create(tmp_path / "a.zarr", image_of((20, 20), "YX"), overwrite=True)
    ngff(tmp_path / "b.zarr", pixels_of((3, 20, 20)))
    copy(image_of((20, 20), "YX"), tmp_path / "b.zarr")
    assert formats.open(tmp_path / "b.zarr").axes == "YX"


def test_new_images_get_chunks_and_levels(tmp_path: Path) -> None:
    image = image_of((3, 700, 600), "ZYX")
    copy(image, tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr")
    assert [group[str(i)].shape for i in range(3)] == [(3, 700, 600), (3, 350, 300), (3, 175, 150)]
    assert group["0"].chunks == (3, 256, 256)
    assert list(group) == ["0", "1", "2"] or sorted(group) == ["0", "1", "2"]
    large = np.broadcast_to(np.uint8(0), (4000, 9000, 9000))
    layout = _zarr_writing.prepare(tmp_path / "b.zarr", Image.from_array(large, "ZYX"), large.dtype)
    assert layout.array["shards"] == (32, 512, 512)
    assert layout.chunks == {"Z": 32, "Y": 512, "X": 512}
    assert layout.waiting == pytest.approx(large.size / 3, rel=0.02)


@pytest.mark.parametrize("shards", [None, (2, 32, 32)])
@pytest.mark.parametrize("room", [0, 5000, 2**28])
def test_blocks_of_any_shape_in_any_order_make_the_same_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, shards: tuple[int, ...] | None
) -> None:
    """However few chunks may wait in memory."""
    monkeypatch.setattr(_zarr_sink, "ROOM", room)
    image = formats.open(ngff(tmp_path / "a.zarr", pixels_of((3, 50, 70)), shards=shards))
    cuts = [[0, 2, 3], [0, 13, 16, 41, 50], [0, 30, 32, 70]]
    regions = list(itertools.product(*(list(itertools.pairwise(cut)) for cut in cuts)))
    np.random.default_rng(3).shuffle(regions)
    with formats.create(tmp_path / "b.zarr", image) as out:
        for z, y, x in regions:
            where = {k: slice(*part) for k, part in zip("ZYX", (z, y, x), strict=True)}
            out.write(where, image.read(where))
    np.testing.assert_array_equal(formats.open(tmp_path / "b.zarr").data[...], image.data[...])


def test_whole_chunks_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(40, 40), chunks=(16, 16), dtype="u1")
    writes: list[tuple[slice, ...]] = []
    monkeypatch.setattr(zarr.Array, "__setitem__", lambda _, where, __: writes.append(where))
    sink = _zarr_sink.Gathered(array, [0, 1])
    for y, x in itertools.product(range(0, 40, 8), range(0, 40, 8)):
        sink[y : y + 8, x : x + 8] = np.ones((8, 8), np.uint8)
    assert len(writes) == 9
    sink.flush()
    assert len(writes) == 9
    assert sink.blocks == (16, 16)


def test_a_run_that_goes_on_finds_what_is_there(tmp_path: Path) -> None:
    image = image_of((40, 40), "YX")
    layout = _zarr_writing.prepare(tmp_path / "a.zarr", image, image.dtype)
    first, _ = layout(tmp_path / "part")
    first[0:20, 0:40] = image.data[:20]
    first.flush()
    second, finish = layout(tmp_path / "part")
    second[20:40, 0:40] = image.data[20:]
    finish()
    os.replace(tmp_path / "part", tmp_path / "a.zarr")
    np.testing.assert_array_equal(formats.open(tmp_path / "a.zarr").data[...], image.data[...])


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not synced there")
def test_chunks_and_their_names_are_on_the_disk_before_they_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_of((40, 40), "YX")
    layout = _zarr_writing.prepare(tmp_path / "a.zarr", image, image.dtype)
    layout(tmp_path / "part")
    sink, _ = layout(tmp_path / "part")  # as a run that keeps its pieces does
    before = {path.stat().st_ino for path in (tmp_path / "part").rglob("*")}
    synced, true = set[int](), os.fsync

    def sync(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        true(file)

    monkeypatch.setattr(os, "fsync", sync)
    sink[0:40, 0:40] = image.data[...]
    sink.flush()
    assert not synced
    sink.sync()
    made = {p for p in (tmp_path / "part").rglob("*") if p.stat().st_ino not in before}
    assert made
    named = {parent for path in made for parent in path.parents if parent.name != "part"}
    named = {path for path in named if tmp_path / "part" in path.parents}
    assert {path.stat().st_ino for path in made | named} <= synced
    synced.clear()
    sink.sync()
    assert not synced


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("zarr.storage._local._put", full)
    said = r"no space left on the disk for .*a\.zarr .*; free some space or choose another place"
    with pytest.raises(InputError, match=said):
        formats.save(tmp_path / "a.zarr", pixels_of((40, 40)))
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    image = image_of((40, 40), "YX")

    def fail() -> None:
        with formats.create(tmp_path / "a.zarr.zip", image) as out:
            out.write({"Y": slice(0, 7)}, image.read({"Y": slice(0, 7)}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.ome.tif", "a.npy", "a.tif"])
def test_other_formats_take_what_they_hold_and_give_it_back(tmp_path: Path, name: str) -> None:
    image = image_of((2, 2, 3, 30, 40), "TCZYX", **KNOWN)
    stored = copy(image, tmp_path / "a.zarr")
    with formats.create(tmp_path / name, stored) as out:
        out.write({}, stored.read())
    assert not {"pixel size", "channel names"} & set(out.lost) or name == "a.npy"
    back = formats.open(tmp_path / name, axes="TCZYX")
    np.testing.assert_array_equal(back.data[...], image.data[...])
    again = copy(back, tmp_path / "b.zarr")
    if name == "a.ome.tif":
        same(image, again)
        assert again.acquisition == image.acquisition
    assert zarr.open_group(tmp_path / "b.zarr").metadata.zarr_format == 3
