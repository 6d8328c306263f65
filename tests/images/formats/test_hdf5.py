"""HDF5: datasets by path, number, or because there is one; axes by what programs write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from unnoise.errors import AxesError, InputError
from unnoise.images import formats
from unnoise.images.formats import hdf5

from .copies import pixels_of
from .damaged import check_damage, refusal


def written(path: Path, datasets: dict[str, np.ndarray], **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in datasets.items():
            file.create_dataset(name, data=array, **options)
    return path


def tagged(path: Path, array: np.ndarray, attributes: dict[str, Any]) -> Path:
    written(path, {"raw": array})
    with h5py.File(path, "r+") as file:
        file["raw"].attrs.update(attributes)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", ">u2", "float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"chunks": (2, 4, 4), "compression": "gzip"}])
def test_the_only_picture_is_opened_and_read_by_region(
    tmp_path: Path, dtype: str, options: dict[str, Any]
) -> None:
    array = pixels_of((3, 8, 9), dtype)
    path = written(tmp_path / "a.h5", {"deep/raw": array}, **options)
    written_also = {"note": np.arange(3), "table": np.zeros((20, 2))}
    with h5py.File(path, "r+") as file:
        for name, value in written_also.items():
            file[name] = value
    image = formats.open(path, axes="ZYX")
    np.testing.assert_array_equal(image.data[...], array)
    np.testing.assert_array_equal(image.data[1:, 2:5, 3], array[1:, 2:5, 3])
    assert image.dtype == np.dtype(dtype).newbyteorder("=")
    assert formats.output_path(image).name == "a_denoised.ome.tif"


def test_of_several_one_is_named(tmp_path: Path) -> None:
    first, second = pixels_of((8, 9)), pixels_of((16, 12), "float32")
    path = written(tmp_path / "a.h5", {"b/clean": second, "a": first})
    with pytest.raises(InputError, match=r"2 datasets: /a \(8, 9\) uint8, /b/clean .* --series N"):
        formats.open(path)
    with pytest.raises(InputError, match="2 datasets"):
        formats.open_all(formats.find([path]))
    place = Path(f"{path}:/b/clean")
    for image in (formats.open(place), formats.open_all(formats.find([place]))[0]):
        np.testing.assert_array_equal(image.data[...], second)
        assert image.name == "a.h5 (/b/clean)"
        assert formats.output_path(image).name == "a_b_clean_denoised.ome.tif"
    np.testing.assert_array_equal(formats.open(path, series=0).data[...], first)
    both = formats.open_all([path], series="all")
    assert [image.shape for image in both] == [(8, 9), (16, 12)]
    assert len(set(formats.output_paths(both))) == 2
    with pytest.raises(InputError, match=r"no dataset /c; it holds /a"):
        formats.open(f"{path}:/c")
    with pytest.raises(InputError, match="no series 2; it holds 2"):
        formats.open(path, series=2)
    with pytest.raises(InputError, match="names an image already"):
        formats.open(place, series=1)
    with pytest.raises(InputError, match="no such file"):
        formats.find([f"{tmp_path}/b.h5:/a"])


@pytest.mark.parametrize(
    ("attributes", "axes", "scale"),
    [
        ({"element_size_um": [0.5, 0.2, 0.1]}, "ZYX", {"Z": 0.5, "Y": 0.2, "X": 0.1}),
        (
            {"axistags": json.dumps({"axes": [{"key": k, "resolution": 2.0} for k in "tyx"]})},
            "TYX",
            {"T": 2.0, "Y": 2.0, "X": 2.0},
        ),
        ({"axistags": json.dumps({"axes": [{"key": k} for k in "yxc"]})}, "YXC", {}),
        ({"axes": "zyx"}, "ZYX", {}),
        ({"_ARRAY_DIMENSIONS": ["channel", "y", "x"]}, "CYX", {}),
        ({"axistags": "{", "axes": "zz", "element_size_um": [1.0]}, "", {}),
    ],
)
def test_axes_and_sizes_are_those_that_programs_write(
    tmp_path: Path, attributes: dict[str, Any], axes: str, scale: dict[str, float]
) -> None:
    path = tagged(tmp_path / "a.h5", pixels_of((8, 9, 10)), attributes)
    if axes:
        image = formats.open(path)
        assert (image.axes, dict(image.scale)) == (axes, scale)
        assert set(image.units.values()) <= {"µm"}
    else:
        with pytest.raises(AxesError, match="--axes ZYX"):
            formats.open(path)


def test_labels_of_dimensions_tell_the_axes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", {"raw": pixels_of((3, 8, 9))})
    with h5py.File(path, "r+") as file:
        for dim, label in zip(file["raw"].dims, "tyx", strict=True):
            dim.label = label
    assert formats.open(path).axes == "TYX"


BDV = """<?xml version="1.0" encoding="UTF-8"?>
<SpimData version="0.2"><SequenceDescription><ViewSetups><ViewSetup><id>0</id>
<voxelSize><unit>µm</unit><size>0.25 0.25 2.0</size></voxelSize>
</ViewSetup></ViewSetups></SequenceDescription></SpimData>"""


def test_of_a_pyramid_of_bigdataviewer_the_full_level_is_meant(tmp_path: Path) -> None:
    array = pixels_of((9, 16, 24), "int16")
    levels = {"t00000/s00/0/cells": array, "t00000/s00/1/cells": array[:, ::2, ::2]}
    path = written(tmp_path / "a.h5", {**levels, "s00/resolutions": np.ones((2, 3))})
    image = formats.open(path)
    assert (image.axes, dict(image.scale)) == ("ZYX", {})
    np.testing.assert_array_equal(image.data[...], array)
    assert formats.output_path(image).name == "a_denoised.ome.tif"
    path.with_suffix(".xml").write_text(BDV, "utf-8")
    image = formats.open(path)
    assert dict(image.scale) == {"X": 0.25, "Y": 0.25, "Z": 2.0}
    assert image.units["X"] == "µm"
    (smaller,) = formats.open_all([Path(f"{path}:/t00000/s00/1/cells")])
    assert smaller.shape == (9, 8, 12)
    assert formats.numbers(path, "all") == [0]


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    """Whoever sends a file must not get pixels of others into a result."""
    secret = written(tmp_path / "secret.h5", {"raw": pixels_of((8, 9))})
    raw = tmp_path / "raw.bin"
    raw.write_bytes(bytes(72))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["own"] = pixels_of((8, 9))
        file["link"] = h5py.ExternalLink(secret.name, "/raw")
        layout = h5py.VirtualLayout((8, 9), "u1")
        layout[:] = h5py.VirtualSource(str(secret), "raw", (8, 9))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("bytes", (8, 9), "u1", external=[(str(raw), 0, 72)])
    for name in ("link", "virtual", "bytes"):
        with pytest.raises(InputError, match="another file"):
            formats.open(f"{tmp_path / 'a.h5'}:/{name}")
    assert formats.open(f"{tmp_path / 'a.h5'}:/own").shape == (8, 9)


def test_results_beside_their_file_are_known_as_such(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", {"b": pixels_of((8, 9)), "c": pixels_of((8, 9))})
    for image in formats.open_all([path], series="all"):
        formats.save(formats.output_path(image), pixels_of((8, 9)), axes="YX")
    assert formats.find([tmp_path]) == [path]


def test_soft_links_within_a_file_are_followed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", {"a": pixels_of((8, 9)), "b": pixels_of((9, 8))})
    with h5py.File(path, "r+") as file:
        file["c"] = h5py.SoftLink("/b")
    assert formats.open(f"{path}:/c").shape == (9, 8)


def test_what_is_no_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no dataset" in refusal(written(tmp_path / "a.h5", {"raw": np.arange(9)}))
    waves = written(tmp_path / "b.h5", {"raw": np.zeros((8, 9), complex)})
    assert "complex" in refusal(waves)
    mask = written(tmp_path / "c.h5", {"raw": np.zeros((8, 9), bool)})
    assert "one bit" in refusal(mask)
    packed = written(tmp_path / "d.h5", {"raw": pixels_of((8, 9))}, compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _: False)
    assert "hdf5plugin" in refusal(packed)


def test_a_trillion_pixels_cost_nothing_until_they_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", (10_000,) * 3, "u2", chunks=(16, 64, 64))
    image = formats.open(tmp_path / "a.h5", axes="ZYX")
    assert image.read({"Z": 9_999, "Y": slice(0, 8), "X": slice(0, 8)}).sum() == 0


def test_damaged_files_end_in_a_sentence(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.h5", {"raw": pixels_of((40, 36), "int16")})
    check_damage(tmp_path / "a.h5", whole.read_bytes())


def test_its_cache_holds_the_chunks_of_a_plane() -> None:
    """Decoding a chunk anew for each line of a plane would take the side of a chunk as long."""
    assert hdf5.CACHE >= 2048 * 2048 * 4


def test_chunks_that_were_never_written_are_told(tmp_path: Path) -> None:
    array = np.arange(2 * 40 * 50, dtype="u2").reshape(2, 40, 50)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, more in (("part", {}), ("filled", {"fillvalue": 7}), ("bare", {"chunks": None})):
            options = {"chunks": (1, 20, 50), "compression": None} | more
            one = file.create_dataset(name, (5, 40, 50), "u2", **options)
            one.attrs["axes"] = "tyx"
            if name != "bare":
                one[1:3] = array
        file["whole"] = array
        file["whole"].attrs["axes"] = "tyx"
    note = {name: formats.open(f"{tmp_path}/a.h5:/{name}").metadata.get("note") for name in NOTED}
    assert {name: (text or "").split(",")[0] for name, text in note.items()} == NOTED


NOTED = {
    "part": "6 of its chunks were never written and read as 0",
    "filled": "6 of its chunks were never written and read as 7",
    "bare": "1 of its chunks were never written and read as 0",
    "whole": "",
}


@pytest.mark.parametrize(
    ("name", "value", "axes"),
    [
        ("axes", 1, ""),
        ("axes", h5py.Empty("f"), ""),
        ("axes", np.bytes_(b"z\xb5x"), ""),
        ("axes", np.array([b"t", b"y", b"x"]), "TYX"),
        ("axes", np.array([["t", "y", "x"]], object), "TYX"),
        ("element_size_um", 0.5, ""),
        ("element_size_um", h5py.Empty("f"), ""),
        ("element_size_um", "1 1 1", ""),
        ("axistags", 10**12, ""),
        ("axistags", '{"axes": [{"key": 1}, {"key": [2]}, {"key": null}]}', ""),
        ("axistags", "[" * 10**4, ""),
    ],
)
def test_attributes_of_odd_types_cost_only_what_they_tell(
    tmp_path: Path, name: str, value: object, axes: str
) -> None:
    array = np.arange(5 * 40 * 50, dtype="u2").reshape(5, 40, 50)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = array
        file["x"].attrs[name] = value
    if not axes:
        with pytest.raises(AxesError, match="are ambiguous"):
            formats.open(tmp_path / "a.h5")
    image = formats.open(tmp_path / "a.h5", axes=None if axes else "ZYX")
    assert (image.axes, image.scale) == (axes or "ZYX", {})
    np.testing.assert_array_equal(image.data[...], array)
