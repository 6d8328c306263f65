"""Layers of several files, which are not saved over any of these."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import unnoise
from unnoise.app.napari import layers, writers
from unnoise.errors import InputError
from unnoise.images import formats


def test_no_file_of_any_layer_is_overwritten(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for level, path in enumerate(paths):
        unnoise.save(path, np.full((32, 32), level, np.uint8), axes="YX")
    before = [path.read_bytes() for path in paths]
    data = [layer for path in paths for layer in layers.layers_of(formats.open(path))]
    for path in paths:
        with pytest.raises(InputError, match="is an input, and inputs are never overwritten"):
            writers.write_images(str(path), data)
    assert [path.read_bytes() for path in paths] == before
    writers.write_images(str(tmp_path / "c.tif"), data)
    assert unnoise.open(tmp_path / "c.tif").shape == (2, 32, 32)
