"""A chunk that was cut is refused, whatever packed it; none is filled from elsewhere in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from unnoise.errors import InputError
from unnoise.images import formats
from unnoise.images.formats import _zarr_bounds, _zarr_store

PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 64, 64)).astype(np.uint16)


def stored(path: Path, **array: Any) -> Path:
    """The only chunk of an array."""
    zarr.create_array(path, data=PIXELS, chunks=PIXELS.shape, **array)
    (chunk,) = (p for p in path.rglob("*") if p.is_file() and p.name not in _zarr_store.METADATA)
    return chunk


def packing(version: int, name: str) -> Any:
    """A compressor of a version of Zarr."""
    if name.startswith("blosc"):
        inner = name.removeprefix("blosc of ")
        if version == 2:
            return numcodecs.Blosc(inner)
        return zarr.codecs.BloscCodec(cname=inner, shuffle="shuffle", typesize=2)
    if version == 3:
        return {"gzip": zarr.codecs.GzipCodec, "zstd": zarr.codecs.ZstdCodec}[name]()
    return numcodecs.get_codec({"id": name})


INNER = [f"blosc of {name}" for name in ("lz4", "lz4hc", "blosclz", "zlib", "zstd")]
OTHERS = ["zlib", "gzip", "bz2", "lzma", "lz4", "zstd"]


@pytest.mark.parametrize(
    ("version", "name"),
    [
        *((2, name) for name in INNER + OTHERS),
        *((3, name) for name in [*INNER, "gzip", "zstd"]),
    ],
)
def test_a_chunk_that_was_cut_is_refused(tmp_path: Path, version: int, name: str) -> None:
    """Blosc went on behind it: pixels were what else lay in memory, without a word."""
    path = tmp_path / "a.zarr"
    chunk = stored(path, compressors=packing(version, name), zarr_format=version)
    np.testing.assert_array_equal(formats.open(path, axes="ZYX").data[...], PIXELS)
    whole = chunk.read_bytes()
    for left in (0, 1, 15, 16, 17, len(whole) // 2, len(whole) - 1):
        chunk.write_bytes(whole[:left])
        image = formats.open(path, axes="ZYX")
        with pytest.raises(InputError, match=r"a\.zarr: .*cannot be decoded.*copy or export it"):
            image.data[...]


def test_a_chunk_in_a_shard_that_is_shorter_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    codec = zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle", typesize=2)
    shard = stored(path, compressors=codec, shards=PIXELS.shape)
    whole = bytearray(shard.read_bytes())
    length = len(whole) - 20  # the index: where the chunk begins, its length, and a checksum
    whole[-12:-4] = (length // 2).to_bytes(8, "little")
    whole[-4:] = crc32c(bytes(whole[-20:-4])).to_bytes(4, "little")
    shard.write_bytes(whole)
    image = formats.open(path, axes="ZYX")
    with pytest.raises(InputError, match=r"cannot be decoded.*its end is missing"):
        image.data[...]


@pytest.mark.parametrize("region", [(), (0, slice(0, 8), slice(0, 8))])
@pytest.mark.parametrize("packed", ["blosc of zstd", None])
def test_an_empty_shard_is_not_one_that_is_missing(
    tmp_path: Path, region: tuple[Any, ...], packed: str | None
) -> None:
    """It was read as zeros; one that is missing may be, and is told of."""
    path = tmp_path / "a.zarr"
    codec = packed and packing(3, packed)
    array = zarr.create_array(
        path, data=PIXELS, shards=(1, 64, 64), chunks=(1, 32, 32), compressors=codec
    )
    shard = path / "c" / "0" / "0" / "0"
    assert array.shards == (1, 64, 64)
    shard.write_bytes(b"")
    image = formats.open(path, axes="ZYX")
    with pytest.raises(InputError, match=r"the chunk c/0/0/0 cannot be decoded.*\(it is empty\)"):
        image.data[region]
    np.testing.assert_array_equal(image.data[1], PIXELS[1])
    shard.unlink()
    image = formats.open(path, axes="ZYX")
    assert "1 of its chunks are missing" in image.metadata["note"]
    assert (image.data[0] == 0).all()


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    found = 0xFFFFFFFF
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = found >> 1 ^ (0x82F63B78 if found & 1 else 0)
    return found ^ 0xFFFFFFFF


def test_blosc_may_be_followed_by_anything() -> None:
    """It says itself where it ends, and files with more have always been read."""
    packed = numcodecs.Blosc("zstd").encode(PIXELS)
    assert _zarr_bounds.unpacked("blosc", packed + b"more", PIXELS.nbytes, {}) is None
