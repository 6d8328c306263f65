"""What of an image is read, as the command line asks for it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from unnoise.app.files import InputOptions
from unnoise.errors import InputError
from unnoise.images import formats

PIXELS = np.random.default_rng(0).integers(0, 99, (4, 2, 16, 17)).astype(np.uint16)


@pytest.fixture
def movie(tmp_path):
    place = tmp_path / "movie.tif"
    tifffile.imwrite(
        place, PIXELS, imagej=True, metadata={"axes": "TCYX", "Labels": list("abcdefgh")}
    )
    return place


def test_frames_and_channels(movie):
    (found,) = InputOptions(channels="1", time="1:3").find([movie])
    assert found.axes == "TYX"
    assert np.array_equal(found.data[:], PIXELS[1:3, 1])


def test_what_counts_planes_goes_with_the_planes(movie, tmp_path):
    (found,) = InputOptions(time="1:3").find([movie])
    formats.save(tmp_path / "part.tif", found.data[:], like=found)
    with tifffile.TiffFile(tmp_path / "part.tif") as tif:
        assert tif.series[0].axes == "TCYX"
        assert tif.imagej_metadata["Labels"] == list("cdef")


def test_positions_are_the_images_of_a_file(tmp_path):
    place = tmp_path / "several.ome.tif"
    with tifffile.TiffWriter(place, ome=True) as tif:
        for i in range(3):
            tif.write(np.full((16, 17), i, np.uint8))
    found = InputOptions(positions="2,0").find([place])
    assert [int(image.data[0, 0]) for image in found] == [2, 0]
    with pytest.raises(InputError, match="--positions 3 goes beyond"):
        InputOptions(positions="3").find([place])
    with pytest.raises(InputError, match="give one of the two"):
        InputOptions(series="0", positions="1").find([place])


def test_positions_are_else_places_along_s(tmp_path):
    place = tmp_path / "stack.npy"
    np.save(place, PIXELS[:, 0])
    (found,) = InputOptions(axes="SYX", positions="2,0").find([place])
    assert np.array_equal(found.data[:], PIXELS[[2, 0], 0])


def test_a_training_goes_on_with_the_same_part(movie):
    options = InputOptions(channels="0", z="0")
    assert InputOptions(**options.to_dict()) == options
