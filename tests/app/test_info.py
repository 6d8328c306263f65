"""What ``unnoise info`` says of files."""

from __future__ import annotations

import json
import warnings

import fsspec
import numpy as np
import pytest
import tifffile

from unnoise.app import info
from unnoise.app.files import InputOptions
from unnoise.errors import InputError, ModelError
from unnoise.images.image import Image

from .piecewise import run

PIXELS = np.random.default_rng(0).poisson(20, (3, 2, 40, 48)).astype(np.uint16)


@pytest.fixture
def stack(tmp_path):
    place = tmp_path / "stack.ome.tif"
    metadata = {
        "axes": "ZCYX",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeXUnit": "µm",
        "Channel": {"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]},
        "AcquisitionDate": "2020-01-02T03:04:05",
    }
    tifffile.imwrite(place, PIXELS, ome=True, metadata=metadata, compression="zlib")
    return place


def facts(*places, **own):
    return json.loads(info.run(places, InputOptions(), as_json=True, **own))


def test_what_a_file_holds(stack):
    found = facts(stack, estimate=False)
    assert (found["format"], found["bytes_on_disk"]) == ("TIFF", stack.stat().st_size)
    (image,) = found["images"]
    assert (image["axes"], image["shape"], image["dtype"]) == ("ZCYX", [3, 2, 40, 48], "uint16")
    assert image["pixel_size"] == {"X": [0.1, "µm"]}
    assert image["channels"] == [
        {"name": "DAPI", "color": "0000FF"},
        {"name": "GFP", "color": "00FF00"},
    ]
    assert image["bytes_in_memory"] == PIXELS.nbytes
    assert image["result"] == str(stack.with_name("stack_denoised.ome.tif"))
    assert "needs" not in image


def test_lines_for_people(stack):
    text = info.run([stack], InputOptions(), estimate=False)
    assert "axes ZCYX, 3x2x40x48, uint16, 23.0 kB in memory" in text
    assert "DAPI (#0000FF), GFP (#00FF00)" in text
    assert "2020-01-02T03:04:05" in text


def test_a_part_of_an_image(stack):
    text = info.run([stack], InputOptions(channels="1", z="0:2"), estimate=False)
    assert "axes ZYX, 2x40x48" in text


def test_images_that_are_left_out_are_told(tmp_path):
    place = tmp_path / "several.ome.tif"
    with tifffile.TiffWriter(place, ome=True) as tif:
        tif.write(PIXELS[0, 0])
        tif.write(PIXELS[0, 0, :20, :24])
    first, second = facts(place, estimate=False)["images"]
    assert (first["read"], second["read"]) == (True, False)
    assert second["result"] is None
    assert first["result"] == str(place.with_name("several_denoised.ome.tif"))
    assert "left out unless --series names it" in info.run([place], InputOptions(), estimate=False)


def test_memory_and_time_are_told(stack):
    (image,) = facts(stack)["images"]
    assert 100e6 < image["needs"]["memory"] < 4e9
    assert image["needs"]["seconds"] > 0
    assert image["needs"]["method"] in info.run([stack], InputOptions())


def test_a_broken_file_among_several_is_told_and_alone_an_error(stack, tmp_path):
    empty = tmp_path / "empty.tif"
    empty.touch()
    good, bad = facts(stack, empty, estimate=False)
    assert "problem" not in good
    assert "is empty" in bad["problem"]
    with pytest.raises(InputError, match="is empty"):
        info.run([empty], InputOptions())


def test_an_unfinished_result_is_told_with_how_to_go_on(work, tmp_path):
    run(work, stop=3)
    (found,) = facts(work.source, estimate=False)["unfinished"]
    assert found["result"] == str(work.result)
    assert (found["pieces_done"], found["pieces"]) == (3, 16)
    assert found["resume"].startswith(f"unnoise predict {work.model} {work.source} --")
    text = info.run([work.source], InputOptions(), estimate=False)
    assert "unfinished: 3 of 16 pieces of" in text
    run(work)
    assert facts(work.source, estimate=False)["unfinished"] == []


def test_what_cannot_be_estimated_costs_no_fact(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros((40, 48)))
    (image,) = facts(tmp_path / "flat.npy")["images"]
    assert image["axes"] == "YX"
    assert "needs" in image


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_measurement_cost_no_estimate(tmp_path, value):
    pixels = PIXELS[0, 0].astype(np.float32)
    pixels[5, 6] = value
    np.save(tmp_path / "gap.npy", pixels)
    (image,) = facts(tmp_path / "gap.npy")["images"]
    assert image["needs"]["seconds"] > 0
    assert image["note"] is None


def test_what_is_warned_of_is_a_note_of_its_image(tmp_path, monkeypatch):
    def warn(image):
        warnings.warn("mind the gap", stacklevel=1)
        raise ModelError("no room")

    monkeypatch.setattr(info, "needs", warn)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, np.zeros((40, 48)))
    for found in facts(tmp_path / "a.npy", tmp_path / "b.npy"):
        assert found["images"][0]["note"] == "mind the gap; no room"


def test_sizes_come_in_the_order_of_the_axes_and_colours_have_names(tmp_path):
    steps = {"axes": "YX", "unit": "um", "spacing": 3.0, "finterval": 2.0}
    pixels = np.zeros((20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, resolution=(2, 4), metadata=steps)
    text = info.run([tmp_path / "a.tif"], InputOptions(), estimate=False)
    assert "pixel size Y 0.25 um, X 0.5 um\n" in text
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb")
    assert "red, green, blue" in info.run([tmp_path / "b.tif"], InputOptions(), estimate=False)


def test_files_of_one_image_are_told_once(tmp_path, monkeypatch):
    places = [tmp_path / f"{z}.npy" for z in range(3)]
    for place in places:
        np.save(place, np.zeros((20, 30)))

    def opened(self, paths):
        return [Image(np.zeros((3, 20, 30)), "ZYX", path=paths[0], metadata={"files": places})]

    monkeypatch.setattr(InputOptions, "find", opened)
    assert facts(*places, estimate=False)["file"] == str(places[0])  # and no list of several


def test_needs_grow_no_further_than_a_tile():
    small, large = (
        info.needs(Image.from_array(np.random.default_rng(0).poisson(9.0, (side, side))))
        for side in (64, 128)
    )
    assert small.memory < large.memory < 3e9


def test_several_datasets_are_listed_though_none_is_meant(tmp_path):
    h5py = pytest.importorskip("h5py")
    place = tmp_path / "a.h5"
    with h5py.File(place, "w") as file:
        file["raw/one"], file["two"] = PIXELS[0, 0], PIXELS[0, 1]
    found = facts(place, estimate=False)
    assert [image["name"] for image in found["images"]] == ["a.h5 (/raw/one)", "a.h5 (/two)"]
    assert not any(image["read"] for image in found["images"])
    assert "2 datasets" in found["problem"]
    (image,) = facts(f"{place}:/two", estimate=False)["images"]
    assert (image["name"], image["read"]) == ("a.h5 (/two)", True)


def test_a_sequence_and_an_address_are_one_image_each(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 99, (3, 16, 17)).astype(np.uint16)
    for t in range(3):
        np.save(tmp_path / f"f{t}.npy", pixels[t])
    fsspec.filesystem("memory").put(str(tmp_path / "f0.npy"), "/info/f0.npy")
    for inputs, reading in (
        ([tmp_path / "f{t}.npy"], InputOptions()),
        ([tmp_path], InputOptions(sequence=True)),
    ):
        facts = json.loads(info.run(inputs, reading, as_json=True, estimate=False))
        assert facts["format"] == "NumPy"
        assert facts["bytes_on_disk"] == 3 * (128 + 2 * 16 * 17)
        (image,) = facts["images"]
        assert image["axes"] == "TYX"
    facts = json.loads(
        info.run(["memory://info/f0.npy"], InputOptions(), as_json=True, estimate=False)
    )
    assert facts["images"][0]["axes"] == "YX"
