"""Addresses of object stores and servers, as paths, and what lies there.

Whatever fsspec speaks is read; Zarr chunk by chunk, other files as a whole, from a temporary copy.
"""

from __future__ import annotations

import atexit
import os
import posixpath
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from unnoise.errors import HIDDEN, InputError, first_line, without_passwords

ADDRESS = re.compile(r"([a-z][a-z0-9+]+):/+(?=[^/])")
"""A protocol has two letters at least: one is the drive of Windows."""
THIS_MACHINE = re.compile(r"(?:file|local):(?://localhost(?=/))?/*")
"""What stands before a path of this machine."""
PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
}
"""Protocol -> the package that speaks it, none of which is installed with this one."""
LOCAL_ONLY = "UNNOISE_LOCAL_ONLY"
"""Environment variable with which a process, and those that it starts, open no address at all: for
servers, whose users must not reach what the server can reach."""
_lock = threading.Lock()
_before: list[str | None] = []
"""For each ban that lasts, in whatever thread, what the variable was before the first one."""
_copies: dict[str, tuple[str, Path]] = {}
"""Address -> version and place of the copy; its folder goes when the program ends."""


class Url(type(Path())):  # type: ignore[misc]
    """An address like ``s3://bucket/cells.zarr``, which has a name and a parent like any path.

    A path joins the two slashes behind the protocol; here they come back. A password in it is
    hidden in whatever is printed or written, and given to those who open it (`os.fspath`).

    Examples
    --------
    >>> str(Url("s3://bucket/a.zarr") / "0"), Url("s3://bucket/a.zarr").with_name("b.zarr").name
    ('s3://bucket/a.zarr/0', 'b.zarr')
    >>> url = Url("https://ann:secret@lab.org/a.zarr")
    >>> str(url), url.__fspath__()
    ('https://ann:***@lab.org/a.zarr', 'https://ann:secret@lab.org/a.zarr')
    """

    def __str__(self) -> str:
        return without_passwords(self.__fspath__())

    def __fspath__(self) -> str:
        return ADDRESS.sub(r"\1://", super().__str__().replace(os.sep, "/"))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether anything lies there; InputError if that cannot be known."""
        return exists(self)

    def absolute(self) -> Url:
        """Itself: there is no folder that it is relative to."""
        return self


def place(path: str | os.PathLike[str]) -> Path:
    """The address or the path of a name; ``file://`` and ``local://`` are paths.

    Raises
    ------
    InputError
        For a name with a null character.

    Examples
    --------
    >>> place("memory://a.npy"), place("file:///data/a%20b.npy").as_posix()
    (Url('memory://a.npy'), '/data/a b.npy')
    """
    if isinstance(path, Url):
        return path
    text = os.fspath(path)
    is_address = ADDRESS.match(text)
    if is_address and (local := THIS_MACHINE.match(text)):
        inner = "/" + text[local.end() :]
        is_address, text = None, url2pathname(inner) if text.startswith("file:") else inner
    if "\0" in text:
        raise InputError(f"{text!r} holds a character that no name has; give another name")
    return Url(text) if is_address else Path(text)


def identity(path: Url) -> tuple[str, str, str]:
    """What two addresses of one thing share: the client, the machine and the path there.

    Nobody is asked. Versions of one thing are the same thing.

    Examples
    --------
    >>> identity(Url("memory://lab/b/../a.npy")) == identity(Url("memory://lab/a.npy"))
    True
    """
    import fsspec

    text = str(path).split("?")[0]
    protocol, _, inner = text.partition("://")
    client, machine = PACKAGES.get(protocol, protocol), ""
    with suppress(ImportError, ValueError):  # of a client that is not there nothing is read
        kind: Any = fsspec.get_filesystem_class(protocol)
        client = kind.__name__
        machine = str(kind._get_kwargs_from_urls(text).get("host") or "")
        inner = str(kind._strip_protocol(text))
    return client, machine.lower(), posixpath.normpath("/" + inner.strip("/"))


def exists(path: Url) -> bool:
    """Whether anything lies at an address.

    Raises
    ------
    InputError
        If it cannot be reached.
    """
    with reaching(path):
        files, inner = system(path)
        return bool(files.exists(inner))


def found(pattern: Url) -> list[Path]:
    """The addresses that match a pattern, or lie in a folder.

    Raises
    ------
    InputError
        If it cannot be reached or listed.
    """
    with reaching(pattern):
        files, inner = system(pattern)
        names = files.glob(inner) if any(c in inner for c in "*?[") else files.ls(inner, False)
        return [Url(files.unstrip_protocol(name)) for name in names]


def fetched(path: Url) -> Path:
    """A copy of a file, which is made once as long as the file does not change.

    Raises
    ------
    InputError
        If the file is missing or cannot be reached, or is larger than the room for it.
    """
    with reaching(path):
        files, inner = system(path)
        version = str(files.ukey(inner))
        known, copy = _copies.get(os.fspath(path), ("", None))
        if copy is not None and known == version:
            return copy
        size, free = files.size(inner) or 0, shutil.disk_usage(tempfile.gettempdir()).free
        if size > free:
            raise InputError(
                f"{path} has {size / 1e9:.1f} GB, and there is room for {free / 1e9:.1f} GB in "
                f"{tempfile.gettempdir()}; set TMPDIR to a larger disk, or copy the file there"
            )
        folder = tempfile.mkdtemp(prefix="unnoise-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        copy = Path(folder, path.name)
        files.get_file(inner, str(copy))
        _copies[os.fspath(path)] = version, copy
        return copy


@contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Turn whatever a server or its client raises into one sentence.

    Raises
    ------
    InputError
        Before anything is asked, where `LOCAL_ONLY` is set.
    """
    if os.environ.get(LOCAL_ONLY):
        raise InputError(f"{path}: addresses are not opened here; give a file of this machine")
    try:
        yield
    except (InputError, MemoryError):
        raise
    except FileNotFoundError as error:
        cause = error.__cause__  # HTTP calls it missing too where nobody answers
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            raise unreached(path, cause) from error
        raise InputError(f"no such file: {path}; check the address") from error
    except ImportError as error:
        raise _lacking(path) from error
    except Exception as error:  # clients raise anything
        if "not known" in str(error):  # which fsspec says of protocols
            raise _lacking(path) from error
        raise unreached(path, error) from error


@contextmanager
def local_only() -> Iterator[None]:
    """While this lasts, this process and those that it starts open no address.

    Examples
    --------
    >>> with local_only():
    ...     exists(place("memory://a.npy"))
    Traceback (most recent call last):
    unnoise.errors.InputError: memory://a.npy: addresses are not opened here; ...
    """
    with _lock:
        _before.append(_before[0] if _before else os.environ.get(LOCAL_ONLY))
        os.environ[LOCAL_ONLY] = "1"
    try:
        yield
    finally:
        with _lock:
            before = _before.pop()
            if not _before:
                del os.environ[LOCAL_ONLY]
                os.environ.update({} if before is None else {LOCAL_ONLY: before})


def unreached(path: Path, error: Exception) -> InputError:
    """The error for whatever a server or its client raises."""
    return InputError(
        f"{path} cannot be reached ({first_line(error)}); see to the address, the connection and "
        f"the permission to read"
    )


def _lacking(path: Path) -> InputError:
    """The error where the package for a protocol is not installed."""
    protocol = str(path).split("://")[0]
    package = PACKAGES.get(protocol, "")
    remedy = f"pip install {package}" if package else "a package for fsspec that speaks it"
    return InputError(f"{path}: reading from {protocol}:// needs {remedy}")


def system(path: Url) -> tuple[Any, str]:
    """The file system of an address, and the name there, within `reaching`."""
    from fsspec.core import url_to_fs

    files, inner = url_to_fs(opened(path))
    return files, str(inner)


def opened(path: Url) -> str:
    """What a client is given to open an address.

    Raises
    ------
    InputError
        Where only what was written of it is left, in which its password is hidden.
    """
    if f":{HIDDEN}@" in os.fspath(path):
        raise InputError(
            f"the password of {path} was not kept; name the address again, with its password"
        )
    return os.fspath(path)
