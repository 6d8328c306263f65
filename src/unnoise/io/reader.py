"""What the readers of all formats share: pixels decoded on demand, and errors with a file name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError


class Pixels:
    """Pixels that are decoded once, at the first access, and leave in the native byte order.

    Parameters
    ----------
    load : callable
        Decodes or maps the whole array.
    shape : tuple of int
    dtype : numpy.dtype
        Type of the pixels on disk; its byte order does not matter.

    Examples
    --------
    >>> pixels = Pixels(lambda: np.arange(3, dtype=">u2"), (3,), np.dtype(">u2"))
    >>> pixels[1:]
    array([1, 2], dtype=uint16)
    """

    def __init__(self, load: Callable[[], NDArray], shape: tuple[int, ...], dtype: np.dtype):
        self._load = load
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")

    @cached_property
    def _array(self) -> NDArray:
        return self._load()

    def __getitem__(self, index: Any, /) -> NDArray:
        return np.asarray(self._array[index], dtype=self.dtype)


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into one sentence that names the file.

    Raises
    ------
    InputError
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise anything: struct.error, KeyError, zlib.error, ...
        if isinstance(error, OSError) and error.errno:
            raise InputError(f"{path} cannot be opened: {error.strerror}") from error
        reason = " ".join(f"{error}".split()) or type(error).__name__
        raise InputError(
            f"{path} cannot be read as {kind}, it may be truncated or damaged ({reason}); "
            f"copy or export it again"
        ) from error
