"""Channels that are copied into files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

import unnoise
from tiny import tiny, untrained
from unnoise.app.files import InputOptions, OutputOptions
from unnoise.app.pieces import Work
from unnoise.app.predict import predict_file
from unnoise.models import folder as model_folder

from .piecewise import run


def test_copied_channels_of_files_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    x = np.full((2, 32, 40), 2**53 + 1)
    x[0] = np.random.default_rng(0).poisson(50, (32, 40))
    model, image = untrained(x, tiny(), "CYX")
    for _ in predict_file(model, image, tmp_path / "a.npy", None, OutputOptions(), "cpu", None):
        pass
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[1], x[1])
    zarr.create_array(tmp_path / "x.zarr", data=x, dimension_names=["c", "y", "x"])
    model_folder.save(tmp_path / "m", model, [], fresh=True)
    names = str(tmp_path / "m"), tmp_path / "x.zarr", "", tmp_path / "out.zarr"
    run(Work(*names, None, InputOptions(), OutputOptions(), "cpu"))
    result = unnoise.open(tmp_path / "out.zarr")
    assert result.dtype == np.int64
    np.testing.assert_array_equal(np.asarray(result.data[...])[1], x[1])
