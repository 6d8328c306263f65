"""Zarr is read as other programs write it: OME-Zarr of all versions, plain arrays, zip files."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr

from unnoise.errors import AxesError, InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition

from .zarr_stores import ngff, pixels_of

WINDOW = {"min": 0, "max": 9, "start": 0, "end": 9}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_full_level_is_read_with_what_is_known_of_it(tmp_path: Path, version: str) -> None:
    pixels = pixels_of((2, 3, 4, 40, 50))
    channels = [{"label": f"stain {c}", "color": f"0{c}FF00", "window": WINDOW} for c in range(3)]
    path = ngff(
        tmp_path / "a.zarr",
        pixels,
        "TCZYX",
        version,
        levels=2,
        units={"X": "micrometer", "Y": "micrometer", "Z": "nanometer", "T": "second"},
        scale={"T": 2.0, "Z": 300.0, "Y": 0.5, "X": 0.25},
        attributes={"omero": {"channels": channels}},
    )
    image = formats.open(path)
    assert (image.axes, image.shape, image.dtype) == ("TCZYX", (2, 3, 4, 40, 50), np.uint16)
    assert image.scale == {"T": 2.0, "Z": 300.0, "Y": 0.5, "X": 0.25}
    assert image.units == {"T": "s", "Z": "nm", "Y": "µm", "X": "µm"}
    assert image.channel_names == ("stain 0", "stain 1", "stain 2")
    assert image.acquisition == Acquisition(colors=("00FF00", "01FF00", "02FF00"))
    assert "note" not in image.metadata
    np.testing.assert_array_equal(image.data[...], pixels)
    where = {"T": 1, "C": 2, "Y": slice(7, 21), "X": slice(30, 50)}
    np.testing.assert_array_equal(image.read(where)[0, 0, 0], pixels[1, 2, :, 7:21, 30:])


def test_a_level_that_is_named_itself_knows_its_own_scale(tmp_path: Path) -> None:
    scale = {"Y": 0.25, "X": 0.25}
    ngff(tmp_path / "a.zarr", pixels_of((40, 48)), "YX", levels=2, scale=scale)
    image = formats.open(tmp_path / "a.zarr" / "1")
    assert (image.axes, image.shape, image.scale) == ("YX", (20, 24), {"Y": 0.5, "X": 0.5})
    assert formats.output_path(image) == tmp_path / "a_1_denoised.zarr"


def test_scales_of_a_level_and_of_all_levels_multiply_and_1_without_unit_is_none(
    tmp_path: Path,
) -> None:
    more = {"coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.5, 0.1]}]}
    ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)), "TYX", scale={"X": 2.0}, more=more)
    assert formats.open(tmp_path / "a.zarr").scale == {"Y": 0.5, "X": 0.2}


@pytest.mark.parametrize(
    ("axes", "shape", "letters"),
    [
        ([{"name": "t", "type": "time"}, {"name": "y"}, {"name": "x"}], (3, 20, 20), "TYX"),
        (["c", "z", "y", "x"], (2, 3, 20, 20), "CZYX"),  # 0.3
        (None, (1, 2, 3, 20, 20), "TCZYX"),  # 0.1
        ([{"name": "p", "type": "phase"}, {"name": "y"}, {"name": "x"}], (3, 20, 20), "SYX"),
        (
            [{"name": n, "type": "space"} for n in ("depth2", "vertical", "horizontal")],
            (3, 20, 20),
            "ZYX",
        ),
    ],
)
def test_axes_of_every_version(
    tmp_path: Path, axes: object, shape: tuple[int, ...], letters: str
) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of(shape), "?" * len(shape), "0.4")
    group = zarr.open_group(path)
    multiscale = dict(group.attrs["multiscales"][0]) | {"axes": axes}
    del multiscale["datasets"][0]["coordinateTransformations"]
    group.attrs.put({"multiscales": [{k: v for k, v in multiscale.items() if v is not None}]})
    assert formats.open(path).axes == letters


def test_a_draft_of_version_0_6_is_read_where_it_means_the_same(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)))
    axes = [{"name": k, "type": "space", "unit": "micrometer"} for k in "zyx"]
    steps = [
        {"type": "scale", "scale": [2.0, 0.5, 0.5]},
        {"type": "translation", "translation": [1.0, 0.0, 0.0]},
    ]
    transformation = {"type": "sequence", "output": "physical", "transformations": steps}
    multiscale = {
        "coordinateSystems": [{"name": "world", "axes": []}, {"name": "physical", "axes": axes}],
        "datasets": [{"path": "0", "coordinateTransformations": [transformation]}],
        "coordinateTransformations": [{"type": "scale", "scale": [9, 9, 9], "output": "world"}],
    }
    attributes = {"version": "0.6.dev3", "multiscales": [multiscale]}
    zarr.open_group(path).attrs.put({"ome": attributes})
    image = formats.open(path)
    assert (image.axes, image.scale) == ("ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.5})
    assert formats.create(tmp_path / "b.zarr", image).lost == (
        "Zarr of version 0.6.dev3 (0.5 instead)",
    )


def test_axes_that_contradict_the_shape_are_named_and_can_be_given(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)), "ZYX")
    group = zarr.open_group(path)
    ome = group.attrs["ome"]
    ome["multiscales"][0]["axes"] = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs.put({"ome": ome})
    said = r"a\.zarr: .* the 2 axes y, x, but the array has shape \(3, 20, 20\).*--axes ZYX"
    with pytest.raises(AxesError, match=said):
        formats.open(path)
    assert formats.open(path, axes="TYX").axes == "TYX"


def test_plain_arrays_of_both_versions(tmp_path: Path) -> None:
    pixels = pixels_of((3, 20, 24), "float32")
    for version in (2, 3):
        plain = tmp_path / f"plain{version}"
        zarr.create_array(plain, data=pixels, chunks=(1, 8, 8), zarr_format=version)
        with pytest.raises(AxesError, match="ambiguous"):
            formats.open(plain)
        image = formats.open(plain, axes="ZYX")
        np.testing.assert_array_equal(image.data[1:, ::2, 3], pixels[1:, ::2, 3])
    names = zarr.create_array(tmp_path / "n", data=pixels, dimension_names=["time", "lat", "lon"])
    assert formats.open(names.store.root).axes == "TYX"
    old = zarr.create_array(tmp_path / "o", data=pixels, zarr_format=2)
    old.attrs["_ARRAY_DIMENSIONS"] = ["z", "y", "x"]
    assert formats.open(tmp_path / "o").axes == "ZYX"


def test_the_large_arrays_of_a_group_are_series(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("x", data=np.arange(20))  # a coordinate
    group.create_array("small", data=pixels_of((8, 8)))
    for name in ("10", "9"):
        group.create_array(f"deep/{name}", data=pixels_of((20, 20)))
    images = formats.open_all([tmp_path / "a.zarr"])
    assert [image.name for image in images] == ["a.zarr (deep/9)", "a.zarr (deep/10)"]
    assert "left out are series 2 (small)" in images[0].metadata["note"]
    assert [i.shape for i in formats.open_all([tmp_path / "a.zarr"], series="all")][2] == (8, 8)
    assert formats.open(tmp_path / "a.zarr", series=2).shape == (8, 8)
    with pytest.raises(InputError, match=r"no series 3; it holds 3, counted from 0: deep/9, deep/"):
        formats.open(tmp_path / "a.zarr", series=3)
    with pytest.raises(InputError, match="without an image of OME-Zarr and without arrays"):
        formats.open(zarr.open_group(tmp_path / "empty.zarr").store.root)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_positions_of_a_plate_and_of_bioformats2raw_are_series(
    tmp_path: Path, version: str
) -> None:
    def attributes(own: dict[str, object]) -> dict[str, object]:
        return own if version == "0.4" else {"ome": {"version": version, **own}}

    plate = zarr.open_group(tmp_path / "p.zarr", zarr_format=2 if version == "0.4" else 3)
    plate.attrs.put(attributes({"plate": {"wells": [{"path": "A/1"}, {"path": "B/3"}]}}))
    for well in ("A/1", "B/3"):
        own = attributes({"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        plate.create_group(well).attrs.put(own)
        for image in "01":
            ngff(tmp_path / "p.zarr" / well / image, pixels_of((20, 20)), "YX", version)
    found = formats.open_all([tmp_path / "p.zarr"])
    assert [image.metadata["title"] for image in found] == ["A/1/0", "A/1/1", "B/3/0", "B/3/1"]
    # A result is called as if its field had been named alone.
    assert [image.name for image in found[:2]] == ["p.zarr (A/1/0)", "p.zarr (A/1/1)"]
    alone = formats.open(tmp_path / "p.zarr" / "B" / "3" / "1")
    assert formats.output_path(found[3]) == formats.output_path(alone)
    formats.output_path(alone).mkdir()
    (formats.output_path(alone) / "zarr.json").touch()
    assert formats.find([tmp_path]) == [tmp_path / "p.zarr"]
    assert len(formats.open_all([tmp_path / "p.zarr" / "A" / "1"])) == 2

    raw = zarr.open_group(tmp_path / "r.zarr", zarr_format=2 if version == "0.4" else 3)
    raw.attrs.put(attributes({"bioformats2raw.layout": 3}))
    for image in ("0", "1", "2"):
        ngff(tmp_path / "r.zarr" / image, pixels_of((20, 20 - 4 * (image == "2"))), "YX", version)
    assert len(formats.open_all([tmp_path / "r.zarr"])) == 2
    raw.create_group("OME").attrs.put(attributes({"series": ["2", "0"]}))
    images = formats.open_all([tmp_path / "r.zarr"], series="all")
    assert [image.metadata["title"] for image in images] == ["2", "0"]


def test_a_plate_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not again for each of its images; but again when it is opened anew."""
    plate = zarr.open_group(tmp_path / "p.zarr", zarr_format=2)
    for number in range(6):
        plate.create_array(str(number), data=pixels_of((20, 20)))
    looks: list[object] = []
    look = zarr.Group.members
    monkeypatch.setattr(zarr.Group, "members", lambda group: (looks.append(group), look(group))[1])
    assert len(formats.open_all([tmp_path / "p.zarr"])) == 6
    assert len(looks) == 1
    plate.create_array("6", data=pixels_of((20, 20)))
    assert len(formats.open_all([tmp_path / "p.zarr"])) == 7
    np.testing.assert_array_equal(
        formats.open(tmp_path / "p.zarr", series=6).read()[0, 0, 0, 0], pixels_of((20, 20))
    )


def test_labels_are_refused_like_other_label_images(tmp_path: Path) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((20, 20)), "YX", attributes={"image-label": {}})
    with pytest.raises(InputError, match="labels of another image"):
        formats.open(path)
    assert formats.open(path, labels=True).shape == (20, 20)


@pytest.mark.parametrize("inner", ["", "deep/a.zarr/"])
def test_a_zip_file_is_read_like_its_folder(tmp_path: Path, inner: str) -> None:
    path = ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20)))
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as file:
        for item in path.rglob("*"):
            file.write(item, inner + str(item.relative_to(path)))
    image = formats.open(tmp_path / "a.zarr.zip")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data[...], pixels_of((3, 20, 20)))
    assert formats.output_path(image) == tmp_path / "a_denoised.zarr.zip"
    assert formats.find([tmp_path]) == [path, tmp_path / "a.zarr.zip"]


def test_pixels_go_to_other_processes_without_what_is_open(tmp_path: Path) -> None:
    image = formats.open(ngff(tmp_path / "a.zarr", pixels_of((3, 20, 20))))
    there = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(there.data[...], image.data[...])


@pytest.mark.parametrize("dtype", ["complex64", "S4", "bool"])
def test_pixels_that_are_no_intensities_are_refused(tmp_path: Path, dtype: str) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.ones((20, 20), dtype), zarr_format=2)
    with pytest.raises(InputError, match=r"holds (complex|pixels of one bit|.*not numbers)"):
        formats.open(tmp_path / "a.zarr")
