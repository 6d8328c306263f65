"""A part of an image lies where its planes lay in the whole one, as the libraries have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mrcfile
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits
from astropy.wcs import WCS

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image
from unnoise.images.selection import select

from .copies import copy

PLANES = {"4:": [4, 5, 6, 7, 8, 9], "1::3": [1, 4, 7], "3": [3], "2,6": [2, 6]}
UNEVEN = ("0,3,4", "5,4,3")


def part(path: Path, place: Path, **wanted: str) -> tuple[Image, list[str]]:
    """A part of a file in another file, and what is told to be lost."""
    chosen = select(formats.open(path), wanted)
    copy(chosen, place)
    return chosen, list(formats.create(place, chosen, overwrite=True).lost)


def nifti(path: Path, *, oblique: bool) -> np.ndarray:
    affine = np.diag([2.0, 3, 4, 1])
    if oblique:
        turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
        turn = turn @ np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = 10, 20, 30
    values = np.arange(6 * 8 * 10 * 4, dtype="i2").reshape(6, 8, 10, 4)
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, 1)
    image.header.set_zooms((2, 3, 4, 0.5))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    return affine


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("text", PLANES)
def test_nifti(tmp_path: Path, text: str, oblique: bool) -> None:
    affine = nifti(tmp_path / "a.nii", oblique=oblique)
    chosen, lost = part(tmp_path / "a.nii", tmp_path / "b.nii", Z=text)
    found = nibabel.load(tmp_path / "b.nii")
    for new, old in enumerate(PLANES[text]):
        place = affine @ (3, 5, old, 1)
        np.testing.assert_allclose(found.get_sform() @ (3, 5, new, 1), place, atol=1e-3)
        np.testing.assert_allclose(found.get_qform() @ (3, 5, new, 1), place, atol=1e-3)
    distance = 4 * (PLANES[text][1] - PLANES[text][0]) if len(PLANES[text]) > 1 else 4
    assert chosen.scale["Z"] == pytest.approx(distance)
    assert found.header.get_zooms()[2] == pytest.approx(distance)
    assert lost == []


def test_nifti_of_uneven_planes_and_of_frames(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii", oblique=False)
    for text in UNEVEN:
        chosen, lost = part(tmp_path / "a.nii", tmp_path / "b.nii", Z=text)
        assert ("Z" in chosen.scale, "Z" in chosen.units) == (False, False)
        assert lost == ["pixel size along Z", "affine"]
        header = nibabel.load(tmp_path / "b.nii").header
        assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
        assert header["pixdim"][1:4].tolist() == [2, 3, 1]
        (tmp_path / "b.nii").unlink()
    part(tmp_path / "a.nii", tmp_path / "b.nii", T="1::2")
    header = nibabel.load(tmp_path / "b.nii").header
    assert float(header["toffset"]) == 0.5
    assert header.get_zooms()[3] == 1.0


@pytest.mark.parametrize("text", PLANES)
@pytest.mark.parametrize("imod", [None, 1, 5])
def test_mrc(tmp_path: Path, text: str, imod: int | None) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(np.arange(10 * 8 * 9, dtype="f4").reshape(10, 8, 9))
        file.set_volume()
        file.voxel_size = (2.0, 3.0, 4.0)
        file.header.origin.z, file.header.nzstart = 100, 6
        if imod is not None:
            extra = bytearray(bytes(file.header.extra2).ljust(84, b"\0"))
            extra[40:48] = np.array([1146047817, imod], "i4").tobytes()
            file.header.extra2 = bytes(extra)
    part(tmp_path / "a.mrc", tmp_path / "b.mrc", Z=text)
    kept, step = PLANES[text], ([*np.diff(PLANES[text]), 1])[0]
    with mrcfile.open(tmp_path / "b.mrc") as file:
        sign = -1 if imod == 1 else 1  # the flag 4 of IMOD is the sign of the standard
        assert file.header.origin.z == 100 + sign * 4 * kept[0]
        assert int(file.header.nzstart) == round((6 + kept[0]) / step)
        assert float(file.voxel_size.z) == pytest.approx(4.0 * step)


def test_mrc_keeps_no_words_on_other_planes(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(np.zeros((10, 8, 9), "f4"))
        file.set_volume()
        file.set_extended_header(np.arange(10 * 32, dtype="f4"))
        file.header.exttyp = b"FEI1"
    whole = formats.open(tmp_path / "a.mrc")
    assert "extended header" not in formats.create(tmp_path / "b.mrc", whole).lost
    _, lost = part(tmp_path / "a.mrc", tmp_path / "b.mrc", Z="2:5")
    assert "extended header" in lost
    with mrcfile.open(tmp_path / "b.mrc") as file:
        assert int(file.header.nsymbt) == 0
        assert file.data.shape == (3, 8, 9)


@pytest.mark.filterwarnings("ignore:The WCS transformation has more axes")
@pytest.mark.parametrize("matrix", ["CDELT", "CD", "PC"])
@pytest.mark.parametrize("text", PLANES)
def test_fits(tmp_path: Path, text: str, matrix: str) -> None:
    header: dict[str, Any] = {"CTYPE3": "FREQ", "CUNIT3": "Hz", "CRVAL3": 1e9, "CRPIX3": 2.0}
    header |= {"CRVAL1": 5.0, "CRPIX1": 1.0, "CTYPE1": "X", "CTYPE2": "Y"}
    header |= {"CTYPE3A": "VELO", "CUNIT3A": "m/s", "CRVAL3A": 7.0, "CDELT3A": 3.0}
    if matrix == "CD":
        header |= {"CD1_1": 2.0, "CD2_2": 2.0, "CD3_3": 1e6, "CD1_3": 0.25}
    else:
        header |= {"CDELT1": 2.0, "CDELT2": 2.0, "CDELT3": 1e6}
        header |= {"PC1_3": 0.125} if matrix == "PC" else {}
    hdu = fits.PrimaryHDU(np.zeros((10, 8, 9), "f4"), fits.Header(header))
    hdu.writeto(tmp_path / "a.fits")
    part(tmp_path / "a.fits", tmp_path / "b.fits", C=text)
    found = fits.getheader(tmp_path / "b.fits")
    for alt in " A":
        whole, own = WCS(hdu.header, key=alt), WCS(found, key=alt)
        for new, old in enumerate(PLANES[text]):
            want = whole.wcs_pix2world([[3, 5, old]], 0)[0]
            place = [3, 5, new][: own.naxis]
            np.testing.assert_allclose(own.wcs_pix2world([place], 0)[0], want[: own.naxis])


def test_fits_of_uneven_channels_names_no_frequencies(tmp_path: Path) -> None:
    header = fits.Header({"CTYPE3": "FREQ", "CRVAL3": 1e9, "CDELT3": 1e6})
    fits.PrimaryHDU(np.zeros((10, 8, 9), "f4"), header).writeto(tmp_path / "a.fits")
    _, lost = part(tmp_path / "a.fits", tmp_path / "b.fits", C="0,3,4")
    assert "coordinates along C" in lost
    found = fits.getheader(tmp_path / "b.fits")
    assert not {"CRVAL3", "CDELT3", "CTYPE3"} & set(found)
    assert formats.open(tmp_path / "b.fits").axes == "CYX"


@pytest.mark.filterwarnings("ignore:The WCS transformation has more axes")
@pytest.mark.parametrize("off", [0.0, 0.25])
def test_fits_that_loses_an_axis_keeps_those_behind_it(tmp_path: Path, off: float) -> None:
    header: dict[str, Any] = {"CTYPE3": "FREQ", "CUNIT3": "Hz", "CRVAL3": 1e9, "CDELT3": 1e6}
    header |= {"CTYPE4": "TIME", "CUNIT4": "s", "CRVAL4": 8.0, "CDELT4": 0.5, "CRPIX4": 2.0}
    header |= {"CTYPE1": "X", "CTYPE2": "Y", "HISTORY": "CRVAL3 stays"} | (
        {"PC1_4": off, "PC1_3": off} if off else {}
    )
    whole = fits.PrimaryHDU(np.zeros((4, 5, 8, 9), "f4"), fits.Header(header))
    whole.writeto(tmp_path / "a.fits")
    part(tmp_path / "a.fits", tmp_path / "b.fits", C="2", T="1::2")
    image = formats.open(tmp_path / "b.fits")
    assert (image.axes, dict(image.units)) == ("TYX", {"T": "s"})
    found = fits.getheader(tmp_path / "b.fits")
    assert "CRVAL3 stays" in str(found["HISTORY"])
    (old,) = WCS(whole.header).wcs_pix2world([[3, 5, 2, 3]], 0)
    (new,) = WCS(found).wcs_pix2world([[3, 5, 1, 0]], 0)  # frame 3 is the second one
    np.testing.assert_allclose(new, old[[0, 1, 3, 2]])


@pytest.mark.parametrize("text", ["4:", "1::3", "2,6"])
def test_ome_zarr(tmp_path: Path, text: str) -> None:
    made = Image.from_array(np.zeros((10, 64, 64), np.uint16), "ZYX")
    copy(made, tmp_path / "a.ome.zarr")
    file = tmp_path / "a.ome.zarr/zarr.json"
    known = json.loads(file.read_text())
    steps = known["attributes"]["ome"]["multiscales"][0]["datasets"][0]
    steps["coordinateTransformations"] = [
        {"type": "scale", "scale": [4.0, 1.0, 1.0]},
        {"type": "translation", "translation": [30.0, 5.0, 0.0]},
    ]
    file.write_text(json.dumps(known))
    part(tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr", Z=text)
    (scaled, shifted) = zarr.open_group(tmp_path / "b.ome.zarr", mode="r").attrs["ome"][
        "multiscales"
    ][0]["datasets"][0]["coordinateTransformations"]
    for new, old in enumerate(PLANES[text]):
        place = new * scaled["scale"][0] + shifted["translation"][0]
        assert place == pytest.approx(30 + 4.0 * old)
    assert shifted["translation"][1] == 5.0


def test_parts_of_parts(tmp_path: Path) -> None:
    affine = nifti(tmp_path / "a.nii", oblique=True)
    first = select(formats.open(tmp_path / "a.nii"), {"Z": "1::2"})
    copy(select(first, {"Z": "1:4:2"}), tmp_path / "b.nii")  # 3 and 7
    found = nibabel.load(tmp_path / "b.nii")
    place = affine @ (3, 5, 7, 1)
    np.testing.assert_allclose(found.affine @ (3, 5, 1, 1), place, atol=1e-3)


RANGES = [(0.0, 10.0), (0.0, 20.0), (0.0, 30.0)]


@pytest.mark.parametrize("text", ["2,1,0", "1:", "2"])
def test_imagej_tells_of_the_channels_and_planes_that_are_left(tmp_path: Path, text: str) -> None:
    left = {"2,1,0": [2, 1, 0], "1:": [1, 2], "2": [2]}[text]
    tables = [np.zeros((3, 256), np.uint8) for _ in range(3)]
    for c, table in enumerate(tables):
        table[c] = np.arange(256) // (c + 1)
    labels = [f"z{z} c{c}" for z in range(4) for c in range(3)]
    meta = {"axes": "ZCYX", "LUTs": tables, "Ranges": np.ravel(RANGES).tolist()}
    meta |= {
        "Labels": labels,
        "mode": "composite",
        "zorigin": 5.0,
        "min": 0.0,
        "max": 10.0,
        "spacing": 0.4,
        "unit": "um",
    }
    pixels = np.zeros((4, 3, 16, 17), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata=meta, resolution=(2.0, 2.0))
    _, lost = part(tmp_path / "a.tif", tmp_path / "b.tif", C=text, Z="1::2")
    assert lost == []
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        found = dict(tif.imagej_metadata or {})
    assert np.ravel(found["Ranges"]).tolist() == np.ravel([RANGES[c] for c in left]).tolist()
    assert list(found["Labels"]) == [f"z{z} c{c}" for z in (1, 3) for c in left]
    assert (found["min"], found["max"]) == RANGES[left[0]]
    want = np.array([tables[c] for c in left])
    np.testing.assert_array_equal(np.array(found["LUTs"]).reshape(want.shape), want)
    assert (found["spacing"], found["zorigin"]) == (pytest.approx(0.8), 2.0)


def test_ome_channels_keep_their_wavelengths(tmp_path: Path) -> None:
    meta = {"axes": "CYX", "Channel": {"EmissionWavelength": [500, 600, 700]}}
    pixels = np.zeros((3, 16, 17), np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata=meta)
    for text, want in (("2,1,0", ["700", "600", "500"]), ("1:", ["600", "700"])):
        part(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", C=text)
        with tifffile.TiffFile(tmp_path / "b.ome.tif") as tif:
            known = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]["Channel"]
        assert [str(channel["EmissionWavelength"]) for channel in known] == want


def test_ome_zarr_shows_the_channels_that_are_left(tmp_path: Path) -> None:
    made = Image.from_array(np.zeros((3, 64, 64), np.uint16), "CYX")
    copy(made, tmp_path / "a.ome.zarr")
    file = tmp_path / "a.ome.zarr/zarr.json"
    known = json.loads(file.read_text())
    windows = [{"min": 0, "max": 99, "start": 0, "end": 10 * (c + 1)} for c in range(3)]
    shown = [{"window": window, "color": "FFFFFF"} for window in windows]
    known["attributes"]["ome"]["omero"] = {"channels": shown}
    file.write_text(json.dumps(known))
    part(tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr", C="2,0")
    found = zarr.open_group(tmp_path / "b.ome.zarr", mode="r").attrs["ome"]["omero"]["channels"]
    assert [channel["window"]["end"] for channel in found] == [30, 10]


def test_a_place_that_is_no_number_is_told_as_damage(tmp_path: Path) -> None:
    header = fits.Header({"CTYPE3": "FREQ", "CRPIX3": "abc"})
    fits.PrimaryHDU(np.zeros((4, 8, 9), "f4"), header).writeto(tmp_path / "a.fits")
    image = formats.open(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"a\.fits cannot be read as FITS"):
        select(image, {"C": "1:"})
