"""Whether the files of a training still hold the same bytes, wherever they lie by now."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.durable import below
from unnoise.images.file_version import FileVersion
from unnoise.images.formats import urls
from unnoise.images.image import Image

MOST_BYTES, BLOCK = 2**26, 2**16
"""Bytes that are read in all, and at a time: of more, blocks that are spread evenly."""
MOST_FILES = 1000
"""Files that are opened, of chunks or a sequence."""

Digests = dict[str, str]
"""A hash by what the files hold: ``images`` and ``mask``."""


def digests(images: Sequence[Image], targets: Sequence[Image] | None, mask: str | None) -> Digests:
    """The hashes of the files of training images, of pairs also the second ones, and of their mask.

    Not their times, which copies lose. Of addresses nothing is known.
    """
    both = [*images, *(targets or [])]
    named = [path for i in both for path in i.metadata.get("files") or [i.path] if path is not None]
    found = {"images": digest(named)}
    return found | ({"mask": digest(mask_files(mask))} if mask else {})


def mask_files(mask: str) -> list[Path]:
    """The files of a mask, with those that its header names; at an address nothing is looked at.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    place = urls.place(mask)
    if isinstance(place, urls.Url):
        return [place]
    return formats.open(place, labels=True).metadata.get("files") or [place]


def digest(paths: Iterable[Path]) -> str:
    """A short hash of what files hold, of folders all files in them; of many bytes a sample.

    Examples
    --------
    >>> import tempfile
    >>> a, b = (Path(tempfile.mkdtemp(), name) for name in "ab")
    >>> a.write_bytes(b"12"), b.write_bytes(b"12")
    (2, 2)
    >>> digest([a]) == digest([b])
    True
    >>> _ = b.write_bytes(b"13")
    >>> digest([a]) == digest([b])
    False
    """
    files = whole(dict.fromkeys(paths))
    chosen = [files[i] for i in _spread(len(files), MOST_FILES)]
    seen = [version for version in map(FileVersion.of, chosen) if version is not None]
    share = MOST_BYTES / max(sum(version.size for version in seen), MOST_BYTES)
    found = hashlib.sha256(f"{len(files)}".encode())
    for version in seen:
        found.update(f" {version.size} ".encode())
        count = -(-version.size // BLOCK)
        with contextlib.suppress(OSError), open(version.path, "rb") as file:
            for i in _spread(count, max(round(count * share), 1)):
                file.seek(i * BLOCK, os.SEEK_SET)
                found.update(file.read(BLOCK))
    return found.hexdigest()[:16]


def stamp(named: Sequence[Path]) -> str:
    """A short hash of sizes and times of all files that names stand for, of folders of all below.

    Raises
    ------
    InputError
        If there is none, and no address.
    """
    digest = hashlib.sha256()
    found = [seen for seen in map(FileVersion.of, whole(named)) if seen is not None]
    if not found and not any(isinstance(path, urls.Url) for path in named):
        raise InputError(f"{named[0]} is gone; put it back, or begin anew without it")
    for seen in found:
        # Not each disk, or way to it, keeps nanoseconds.
        own = f"{seen.path.name} {seen.size} {seen.changed // 1000}\n"
        digest.update(own.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def whole(paths: Iterable[Path]) -> list[Path]:
    """All files that names stand for, and of folders all that is below, in the order of names.

    Names are those that `unnoise.open` takes: patterns, and places inside a file, too.
    """
    found = (formats.files_of(path) for path in paths)
    parts = (
        (sorted(below(file)) if file.is_dir() else [file]) for files in found for file in files
    )
    return [file for part in parts for file in part]


def _spread(n: int, most: int) -> list[int]:
    """At most so many of n numbers, evenly spread over all."""
    return sorted({*np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist()})
