"""What is no array of numbers is refused in one sentence, also where it looks like one."""

from __future__ import annotations

from typing import Any, ClassVar

import dask.array as da
import numpy as np
import pytest
import scipy.sparse

import unnoise
from unnoise.errors import InputError
from unnoise.images.pixel_types import as_pixels

NOISY = np.random.default_rng(0).poisson(9.0, (32, 32)).astype(np.uint16)


class OnCard:
    """As CuPy has it: a type and a shape of NumPy, and no conversion that is not asked for."""

    dtype, shape, ndim = NOISY.dtype, NOISY.shape, 2
    __cuda_array_interface__: ClassVar[dict[str, Any]] = {}

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


def filtered() -> da.Array:
    array = da.from_array(NOISY, chunks=16)
    return array[array.sum(axis=1) > 0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (scipy.sparse.csr_matrix(NOISY), "image is a csr_matrix, which is sparse"),
        (scipy.sparse.coo_array(NOISY), "image is a coo_array, which is sparse"),
        (OnCard(), r"image lies on a GPU \(a OnCard\)"),
        (filtered(), "image has sides that are not known yet.*compute_chunk_sizes"),
    ],
    ids=["matrix", "sparse array", "GPU", "Dask"],
)
def test_what_only_looks_like_an_array_is_refused(value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        unnoise.denoise(value, method="gaussian")


def test_lazy_arrays_stay_what_they_are() -> None:
    """Not a chunk of them is computed."""

    def never(_: Any) -> Any:
        raise AssertionError

    lazy = da.from_array(NOISY, chunks=16).map_blocks(never, dtype=NOISY.dtype, meta=NOISY)
    assert as_pixels(lazy, "image") is lazy
    computed = filtered().compute_chunk_sizes()
    assert as_pixels(computed, "image") is computed
