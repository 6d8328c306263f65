"""Imaris files: the full resolution without its padding, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.acquisition import Acquisition
from unnoise.images.formats import ims

from .ims_files import letters, write


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 250, shape).astype("u2")


def test_all_that_is_known_of_an_image(tmp_path: Path) -> None:
    pixels = noise(3, 2, 5, 20, 24)
    image = formats.open(write(tmp_path / "a.ims", pixels))
    assert (image.axes, image.shape, image.dtype) == ("TCZYX", pixels.shape, np.uint16)
    np.testing.assert_array_equal(image.data[...], pixels)
    np.testing.assert_array_equal(image.data[1:, 1, 2:4, ::2, -5:], pixels[1:, 1, 2:4, ::2, -5:])
    assert image.scale == {"T": 2.0, "Z": 1.0, "Y": 0.5, "X": 0.25}
    assert image.units == {"T": "s", "Z": "µm", "Y": "µm", "X": "µm"}
    assert image.channel_names == ("dye 0", "dye 1")
    assert image.acquisition == Acquisition(("00FF00", "80FF00"), "2020-05-06T07:08:09.000")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((1, 1, 1, 20, 24), "YX"), ((1, 2, 1, 20, 24), "CYX"), ((1, 1, 6, 20, 24), "ZYX")],
)
def test_axes_of_length_one_are_left_out(tmp_path: Path, shape: tuple[int, ...], axes: str) -> None:
    pixels = noise(*shape)
    image = formats.open(write(tmp_path / "a.ims", pixels, Unit="", RecordingDate="never"))
    assert image.axes == axes
    np.testing.assert_array_equal(image.data[...], pixels.squeeze())
    assert set(image.units.values()) == {"µm"}
    assert image.acquisition.date == ""


def test_the_result_is_ome_tiff_and_keeps_what_is_known(tmp_path: Path) -> None:
    pixels = noise(3, 2, 5, 20, 24)
    image = formats.open(write(tmp_path / "a.ims", pixels))
    place = formats.output_path(image)
    with formats.create(place, like=image) as out:
        out.write({}, image.read())
    assert out.lost == ("Imaris metadata but sizes, channels and date",)
    copy = formats.open(place)
    np.testing.assert_array_equal(copy.data[...], pixels)
    for name in ("axes", "scale", "units", "channel_names", "acquisition"):
        assert getattr(copy, name) == getattr(image, name)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused_in_one_sentence(tmp_path: Path, share: float) -> None:
    data = write(tmp_path / "a.ims", noise(1, 1, 5, 20, 24)).read_bytes()
    (tmp_path / "a.ims").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"a\.ims cannot be read as Imaris"):
        formats.open(tmp_path / "a.ims")


def test_other_hdf5_and_sizes_that_lie_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.ims", "w") as file:
        file["data"] = np.zeros((5, 5))
    with pytest.raises(InputError, match="it is HDF5, but not of Imaris"):
        formats.open(tmp_path / "b.ims")
    path = write(tmp_path / "a.ims", noise(1, 1, 5, 20, 24))
    with h5py.File(path, "a") as file:
        file["DataSet/ResolutionLevel 0/TimePoint 0/Channel 0"].attrs["ImageSizeX"] = letters(10**6)
    with pytest.raises(
        InputError, match=r"it should have .*1000000.* pixels but has \(8, 32, 32\)"
    ):
        formats.open(path)
    with h5py.File(tmp_path / "c.tif", "w") as file:
        file["data"] = np.zeros((5, 5))
    with pytest.raises(InputError, match=r"c\.tif is a HDF5 file, whatever its name says"):
        formats.open(tmp_path / "c.tif")


@pytest.mark.parametrize("name", ["TimePoint 1", "TimePoint 0/Channel 1"])
def test_parts_that_lie_in_another_file_are_not_followed(tmp_path: Path, name: str) -> None:
    for file in ("a.ims", "secret.ims"):
        write(tmp_path / file, noise(1, 1, 2, 16, 16))
    with h5py.File(tmp_path / "a.ims", "r+") as file:
        group = f"/DataSet/ResolutionLevel 0/{name}"
        link = h5py.ExternalLink("secret.ims", "/DataSet/ResolutionLevel 0/TimePoint 0")
        file[group] = link
    with pytest.raises(InputError, match="leads to another file"):
        formats.open(tmp_path / "a.ims")


def test_one_picture_by_many_names_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """43 kB of names kept a reader busy for 6 s."""
    pixels = noise(1, 1, 2, 16, 16)
    path = write(tmp_path / "a.ims", pixels)
    with h5py.File(path, "r+") as file:
        level = file["DataSet/ResolutionLevel 0"]
        for i in range(1, 60):
            level[f"TimePoint 0/Channel {i}"] = level["TimePoint 0/Channel 0"]
            level[f"TimePoint {i}"] = level["TimePoint 0"]
    seen = []
    check = ims.check_own
    monkeypatch.setattr(ims, "check_own", lambda *names: (seen.append(names), check(*names)))
    image = formats.open(path)
    assert image.shape == (60, 60, 2, 16, 16)
    assert len(seen) < 200  # of 3600; some are looked at for the types of channels
    np.testing.assert_array_equal(image.data[59, 59], pixels[0, 0])


def test_chunks_that_were_never_written_are_told_but_those_of_the_padding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ims", noise(2, 2, 5, 20, 24))
    assert "note" not in formats.open(path).metadata
    with h5py.File(path, "r+") as file:
        for time, channel, depth in ((0, 0, 12), (1, 1, 12)):
            name = f"DataSet/ResolutionLevel 0/TimePoint {time}/Channel {channel}"
            known = file[f"{name}/Data"][...]
            del file[f"{name}/Data"]
            options = {"chunks": (4, 16, 16), "compression": "gzip"}
            new = file[name].create_dataset("Data", (depth, 32, 32), "u2", **options)
            new[:8] = known
            if time:
                del file[f"{name}/Data"]
                new = file[name].create_dataset("Data", (depth, 32, 32), "u2", **options)
                new[:4] = known[:4]
    note = formats.open(path).metadata["note"]
    assert note.startswith("4 of its chunks were never written and read as zeros")
