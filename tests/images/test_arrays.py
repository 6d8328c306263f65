"""Arrays of other libraries keep what they say of their dimensions, and stay where they are."""

from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
import pytest
import xarray
import zarr

import unnoise
from unnoise.errors import AxesError, InputError
from unnoise.images.image import Image, as_image

PIXELS = np.random.default_rng(0).normal(size=(3, 40, 50)).astype(np.float32)


def data_array(**more: Any) -> xarray.DataArray:
    return xarray.DataArray(PIXELS, dims=("time", "lat", "lon"), **more)


@pytest.mark.parametrize("way", [unnoise.open, as_image, Image.from_array])
def test_dimensions_of_xarray_are_axes(way: Any) -> None:
    image = way(data_array())
    assert (image.axes, image.shape, image.scale) == ("TYX", (3, 40, 50), {})
    np.testing.assert_array_equal(
        image.read({"T": 1, "X": slice(5, 9)})[0, 0, 0, 0], PIXELS[1, :, 5:9]
    )
    assert way(data_array(), axes="ZYX").axes == "ZYX"


def test_even_coordinates_are_the_pixel_size() -> None:
    coords = {
        "time": np.array([0.0, 1.0, 4.0]),
        "lat": ("lat", np.arange(40) * 0.5, {"units": "m"}),
        "lon": np.arange(50)[::-1],
    }
    image = Image.from_array(data_array(coords=coords))
    assert (image.scale, image.units) == ({"Y": 0.5}, {"Y": "m"})


def test_only_what_is_asked_for_is_computed() -> None:
    seen: list[int] = []

    def block(number: np.ndarray) -> np.ndarray:
        seen.append(int(number[0, 0, 0]))
        return np.broadcast_to(number, (1, 40, 50)).astype(np.float32)

    numbers = dask.array.arange(3, chunks=1)[:, None, None]
    lazy = numbers.map_blocks(block, dtype=np.float32, chunks=((1, 1, 1), (40,), (50,)))
    seen.clear()
    for array in (lazy, xarray.DataArray(lazy, dims=("t", "y", "x"))):
        image = unnoise.open(array, axes="TYX")
        assert seen == []
        assert (image.read({"T": 2}) == 2).all()
        assert seen == [2]
        seen.clear()


def test_arrays_of_zarr_stay_in_their_store() -> None:
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(store, data=PIXELS, dimension_names=("t", None, None))
    with pytest.raises(AxesError, match="ambiguous"):
        unnoise.open(array)
    array = zarr.create_array({}, data=PIXELS, dimension_names=("z", "y", "x"))
    image = unnoise.open(array)
    assert (image.axes, image.data) == ("ZYX", array)
    with pytest.raises(AxesError, match=r"ambiguous \(known so far: '\?YX'\)"):
        unnoise.open(xarray.DataArray(PIXELS, dims=("strange", "y", "x")))


def test_a_lazy_array_is_denoised_like_one_in_memory() -> None:
    plain = unnoise.denoise(PIXELS, axes="TYX", method="gaussian")
    for array in (dask.array.from_array(PIXELS, chunks=(1, 16, 16)), data_array()):
        np.testing.assert_array_equal(unnoise.denoise(array, axes="TYX", method="gaussian"), plain)


def test_what_is_no_array_of_numbers() -> None:
    with pytest.raises(InputError, match="complex"):
        unnoise.open(dask.array.zeros((20, 20), dtype=complex))
