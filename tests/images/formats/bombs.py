"""Files of some kilobytes that say little of themselves and unpack to hundreds of megabytes."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np

SIZE = 3 * 2**27
"""Bytes that a bomb unpacks to."""
SIDE = 32
"""Pixels of 8 bit along each side that it says to hold."""
WIDE = 8000
"""Pixels along each side of a picture."""


@cache
def deflated(size: int = SIZE) -> bytes:
    """Zeros as a raw stream of deflate, of which one piece is repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + piece * (size // 2**20 - 1) + packer.flush()


@cache
def zlibbed(size: int = SIZE) -> bytes:
    return b"\x78\xda" + deflated(size) + struct.pack(">I", (size % 65521) << 16 | 1)


@cache
def gzipped(size: int = SIZE) -> bytes:
    """The checksum is wrong, which is seen at the end alone."""
    head = gzip.compress(b"")[:10]
    return head + deflated(size) + struct.pack("<II", 0, size % 2**32)


@cache
def lzmaed() -> bytes:
    return lzma.compress(bytes(2**24), preset=0) * (SIZE // 2**24)


@cache
def bzipped() -> bytes:
    return bz2.compress(bytes(2**24), 9) * (SIZE // 2**24)


@cache
def zstandard(*, told: bool = True) -> bytes:
    """One frame; whether it tells how large it is."""
    whole = imagecodecs.zstd_encode(bytes(SIZE), level=1)
    if told:
        return whole
    flags, content = whole[4], whole[5:]
    single, size = flags & 0x20, (0, 2, 4, 8)[flags >> 6]
    size = size or bool(single)
    window = b"" if not single else b"\x88"  # 2^27 bytes
    window = window or content[:1]
    content = content[size:] if single else content[1 + size :]
    return whole[:4] + bytes([flags & 0x1F & ~0x20]) + window + content


@cache
def blosced() -> bytes:
    from numcodecs import blosc

    return blosc.compress(bytes(SIZE), b"zstd", 1)


@cache
def lz4ed() -> bytes:
    from numcodecs import lz4

    return lz4.compress(bytes(SIZE))


@cache
def picture(kind: str) -> bytes:
    """A picture of that size behind the header of a codec of images."""
    side = 14_000 if kind == "jpeg8" else WIDE
    zeros = np.zeros((side, side, 3) if kind == "webp" else (side, side), np.uint8)
    more = {
        "jpegxl": {"effort": 1},
        "png": {"level": 1},
        "webp": {"level": 0, "lossless": True},
    }
    return bytes(getattr(imagecodecs, f"{kind}_encode")(zeros, **more.get(kind, {})))


def zarr_2(path: Path, content: bytes, codec: dict[str, object], **more: object) -> Path:
    path.mkdir()
    told = {"zarr_format": 2, "shape": [SIDE, SIDE], "chunks": [SIDE, SIDE], "dtype": "|u1"}
    told |= {"fill_value": 0, "order": "C", "filters": None, "compressor": codec, **more}
    (path / ".zarray").write_text(json.dumps(told))
    (path / "0.0").write_bytes(content)
    return path


def zarr_3(path: Path, content: bytes, codec: dict[str, object], *, sharded: bool = False) -> Path:
    path.mkdir()
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, codec]
    if sharded:
        inner = {"chunk_shape": [SIDE // 2, SIDE // 2], "codecs": codecs}
        inner["index_codecs"] = codecs[:1]
        codecs = [{"name": "sharding_indexed", "configuration": inner}]
        content += struct.pack("<8Q", 0, len(content), *[2**64 - 1] * 6)
    grid = {"name": "regular", "configuration": {"chunk_shape": [SIDE, SIDE]}}
    keys = {"name": "default", "configuration": {"separator": "/"}}
    told = {"zarr_format": 3, "node_type": "array", "shape": [SIDE, SIDE], "data_type": "uint8"}
    told |= {"chunk_grid": grid, "chunk_key_encoding": keys, "fill_value": 0, "codecs": codecs}
    (path / "zarr.json").write_text(json.dumps(told))
    (path / "c" / "0").mkdir(parents=True)
    (path / "c" / "0" / "0").write_bytes(content)
    return path


def zarr_zip(path: Path, name: str) -> Path:
    """A zip file of which one part, metadata or a chunk, is the bomb."""
    parts = {".zarray": b"", "0.0": bytes(SIDE**2)}
    told = {"zarr_format": 2, "shape": [SIDE, SIDE], "chunks": [SIDE, SIDE], "dtype": "|u1"}
    told |= {"fill_value": 0, "order": "C", "filters": None, "compressor": None}
    parts[".zarray"] = json.dumps(told).encode()
    body, listed = b"", b""
    for own, content in parts.items():
        packed, size, crc = deflated(), SIZE, 0
        if own != name:
            packed, size, crc = content, len(content), zlib.crc32(content)
        kind = 8 if own == name else 0
        fields = struct.pack("<HHHHIIIHH", 0, kind, 0, 33, crc, len(packed), size, len(own), 0)
        listed += b"PK\1\2" + struct.pack("<HH", 20, 20) + fields
        listed += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + own.encode()
        body += b"PK\3\4" + struct.pack("<H", 20) + fields + own.encode() + packed
    end = struct.pack("<HHHHIIH", 0, 0, 2, 2, len(listed), len(body), 0)
    path.write_bytes(body + listed + b"PK\5\6" + end)
    return path


def tiff(path: Path, content: bytes, compression: int, *, tile: int = 0) -> Path:
    """One strip, or one tile of so many pixels along each side."""
    tags = {256: SIDE, 257: SIDE, 258: 8, 259: compression, 262: 1, 277: 1}
    tags |= {322: tile, 323: tile, 324: 0, 325: 0} if tile else {273: 0, 278: SIDE, 279: 0}
    start = 8 + 2 + 12 * len(tags) + 4
    tags |= {324: start, 325: len(content)} if tile else {273: start, 279: len(content)}
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    path.write_bytes(
        b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + listed + bytes(4) + content
    )
    return path


def hdf5(path: Path, content: bytes, **codec: object) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        one = file.create_dataset("x", (SIDE, SIDE), "u1", chunks=(SIDE, SIDE), **codec)
        one.id.write_direct_chunk((0, 0), content)
    return path


def dicom(path: Path, syntax: str, content: bytes = b"", side: int = SIDE) -> Path:
    """A picture whose data set is deflated, with a film behind, or whose frame is encapsulated."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = "1.2.3"
    one.Rows, one.Columns, one.SamplesPerPixel = side, side, 1
    one.BitsAllocated = one.BitsStored = 8
    one.HighBit, one.PixelRepresentation = 7, 0
    one.PhotometricInterpretation = "MONOCHROME2"
    one.PixelData = encapsulate([content]) if content else bytes(SIDE**2)
    one["PixelData"].VR = "OB"
    one.save_as(path, enforce_file_format=True)
    if not content:
        stream = io.BytesIO()
        one.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        one.save_as(stream, enforce_file_format=True)
        one.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
        head = path.read_bytes()
        size = 132 + 12 + struct.unpack_from("<I", head, 140)[0]
        path.write_bytes(head[:size] + deflated())
    return path


def extended(path: Path, head: bytes) -> Path:
    """A packed file whose header tells of as much more of itself."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(gzip.compress(b"")[:10] + start + deflated() + bytes(8))
    return path


def mrc_extended(path: Path) -> Path:
    plain = written(path.with_name("a.mrc"), packed=False).read_bytes()
    return extended(path, plain[:92] + struct.pack("<i", SIZE - 2**20) + plain[96:1024])


def nifti_extended(path: Path) -> Path:
    plain = written(path.with_name("a.nii"), packed=False).read_bytes()
    head = plain[:108] + struct.pack("<f", 352 + SIZE - 2**20) + plain[112:348]
    return extended(path, head + b"\1\0\0\0" + struct.pack("<ii", SIZE - 2**20, 6))


def nrrd(path: Path) -> Path:
    head = f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: {SIDE} {SIDE}\nencoding: gzip\n\n"
    path.write_bytes(head.encode() + gzipped())
    return path


def written(path: Path, *, packed: bool = True) -> Path:
    """A file of this program, packed again with far more zeros behind."""
    from unnoise.images import formats

    formats.save(path, np.random.default_rng(0).integers(0, 255, (SIDE, SIDE)).astype(np.float32))
    return extended(path, gzip.decompress(path.read_bytes())) if packed else path


def fits(path: Path) -> Path:
    """A compressed tile that is larger than the header says."""
    from astropy.io import fits as astropy

    hdu = astropy.CompImageHDU(
        np.arange(SIDE * SIDE, dtype=np.int16).reshape(SIDE, SIDE),
        compression_type="GZIP_1",
        tile_shape=(SIDE, SIDE),
    )
    astropy.HDUList([astropy.PrimaryHDU(), hdu]).writeto(path)
    data = bytearray(path.read_bytes())
    with astropy.open(path, disable_image_compression=True) as file:
        table = file[1]
        start = table._data_offset
        row = table.header["NAXIS1"]
        heap = start + table.header.get("THEAP", row)
    bomb = gzipped()
    struct.pack_into(">ii", data, start, len(bomb), 0)
    header = data[:start]
    at = header.find(b"PCOUNT  =", start - 2880 * 4 if start > 2880 * 4 else 0)
    header[at : at + 30] = f"PCOUNT  = {len(bomb):>20}".encode()
    body = data[start:heap] + bomb
    path.write_bytes(bytes(header + body) + bytes(-len(body) % 2880))
    return path


def fits_of_runs(path: Path) -> Path:
    """A tile of runs, which ends before its picture of 64 million pixels does."""
    from astropy.io import fits as astropy

    hdu = astropy.CompImageHDU(np.zeros((SIDE, SIDE), np.int16), compression_type="PLIO_1")
    astropy.HDUList([astropy.PrimaryHDU(), hdu]).writeto(path)
    with astropy.open(path, disable_image_compression=True, mode="update") as file:
        for name in ("ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2"):
            file[1].header[name] = WIDE
    return path


def series_at_one_place(path: Path) -> Path:
    """A SER of two hundred pictures of a million pixels, of which it holds one."""
    from .em_files import ser

    count, side = 200, 1000
    data = ser(path, np.zeros((count, 1, 1), np.uint8)).read_bytes()
    (table,) = struct.unpack_from("<I", data, 22)
    (first,) = struct.unpack_from("<I", data, table)
    places = np.full(count, len(data), "<u4").tobytes()
    picture = data[first : first + 42] + struct.pack("<II", side, side) + bytes(side**2 + 64)
    path.write_bytes(data[:table] + places + data[table + len(places) :] + picture)
    return path


BOMBS: dict[str, Callable[[Path], Path]] = {
    **{
        f"{name}.zarr": lambda p, c=content, n=name: zarr_2(p, c(), {"id": n.split("_")[0]})
        for name, content in {
            "zlib": zlibbed,
            "gzip": gzipped,
            "lzma": lzmaed,
            "bz2": bzipped,
            "zstd": zstandard,
            "zstd_untold": lambda: zstandard(told=False),
            "blosc": blosced,
            "lz4": lz4ed,
        }.items()
    },
    "jpeg2k.zarr": lambda p: zarr_2(p, picture("jpeg2k"), {"id": "imagecodecs_jpeg2k"}),
    "jpeg.zarr": lambda p: zarr_2(p, picture("jpeg8"), {"id": "imagecodecs_jpeg"}),
    "filtered.zarr": lambda p: zarr_2(
        p, zlibbed(), {"id": "zlib"}, filters=[{"id": "delta", "dtype": "|u1"}]
    ),
    "v3_gzip.zarr": lambda p: zarr_3(p, gzipped(), {"name": "gzip", "configuration": {"level": 1}}),
    "v3_zstd.zarr": lambda p: zarr_3(
        p, zstandard(told=False), {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
    ),
    "v3_blosc.zarr": lambda p: zarr_3(
        p,
        blosced(),
        {
            "name": "blosc",
            "configuration": {
                "cname": "zstd",
                "clevel": 1,
                "shuffle": "noshuffle",
                "typesize": 1,
                "blocksize": 0,
            },
        },
    ),
    "v3_zlib.zarr": lambda p: zarr_3(
        p, zlibbed(), {"name": "numcodecs.zlib", "configuration": {"level": 1}}
    ),
    "sharded.zarr": lambda p: zarr_3(
        p, gzipped(), {"name": "gzip", "configuration": {"level": 1}}, sharded=True
    ),
    "chunk.zarr.zip": lambda p: zarr_zip(p, "0.0"),
    "metadata.zarr.zip": lambda p: zarr_zip(p, ".zarray"),
    "deflate.tif": lambda p: tiff(p, zlibbed(), 8),
    "lzma.tif": lambda p: tiff(p, lzmaed(), 34925),
    "zstd.tif": lambda p: tiff(p, zstandard(told=False), 50000),
    "zstd_told.tif": lambda p: tiff(p, zstandard(), 50000),
    "packbits.tif": lambda p: tiff(p, b"\x81\0" * (SIZE // 128), 32773),
    "jpeg.tif": lambda p: tiff(p, picture("jpeg8"), 7),
    "jpeg2k.tif": lambda p: tiff(p, picture("jpeg2k"), 34712),
    "png.tif": lambda p: tiff(p, picture("png"), 34933),
    "webp.tif": lambda p: tiff(p, picture("webp"), 50001),
    "jpegxl.tif": lambda p: tiff(p, picture("jpegxl"), 50002),
    "jpegxr.tif": lambda p: tiff(p, picture("jpegxr"), 34934),
    "lerc.tif": lambda p: tiff(p, picture("lerc"), 34887),
    "lerc_zstd.tif": lambda p: tiff(p, imagecodecs.zstd_encode(picture("lerc")), 34887),
    "lerc_zlib.tif": lambda p: tiff(p, zlib.compress(picture("lerc")), 34887),
    "lerc_long.tif": lambda p: tiff(p, zstandard(), 34887),
    "tile.tif": lambda p: tiff(p, zlibbed(), 8, tile=19_600),
    "left_out.tif": lambda p: tiff(p, b"", 8, tile=19_600),
    "gzip.h5": lambda p: hdf5(p, zlibbed(), compression="gzip"),
    "deflated.dcm": lambda p: dicom(p, "DeflatedExplicitVRLittleEndian"),
    "jpeg.dcm": lambda p: dicom(p, "JPEGBaseline8Bit", picture("jpeg8")),
    "runs.dcm": lambda p: dicom(
        p, "RLELossless", struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 4, 14_000
    ),
    "runs.fits.fz": fits_of_runs,
    "x.ser": series_at_one_place,
    "x.nrrd": nrrd,
    "x.nii.gz": written,
    "x.fits.gz": written,
    "x.mrc.gz": written,
    "x.fits.fz": fits,
    "extended.mrc.gz": mrc_extended,
    "extended.nii.gz": nifti_extended,
}
