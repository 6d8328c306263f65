"""What the readers of all formats share: pixels decoded on demand, and errors with a file name."""

from __future__ import annotations

import atexit
import math
import mmap
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib import import_module
from itertools import count, product
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.cgroup import free_memory
from unnoise.images.image import ArrayLike

MAX_OPEN, MAX_DECODED = 100, 2e9
"""Arrays, and bytes of decoded ones, that stay open: every map holds a file descriptor."""
MAX_PLANES, MAX_RECENT = 4000, 2**28
"""Decoded planes, tiles and strips, and their bytes, that are kept of all files together."""
Opened = Callable[[Path], AbstractContextManager[Callable[[tuple[int, ...]], Any]]]
"""Opens a file, and gives the function that reads one of its planes."""
MAX_MAPPED = 2**28
"""Bytes that are read of a map before it is opened anew."""
_open: WeakKeyDictionary[Pixels, ArrayLike] = WeakKeyDictionary()
_readers: WeakKeyDictionary[PlanePixels, _Reader] = WeakKeyDictionary()
_recent: dict[Hashable, NDArray] = {}
"""Of these three the last used one comes last."""
_held = {"bytes": 0}
"""The sum over `_recent`, which for thousands of tiles takes longer than decoding one."""
atexit.register(_readers.clear)  # libraries complain of files that are open at the end
_lock = threading.RLock()
_numbers = count()


def check_room(path: Path, size: int, what: str = "its pixels") -> None:
    """Refuse what can only be decoded at once, before so many bytes are asked for.

    Small files may stand for more than any machine holds: 3 MB of a PNG for 3.6 GB of zeros.

    Raises
    ------
    InputError
        If there is less free memory.
    """
    free = free_memory() if size > MAX_RECENT else size
    if size > free:
        raise InputError(
            f"{path}: {what} need {size / 1e9:.1f} GB at once, and {free / 1e9:.1f} GB of memory "
            f"are free; close other programs, or save the image in tiles or as OME-Zarr"
        )


def picked(count: int, part: Any) -> NDArray[np.intp]:
    """Which of so many places an index means, where headers may tell of billions of them.

    Examples
    --------
    >>> picked(10**12, slice(5, 8)), picked(4, [True, False, True, False]), picked(4, -1)
    (array([5, 6, 7]), array([0, 2]), array(3))
    """
    if isinstance(part, slice):
        return np.arange(*part.indices(count))
    if isinstance(part, int | np.integer):
        return np.asarray(range(count)[part])
    return np.asarray(np.arange(count)[part])


class TooLarge(InputError, MemoryError):
    """A file that asks for more memory than there is; whoever halves tiles then may go on.

    Examples
    --------
    >>> isinstance(TooLarge("a.tif needs 8 GB"), MemoryError)
    True
    """


@contextmanager
def within_memory(path: Path) -> Iterator[None]:
    """Name the file where memory is short, as headers may ask for any amount of it.

    Raises
    ------
    TooLarge
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        raise TooLarge(
            f"{path} asks for more memory than is free{reason}; close other programs, or copy or "
            f"export it again if it is not that large"
        ) from error


class Pixels:
    """Pixels that are decoded or mapped when needed, and leave in the native byte order.

    Only the last used ones stay open, so folders of any size can be trained on.

    Parameters
    ----------
    load : callable
        Decodes or maps the whole array, or opens one whose regions are decoded when asked for.
    shape : tuple of int
    dtype : numpy.dtype
        Type of the pixels on disk; its byte order does not matter.

    Examples
    --------
    >>> pixels = Pixels(lambda: np.arange(3, dtype=">u2"), (3,), np.dtype(">u2"))
    >>> pixels[1:]
    array([1, 2], dtype=uint16)
    """

    def __init__(self, load: Callable[[], ArrayLike], shape: tuple[int, ...], dtype: np.dtype):
        self._load = load
        self._read = 0
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")

    def __getitem__(self, index: Any, /) -> NDArray:
        with _lock:
            array = _open.pop(self, None)
            _open[self] = array = self._load() if array is None else array
            while len(_open) > 1 and (len(_open) > MAX_OPEN or _decoded() > MAX_DECODED):
                del _open[next(iter(_open))]
        pixels = np.asarray(array[index], dtype=self.dtype)
        with _lock:  # what was read of a map counts as memory of the process until it is closed
            self._read += pixels.nbytes
            if self._read > MAX_MAPPED and isinstance(array, np.memmap):
                self._read = 0
                _open.pop(self, None)
        return pixels


def _decoded() -> int:
    """Bytes of the open arrays that fill memory; maps and arrays read by regions do not."""
    arrays = (array for array in _open.values() if isinstance(array, np.ndarray))
    return sum(array.nbytes for array in arrays if not isinstance(array, np.memmap))


class PlanePixels:
    """Pixels of which only the planes that are asked for are read, from a file that stays open.

    Only the last used files stay open and the last used planes decoded, so neither a file of any
    size nor a folder of many fills the memory.

    Parameters
    ----------
    path : Path
    kind : str
        What the file is, for messages; whatever a decoder raises becomes one sentence.
    opened : callable
        Opens the file: a context manager that gives a function, which reads the plane at an index
        along the leading dimensions. The plane may be an array, a map, or whatever gives an array
        when it is indexed by a region. Only one thread at a time is in there.
    shape : tuple of int
    dtype : numpy.dtype
        Type of the pixels; planes of another type or byte order are converted.
    plane : int
        How many of the last dimensions a plane has: 2, or 3 with the colours of each pixel.

    Examples
    --------
    >>> from contextlib import nullcontext
    >>> planes = lambda path: nullcontext(lambda index: np.full((4, 5), index[0]))
    >>> pixels = PlanePixels(Path("a.toy"), "toy", planes, (3, 4, 5), np.dtype("u2"))
    >>> pixels[1:, 2:, :2].tolist()
    [[[1, 1], [1, 1]], [[2, 2], [2, 2]]]
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        opened: Opened,
        shape: tuple[int, ...],
        dtype: np.dtype,
        *,
        plane: int = 2,
    ):
        self._source = path, kind, opened
        self._lead = len(shape) - plane
        self.shape = tuple(map(int, shape))
        self.dtype = np.dtype(dtype).newbyteorder("=")

    def __getitem__(self, index: Any, /) -> NDArray:
        index = index if isinstance(index, tuple) else (index,)
        at = next((i for i, part in enumerate(index) if part is Ellipsis), len(index))
        named = index[:at] + index[at + 1 :]
        rest = [slice(None)] * (len(self.shape) - len(named))
        index = (*named[:at], *rest, *named[at:])
        region = index[self._lead :]
        leading = zip(self.shape[: self._lead], index[: self._lead], strict=True)
        path = self._source[0]
        with within_memory(path):
            picks = [picked(n, part) for n, part in leading]
        form = tuple(len(pick) for pick in picks if pick.ndim)
        # A block is filled plane by plane: a list of parts would keep all of their planes.
        kept = np.broadcast_to(np.zeros((), self.dtype), self.shape[self._lead :])[region].shape
        with within_memory(path):
            block = np.empty((math.prod(form), *kept), self.dtype)
        reader = self._reader()
        for i, where in enumerate(product(*map(np.atleast_1d, picks))):
            block[i] = reader.part(tuple(map(int, where)), region, self.shape[self._lead :])
        reader.read += block.nbytes
        if reader.read > MAX_MAPPED and reader.maps:
            with _lock:
                _readers.pop(self, None)
        return block.reshape((*form, *kept))

    def _reader(self) -> _Reader:
        """The open file, which is the last used one now."""
        with _lock:
            reader = _readers.pop(self, None) or _Reader(*self._source)
            _readers[self] = reader
            while len(_readers) > MAX_OPEN:
                del _readers[next(iter(_readers))]
            return reader


class _Reader:
    """An open file, which is closed when nobody uses it any more."""

    def __init__(self, path: Path, kind: str, opened: Opened):
        self._stack = ExitStack()
        self._reading = partial(reading, path, kind)
        with self._reading():
            self._load = self._stack.enter_context(opened(path))
        self._busy = threading.Lock()
        self._number = next(_numbers)
        self.read, self.maps = 0, False

    def part(self, at: tuple[int, ...], region: tuple[Any, ...], shape: tuple[int, ...]) -> NDArray:
        """A region of a plane; decoded planes are kept, maps and lazy ones are read anew."""
        with self._busy, self._reading():
            plane = recent((self._number, *at), lambda: self._load(at))
            self.maps = self.maps or (isinstance(plane, np.ndarray) and not _in_memory(plane))
            if tuple(getattr(plane, "shape", shape)) != shape:
                raise ValueError(f"a plane has the shape {plane.shape}, but {shape} was announced")
            found = np.asarray(plane[region])
            told = np.broadcast_to(np.zeros((), np.uint8), shape)[region].shape
            if found.shape != told:  # lazy ones may learn it only now, and others would be repeated
                raise ValueError(f"a region has the shape {found.shape}, but {told} was announced")
            return found

    def __del__(self) -> None:
        self._stack.close()


def recent(key: Hashable, make: Callable[[], Any]) -> Any:
    """What was decoded lately under a key, or what `make` gives, kept if it is in memory.

    Examples
    --------
    >>> plane = recent("a key", lambda: np.zeros((2, 2)))
    >>> plane is recent("a key", lambda: np.ones((2, 2)))
    True
    """
    with _lock:
        if key in _recent:
            _recent[key] = _recent.pop(key)
            return _recent[key]
    made = make()
    if _in_memory(made):
        with _lock:
            _forget(key)  # another thread may have made it too
            _recent[key] = made
            _held["bytes"] += made.nbytes
            while len(_recent) > 1 and (len(_recent) > MAX_PLANES or _held["bytes"] > MAX_RECENT):
                _forget(next(iter(_recent)))
    return made


def _forget(key: Hashable) -> None:
    gone = _recent.pop(key, None)
    _held["bytes"] -= 0 if gone is None else gone.nbytes


def _in_memory(array: Any) -> bool:
    """Whether it is an array whose pixels are not mapped from a file."""
    base: Any = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    base = base.obj if isinstance(base, memoryview) else base  # a buffer over a map
    return isinstance(array, np.ndarray) and not isinstance(base, np.memmap | mmap.mmap)


def needs(module: str, extra: str) -> Any:
    """An optional library.

    Raises
    ------
    InputError
        With what to install where it is missing.

    Examples
    --------
    >>> needs("json", "formats").loads("[1]")
    [1]
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            f"the library {module} reads such files, but it cannot be loaded ({error}); install it "
            f"with pip install 'unnoise[{extra}]'"
        ) from error


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into one sentence that names the file.

    Raises
    ------
    InputError
        Also where memory is short, as headers may ask for any amount of it.
    """
    try:
        with within_memory(path):
            yield
    except InputError:
        raise
    except Exception as error:  # decoders raise anything: struct.error, KeyError, zlib.error, ...
        if isinstance(error, OSError) and error.errno:
            raise InputError(f"{path} cannot be opened: {error.strerror}") from error
        reason = " ".join(f"{error}".split()) or type(error).__name__
        raise InputError(
            f"{path} cannot be read as {kind}, it may be truncated or damaged ({reason}); "
            f"copy or export it again"
        ) from error
