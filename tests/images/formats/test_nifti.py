"""NIfTI: the pixels of nibabel in the order TZYX, and a result that keeps affine and scaling."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image
from unnoise.images.selection import select

from .copies import copy, pixels_of, same
from .damaged import check_damage, refusal, shared

SHARED = {  # name -> axes, pixel size
    "S0_10slices.nii.gz": ("TZYX", {"T": 1.0, "Z": 53.14132, "Y": 2.0, "X": 2.0}),
    "small_64D.nii": ("TZYX", {"T": 1.0, "Z": 2.0, "Y": 2.0, "X": 2.0}),
}


@pytest.mark.parametrize("name", SHARED)
def test_real_files_have_the_pixels_of_nibabel(name: str, tmp_path: Path) -> None:
    axes, scale = SHARED[name]
    path = shared(f"dicom_nifti/{name}")
    image = formats.open(path)
    other = nibabel.load(path)
    np.testing.assert_array_equal(image.data[...], np.asarray(other.dataobj).T)
    assert (image.axes, dict(image.scale)) == (axes, pytest.approx(scale))
    result = copy(image, tmp_path / name)
    same(image, result)
    again = nibabel.load(tmp_path / name)
    np.testing.assert_array_equal(again.affine, other.affine)
    assert again.shape == other.shape


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_a_round_trip_keeps_everything(tmp_path: Path, suffix: str, dtype: str) -> None:
    scale = {"Z": 3.0, "Y": 1.5, "X": 1.25, "T": 2.0}
    units = {"Z": "mm", "Y": "mm", "X": "mm", "T": "s"}
    image = Image(pixels_of((2, 3, 8, 9), dtype), "TZYX", scale=scale, units=units)
    result = copy(image, tmp_path / f"a{suffix}")
    same(image, result)
    same(result, copy(result, tmp_path / f"b{suffix}"))
    other = nibabel.load(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(np.asarray(other.dataobj), image.data.T)
    assert other.header.get_zooms() == pytest.approx((1.25, 1.5, 3.0, 2.0))
    assert other.header.get_xyzt_units() == ("mm", "sec")


@pytest.mark.parametrize(
    ("axes", "shape", "back"),
    [
        ("YX", (8, 9), "YX"),
        ("ZYX", (3, 8, 9), "ZYX"),
        ("ZYX", (1, 8, 9), "ZYX"),
        ("TYX", (3, 8, 9), "TYX"),
        ("CYX", (2, 8, 9), "CYX"),
        ("TZCYX", (2, 4, 3, 8, 9), "CTZYX"),
        ("ZYXC", (4, 8, 9, 3), "ZYXC"),
        ("YXC", (8, 9, 4), "YXC"),
    ],
)
def test_axes_come_back(tmp_path: Path, axes: str, shape: tuple[int, ...], back: str) -> None:
    image = Image(pixels_of(shape), axes, is_rgb=axes.endswith("C"))
    result = copy(image, tmp_path / "a.nii")
    assert (result.axes, result.is_rgb) == (back, image.is_rgb)
    assert result.alpha == (3 if shape[-1] == 4 else None)
    np.testing.assert_array_equal(result.read(), image.read())


def test_scaled_values_stay_as_they_are_stored_and_the_scaling_is_kept(tmp_path: Path) -> None:
    array = pixels_of((9, 8, 3), "int16")
    made = nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 5.0, 1.0]))
    made.header.set_slope_inter(0.5, -10)
    nibabel.save(made, tmp_path / "a.nii")
    stored = np.array(nibabel.load(tmp_path / "a.nii").dataobj.get_unscaled())
    values = nibabel.load(tmp_path / "a.nii").get_fdata()
    image = formats.open(tmp_path / "a.nii")
    assert image.dtype == "int16"
    np.testing.assert_array_equal(image.data[...], stored.T)
    assert "0.5 * pixel -10" in image.metadata["note"]
    copy(image, tmp_path / "b.nii")
    np.testing.assert_array_equal(nibabel.load(tmp_path / "b.nii").get_fdata(), values)
    tif = formats.create(tmp_path / "b.tif", image)
    assert {"scaling of the values", "NIfTI header and affine"} <= set(tif.lost)


def test_the_affine_and_extensions_are_kept(tmp_path: Path) -> None:
    affine = np.array([[0, -2, 0.1, 5], [2, 0, 0, 6], [0, 0.2, 3, 7], [0, 0, 0, 1.0]])
    made = nibabel.Nifti1Image(pixels_of((9, 8, 3), "int16"), affine)
    made.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"by hand"))
    nibabel.save(made, tmp_path / "a.nii.gz")
    copy(formats.open(tmp_path / "a.nii.gz"), tmp_path / "b.nii.gz")
    other = nibabel.load(tmp_path / "b.nii.gz")
    np.testing.assert_allclose(other.affine, affine, atol=1e-6)
    assert other.header.extensions[0].get_content() == b"by hand"
    np.testing.assert_array_equal(np.asarray(other.dataobj), np.asarray(made.dataobj))


def test_big_endian_and_version_2_are_read_and_kept(tmp_path: Path) -> None:
    array = pixels_of((9, 8, 3), "int16")
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4), header), tmp_path / "a.nii")
    nibabel.save(nibabel.Nifti2Image(array, np.eye(4)), tmp_path / "b.nii")
    for name in "ab":
        image = formats.open(tmp_path / f"{name}.nii")
        np.testing.assert_array_equal(image.data[...], array.T)
        same(image, copy(image, tmp_path / f"{name}2.nii"))
    assert isinstance(nibabel.load(tmp_path / "b2.nii"), nibabel.Nifti2Image)


def test_what_is_no_picture_and_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    wave = nibabel.Nifti1Image(np.zeros((9, 8, 3), np.complex64), np.eye(4))
    nibabel.save(wave, tmp_path / "a.nii")
    assert "complex" in refusal(tmp_path / "a.nii")
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((9, 8, 1, 1, 1, 2), "f4"), np.eye(4)), tmp_path / "b.nii"
    )
    assert "6 dimensions" in refusal(tmp_path / "b.nii")
    with pytest.raises(InputError, match=r"NIfTI holds no float16; choose another --dtype"):
        formats.create(tmp_path / "c.nii", Image(pixels_of((8, 9), "float16"), "YX"))
    with pytest.raises(InputError, match=r"independent images \(S\)"):
        formats.create(tmp_path / "c.nii", Image(pixels_of((2, 8, 9)), "SYX"))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_damaged_files_end_in_a_sentence(tmp_path: Path, suffix: str) -> None:
    image = Image(pixels_of((3, 8, 9), "int16"), "ZYX")
    copy(image, tmp_path / f"whole{suffix}")
    check_damage(tmp_path / f"a{suffix}", (tmp_path / f"whole{suffix}").read_bytes())


def test_a_header_that_promises_a_trillion_pixels_costs_nothing(tmp_path: Path) -> None:
    copy(Image(pixels_of((3, 8, 9), "int16"), "ZYX"), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[42:48] = np.array([10_000] * 3, "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    tracemalloc.start()
    assert "10000 x 10000 x 10000" in refusal(tmp_path / "a.nii")
    assert tracemalloc.get_traced_memory()[1] < 1e7
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("unit", "intent", "axes"),
    [
        *(("sec", 0, "TZYX"), ("unknown", 0, "TZYX"), ("ppm", 0, "CZYX"), ("hz", 0, "CZYX")),
        *(("unknown", 1007, "CZYX"), ("unknown", 3, "TZYX")),
    ],
)
def test_the_fourth_axis_is_what_unit_and_intent_say(
    tmp_path: Path, unit: str, intent: int, axes: str
) -> None:
    pixels = pixels_of((3, 4, 8, 9), "int16")
    one = nibabel.Nifti1Image(pixels.T, np.eye(4))
    one.header.set_xyzt_units("mm", unit)
    one.header["intent_code"] = intent
    nibabel.save(one, tmp_path / "a.nii")
    image = formats.open(tmp_path / "a.nii")
    assert image.axes == axes
    np.testing.assert_array_equal(image.read().squeeze(), pixels)
    formats.save(tmp_path / "b.nii", np.asarray(image.data[...]), like=image)
    again = formats.open(tmp_path / "b.nii")
    assert again.axes == axes
    np.testing.assert_array_equal(np.asarray(again.data[...]), pixels)


@pytest.mark.parametrize("interval", [-1.0, np.nan, np.inf, 0.0])
def test_an_interval_that_is_none_counts_as_not_there(tmp_path: Path, interval: float) -> None:
    array = np.zeros((6, 7, 5, 4), np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[92:96] = np.float32(interval).tobytes()  # pixdim[4]
    (tmp_path / "a.nii").write_bytes(content)
    image = formats.open(tmp_path / "a.nii")
    assert dict(image.scale) == {"Z": 1.0, "Y": 1.0, "X": 1.0}
    for some in (image, select(image, {"T": "::2"})):
        copy(some, tmp_path / "b.nii")
        assert formats.open(tmp_path / "b.nii").shape == some.shape
