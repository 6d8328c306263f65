"""Results at addresses: made on a disk of this machine, and sent when they are whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from unnoise.errors import InputError, first_line
from unnoise.images.atomic import explained
from unnoise.images.formats import urls
from unnoise.images.formats.registry import MARKERS
from unnoise.images.formats.urls import Url
from unnoise.images.formats.writer import Writer, check_space

LAST = (*MARKERS, ".zattrs", ".zmetadata")
"""What makes a folder an image, and is sent behind all else."""
READ_ONLY = ("http", "https", "github", "git", "zip", "tar")
"""Protocols through which nothing can be written."""


class Uploaded(Writer):
    """An image at an address, which appears there only when complete.

    A file is one object, which a store shows when it has all of it. Of a folder what makes it an
    image is sent last, so nobody opens half of it.
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

    Raises
    ------
    InputError
        If that fails.
    """
    with _sending(path):
        files, inner = urls.system(path)
        if part.is_file():
            files.put_file(str(part), inner)
            return
        if files.exists(inner):
            files.rm(inner, recursive=True)
        names = [file.relative_to(part) for file in part.rglob("*") if file.is_file()]
        for name in sorted(names, key=lambda name: (name.as_posix() in LAST, name)):
            place = f"{inner}/{name.as_posix()}"
            files.makedirs(files._parent(place), exist_ok=True)
            files.put_file(str(part / name), place)


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
