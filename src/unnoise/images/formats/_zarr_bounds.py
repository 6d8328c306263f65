"""Chunks of Zarr that unpack to more than they should are refused before memory is asked for, and
those that are cut before memory behind them is read.

The libraries of codecs unpack whatever comes: 2 MB of zlib became 2 GB, with 5.8 GB at the peak.
"""

from __future__ import annotations

import bz2
import copy
import lzma
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import imagecodecs
import numpy as np
import zarr
from numcodecs.abc import Codec as Numcodec
from zarr.abc.codec import ArrayArrayCodec, BytesBytesCodec
from zarr.codecs import ShardingCodec, TransposeCodec
from zarr.core.codec_pipeline import BatchedCodecPipeline

from unnoise.errors import InputError
from unnoise.images.formats import _encoded_size

SLACK, FILTERED = 2**16, 16
"""Bytes that a packed chunk may have more than its pixels, and how much larger these may be before
filters: those that keep numbers of 8 bit as such of 128."""
LZMA_MEMORY = 2**28
"""Bytes of the dictionary of LZMA, of which presets take 65 MB at most."""
PICTURES = ("jpeg", "jpeg2k", "htj2k", "jpegxl", "jpegxr", "lerc", "png", "apng", "spng", "webp")
"""Codecs of imagecodecs whose results have a header of their own."""
BLOSC_HEADER = 16
"""Bytes, the last four of which tell of how many there are with what follows."""
MANY, ONE, REST = "many streams", "one stream", "streams, and then anything"


class DamagedChunk(Exception):
    """A chunk that cannot be read, by its key; the cause says why."""


class _Pipeline(BatchedCodecPipeline):
    """Reads chunk by chunk, and tells which one it was that could not be read."""

    async def read_batch(self, batch_info: Any, out: Any, drop_axes: Any = ()) -> Any:
        batch = list(batch_info)
        try:
            return await super().read_batch(batch, out, drop_axes)
        except (InputError, MemoryError):
            raise
        except Exception as error:  # a codec raises anything
            raise DamagedChunk(batch[0][0].path) from error


def bounded(array: Any) -> Any:
    """An array of which chunks are refused that do not unpack to what the metadata say.

    Parameters
    ----------
    array : zarr.Array
    """
    inner = copy.copy(array.async_array)
    meta = array.metadata
    if meta.zarr_format == 2:
        size = math.prod(array.chunks) * np.dtype(array.dtype).itemsize
        codec = copy.copy(inner.codec_pipeline.array_bytes_codec)
        filters, most = codec.filters or (), size * (FILTERED if codec.filters else 1)
        own = {"filters": tuple(_Codec(one, most) if _packs(one) else one for one in filters)}
        if codec.compressor and _packs(codec.compressor):
            own["compressor"] = _Codec(codec.compressor, most)
        codecs: tuple[Any, ...] = (replace(codec, **own),)
    else:
        codecs = _guarded(tuple(inner.codec_pipeline))
    pipeline = _Pipeline.from_codecs(codecs, batch_size=1)
    object.__setattr__(inner, "codec_pipeline", pipeline)  # a frozen dataclass
    return zarr.Array(inner)


def _packs(codec: Any) -> bool:
    """Whether it is one of those that `unpacked` knows."""
    name = str(codec.codec_id)
    is_ours = name.removeprefix("imagecodecs_") in (*STREAMS, *PICTURES, "zstd", "blosc")
    return is_ours or name == "lz4"


def _guarded(codecs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Codecs of which those that unpack bytes have a bound, in shards too."""
    filtered = any(
        isinstance(one, ArrayArrayCodec) and not isinstance(one, TransposeCodec) for one in codecs
    )
    found: list[Any] = []
    for one in codecs:
        if isinstance(one, ShardingCodec):
            found.append(replace(one, codecs=_guarded(one.codecs)))
        elif isinstance(one, BytesBytesCodec):
            found.append(_BytesCodec(one, FILTERED if filtered else 1))
        else:
            found.append(one)
    return tuple(found)


@dataclass(frozen=True)
class _BytesCodec(BytesBytesCodec):
    """A codec of Zarr 3 within its bound."""

    inner: Any
    factor: int
    is_fixed_size = False

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        told = self.inner.to_dict()
        config = told.get("configuration", {})
        size = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        data = chunk_bytes.to_bytes()
        name = str(told["name"]).removeprefix("numcodecs.")
        plain = unpacked(name, data, self.factor * size, config)
        if plain is not None:
            return chunk_spec.prototype.buffer.from_bytes(plain)
        return await self.inner._decode_single(chunk_bytes, chunk_spec)

    def to_dict(self) -> Any:
        return self.inner.to_dict()

    def evolve_from_array_spec(self, array_spec: Any) -> Any:
        return replace(self, inner=self.inner.evolve_from_array_spec(array_spec))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        return int(self.inner.compute_encoded_size(input_byte_length, chunk_spec))


class _Codec(Numcodec):  # type: ignore[misc]
    """A codec of Zarr 2 within its bound."""

    def __init__(self, inner: Any, most: int):
        self.codec_id = inner.codec_id
        self._inner, self._most = inner, most

    def encode(self, buf: Any) -> Any:
        return self._inner.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        found = unpacked(self.codec_id, bytes(buf), self._most, self._inner.get_config())
        return self._inner.decode(buf, out) if found is None else found


def unpacked(codec: str, data: bytes, most: int, config: Mapping[str, Any]) -> bytes | None:
    r"""What bytes unpack to, or None where the codec itself may do it, since it stays in bounds.

    Parameters
    ----------
    codec : str
        Its name, as numcodecs has it.
    data : bytes
    most : int
        Bytes that may come of them; what they are packed into once more may be a little larger.
    config : mapping
        Of the codec.

    Raises
    ------
    ValueError
        If more would come.
    EOFError
        If the end of what is packed is missing.

    Examples
    --------
    >>> unpacked("zlib", zlib.compress(bytes(9)), 9, {})
    b'\x00\x00\x00\x00\x00\x00\x00\x00\x00'
    >>> unpacked("zlib", zlib.compress(bytes(10**6)), 9, {})
    Traceback (most recent call last):
    ...
    ValueError: it unpacks to more than the 9 bytes of its pixels
    """
    name, most = codec.removeprefix("imagecodecs_"), most + SLACK
    told = 0
    if name in STREAMS:
        return _of_streams(data, most, *STREAMS[name](config))
    if name == "zstd":
        return bytes(imagecodecs.zstd_decode(data, out=most))
    if name == "blosc":
        # Blosc is not told where its input ends, so a cut one goes on with what else is in memory.
        if len(data) < max(BLOSC_HEADER, int.from_bytes(data[12:16], "little")):
            raise EOFError("its end is missing")
        told = int.from_bytes(data[4:8], "little")
    elif codec == "lz4":
        told = int.from_bytes(data[:4], "little")
    elif name in PICTURES and name != codec:
        _encoded_size.check(data, most)
    if told > most:
        raise _too_much(most)
    return None


def _too_much(most: int) -> ValueError:
    return ValueError(f"it unpacks to more than the {most - SLACK} bytes of its pixels")


def _lzma(config: Mapping[str, Any]) -> tuple[Callable[[], Any], str]:
    form, filters = config.get("format", lzma.FORMAT_XZ), config.get("filters")
    bare = form == lzma.FORMAT_RAW  # which takes no bound, but its filters stand in the metadata
    return (
        lambda: lzma.LZMADecompressor(
            form, None if bare else LZMA_MEMORY, filters if bare else None
        )
    ), REST


STREAMS: dict[str, Callable[[Mapping[str, Any]], tuple[Callable[[], Any], str]]] = {
    "zlib": lambda _: (zlib.decompressobj, ONE),
    "gzip": lambda _: (lambda: zlib.decompressobj(31), MANY),
    "bz2": lambda _: (bz2.BZ2Decompressor, REST),
    "lzma": _lzma,
}
"""Codecs -> what unpacks one stream, and what may follow it, as their own decoders have it."""


def _of_streams(data: bytes, most: int, new: Callable[[], Any], more: str) -> bytes:
    """All streams, one after the other, as long as there is no more than `most`."""
    pieces: list[bytes] = []
    left = most + 1
    while data:
        one = new()
        try:
            pieces.append(one.decompress(data, left))
        except (OSError, lzma.LZMAError, zlib.error):
            if pieces and more == REST:
                break
            raise
        left -= len(pieces[-1])
        if left <= 0:
            raise _too_much(most)
        if not one.eof:
            raise EOFError("its end is missing")
        data = b"" if more == ONE else one.unused_data.lstrip(b"\0")
    return b"".join(pieces)
