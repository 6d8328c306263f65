"""What can be saved at once: arrays of all kinds, and images as they were opened."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.image import Image

STACK = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)


def test_an_image_is_saved_with_its_own_axes_and_pixel_size(tmp_path: Path) -> None:
    first, second = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    sized = Image(STACK, "TYX", scale={"Y": 0.5, "X": 0.25}, units={"Y": "µm", "X": "µm"})
    formats.save(first, sized)
    formats.save(second, formats.open(first))
    again = formats.open(second)
    assert (again.axes, dict(again.scale)) == ("TYX", {"Y": 0.5, "X": 0.25})
    np.testing.assert_array_equal(again.data[...], STACK)
    with pytest.warns(UserWarning, match="not carried from a.ome.tif"):
        formats.save(second, formats.open(first), axes="ZYX", overwrite=True)
    assert formats.open(second).axes == "ZYX"
    with pytest.raises(InputError, match="is the input itself"):
        formats.save(first, formats.open(first), overwrite=True)


def test_arrays_of_other_libraries_are_saved(tmp_path: Path) -> None:
    place = tmp_path / "a.ome.tif"
    formats.save(place, xarray.DataArray(STACK, dims=("time", "y", "x")))
    assert formats.open(place).axes == "TYX"
    np.testing.assert_array_equal(formats.open(place).data[...], STACK)
    formats.save(place, da.from_array(STACK), axes="ZYX", overwrite=True)
    assert formats.open(place).axes == "ZYX"
    np.testing.assert_array_equal(formats.open(place).data[...], STACK)


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    place, movie = tmp_path / "a.tif", Image(STACK, "TYX")
    with pytest.raises(InputError, match="leave out like or axes"):
        formats.save(place, STACK, like=movie, axes="TYX")
    with pytest.raises(InputError, match=r"shape \(3, 8, 9\) \(ZYX\) but its image.*\(TYX\)"):
        formats.save(place, Image(STACK, "ZYX"), like=movie)
    assert not place.exists()
