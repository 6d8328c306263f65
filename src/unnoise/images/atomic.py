"""Files and folders that appear whole or not at all, and sentences for those that cannot."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unnoise.errors import InputError

REASONS = {
    errno.ENOSPC: "no space left on the disk for {path} (needs {size}); free some space or",
    errno.EDQUOT: "the disk quota is too small for {path} (needs {size}); free some space or",
    errno.EFBIG: "files of {size} are not allowed where {path} should go; raise the limit or",
    errno.EACCES: "no permission to write {path};",
    errno.EPERM: "no permission to write {path};",
    errno.EROFS: "{path} cannot be written because its disk is read-only;",
    errno.ENOTDIR: "the folder of {path} cannot be made because a file has its name;",
    errno.EEXIST: "the folder of {path} cannot be made because a file has its name;",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden name beside a file or folder, which takes its place when the block ends well.

    Whatever ends the block otherwise, KeyboardInterrupt too, leaves the place as it was.

    Parameters
    ----------
    path : Path
        The file or folder; an existing one is replaced. Its own folder must exist.

    Yields
    ------
    Path
        Where the block makes a file or a folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a.txt")) as part:
    ...         _ = part.write_text("whole")
    ...     os.listdir(folder)
    ['a.txt']
    """
    part = beside(path, "part")
    try:
        yield part
        if part.is_dir() and path.exists():
            _exchange(part, path)
        else:
            os.replace(part, path)
    finally:
        _remove(part)


def write_whole(path: Path, content: bytes, remedy: str) -> None:
    """Write a file beside its place and move it there.

    Parameters
    ----------
    path : Path
        The file; an existing one is replaced.
    content : bytes
    remedy : str
        What to do where it cannot be written, for the message.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    try:
        with replacing(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}; {remedy}"
        ) from error


def probe(path: Path) -> None:
    """Find out before long work whether a file could be written; makes its folder.

    Raises
    ------
    OSError
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = beside(path, "part")
    try:
        part.touch()
    finally:
        _remove(part)


@contextmanager
def explained(path: Path, nbytes: int = 0) -> Iterator[None]:
    """Turn errors of the system about a file to write into sentences with a remedy.

    Parameters
    ----------
    path : Path
    nbytes : int
        How large the file is to become.

    Raises
    ------
    InputError
    """
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0, "{path} cannot be written ({error});")
        size = f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{max(nbytes / 1e6, 0.1):.1f} MB"
        text = reason.format(path=path, size=size, error=error.strerror or error)
        raise InputError(f"{text} choose another place with -o") from error


def beside(path: Path, suffix: str) -> Path:
    """A hidden name in the same folder, for the moment of a change."""
    if path.name in ("", ".."):  # "." has no name
        path = Path(os.path.abspath(path))
    return path.with_name(f".{path.name}.{os.getpid()}.{suffix}")


def _exchange(part: Path, place: Path) -> None:
    """Put a folder into the place of another one, which goes only when the new one is there."""
    old = beside(place, "old")
    os.replace(place, old)  # no folder can be moved over a full one
    try:
        os.replace(part, place)
    except BaseException:
        os.replace(old, place)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    """Take away what is there; a leftover is no reason to fail."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)
