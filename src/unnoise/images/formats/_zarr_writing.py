"""Writing Zarr: pixels go to disk chunk by chunk, and smaller copies follow one by one."""

from __future__ import annotations

import math
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore

from unnoise.errors import InputError
from unnoise.images.formats import _ngff, _zarr_pyramid
from unnoise.images.formats._zarr_sink import Gathered
from unnoise.images.formats.writer import Sink
from unnoise.images.image import Image

CHUNKS = {2: (512, 512), 3: (16, 256, 256)}
"""Pixels of a chunk along the last axes of planes and stacks: 0.5 and 2 MB at 16 bit."""
MANY = 10_000
"""From so many chunks on they are gathered in shards, since no disk likes so many files ..."""
SHARD = {2: (4, 4), 3: (2, 2, 2)}
"""... of so many chunks each: 8 and 16 MB at 16 bit."""
LOSSLESS = (
    *("blosc", "zstd", "zlib", "gzip", "lz4", "bz2", "lzma", "shuffle", "delta", "packbits"),
    *("crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "transpose"),
)
"""Codecs that lose nothing, by their names in version 2 and, without a prefix, in version 3."""
compressions = ("none", "zstd", "zlib", "blosc")
"""What `prepare` takes for `compress`."""
DEFAULT = "blosc"
"""Zstandard over bytes shuffled by Blosc: of 16 bit photons 0.8 of the size that bare zstd has, and
read 2.2 times as fast (0.8 GB/s a core). At level 3 a million smooth pixels take 0.012 s; level 5
takes 0.039 s for 4 % less."""
TOLD = "Zarr of version {version} (0.5 instead)"


def storage_of(array: Any, version: str) -> dict[str, Any]:
    """How an array is stored, as plain values, and by ``lost`` what of that is not kept."""
    is_old = array.metadata.zarr_format == 2
    if is_old:
        codecs = {
            "filters": [codec.get_config() for codec in array.filters],
            "compressors": [codec.get_config() for codec in array.compressors],
        }
        separator = array.metadata.dimension_separator
    else:
        codecs = {
            "filters": [codec.to_dict() for codec in array.filters],
            "compressors": [codec.to_dict() for codec in array.compressors],
        }
        separator = getattr(array.metadata.chunk_key_encoding, "separator", "/")
        if array.serializer is not None and array.serializer.to_dict().get("name") != "bytes":
            codecs["filters"].append(array.serializer.to_dict())
    names = [str(c.get("id") or c.get("name")) for part in codecs.values() for c in part]
    lossy = [name for name in names if name.removeprefix("numcodecs.") not in LOSSLESS]
    lost = [f"{name} compression (zstd instead, which loses nothing)" for name in lossy]
    return {
        "format": array.metadata.zarr_format,
        "version": version,
        "dtype": np.dtype(array.dtype).newbyteorder("=").str,
        "chunks": tuple(array.chunks),
        "shards": None if array.shards is None else tuple(array.shards),
        "separator": separator,
        **({} if lossy else codecs),
        "lost": lost,
    }


def prepare(path: Path, like: Image, dtype: np.dtype, compress: str | None = None) -> Layout:
    """Choose version, chunks and levels, as in the input where that was Zarr.

    Raises
    ------
    InputError
        For pixel types that Zarr lacks, unknown compressions, and folders that are no Zarr.
    """
    if dtype.itemsize > 8:
        raise InputError(f"{path}: Zarr holds no {dtype}; write float64 with --dtype float64")
    if path.is_dir() and any(path.iterdir()) and not is_store(path):
        raise InputError(
            f"{path} is a folder that holds other things than Zarr; choose another name with -o"
        )
    if compress is not None and compress.lower() not in compressions:
        raise InputError(
            f"{path}: unknown compression '{compress}' of Zarr; choose one of "
            f"{', '.join(compressions)}"
        )
    return Layout.of(path, like, dtype, compress)


def lost(path: Path, like: Image, dtype: np.dtype) -> list[str]:
    """What is known of an image and will not be in its file."""
    found = list(like.metadata.get("lost", ()))
    if Layout.of(path, like, dtype, None).version:
        own = {like.units.get(a, "") for a in like.scale if not _ngff.unit_of(like, a)}
        found += [f"unit of the pixel size ({unit})" for unit in sorted(own - {""})]
    if not str(like.metadata.get("source", "")).endswith("zarr"):
        return found + list(like.metadata.get("holds", ()))
    storage = like.metadata.get("zarr", {})
    version = str(storage.get("version", ""))
    return [*found, *storage.get("lost", ()), *[TOLD.format(version=version)] * (version >= "0.6")]


def is_store(path: Path) -> bool:
    """Whether a folder is a group or array."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


@dataclass(frozen=True)
class Layout:
    """How an image is laid out: a folder with an array for each level, or with the array alone.

    Called with a place where an earlier run was killed, it goes on with what is there.

    Attributes
    ----------
    like : Image
    dtype : numpy.dtype
    axes : str
        Letters in the order of the file.
    version : str
        Of OME-Zarr, or nothing for a plain array.
    format : int
        Of Zarr.
    levels : tuple of tuple of int
        Factors of the smaller copies.
    array : mapping
        Keywords of `zarr.create_array` for every level.
    is_zip : bool
    """

    like: Image
    dtype: np.dtype
    axes: str
    version: str
    format: int
    levels: tuple[tuple[int, ...], ...]
    array: Mapping[str, Any]
    is_zip: bool

    @classmethod
    def of(cls, path: Path, like: Image, dtype: np.dtype, compress: str | None) -> Layout:
        """The layout for an image."""
        storage = like.metadata.get("zarr", {})
        source = like.metadata.get("source")
        storage = storage if source in ("ome-zarr", "zarr") else {}
        fits = not {"S", "C"} <= set(like.axes)  # OME-Zarr has one axis besides time and space
        is_plain = source == "zarr" and ".ome." not in path.name.lower()
        version = "" if is_plain or not fits else _version(storage)
        old = storage.get("format") == 2 if not version or source == "zarr" else version == "0.4"
        if version and source == "zarr":
            version = "0.4" if old else "0.5"
        axes = _ngff.order(like.axes) if version else like.axes
        shape = tuple(like.sizes[k] for k in axes)
        chunks, shards = _blocks(like, axes, shape, storage, old)
        sizes = [like.scale.get(k, 0.0) for k in axes]
        levels = _levels(axes, shape, storage, sizes, dtype.itemsize) if version else []
        keywords = {
            **_codecs(storage, axes, dtype, compress, old),
            "chunks": chunks,
            "shards": shards,
            "chunk_key_encoding": {
                "name": "v2" if old else "default",
                "separator": storage.get("separator", "/") if not version else "/",
            },
            "zarr_format": 2 if old else 3,
            "fill_value": 0,
            # What is missing in a file of ours was lost on its way, so it must not be legal.
            "config": {"write_empty_chunks": True},
        }
        if not old:
            names = [k.lower() for k in axes]
            keywords["dimension_names"] = names if version else _dimensions(like) or names
        is_zip = path.suffix.lower() in (".zip", ".ozx")
        return cls(like, dtype, axes, version, 2 if old else 3, tuple(levels), keywords, is_zip)

    @property
    def waiting(self) -> int:
        """Bytes that are needed on the disk besides those of the pixels."""
        full = math.prod(self.like.shape) * self.dtype.itemsize
        smaller = sum(full // math.prod(factor) for factor in self.levels)
        return smaller + (full + smaller if self.is_zip else 0)

    @property
    def chunks(self) -> dict[str, int]:
        """Sides of what only one may write at a time, by letter: chunks, or the larger shards."""
        sides = self.array["shards"] or self.array["chunks"]
        return dict(zip(self.axes, sides, strict=True))

    def __call__(self, part: Path) -> tuple[Sink, Callable[[], object]]:
        """As `writer.Layout` says."""
        shape = tuple(self.like.sizes[k] for k in self.axes)
        goes_on = part.is_dir()
        store = LocalStore(part)
        array = self._create(store, 0, shape, goes_on)
        sink = Gathered(array, [self.like.axes.index(k) for k in self.axes], goes_on)
        return sink, lambda: self._finish(part, store, array, sink)

    def _create(self, store: LocalStore, level: int, shape: tuple[int, ...], goes_on: bool) -> Any:
        name = str(level) if self.version else ""
        if goes_on and (store.root / name / self._marker).is_file():
            return zarr.open_array(store, path=name, mode="r+")
        own: dict[str, Any] = {} if self.version else {"attributes": self._attributes()}
        own |= self.array
        own["overwrite"] = level > 0  # a run may have been killed while it made the smaller copies
        return zarr.create_array(store, name=name, shape=shape, dtype=self.dtype, **own)

    @property
    def _marker(self) -> str:
        return "zarr.json" if self.format == 3 else ".zarray"

    def _attributes(self) -> dict[str, Any]:
        """Those of a plain array."""
        like = self.like
        own = {
            "axes": like.axes,
            "scale": dict(like.scale),
            "units": dict(like.units),
            "channel_names": list(like.channel_names),
            "acquisition": like.acquisition.as_dict(),
            "made_by": like.metadata.get("maker"),
        }
        own = {key: value for key, value in own.items() if value}
        named = {} if self.format == 3 else {"_ARRAY_DIMENSIONS": _dimensions(like)}
        return {
            **like.metadata.get("ngff", {}).get("others", {}),
            **{k: v for k, v in named.items() if v},
        } | {_ngff.OWN: own}

    def _finish(self, part: Path, store: LocalStore, array: Any, sink: Gathered) -> None:
        sink.flush()
        before, done = array, (1,) * len(self.axes)
        for level, factor in enumerate(self.levels, 1):
            smaller = self._create(store, level, _zarr_pyramid.shrunk(array.shape, factor), False)
            steps = tuple(f // d for f, d in zip(factor, done, strict=True))
            _zarr_pyramid.fill(smaller, before, steps)
            before, done = smaller, factor
        if self.version:
            factors = [(1,) * len(self.axes), *self.levels]
            found = _zarr_pyramid.ranges(before, self.axes)
            attributes = _ngff.written(self.like, self.axes, self.version, factors, found)
            zarr.open_group(store, mode="r+").attrs.put(attributes)
        if self.is_zip:
            _zipped(part)


def _version(storage: Mapping[str, Any]) -> str:
    """The version of OME-Zarr to write: that of the input, or the nearest that is written."""
    version = str(storage.get("version") or "0.5")
    return "0.4" if version < "0.5" else "0.5"


def _dimensions(like: Image) -> list[str] | None:
    """Names of the dimensions of a plain array, as long as they are those of the input."""
    names = like.metadata.get("dimensions", ())
    return list(names) if len(names) == len(like.axes) else None


def _blocks(
    like: Image, axes: str, shape: tuple[int, ...], storage: Mapping[str, Any], old: bool
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Chunks and shards: those of the input if it was Zarr."""
    own = storage.get("axes", "")
    if own and set(axes) <= set(own):
        chunks = tuple(storage["chunks"][own.index(k)] for k in axes)
        shards = storage["shards"] and tuple(storage["shards"][own.index(k)] for k in axes)
        if shards is None or old:
            chunks = tuple(min(c, n) for c, n in zip(chunks, shape, strict=True))
        return chunks, None if old else shards
    ndim = 3 if like.sizes["Z"] > 1 else 2
    size = dict(zip("ZYX"[-ndim:], CHUNKS[ndim], strict=True))
    factor = dict(zip("ZYX"[-ndim:], SHARD[ndim], strict=True))
    whole = tuple(size.get(k, 1) for k in axes)
    count = math.prod(-(-n // c) for n, c in zip(shape, whole, strict=True))
    if count < MANY or old:
        return tuple(min(c, n) for c, n in zip(whole, shape, strict=True)), None
    return whole, tuple(c * factor.get(k, 1) for k, c in zip(axes, whole, strict=True))


def _levels(
    axes: str,
    shape: tuple[int, ...],
    storage: Mapping[str, Any],
    sizes: list[float],
    itemsize: int,
) -> list[tuple[int, ...]]:
    """Factors of the smaller copies: those of the input, or halves until a plane is small."""
    known = storage.get("levels")
    own = storage.get("axes", "")
    if known is None or not set(axes) <= set(own):
        return _zarr_pyramid.factors(axes, shape, sizes)
    found, done = [], (1,) * len(axes)
    for level in known:
        by_axis = dict(zip(own, level, strict=True))
        left = _zarr_pyramid.shrunk(shape, done)
        steps = [by_axis[k] / d for k, d in zip(axes, done, strict=True)]
        steps = [max(round(s), 1) if s < 2 * n else 1 for s, n in zip(steps, left, strict=True)]
        if max(steps) == 1 or math.prod(steps) * itemsize > _zarr_pyramid.AT_ONCE:
            # Versions before 0.4 do not tell, and others may tell anything.
            steps = [2 if k in "YX" else 1 for k in axes]
        steps = [min(s, n) for s, n in zip(steps, left, strict=True)]
        if max(steps) == 1:
            break
        done = tuple(d * s for d, s in zip(done, steps, strict=True))
        found.append(done)
    return found


def _codecs(
    storage: Mapping[str, Any], axes: str, dtype: np.dtype, compress: str | None, old: bool
) -> dict[str, Any]:
    """Keywords for the compression: that of the input if there is one, or `DEFAULT`."""
    is_same = storage.get("format") == (2 if old else 3) and "compressors" in storage
    if compress is None and is_same:
        same_type = storage["dtype"] == dtype.str
        filters = storage["filters"] if same_type else []
        if storage["axes"] != axes:  # an order of axes is that of these alone
            filters = [codec for codec in filters if codec.get("name") != "transpose"]
        codecs = [dict(codec) for codec in storage["compressors"]]
        for codec in codecs:
            if "typesize" in codec.get("configuration", {}):
                codec["configuration"] = {**codec["configuration"], "typesize": dtype.itemsize}
    else:
        filters, codecs = [], _named(compress or DEFAULT, dtype, old)
    if old:
        import numcodecs

        codecs, filters = [[numcodecs.get_codec(dict(c)) for c in p] for p in (codecs, filters)]
    return {"compressors": codecs or None, "filters": filters or None}


def _named(name: str, dtype: np.dtype, old: bool) -> list[dict[str, Any]]:
    """The configuration of a compression by its name."""
    settings: dict[str, tuple[str, dict[str, Any]]] = {
        "zstd": ("zstd", {"level": 3, "checksum": False}),
        "zlib": ("gzip", {"level": 6}),
        "blosc": ("blosc", {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "blocksize": 0}),
    }
    if name.lower() == "none":
        return []
    kind, options = settings[name.lower()]
    if old:
        return [{"id": kind, **options, **({"shuffle": 1} if kind == "blosc" else {})}]
    options |= {"typesize": dtype.itemsize} if kind == "blosc" else {}
    return [{"name": kind, "configuration": options}]


def _zipped(part: Path) -> None:
    """A folder as a zip file in its place, not compressed again."""
    whole = part.with_name(part.name + ".zip")
    try:
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as file:
            for item in sorted(part.rglob("*")):
                if item.is_file():
                    file.write(item, item.relative_to(part).as_posix())
        shutil.rmtree(part)
        os.replace(whole, part)
    finally:
        whole.unlink(missing_ok=True)
