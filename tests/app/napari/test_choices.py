"""What is asked for a layer: its file, or its pixels where they are no longer those of the file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import unnoise
from unnoise.app.napari import layers
from unnoise.app.napari.choices import Choice
from unnoise.errors import InputError
from unnoise.images import formats


def opened(path: Path, axes: str, shape: tuple[int, ...]) -> list[Any]:
    pixels = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint16)
    unnoise.save(path, pixels, axes=axes)
    usual = {"rgb": False, "multiscale": False}
    found = layers.layers_of(formats.open(path))
    return [SimpleNamespace(data=data, **usual, **about) for data, about, _ in found]


@pytest.mark.parametrize("end", [".tif", ".png", ".ome.zarr"])
def test_a_layer_that_was_painted_on_is_denoised_as_it_is_shown(tmp_path: Path, end: str) -> None:
    """Its array of Dask is the same object before and after."""
    path = tmp_path / f"a{end}"
    (layer,) = opened(path, "YX", (32, 40))
    assert Choice("a", (layer,)).request()[0].inputs == (str(path),)
    layer.data[:] = 7
    _, images = Choice("a", (layer,)).request()
    assert images is not None
    assert (images[0].original() == 7).all()


def test_channels_of_which_one_was_changed_are_not_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    both = opened(path, "CYX", (2, 32, 40))
    assert Choice("a", tuple(both)).request()[0].inputs == (str(path),)
    both[1].data = np.full((32, 40), 7, np.uint16)
    with pytest.raises(InputError, match="one by one"):
        Choice("a", tuple(both)).request()
    _, images = Choice("a", (both[1],)).request()
    assert images is not None
    assert (images[0].original() == 7).all()
