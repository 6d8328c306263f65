"""Zarr stores: folders, zip files and addresses; which images are in them; pixels by region."""

from __future__ import annotations

import itertools
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import zarr
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from unnoise.errors import InputError, first_line
from unnoise.images.file_version import changed
from unnoise.images.formats import _ngff, _zarr_bounds, urls
from unnoise.images.formats.urls import Url
from unnoise.images.quiet import quiet

MARKERS = ("zarr.json", ".zgroup", ".zarray")
METADATA = (*MARKERS, ".zattrs", ".zmetadata")
MOST_UNPACKED, MOST_PACKED = 2**26, 8
"""Bytes that a file in a zip file may unpack to, or how many times what it has packed: chunks are
packed already, and those of real images not by as much."""
MOST_SEEN = 20_000
"""Files that are remembered when an image is opened; that takes 0.1 s."""
DEPTH = 4
"""Groups within groups that are searched: plates have three."""
MOST_GROUPS = 50_000
"""Groups and arrays that are looked at to find the images; a plate of 384 wells with 50 fields each
has 20,000."""
MOST_METADATA, MOST_VALUES = 2**26, 2_000_000
"""Bytes of a file of metadata, and commas and brackets in it, which stand for values that take some
70 bytes of memory each. 10,000 arrays in one file have 11 MB and 0.4 million of them."""


@dataclass(frozen=True)
class Entry:
    """An image in a store.

    Attributes
    ----------
    array : str
        Path of its array in the store.
    name : str
        What tells it from others.
    multiscale : mapping
        As it stands in the metadata of OME-Zarr; empty for a plain array.
    ome, others, own : mapping
        Further attributes: those that OME-Zarr defines, those of this package, and all else.
    version : str
        Of OME-Zarr.
    level : int
        Which of the datasets of the multiscale.
    """

    array: str
    name: str = ""
    multiscale: Mapping[str, Any] = field(default_factory=dict)
    ome: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    level: int = 0


class _Refused(ValueError):
    """What is no damage, but more than is read, and what to do."""


class _Watched(WrapperStore[Any]):
    """A store of bounded metadata, where a chunk is missing only as long as the rest is there.

    A missing chunk means the fill value. So a folder that is deleted or a server that goes while
    an image is read would leave an image of zeros. In a folder files are refused that are others
    than when they were looked at first, or they would mix the pixels of two images.
    """

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._seen: dict[str, tuple[int, int] | None] = {}  # size and time by key; None: missing

    def look(self, inner: str) -> None:
        """Remember the files of an array, some thousands at most, so that no later one counts."""
        if not isinstance(self._store, LocalStore):
            return
        folders, most = [inner], len(self._seen) + MOST_SEEN
        while folders and len(self._seen) < most:
            folder = folders.pop()
            left = most - len(self._seen)
            for one in itertools.islice(os.scandir(self._store.root / folder), left):
                key = joined(folder, one.name)
                if one.is_dir(follow_symlinks=False):
                    folders.append(key)
                else:
                    self._seen[key] = _version(one.path)

    def check(self, key: str) -> None:
        """Refuse a file that is another one than when it was looked at first.

        Raises
        ------
        InputError
        """
        if not isinstance(self._store, LocalStore):
            return
        now = _version(place := self._store.root / key)
        if now is None and key.rsplit("/", 1)[-1] in METADATA:
            return  # what is left can still be read, and of a store that is gone no chunk can
        if self._seen.setdefault(key, now) != now:
            raise changed(place)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        value = await self._store.get(key, prototype, byte_range)
        is_chunk = key.rsplit("/", 1)[-1] not in METADATA
        if value is not None and not is_chunk:
            _refuse_many(key, value.to_bytes())
        if value is None and is_chunk:
            parts = key.split("/")[:-1]
            folders = ["/".join(parts[:i]) for i in range(len(parts), -1, -1)]
            files = [f"{folder}/{m}".lstrip("/") for folder in folders for m in MARKERS]
            if not any([await self._store.exists(file) for file in files]):
                raise FileNotFoundError("it is there no longer")
        if is_chunk:
            self.check(key)
            if value is not None and not len(value):  # zarr takes an empty shard for a missing one
                raise EOFError("it is empty")
        return value if value is None or byte_range is None else _cut(value, byte_range)


def watch(array: Any) -> None:
    """Remember the files of an array in a folder, as long as it is used."""
    if isinstance(array.store, _Watched):
        with suppress(OSError):  # what cannot be listed may still be read
            array.store.look(array.path)


def check(array: Any) -> None:
    """Refuse an array whose metadata are others than when it was opened.

    Raises
    ------
    InputError
    """
    if isinstance(array.store, _Watched):
        name = "zarr.json" if array.metadata.zarr_format == 3 else ".zarray"
        array.store.check(joined(array.path, name))


def _version(path: str | Path) -> tuple[int, int] | None:
    """Size and time of a file; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _refuse_many(key: str, content: bytes) -> None:
    """Refuse metadata whose values would fill the memory.

    Raises
    ------
    _Refused
    """
    values = sum(map(content.count, (b",", b"[", b"{")))
    if len(content) > MOST_METADATA or values > MOST_VALUES:
        raise _Refused(
            f"the metadata in {key} have {len(content):,} bytes and about {values:,} values, and "
            f"no more than {MOST_METADATA:,} and {MOST_VALUES:,} are read; copy what is needed to "
            f"a store of its own"
        )


def _cut(value: Any, byte_range: Any) -> Any:
    """The bytes that were asked for, of servers too that send all instead."""
    if isinstance(byte_range, SuffixByteRequest):
        return value[max(len(value) - byte_range.suffix, 0) :]
    if isinstance(byte_range, RangeByteRequest):
        size = byte_range.end - byte_range.start
        return value[byte_range.start : byte_range.end] if len(value) > size else value
    return value


def root(path: Path) -> Any:
    """The array or group that lies at a path.

    Raises
    ------
    InputError
        If there is none, or it is damaged or needs what is not installed.
    """
    with quiet():
        try:
            store, inner = _store(path)
            return _opened(store, inner)
        except InputError:
            raise
        except Exception as error:  # as readers of all formats do
            raise explained(path, error) from error


def _store(path: Path) -> tuple[Any, str]:
    """A store, and where in it the outermost group or array lies."""
    if isinstance(path, Url):
        with urls.reaching(path):
            return _Watched(FsspecStore.from_url(urls.opened(path), read_only=True)), ""
    if path.is_dir():
        return _Watched(LocalStore(path, read_only=True)), ""
    with zipfile.ZipFile(path) as file:
        names = [PurePosixPath(name) for name in file.namelist()]
        for one in file.infolist():
            if one.file_size > max(MOST_UNPACKED, MOST_PACKED * one.compress_size):
                raise ValueError(
                    f"{one.filename} unpacks to {one.file_size} bytes, which is far "
                    f"more than it has packed"
                )
    found = [name for name in names if name.name in MARKERS]
    if not found:
        raise FileNotFoundError
    inner = min(found, key=lambda name: len(name.parts)).parent
    return _Watched(ZipStore(path, mode="r")), "" if inner == PurePosixPath(".") else str(inner)


def _opened(store: Any, inner: str) -> Any:
    try:
        return zarr.open(store=store, path=inner, mode="r")
    except Exception as error:
        if "codec" not in f"{error}".lower():
            raise
        from imagecodecs.numcodecs import register_codecs

        register_codecs(verbose=False)  # JPEG 2000, JPEG XL and others, which are here already
        return zarr.open(store=store, path=inner, mode="r")


def explained(path: Path, error: Exception) -> InputError:
    """A sentence for whatever was raised."""
    text = first_line(error)
    if isinstance(error, _Refused):
        return InputError(f"{path}: {text}")
    if isinstance(error, FileNotFoundError):
        return InputError(
            f"{path} holds no Zarr group or array (no {', '.join(MARKERS)}); name the folder that "
            f"does, or copy it again"
        )
    if isinstance(path, Url) and not isinstance(error, ValueError | LookupError | TypeError):
        return urls.unreached(path, error)
    if isinstance(error, PermissionError):
        return InputError(f"{path} may not be read ({text}); ask for permission")
    if "codec" in text.lower():
        return InputError(
            f"{path} is compressed in a way that is not installed here ({text}); install the "
            f"package of that codec, or copy the data with another one"
        )
    return InputError(
        f"{path} cannot be read as Zarr, it may be truncated or damaged ({text}); copy or export "
        f"it again"
    )


def entries(path: Path, node: Any) -> list[Entry]:
    """The images at a path.

    Raises
    ------
    InputError
        If there are none, or their metadata are broken.
    """
    with quiet():
        try:
            is_array = isinstance(node, zarr.Array)
            found = [_of_parent(path, node)] if is_array else _images(node, "", [MOST_GROUPS])
        except InputError:
            raise
        except Exception as error:
            raise explained(path, error) from error
    if not found:
        raise InputError(
            f"{path} is a Zarr group without an image of OME-Zarr and without arrays of two or "
            f"more dimensions; name a group or array in it"
        )
    return found


def _of_parent(path: Path, node: Any) -> Entry:
    """An array that was named itself, which may be a level of a group around it."""
    try:
        around = root(path.parent)
    except InputError:
        return _bare("", node)
    if isinstance(around, zarr.Group):
        for entry in _of_group(around, ""):
            for level, dataset in enumerate(entry.multiscale["datasets"]):
                if dataset["path"] == path.name:
                    known = {**vars(entry), "array": "", "level": level, "name": ""}
                    return Entry(**known)
    return _bare("", node)


def _bare(inner: str, array: Any) -> Entry:
    """An array without metadata of OME."""
    others = dict(array.attrs)
    own = others.pop(_ngff.OWN, None) or {}
    return Entry(inner, inner, others=others, own=own)


def _of_group(group: Any, inner: str) -> list[Entry]:
    """The images that the metadata of OME-Zarr name in a group."""
    attributes = dict(group.attrs)
    ome, version = _ngff.versions(attributes)
    others = {k: v for k, v in attributes.items() if k not in ("ome", *_ngff.DEFINED)}
    several: dict[str, Any] = {}  # one of each array, however often it is named
    for multiscale in ome.get("multiscales") or ():
        levels = [str(one["path"]) for one in multiscale["datasets"]]
        several.setdefault(levels[0], multiscale)
    return [
        Entry(
            joined(inner, first),
            inner + (f"#{i}" if len(several) > 1 else ""),
            multiscale,
            ome,
            others,
            attributes.get(_ngff.OWN) or {},
            version,
        )
        for i, (first, multiscale) in enumerate(several.items())
    ]


def _images(group: Any, inner: str, left: list[int], depth: int = 0) -> list[Entry]:
    """All images of a group, in their order; `left` is how many more nodes are looked at."""
    found = _of_group(group, inner)
    if found or depth == DEPTH:
        return found
    ome, _ = _ngff.versions(dict(group.attrs))
    names: Any = [one["path"] for one in (ome.get("plate") or {}).get("wells", ())]
    names += [one["path"] for one in (ome.get("well") or {}).get("images", ())]
    if "bioformats2raw.layout" in ome:
        own, _ = _ngff.versions(dict(group["OME"].attrs) if "OME" in group else {})
        counted = map(str, range(MOST_GROUPS))  # a server may say of all names that they exist
        names = own.get("series") or itertools.takewhile(group.__contains__, counted)
    names = list(dict.fromkeys(joined(*name.split("/")) for name in names))
    parts = [] if names else sorted(group.members(), key=_natural)
    left[0] -= len(names or parts)
    if left[0] < 0:
        raise _Refused(
            f"it has more than {MOST_GROUPS:,} groups and arrays; name one of its groups, such as "
            f"a well of a plate"
        )
    for name, node in ((name, group[name]) for name in names) if names else parts:
        at = joined(inner, name)
        if isinstance(node, zarr.Group):
            found += [] if name == "labels" else _images(node, at, left, depth + 1)
        elif node.ndim >= 2:
            found.append(_bare(at, node))
    return found


def _natural(member: tuple[str, Any]) -> tuple[int, str]:
    return (int(member[0]) if member[0].isdecimal() else -1, member[0])


def joined(*parts: str) -> str:
    return "/".join(part.strip("/") for part in parts if part)


def array(node: Any, entry: Entry, path: Path) -> Any:
    """The array of an image.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    with quiet():
        try:
            found = node[entry.array] if entry.array else node
        except Exception as error:
            raise explained(path / entry.array, error) from error
    if not isinstance(found, zarr.Array):
        raise explained(path / entry.array, FileNotFoundError())
    if not all((*found.chunks, *(found.shards or ()))):
        raise explained(path / entry.array, ValueError("its chunks hold no pixels"))
    return _zarr_bounds.bounded(found)
