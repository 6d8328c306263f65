"""Smaller copies of a result are those of its input, as far as what that tells of them can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from unnoise.images import formats
from unnoise.images.formats import _zarr_pyramid

from .copies import copy
from .zarr_stores import ngff, pixels_of

NAN, INF = float("nan"), float("inf")


def told(path: Path, *scales: list[Any], repeated: int = 1) -> Path:
    """An image of (4, 64, 64) pixels whose levels have these scales."""
    units = dict.fromkeys("ZYX", "micrometer")
    ngff(path, pixels_of((4, 64, 64)), levels=len(scales), units=units, chunks=(4, 64, 64))
    group = zarr.open_group(path)
    ome = dict(group.attrs)["ome"]
    (one,) = ome["multiscales"]
    for dataset, scale in zip(one["datasets"], scales, strict=True):
        dataset["coordinateTransformations"] = [{"type": "scale", "scale": scale}]
    one["datasets"] += one["datasets"][1:] * (repeated - 1)
    group.attrs.put({"ome": ome})
    return path


def shapes(path: Path) -> list[tuple[int, ...]]:
    """Of all levels; what the metadata say must be JSON as its standard has it."""
    group = zarr.open_group(path)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    attributes = json.loads((path / "zarr.json").read_text(), parse_constant=refuse)["attributes"]
    (one,) = attributes["ome"]["multiscales"]
    return [group[d["path"]].shape for d in one["datasets"]]


KNOWN = [1.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (KNOWN, [NAN] * 3),
        (KNOWN, [INF] * 3),
        (KNOWN, [0, 0, 0]),
        (KNOWN, [-1, -1, -1]),
        (KNOWN, [1, 1e12, 1e12]),
        (KNOWN, [1, 1e300, 1e300]),
        (KNOWN, KNOWN),
        (KNOWN, ["1", "1", "1"]),
        ([NAN] * 3, [NAN] * 3),
        ([NAN] * 3, [1, 1, 1]),
        ([INF] * 3, [INF] * 3),
        ([0, 0, 0], [0, 1, 1]),
    ],
)
def test_scales_of_any_kind(tmp_path: Path, first: list[float], second: list[Any]) -> None:
    """They stopped the writing, or kept it busy for ever."""
    image = formats.open(told(tmp_path / "a.zarr", first, second))
    assert image.scale == ({"Z": 1.0, "Y": 0.5, "X": 0.5} if first[0] == 1 else {})
    result = copy(image, tmp_path / "b.zarr")
    assert result.scale == image.scale
    assert shapes(tmp_path / "b.zarr") == [(4, 64, 64), (4, 32, 32)]


def test_one_level_of_infinite_scale_and_place(tmp_path: Path) -> None:
    path = told(tmp_path / "a.zarr", [1, INF, 0.5])
    group = zarr.open_group(path)
    ome = dict(group.attrs)["ome"]
    ome["multiscales"][0]["coordinateTransformations"] = [
        {"type": "translation", "translation": [NAN, INF, 3]}
    ]
    group.attrs.put({"ome": ome})
    image = formats.open(path)
    assert image.scale == {"Z": 1.0, "X": 0.5}
    copy(image, tmp_path / "b.zarr")
    assert shapes(tmp_path / "b.zarr") == [(4, 64, 64)]
    (one,) = zarr.open_group(tmp_path / "b.zarr").attrs["ome"]["multiscales"]
    _, shift = one["datasets"][0]["coordinateTransformations"]
    assert shift == {"type": "translation", "translation": [0, 0, 3]}


def test_plain_arrays_of_infinite_scale(tmp_path: Path) -> None:
    own = {"axes": "YX", "scale": {"Y": INF, "X": 2}}
    zarr.create_array(tmp_path / "a.zarr", data=pixels_of((8, 8)), attributes={"unnoise": own})
    assert formats.open(tmp_path / "a.zarr").scale == {"X": 2.0}


def test_levels_end_where_nothing_gets_smaller(tmp_path: Path) -> None:
    """One dataset that was named 99 times made as many levels."""
    image = formats.open(told(tmp_path / "a.zarr", [1, 1, 1], [1, 1, 1], repeated=99))
    copy(image, tmp_path / "b.zarr")
    assert shapes(tmp_path / "b.zarr") == [(4, 64 >> i, 64 >> i) for i in range(7)]


def test_a_step_is_no_larger_than_what_is_left(tmp_path: Path) -> None:
    image = formats.open(told(tmp_path / "a.zarr", [1, 1, 1], [7, 16, 16]))
    copy(image, tmp_path / "b.zarr")
    assert shapes(tmp_path / "b.zarr") == [(4, 64, 64), (1, 4, 4)]
    mean = np.rint(image.data[...].reshape(4, 4, 16, 4, 16).mean((0, 2, 4)))
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "b.zarr")["1"][0], mean)


def test_what_one_pixel_covers_fits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_zarr_pyramid, "AT_ONCE", 2**10)
    image = formats.open(told(tmp_path / "a.zarr", [1, 1, 1], [1, 16, 16]))
    assert image.dtype.itemsize * 16**2 <= 2**10
    copy(image, tmp_path / "b.zarr")
    assert shapes(tmp_path / "b.zarr") == [(4, 64, 64), (4, 4, 4)]
    image = formats.open(told(tmp_path / "c.zarr", [1, 1, 1], [1, 32, 32]))
    copy(image, tmp_path / "d.zarr")
    assert shapes(tmp_path / "d.zarr") == [(4, 64, 64), (4, 32, 32)]
