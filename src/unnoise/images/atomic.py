"""Files and folders that appear whole or not at all, and sentences for those that cannot."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unnoise.errors import InputError
from unnoise.images.durable import below, make_folder, sync_all, sync_names

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
LONGEST_NAME = 255
"""Bytes that the name of a file may have."""
LEFTOVER = re.compile(r"\..+(?P<end>\.(?P<pid>\d{1,9})\.(?:part|old))", re.DOTALL)
CLOCK = 10.0
"""Seconds by which the clocks of a disk and of this machine may differ."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden name beside a file or folder, which takes its place when the block ends well.

    Whatever ends the block otherwise, KeyboardInterrupt too, leaves the place as it was. What
    processes that were killed here left of their work goes.

    Parameters
    ----------
    path : Path
        The file or folder; an existing one is replaced, of a link what it leads to. Its own folder
        must exist.

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
    path = target(path)
    _sweep(path)
    part = beside(path, "part")
    try:
        yield part
        settle(part, path)
    finally:
        _remove(part)


def check_free(path: Path) -> None:
    """InputError while another run, or another part of this one, writes a file here.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp(), "a.tif")
    >>> with replacing(place) as part:
    ...     _ = part.write_text("half")
    ...     check_free(place)
    Traceback (most recent call last):
    unnoise.errors.InputError: ...a.tif is being written by another run ...
    """
    path = named(target(path))
    for left in path.parent.glob(".*.part"):
        match = LEFTOVER.fullmatch(left.name)
        if match and _is_of(path, match) and not _is_dead(match, left):
            raise InputError(
                f"{path} is being written by another run (process {match['pid']}); wait until it "
                f"has ended, choose another name with -o, or remove {left.name} if there is none"
            )


def settle(part: Path, path: Path) -> None:
    """Give a finished file or folder its name, in the place of what has it.

    It is on the disk before it gets its name, so that a machine that loses its power has nothing
    empty under that name either; and so is its name when this returns.
    """
    if part.is_dir():
        sync_all(below(part))
        _exchange(part, path) if path.exists() else os.replace(part, path)
    else:
        sync_all([part])
        os.replace(part, path)
    with suppress(OSError):  # everything is where it belongs
        sync_names(path.parent)


def settle_new(part: Path, path: Path) -> None:
    """Give a finished file a name that nothing has yet, and keep it as `settle` does.

    Its hidden name stays where the disk has hard links.

    Raises
    ------
    FileExistsError
        If something has the name.
    OSError
    """
    sync_all([part])
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        path.touch(exist_ok=False)
        try:
            os.replace(part, path)
        except BaseException:
            path.unlink()
            raise
    with suppress(OSError):  # everything is where it belongs
        sync_names(path.parent)


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


def target(path: Path) -> Path:
    """What a link leads to, or the path itself.

    Raises
    ------
    InputError
        If the link leads nowhere.

    Examples
    --------
    >>> target(Path("clean.tif")).as_posix()
    'clean.tif'
    """
    if not path.is_symlink():
        return path
    if not path.exists():
        raise InputError(
            f"{path} is a link to {os.readlink(path)}, which does not exist; remove the link or "
            f"choose another place"
        )
    return path.resolve()


def probe(path: Path) -> None:
    """Find out before long work whether a file or a folder could be written; makes its parent.

    What processes that were killed here left of their work goes.

    Raises
    ------
    InputError
        For a link that leads nowhere.
    OSError
    """
    path = target(path)
    make_folder(path.parent)
    _sweep(path)
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
    """A hidden name in the same folder, for the moment of a change; long names are cut."""
    return shortened(path, f".{os.getpid()}.{suffix}")


def shortened(path: Path, end: str) -> Path:
    """The hidden name in the same folder with an ending, which names that are too long keep.

    Examples
    --------
    >>> shortened(Path("a.tif"), ".lock").name
    '.a.tif.lock'
    >>> names = [shortened(Path("a" * 250 + last), ".lock").name for last in ("b", "c")]
    >>> names[0] == names[1], [len(name) for name in names]
    (False, [255, 255])
    """
    path = named(path)
    name, room = os.fsencode(path.name), LONGEST_NAME - len(end) - 1
    if len(name) > room:  # what is cut would be the same for names that begin alike
        mark = "-" + hashlib.sha256(name).hexdigest()[:12]
        return path.with_name(f".{name[: room - len(mark)].decode('utf-8', 'ignore')}{mark}{end}")
    return path.with_name(f".{path.name}{end}")


def hidden(path: Path) -> Path:
    """The folder in which a result waits that several runs or processes write."""
    return shortened(target(path), ".unfinished")


def taken(folder: Path) -> int:
    """Bytes that a folder takes on its disk, 0 where it is none."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found = os.stat(os.path.join(place, name))
                size += getattr(found, "st_blocks", 0) * 512 or found.st_size
    return size


def named(path: Path) -> Path:
    """The same place with a name of its own."""
    return Path(os.path.abspath(path)) if path.name in ("", "..") else path  # "." has no name


def recover(path: Path) -> None:
    """Put back a folder whose process was killed while it exchanged it.

    Where the system exchanges names as one act, there is none; elsewhere the old folder is under a
    hidden name for a moment.
    """
    if not path.exists():
        with suppress(OSError):
            _sweep(target(path))


def _sweep(path: Path) -> None:
    """Take away the unfinished work of processes that died here.

    A process that was killed while it exchanged two folders has left the old one under a hidden
    name: it goes back to its place.
    """
    path = named(path)
    for left in path.parent.glob(".*"):
        match = LEFTOVER.fullmatch(left.name)
        if match is None or not _is_of(path, match) or not _is_dead(match, left):
            continue
        if left.name.endswith(".old") and not path.exists():
            os.replace(left, path)
        else:
            _remove(left)


def _is_of(path: Path, match: re.Match[str]) -> bool:
    """Whether a hidden name was made for this place: others may belong to other machines."""
    return shortened(path, match["end"]).name == match[0]


def _is_dead(match: re.Match[str], left: Path) -> bool:
    """Whether the process that made a file is gone; its number may be in use again."""
    import psutil

    try:
        return psutil.Process(int(match["pid"])).create_time() > left.lstat().st_mtime + CLOCK
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError, ValueError, OverflowError):
        return False


def _exchange(part: Path, place: Path) -> None:
    """Put a folder into the place of another one, which goes only when the new one is there."""
    if _swap(part, place):
        sync_names(
            place.parent
        )  # or, without power, the names may be as before and the old one gone
        _remove(part)
        return
    old = beside(place, "old")
    os.replace(place, old)  # no folder can be moved over a full one
    try:
        os.replace(part, place)
    except BaseException:
        os.replace(old, place)
        raise
    sync_names(place.parent)
    _remove(old)


def _swap(one: Path, other: Path) -> bool:
    """Exchange two names as one act; False where the system or the disk cannot.

    Python does not offer it: renameat2 with RENAME_EXCHANGE (2) of Linux, renamex_np with
    RENAME_SWAP (2) of macOS.
    """
    if sys.platform == "win32":
        return False
    libc, names = ctypes.CDLL(None), [os.fsencode(os.path.abspath(p)) for p in (one, other)]
    if hasattr(libc, "renameat2"):
        return bool(libc.renameat2(-1, names[0], -1, names[1], 2) == 0)
    return hasattr(libc, "renamex_np") and bool(libc.renamex_np(*names, 2) == 0)


def _remove(path: Path) -> None:
    """Take away what is there; a leftover is no reason to fail."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)
