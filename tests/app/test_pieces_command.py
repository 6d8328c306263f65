"""The command that goes on with a result in pieces names the image as it was opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from unnoise.app.files import InputOptions, OutputOptions
from unnoise.app.pieces import Work


@pytest.mark.parametrize(
    ("source", "which", "series", "told"),
    [
        ("plate.zarr", " (A/1/0)", None, ["/d/plate.zarr"]),  # the first field, as by default
        ("plate.zarr", " (A/2/0)", "1", ["/d/plate.zarr", "--series", "1"]),
        ("a.h5", " (/raw/b)", None, ["/d/a.h5:/raw/b"]),
        ("a.h5", " (/raw/b)", "1", ["/d/a.h5:/raw/b"]),
        ("a.lif", " (series 2)", "2", ["/d/a.lif", "--series", "2"]),
        ("a.tif", "", None, ["/d/a.tif"]),
    ],
)
def test_an_image_of_several_is_named(
    source: str, which: str, series: str | None, told: list[str]
) -> None:
    reading, writing = InputOptions(series=series), OutputOptions("/d/out.tif", tta=None)
    place = Path("/d", source)
    work = Work("/d/m", place, which, Path("/d/out.tif"), None, reading, writing, "auto")
    told = ["unnoise", "predict", "/d/m", *told, "--out", "/d/out.tif", "--resume"]
    assert work.command() == told
