"""One writer of a model folder or a result at a time, told by a lock that the system releases."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from unnoise.errors import InputError
from unnoise.images.atomic import shortened
from unnoise.images.durable import make_folder
from unnoise.images.formats.urls import Url

MOST = 64
"""Results of a run that are claimed at a time: each claim keeps a file open."""


@contextlib.contextmanager
def claimed(folder: Path, what: str = "the model") -> Iterator[None]:
    """Keep every other run from writing a model folder, or a result, while this lasts.

    The lock is on a hidden file beside the folder, since the folder itself is replaced whole. It
    comes before whatever takes leftovers of dead processes away, as a clock that was set makes
    living ones look dead. The system takes it from a process that dies, so a file that such a one
    left behind locks nothing.

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
    file = _file(folder)
    lock = FileLock(file, timeout=0, thread_local=False, mode=0o666)  # for all users of the folder
    try:
        make_folder(file.parent)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        # filelock waits, too, where no file can be made.
        if (isinstance(error, Timeout) and _can_be(file)) or _is_held(file):
            raise InputError(
                f"another run is writing {what} {folder}; wait until it has ended, or choose "
                f"another name with -o"
            ) from error
        # Else a disk without locks, or a place that cannot be written, which others tell better.
    try:
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # Windows removes no open file
                file.unlink()
            lock.release()


@contextlib.contextmanager
def all_claimed(results: Sequence[Path]) -> Iterator[None]:
    """Keep every other run from writing results while this lasts.

    Of many the first ones are claimed: two runs over the same files meet there, before any work.

    Raises
    ------
    InputError
        If another run has claimed one of them.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with all_claimed([folder / "a.tif", folder / "b.tif"]), claimed(folder / "b.tif"):
    ...     pass
    Traceback (most recent call last):
    unnoise.errors.InputError: another run is writing the model ...b.tif; wait until ...
    """
    own = [place for place in results if not isinstance(place, Url)]  # others have no locks
    with contextlib.ExitStack() as stack:
        for place in own[:MOST]:
            stack.enter_context(claimed(place, "the result"))
        yield


def tidy(place: Path) -> None:
    """Take away the file that a killed run left beside a result for which nothing is to be done."""
    if _file(place).exists():
        with contextlib.suppress(InputError), claimed(place):
            pass


def _can_be(file: Path) -> bool:
    """Whether there is a file, or can be."""
    try:
        if not file.exists():
            file.touch()
    except OSError:
        return False
    return True


def _is_held(file: Path) -> bool:
    """Whether another user has a lock whose file may be read alone."""
    with contextlib.suppress(ImportError, OSError), file.open("rb") as held:
        import fcntl

        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _file(place: Path) -> Path:
    return shortened(Path(os.path.realpath(place)), ".lock")
