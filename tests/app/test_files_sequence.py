"""Many files that are one image, as the command line asks for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unnoise.app.files import InputOptions, OutputOptions
from unnoise.errors import InputError
from unnoise.images import formats

PIXELS = np.random.default_rng(0).integers(0, 99, (3, 16, 17)).astype(np.uint16)


@pytest.fixture
def names(tmp_path: Path) -> list[str]:
    for t in range(3):
        formats.save(tmp_path / f"img{t}.tif", PIXELS[t])
    return [str(tmp_path / f"img{t}.tif") for t in range(3)]


@pytest.mark.parametrize("way", ["files", "folder", "pattern", "braces"])
def test_all_ways_to_name_a_sequence(names: list[str], tmp_path: Path, way: str) -> None:
    inputs = {
        "files": names,
        "folder": [str(tmp_path)],
        "pattern": [f"{tmp_path}/img*.tif"],
        "braces": [f"{tmp_path}/img{{t}}.tif"],
    }[way]
    options = InputOptions(sequence=way != "braces")
    paths = options.paths(inputs)
    (image,) = options.find(paths)
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.data[...], PIXELS)
    assert OutputOptions().paths([image]) == [tmp_path / "img_denoised.tif"]


def test_the_axes_and_what_is_selected_count_for_the_whole(names: list[str]) -> None:
    options = InputOptions(axes="ZYX", sequence=True, z="1:3")
    (image,) = options.find(options.paths(names))
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data[:], PIXELS[1:])


def test_a_training_that_goes_on_finds_the_sequence_again(names: list[str]) -> None:
    options = InputOptions(sequence=True)
    (path,) = options.paths(names)
    again = InputOptions(**options.to_dict())
    (image,) = again.find(again.paths([str(path)]))
    assert image.shape == (3, 16, 17)
    assert formats.is_there(path)
    with pytest.raises(InputError, match="a sequence has two at least"):
        options.paths(names[:1])
