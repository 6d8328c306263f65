"""Results at addresses: made on a disk of this machine, and sent when they are whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from unnoise.errors import InputError, first_line
from unnoise.images.atomic import beside, explained
from unnoise.images.formats import urls
from unnoise.images.formats.registry import MARKERS
from unnoise.images.formats.urls import PACKAGES, Url
from unnoise.images.formats.writer import Writer, check_space

LAST = (*MARKERS, ".zattrs", ".zmetadata")
"""What makes a folder an image, and is sent behind all else."""
OBJECTS = tuple(p for p, package in PACKAGES.items() if package in ("s3fs", "gcsfs", "adlfs"))
"""Protocols of object stores."""
READ_ONLY = ("http", "https", "github", "git", "zip", "tar")
"""Protocols through which nothing can be written."""


class Uploaded(Writer):
    """An image at an address, which appears there only when complete.

    A file is one object, which a store shows when it has all of it, or gets its name when all of it
    is there. Of a folder what makes it an image is sent last, so nobody opens half of it.
    """

    path: Url

    @property
    def room(self) -> Path:
        """The folder on whose disk space is needed."""
        return Path(tempfile.gettempdir())

    @property
    def needed(self) -> int:
        """Bytes that are needed there."""
        return self.nbytes

    def check(self) -> None:
        """Find out now, before long work, whether something can be written there.

        Raises
        ------
        InputError
        """
        with explained(self.room / self.path.name, self.nbytes):
            check_space(self.room, self.nbytes)
        probe = self.path.with_name(f".unnoise-{os.getpid()}")
        with _sending(self.path):
            files, inner = urls.system(probe)
            files.makedirs(files._parent(inner), exist_ok=True)
            files.pipe_file(inner, b"probe")
            with suppress(Exception):  # who may write need not be allowed to remove
                files.rm_file(inner)

    def __enter__(self) -> Writer:
        with ExitStack() as whole:
            folder = whole.enter_context(tempfile.TemporaryDirectory(prefix="unnoise-"))
            whole.callback(self._release)
            with explained(Path(folder, self.path.name), self.nbytes):
                self._file = self.layout(Path(folder, self.path.name))
            self._part = Path(folder, self.path.name)
            self._whole = whole.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        with self._whole:
            if error[0] is None and self._file is not None:
                with explained(self._part, self.nbytes):
                    self._file[1]()
                self._release()
                send(self._part, self.path)


def send(part: Path, path: Url) -> None:
    """Copy a file or a folder to an address, where it takes the place of what is there.

    What is there is kept until all of the new one has arrived.

    Raises
    ------
    InputError
        If that fails.
    """
    with _sending(path):
        files, inner = urls.system(path)
        is_there = files.exists(inner)
        names = [file.relative_to(part) for file in part.rglob("*") if file.is_file()] or [Path()]
        names.sort(key=lambda name: (name.as_posix() in LAST, name))
        # An object store shows all of an object or nothing; elsewhere half a file would be seen.
        if not (_renames(files, path) or (is_there and part.is_dir())):
            _copy(files, names, part.as_posix(), inner, files.put_file, part.is_dir())
            return
        hidden = beside(path, f"sent{''.join(path.suffixes[-1:])}")
        waiting = urls.system(cast(Url, hidden))[1]
        _copy(files, names, part.as_posix(), waiting, files.put_file, True)
        try:
            if is_there and (part.is_dir() or files.isdir(inner)):
                files.rm(inner, recursive=True)
            if _renames(files, path):
                _rename(files, waiting, inner)
                return
            _copy(files, names, waiting, inner, files.cp_file, True)
        except Exception as error:  # clients raise anything
            raise InputError(
                f"{path} cannot be replaced ({first_line(error)}); the new result is whole and "
                f"lies at {hidden}, so give it its name there"
            ) from (error if isinstance(error, OSError) else OSError(str(error)))
        with suppress(Exception):  # who may write need not be allowed to remove
            files.rm(waiting, recursive=True)


def _renames(files: Any, path: Url) -> bool:
    """Whether a store gives other names to what it has, as disks do, where others copy."""
    from fsspec import AbstractFileSystem

    is_objects = str(path).split("://")[0] in OBJECTS
    return not is_objects and type(files).mv is not AbstractFileSystem.mv


def _rename(files: Any, old: str, new: str) -> None:
    """Give another name, which may be that of a file."""
    try:
        files.mv(old, new)
    except Exception:  # some replace nothing
        if not files.exists(new):
            raise
        files.rm_file(new)
        files.mv(old, new)


def _copy(
    files: Any,
    names: Sequence[Path],
    source: str,
    target: str,
    copy: Callable[[str, str], object],
    is_new: bool,
) -> None:
    """Copy files one by one; of what is new nothing is left if that fails."""
    made: set[str] = set()
    try:
        for name in names:
            end = "" if name == Path() else f"/{name.as_posix()}"
            if (folder := files._parent(target + end)) not in made:
                files.makedirs(folder, exist_ok=True)
                made.add(folder)
            copy(source + end, target + end)
    except BaseException:
        with suppress(Exception):
            if is_new:
                files.rm(target, recursive=True)
        raise


def check_address(path: Url, sources: Iterable[Path]) -> None:
    """InputError for addresses at which nothing can be written, or what a result is made of."""
    if "::" in str(path):  # it may lead to any other place, on this machine too
        raise InputError(
            f"{path}: through a chain of addresses nothing is written; name with -o the last one"
        )
    others = [urls.identity(source) for source in sources if isinstance(source, Url)]
    if any(_holds(urls.identity(path), o) or _holds(o, urls.identity(path)) for o in others):
        raise InputError(
            f"{path} is the input itself, or holds it, and the input is never overwritten; choose "
            f"another name with -o"
        )
    protocol = str(path).split("://")[0]
    if protocol in READ_ONLY:
        raise InputError(
            f"{path}: through {protocol}:// nothing can be written; name an address of an object "
            f"store (s3://, gs://), or a path of this machine, with -o"
        )


def _holds(outer: tuple[str, ...], inner: tuple[str, ...]) -> bool:
    """Whether an address is another one, or lies in it, by their identities."""
    return outer[:-1] == inner[:-1] and f"{inner[-1]}/".startswith(f"{outer[-1]}/")


@contextmanager
def _sending(path: Url) -> Iterator[None]:
    """One sentence for whatever a store or its client raises."""
    with urls.reaching(path):
        try:
            yield
        except (ImportError, InputError):
            raise
        except Exception as error:  # clients raise anything
            if "not known" in str(error):  # which fsspec says of protocols
                raise
            raise InputError(
                f"{path} cannot be written ({first_line(error)}); see to the address, the "
                f"connection and the permission to write"
            ) from (error if isinstance(error, OSError) else OSError(str(error)))
