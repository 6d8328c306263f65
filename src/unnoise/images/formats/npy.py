"""NumPy files: bare arrays, mapped on reading and on writing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from unnoise.images.formats.about import About
from unnoise.images.formats.reader import Pixels, reading
from unnoise.images.formats.writer import Layout, Mapped, held
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels

ABOUT = (
    About("NumPy", (".npy",), "NumPy", "BSD-3", "two, or by `--axes`", "nothing but the pixels"),
)


def read(path: Path, axes: str | None = None) -> Image:
    """Map a ``.npy`` file; axes are inferred where only one reading is possible.

    Raises
    ------
    InputError
        For damaged files, and arrays that hold no real numbers.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    with reading(path, "NPY"):
        with open(path, "rb") as file:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = header(file)
        check_pixels(shape, dtype, path.name)
        npy.open_memmap(path, mode="r")  # finds out whether all bytes are there
    pixels = Pixels(lambda: npy.open_memmap(path, mode="r"), shape, dtype)
    return replace(Image.from_array(pixels, axes), path=path, metadata={"source": "npy"})


def prepare(path: Path, like: Image, dtype: np.dtype) -> Layout:
    """How to lay out a ``.npy`` file; every image fits."""
    return Mapped(lambda part: npy.open_memmap(part, mode="w+", dtype=dtype, shape=like.shape))


def lost(path: Path, like: Image, dtype: np.dtype) -> list[str]:
    """What is known of an image and will not be in its file: all but the pixels."""
    return held(like)
