"""What the readers of all formats share: pixels decoded on demand, and errors with a file name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError

MAX_OPEN, MAX_DECODED = 100, 2e9
"""Arrays, and bytes of decoded ones, that stay open: every map holds a file descriptor."""
_open: WeakKeyDictionary[Pixels, NDArray] = WeakKeyDictionary()
"""The last used one comes last."""


class Pixels:
    """Pixels that are decoded or mapped when needed, and leave in the native byte order.

    Only the last used ones stay open, so folders of any size can be trained on.

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

    def __getitem__(self, index: Any, /) -> NDArray:
        array = _open.pop(self, None)
        _open[self] = array = self._load() if array is None else array
        while len(_open) > 1 and (len(_open) > MAX_OPEN or _decoded() > MAX_DECODED):
            del _open[next(iter(_open))]
        return np.asarray(array[index], dtype=self.dtype)


def _decoded() -> int:
    """Bytes of the open arrays that fill memory; maps do not."""
    return sum(array.nbytes for array in _open.values() if not isinstance(array, np.memmap))


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
