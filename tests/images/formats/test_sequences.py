"""Many files are one image: their order, their axes, and what is said where they do not fit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unnoise.errors import AxesError, InputError
from unnoise.images import formats
from unnoise.images.image import Image

PIXELS = np.random.default_rng(0).integers(0, 99, (2, 11, 20, 24)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for t in range(2):
        for z in range(11):
            formats.save(tmp_path / f"img_t{t}_z{z}.tif", PIXELS[t, z])
    formats.save(tmp_path / "img_t0_z1_denoised.tif", PIXELS[0, 0])
    return tmp_path


def test_braces_name_the_axes(folder: Path) -> None:
    image = formats.open(folder / "img_t{t}_z{z}.tif")
    assert (image.axes, image.shape, image.dtype) == ("TZYX", (2, 11, 20, 24), np.uint16)
    np.testing.assert_array_equal(image.data[...], PIXELS)
    np.testing.assert_array_equal(image.data[1, 2:9:3, 5, -3:], PIXELS[1, 2:9:3, 5, -3:])
    where = {"T": 1, "Z": slice(9, 11), "X": slice(3, 9)}
    np.testing.assert_array_equal(image.read(where)[0, 0, 0], PIXELS[1, 9:11, :, 3:9])
    assert image.name == "img_t{t}_z{z}.tif"
    assert formats.open(folder / "img_t1_z{z}.tif").axes == "ZYX"
    assert formats.open(folder / "img_t{c}_z{s}.tif").axes == "SCYX"


def test_a_sequence_is_one_input_and_its_result_one_file(folder: Path) -> None:
    (found,) = formats.find([folder / "img_t{t}_z{z}.tif"])
    (image,) = formats.open_all([found])
    assert formats.output_path(image) == folder / "img_denoised.tif"
    assert formats.output_paths([image], folder / "new.ome.tif") == [folder / "new.ome.tif"]
    with pytest.raises(InputError, match="is the input itself"):
        formats.create(folder / "img_t1_z3.tif", image, overwrite=True)
    with formats.create(folder / "whole.ome.tif", image) as out:
        out.write({}, image.read())
    np.testing.assert_array_equal(formats.open(folder / "whole.ome.tif").data[...], PIXELS)


def test_files_in_natural_order_are_frames_or_what_the_axes_say(folder: Path) -> None:
    for names in (
        ["img_t0_z*.tif"],
        [f"img_t0_z{z}.tif" for z in (3, 10, 0, 1, 2, 4, 5, 6, 7, 8, 9)],
    ):
        paths = [p for p in formats.find([folder / n for n in names]) if "denoised" not in p.name]
        (pattern,) = formats.as_sequence(paths)
        image = formats.open(pattern)
        assert (pattern.name, image.axes) == ("img_t0_z{t}.tif", "TYX")
        np.testing.assert_array_equal(image.data[...], PIXELS[0])
    (pattern,) = formats.as_sequence([folder], "ZYX")
    image = formats.open(pattern, axes="ZYX")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data[...], PIXELS.reshape(22, 20, 24))
    with pytest.raises(InputError, match=r"img_t0_z10\.tif belongs to the sequence .* --time"):
        formats.as_sequence([folder / f"img_t0_z{z}.tif" for z in range(10)])
    with pytest.raises(InputError, match="is one file; a sequence has two at least"):
        formats.as_sequence([folder / "img_t0_z1.tif"])
    with pytest.raises(InputError, match="goes along S, T, C or Z"):
        formats.as_sequence([folder], "YX")


def test_names_of_channels_are_kept(tmp_path: Path) -> None:
    for i, name in enumerate(("DAPI", "GFP")):
        formats.save(tmp_path / f"a-{name}.npy", PIXELS[i], axes="ZYX")
    image = formats.open(tmp_path / "a-{c}.npy", axes="CZYX")
    assert (image.axes, image.channel_names) == ("CZYX", ("DAPI", "GFP"))
    assert formats.open(tmp_path / "a-{c}.npy", axes="TYX").axes == "CTYX"
    for i in range(2):
        formats.save(tmp_path / f"b{i}.ome.tif", PIXELS[i], axes="ZYX")
    assert formats.open(tmp_path / "b{t}.ome.tif").axes == "TZYX"
    with pytest.raises(AxesError, match="have an axis Z of their own; choose another"):
        formats.open(tmp_path / "b{z}.ome.tif")


def test_axes_of_length_1_give_way(tmp_path: Path) -> None:
    for t in range(2):
        formats.save(tmp_path / f"f{t}.zarr", PIXELS[t][None], axes="TZYX")
    image = formats.open(tmp_path / "f{t}.zarr")
    assert image.axes == "TZYX"
    np.testing.assert_array_equal(image.data[...], PIXELS)


def test_what_is_missing_or_different_is_named(folder: Path) -> None:
    (folder / "img_t1_z4.tif").rename(folder / "img_t1_z11.tif")
    said = r"2 of 24 files are missing \(img_t0_z11\.tif, img_t1_z4\.tif\); add them"
    with pytest.raises(InputError, match=said):
        formats.open(folder / "img_t{t}_z{z}.tif")
    formats.save(folder / "img_t0_z3.tif", PIXELS[0, 0, :-1], overwrite=True)
    said = r"img_t0_z3\.tif has shape \(19, 24\) and type uint16, but img_t0_z0\.tif has \(20, 24\)"
    with pytest.raises(InputError, match=said):
        formats.open(folder / "img_t0_z{z}.tif")
    formats.save(folder / "img_t0_z003.tif", PIXELS[0, 0])
    with pytest.raises(InputError, match="'003' and '3' are the same place along Z"):
        formats.open(folder / "img_t0_z{z}.tif")
    with pytest.raises(InputError, match="no files match"):
        formats.open(folder / "img_p{t}.tif")
    with pytest.raises(InputError, match="a letter twice in braces"):
        formats.open(folder / "img_t{t}_z{t}.tif")


def test_folders_can_be_part_of_a_pattern(tmp_path: Path) -> None:
    for s in range(2):
        for t in range(2):
            formats.save(tmp_path / f"pos{s}" / f"{t:03}.png", PIXELS[s, t].astype(np.uint8))
    image = formats.open(tmp_path / "pos{s}" / "{t}.png")
    assert (image.axes, image.shape) == ("STYX", (2, 2, 20, 24))
    assert formats.output_path(image).parent == tmp_path
    assert formats.output_path(image).suffix == ".png"
    with pytest.raises(InputError, match="PNG"):
        formats.create(formats.output_path(image), image)


def test_files_that_are_replaced_while_they_are_read_are_refused(folder: Path) -> None:
    image = formats.open(folder / "img_t{t}_z{z}.tif")
    formats.save(folder / "img_t1_z4.tif", PIXELS[0, 0], overwrite=True)
    os.utime(folder / "img_t1_z4.tif", (0, 0))
    np.testing.assert_array_equal(image.read({"T": 0})[0, 0, 0], PIXELS[0])
    with pytest.raises(InputError, match=r"img_t1_z4\.tif was changed while it was read"):
        image.read({"T": 1})


def test_a_name_that_does_not_follow_the_others_is_refused(tmp_path: Path) -> None:
    names = [tmp_path / f"a_{name}.tif" for name in ("1", "2", "2b")]
    for path in names:
        formats.save(path, PIXELS[0, 0])
    with pytest.raises(InputError, match=r"a_2b\.tif is not named as the others"):
        formats.as_sequence(names)
    assert formats.as_sequence(names[:2])[0].name == "a_{t}.tif"


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
def test_a_result_is_no_part_of_its_sequence(tmp_path: Path, suffix: str) -> None:
    for name in ("q_red", "q_green", "q_denoised"):
        formats.save(tmp_path / f"{name}{suffix}", PIXELS[0, 0], axes="YX")
    image = formats.open(tmp_path / f"q_{{c}}{suffix}")
    assert image.channel_names == ("green", "red")


def test_what_the_files_tell_differently_is_said(tmp_path: Path) -> None:
    sizes = {"Y": 0.1, "X": 0.1}
    for t, factor in enumerate((1, 1, 2)):
        own = {k: factor * size for k, size in sizes.items()}
        image = Image.from_array(PIXELS[0, t], "YX")
        image = replace(image, scale=own, units=dict.fromkeys(own, "µm"))
        with formats.create(tmp_path / f"s_{t}.ome.tif", image) as out:
            out.write({}, image.read())
    image = formats.open(tmp_path / "s_{t}.ome.tif")
    assert image.scale == pytest.approx(sizes)
    assert "the pixel sizes of s_2.ome.tif are not those of the first" in image.metadata["note"]
    (tmp_path / "s_2.ome.tif").unlink()
    assert "note" not in formats.open(tmp_path / "s_{t}.ome.tif").metadata


def test_nodata_of_some_files_alone_is_refused(tmp_path: Path) -> None:
    for t, nodata in enumerate(("", "0", "0")):
        tags = [(42113, "s", 0, nodata, True)] if nodata else []
        tifffile.imwrite(tmp_path / f"n_{t}.tif", PIXELS[0, t], extratags=tags)
    with pytest.raises(InputError, match=r"n_1\.tif has nodata 0.*, but n_0\.tif has None"):
        formats.open(tmp_path / "n_{t}.tif")


def test_all_files_of_members_are_known(tmp_path: Path) -> None:
    """Headers whose pixels lie beside them: neither are these written over, nor changed unseen."""
    for t in range(2):
        text = "NRRD0004\ntype: uint16\ndimension: 2\nsizes: 24 20\nencoding: raw\nendian: little\n"
        (tmp_path / f"a{t}.nhdr").write_text(f"{text}data file: a{t}.raw\n")
        (tmp_path / f"a{t}.raw").write_bytes(PIXELS[t, 0].astype("<u2").tobytes())
    image = formats.open(tmp_path / "a{t}.nhdr")
    np.testing.assert_array_equal(image.data[...], PIXELS[:, 0])
    names = [file.name for file in image.metadata["files"]]
    assert names == ["a0.nhdr", "a0.raw", "a1.nhdr", "a1.raw"]
