"""One writer of a model folder at a time, told by a lock that the system releases by itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from unnoise.errors import InputError


@contextlib.contextmanager
def claimed(folder: Path, what: str = "the model") -> Iterator[None]:
    """Keep every other run from writing a model folder, or a result, while this lasts.

    The lock is on a hidden file beside the folder, since the folder itself is replaced whole. The
    system takes it from a process that dies, so a file that such a one left behind locks nothing.

    Parameters
    ----------
    folder : Path
        Or a file.
    what : str
        What a message calls it.

    Raises
    ------
    InputError
        If another run has claimed it.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp(), "my.model")
    >>> with claimed(place), claimed(place):
    ...     pass
    Traceback (most recent call last):
    unnoise.errors.InputError: another run is writing the model ...my.model; wait until ...
    """
    place = Path(os.path.realpath(folder))
    file = place.with_name(f".{place.name}.lock")
    lock = FileLock(file, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another run is writing {what} {folder}; wait until it has ended, or choose "
            f"another name with -o"
        ) from error
    except (OSError, NotImplementedError):
        pass  # a disk without locks, or a place that cannot be written, which others tell better
    try:
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # Windows removes no open file
                file.unlink()
            lock.release()
