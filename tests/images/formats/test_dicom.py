"""DICOM: the rescaled pixels of pydicom, and the files of a series as one volume."""

from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_rescale, pixel_array
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from unnoise.errors import AxesError, InputError
from unnoise.images import formats

from .copies import pixels_of
from .damaged import check_damage, refusal, shared

SHARED = {"CT_small.dcm": ("YX", 0.661468), "MR_small.dcm": ("YX", 0.3125)}
OWN = Path(pydicom.__file__).parent / "data" / "test_files"


def written(path: Path, array: np.ndarray, *, frames: bool = False, **tags: Any) -> Path:
    """A DICOM file of a plane, of `frames` of them, or of colours."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID = CTImageStorage
    one.SOPInstanceUID = f"1.2.{zlib.crc32(path.name.encode())}"
    one.SeriesInstanceUID = "1.2.3"
    coloured = array.ndim == 3 and not frames
    one.SamplesPerPixel = 3 if coloured else 1
    one.PhotometricInterpretation = "RGB" if coloured else "MONOCHROME2"
    if coloured:
        one.PlanarConfiguration = 0
    one.Rows, one.Columns = array.shape[1:3] if frames else array.shape[:2]
    if frames:
        one.NumberOfFrames = len(array)
    one.BitsAllocated = one.BitsStored = 8 * array.dtype.itemsize
    one.HighBit = one.BitsStored - 1
    one.PixelRepresentation = int(array.dtype.kind == "i")
    one.PixelData = array.tobytes() + b"\0" * (array.nbytes % 2)
    for name, value in tags.items():
        setattr(one, name, value)
    one.save_as(path, enforce_file_format=True)
    return path


def slice_of(path: Path, array: np.ndarray, z: float, **tags: Any) -> Path:
    return written(
        path,
        array,
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        ImagePositionPatient=[5, 6, z],
        PixelSpacing=[0.5, 0.25],
        SliceThickness=9,
        **tags,
    )


@pytest.mark.parametrize("name", SHARED)
def test_real_files_have_the_rescaled_pixels_of_pydicom(name: str) -> None:
    axes, size = SHARED[name]
    path = shared(f"dicom_nifti/{name}")
    image = formats.open(path)
    header = pydicom.dcmread(path)
    values = pixel_array(path)
    values = apply_rescale(values, header) if "RescaleSlope" in header else values
    np.testing.assert_array_equal(image.data[...], values)
    assert (image.axes, image.dtype) == (axes, "int16")
    assert dict(image.scale) == {"Y": size, "X": size}
    assert dict(image.units) == {"Y": "mm", "X": "mm"}


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("examples_ybr_color.dcm", "TYXC"),
        ("SC_rgb_rle_16bit.dcm", "YXC"),
        ("MR_small_jp2klossless.dcm", "YX"),
        ("MR_small_bigendian.dcm", "YX"),
        ("rtdose_rle.dcm", "ZYX"),
    ],
)
def test_colours_films_and_compressed_files_have_the_pixels_of_pydicom(
    name: str, axes: str, tmp_path: Path
) -> None:
    image = formats.open(shutil.copy(OWN / name, tmp_path))
    assert image.axes == axes
    assert image.is_rgb == axes.endswith("C")
    np.testing.assert_array_equal(image.data[...], pixel_array(OWN / name))


def test_a_series_is_one_volume_in_the_order_of_its_places(tmp_path: Path) -> None:
    stack = pixels_of((5, 8, 9), "int16")
    for i in (3, 0, 4, 1, 2):  # names do not tell the order
        slice_of(tmp_path / f"IM{(i * 3) % 5}.dcm", stack[i], 2.5 * i, InstanceNumber=9 - i)
    written(tmp_path / "other.dcm", stack[0], SeriesInstanceUID="1.2.4")
    (tmp_path / "notes.txt").write_text("nothing")
    images = formats.open_all(formats.find([tmp_path]))
    assert [image.axes for image in images] == ["ZYX", "YX"]
    np.testing.assert_array_equal(images[0].data[...], stack)
    assert dict(images[0].scale) == {"Z": 2.5, "Y": 0.5, "X": 0.25}
    assert "one of 5 files" in images[0].metadata["note"]
    np.testing.assert_array_equal(images[0].data[2:4, 3], stack[2:4, 3])


def test_a_slice_that_is_replaced_while_it_is_read_is_refused(tmp_path: Path) -> None:
    for z in range(3):
        slice_of(tmp_path / f"{z}.dcm", np.full((20, 24), z, "u2"), z)
    image = formats.open(tmp_path / "0.dcm")
    assert image.read()[0, 0, 0, :, 0, 0].tolist() == [0, 1, 2]
    os.utime(tmp_path / "2.dcm", (0, 0))
    with pytest.raises(InputError, match=r"2\.dcm was changed while it was read"):
        image.read()


def test_files_without_a_suffix_are_known_by_their_content(tmp_path: Path) -> None:
    stack = pixels_of((3, 8, 9), "int16")
    for i in range(3):
        slice_of(tmp_path / f"1.2.840.{i}", stack[i], 1.0 * i)
    (tmp_path / "DICOMDIR").write_bytes((tmp_path / "1.2.840.0").read_bytes())
    (image,) = formats.open_all(formats.find([tmp_path]))
    np.testing.assert_array_equal(image.data[...], stack)
    assert formats.output_path(image).name.endswith("_denoised.ome.tif")
    (tmp_path / "IM1").write_bytes((tmp_path / "1.2.840.0").read_bytes())
    formats.save(tmp_path / "IM1_denoised.ome.tif", stack, axes="ZYX")
    assert "IM1_denoised.ome.tif" not in {path.name for path in formats.find([tmp_path])}


def test_places_that_come_again_are_times_or_other_contrasts(tmp_path: Path) -> None:
    stack = pixels_of((2, 3, 8, 9), "int16")
    for t in range(2):
        for z in range(3):
            name = tmp_path / f"{t}{z}.dcm"
            slice_of(name, stack[t, z], 1.0 * z, TemporalPositionIdentifier=t + 1)
    image = formats.open(tmp_path / "01.dcm")
    assert image.axes == "TZYX"
    np.testing.assert_array_equal(image.data[...], stack)
    for t in range(2):
        for z in range(3):
            slice_of(tmp_path / f"{t}{z}.dcm", stack[t, z], 1.0 * z, EchoTime=20.0 + t)
    assert formats.open(tmp_path / "01.dcm").axes == "SZYX"
    (tmp_path / "12.dcm").unlink()
    alone = formats.open(tmp_path / "01.dcm")
    assert alone.axes == "YX"
    assert "no whole stack" in alone.metadata["note"]


def test_a_missing_slice_is_told(tmp_path: Path) -> None:
    for z in (0, 1, 2, 4):
        slice_of(tmp_path / f"{z}.dcm", pixels_of((8, 9), "int16"), 2.0 * z)
    note = formats.open(tmp_path / "0.dcm").metadata["note"]
    assert "2 to 4 mm apart" in note


def test_slopes_that_differ_from_slice_to_slice_are_applied(tmp_path: Path) -> None:
    stack = pixels_of((3, 8, 9), "int16")
    for z in range(3):
        tags = {"RescaleSlope": 0.5 + z, "RescaleIntercept": 1}
        slice_of(tmp_path / f"{z}.dcm", stack[z], 1.0 * z, **tags)
    image = formats.open(tmp_path / "0.dcm")
    assert image.dtype == "float32"
    slopes = np.array([0.5, 1.5, 2.5])[:, None, None]
    np.testing.assert_allclose(image.data[...], stack * slopes + 1)


@pytest.mark.parametrize(
    ("other", "dtype", "bits"),
    [
        ({"PixelRepresentation": 1}, "i2", -1),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "u2", 0xFFFF),
        ({"BitsStored": 12, "HighBit": 11}, "u2", 0xFFF),
    ],
    ids=str,
)
def test_files_whose_numbers_mean_something_else_are_another_volume(
    tmp_path: Path, other: dict[str, Any], dtype: str, bits: int
) -> None:
    """-5 became 65531 among files without signs."""
    stack = pixels_of((4, 8, 9), "int16") - 99
    for z in range(4):
        slice_of(tmp_path / f"{z}.dcm", stack[z].view("u2"), 1.0 * z, **(other if z > 1 else {}))
    one, two = formats.open_all(formats.find([tmp_path]))
    np.testing.assert_array_equal(one.data[...], stack[:2].view("u2"))
    np.testing.assert_array_equal(two.data[...], stack[2:].view(dtype) & bits)


@pytest.mark.parametrize(
    ("name", "dtype"), [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")]
)
def test_pixels_that_are_no_integers(tmp_path: Path, name: str, dtype: str) -> None:
    """They became zeros: an element of pixels is no part of the header."""
    array = pixels_of((8, 9), dtype) / 7 - 3
    path = written(tmp_path / "a.dcm", array.view(f"u{array.dtype.itemsize}"))
    one = pydicom.dcmread(path)
    setattr(one, name, one.PixelData)
    for gone in ("PixelData", "PixelRepresentation", "BitsStored", "HighBit"):
        delattr(one, gone)
    one.save_as(path)
    image = formats.open(path)
    np.testing.assert_array_equal(image.data[...], array)
    assert image.dtype == dtype


def test_pixels_of_another_type_than_the_header_says_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.dcm", pixels_of((8, 9), "u2"))
    monkeypatch.setattr("pydicom.pixels.pixel_array", lambda *_, **__: np.full((8, 9), -0.5))
    assert "float64, and not uint16" in refusal(path)


def test_whole_values_stay_integers_and_the_padding_is_known(tmp_path: Path) -> None:
    array = pixels_of((8, 9), "uint16")
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "PixelPaddingValue": 0, "BitsStored": 12}
    image = formats.open(written(tmp_path / "a.dcm", array, **tags))
    assert (image.dtype, image.nodata) == (np.dtype("int16"), -1024)
    np.testing.assert_array_equal(image.data[...], array.astype(int) - 1024)
    tags |= {"RescaleIntercept": 1_000_000}
    assert formats.open(written(tmp_path / "b.dcm", array, **tags)).dtype == "int32"


def test_enhanced_files_tell_the_place_of_every_frame(tmp_path: Path) -> None:
    stack = pixels_of((3, 8, 9), "uint16")
    groups = []
    for z in (4.0, 0.0, 2.0):
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, z]
        group.PlanePositionSequence = [place]
        groups.append(group)
    size, shared_group = Dataset(), Dataset()
    size.PixelSpacing = [0.5, 0.25]
    shared_group.PixelMeasuresSequence = [size]
    path = written(
        tmp_path / "a.dcm",
        stack,
        frames=True,
        PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[shared_group],
        AcquisitionDateTime="20210504120000.5",
    )
    image = formats.open(path)
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data[...], stack[[1, 2, 0]])
    assert dict(image.scale) == {"Z": 2.0, "Y": 0.5, "X": 0.25}
    assert image.acquisition.date == "2021-05-04T12:00:00"


def test_frames_that_tell_nothing_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", pixels_of((3, 8, 9)), frames=True, Modality="OT")
    with pytest.raises(AxesError, match="--axes ZYX"):
        formats.open(path)
    assert formats.open(path, axes="TYX").axes == "TYX"
    film = written(tmp_path / "b.dcm", pixels_of((3, 8, 9)), frames=True, FrameTime=40)
    assert (formats.open(film).axes, formats.open(film).scale["T"]) == ("TYX", 40.0)


def test_inverted_pictures_stay_as_they_are_and_say_so(tmp_path: Path) -> None:
    array = pixels_of((8, 9))
    path = written(tmp_path / "a.dcm", array, PhotometricInterpretation="MONOCHROME1")
    image = formats.open(path)
    np.testing.assert_array_equal(image.data[...], array)
    with formats.create(tmp_path / "a.tif", image) as out:
        out.write({}, image.read())
    assert formats.open(tmp_path / "a.tif").metadata["photometric"] == 0
    assert "DICOM header" in out.lost


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("rtplan.dcm", "no picture"),
        ("examples_palette.dcm", "palette"),
        ("liver_1frame.dcm", "one bit"),
        ("MR_truncated.dcm", "truncated"),
    ],
)
def test_what_is_no_picture_is_refused(name: str, word: str, tmp_path: Path) -> None:
    assert word in refusal(Path(shutil.copy(OWN / name, tmp_path)))


def test_compressions_that_cannot_be_decoded_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pydicom.dcmread(written(tmp_path / "a.dcm", pixels_of((8, 9))))
    one.compress(RLELossless)
    one.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(formats.open(tmp_path / "a.dcm").data[...], pixels_of((8, 9)))
    one.file_meta.TransferSyntaxUID = JPEGLSLossless
    one.save_as(tmp_path / "b.dcm")
    decoder = pydicom.pixels.get_decoder(JPEGLSLossless)
    monkeypatch.setattr(type(decoder), "is_available", False)
    assert "JPEG-LS" in refusal(tmp_path / "b.dcm")


def test_damaged_files_end_in_a_sentence(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.dcm", pixels_of((40, 36), "int16"))
    check_damage(tmp_path / "a.dcm", whole.read_bytes())


@pytest.mark.parametrize("name", ["AcquisitionDate", "PixelPaddingValue"])
def test_a_value_of_no_known_kind_ends_in_a_sentence(tmp_path: Path, name: str) -> None:
    tags = {"AcquisitionDate": "20210504", "PixelPaddingValue": 7}
    path = written(tmp_path / "a.dcm", np.zeros((16, 16), np.uint16), **tags)
    tag = pydicom.tag.Tag(name)
    whole = path.read_bytes()
    place = whole.index(tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")) + 4
    path.write_bytes(whole[:place] + b"DE" + whole[place + 2 :])
    with pytest.raises(InputError, match="damaged"):
        formats.open(path)


def test_a_header_that_promises_too_much_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", pixels_of((3, 8, 9)), frames=True, FrameTime=1)
    one = pydicom.dcmread(path)
    one.Rows, one.Columns, one.NumberOfFrames = 60_000, 60_000, 300_000
    one.save_as(path)
    assert "bytes of pixels should be in this file" in refusal(path)
