"""PNG and JPEG: photographs and screens full of 8 or 16 bit, with what surrounds the pixels.

The pixels are held in memory and encoded when the file is completed. Metadata that both formats
know travels between them: ``icc`` (a colour profile) and ``exif`` (orientation included; the
pixels are never turned).
"""

from __future__ import annotations

import io
import math
import mmap
import re
import struct
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image as Pillow

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.formats import _palette
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import Pixels, check_room, reading
from unnoise.images.formats.writer import Encoded, Layout, held
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels
from unnoise.images.units import metres

ABOUT = (
    About(
        "PNG",
        (".png",),
        "imagecodecs",
        "BSD-3",
        "YX, YXC",
        "pixel size, colour profile, EXIF, text, palette",
        tested="photographs",
    ),
    About(
        "JPEG",
        (".jpg", ".jpeg"),
        "imagecodecs, Pillow",
        "BSD-3, MIT-CMU",
        "YX, YXC",
        "pixel size, colour profile, EXIF, XMP, comment",
        tested="photographs",
    ),
)
PER_METRE, PER_INCH = (1.0, 2**31 - 1), (0.0254, 2**16 - 1)
"""On which length PNG and JPEG count pixels, and how many they can count."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
MOST_EXPANSION = 1100
"""How many bytes a compressed byte becomes at most: deflate 1032, JPEG 1024 (a bit for 8 x 8 pixels
of a colour, which may stand for 16 x 16)."""
PNG_COLOURS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by the type of colour in the header; 3 are palettes."""
PNG_COLOUR = (b"sRGB", b"gAMA", b"cHRM")
PNG_ANEW = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"pHYs", b"iCCP", b"eXIf", b"tRNS", b"hIST")
"""Chunks written anew from the `Image`, or true no more."""
PNG_LOST = {b"bKGD": "background colour", b"sBIT": "number of significant bits"}
"""Chunks that speak of the old pixels; all others are copied as they are."""
JPEG_LOST = {"photoshop": "Photoshop and IPTC data"}

_lock = threading.Lock()
PILLOW = tuple(int(part) for part in PIL.__version__.split(".")[:2])

Meta = dict[str, Any]

MOST_PROFILE = 2**24
"""Bytes of a colour profile: those of printers have up to 3 million."""
MOST_SEGMENT = {"exif": 65533 - 6, "icc": 255 * 65519}
"""Bytes of what JPEG holds of EXIF in its one segment, and of a profile in 255 of them."""
MOST_SCANS = 200
"""How often a JPEG may go over its pixels: those of cameras and programs do so 1 to 20 times."""
MARKER = re.compile(rb"\xff+([\x02-\xcf\xd8-\xfe])")
"""What is no pixel behind the start of a scan: not stuffed, and no restart."""
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN = b"\xd8", b"\xd9", b"\xda"
WHITE_IS_ZERO = 0
"""PhotometricInterpretation of TIFF, and what a MONOCHROME1 of DICOM is here."""
ORIENTATION = 0x0112
"""The tag of EXIF."""


def read(path: Path, axes: str | None = None) -> Image:
    """Decode a PNG or JPEG file.

    Raises
    ------
    InputError
        For damaged files, animations, and colours other than gray and RGB.
    AxesError
        If `axes` do not fit.
    """
    decode = _read_png if _is_png(path) else _read_jpeg
    pixels, scale, unit, meta = decode(path)
    check_pixels(pixels.shape, pixels.dtype, path.name)
    letters = ax.check(axes or "YXC"[: pixels.ndim], pixels.shape)
    colours = pixels.shape[-1] if letters[-1] == "C" else 1
    return Image(
        Pixels(lambda: decode(path)[0], pixels.shape, pixels.dtype),
        letters,
        scale=scale,
        units=dict.fromkeys(scale, unit),
        is_rgb=colours in (3, 4),
        alpha=colours - 1 if colours in (2, 4) else None,
        path=path,
        metadata=meta,
    )


def prepare(path: Path, like: Image, dtype: np.dtype) -> Layout:
    """Check that an image fits the format, and say how to lay the file out.

    Raises
    ------
    InputError
        For axes, channel numbers and pixel types the format lacks.
    """
    is_png = path.suffix.lower() == ".png"
    types, colours = (("uint8", "uint16"), (1, 2, 3, 4)) if is_png else (("uint8",), (1, 3))
    kind = "PNG" if is_png else "JPEG"
    remedy = "choose a name that ends in .tif with -o"
    if dtype.name not in types:
        raise InputError(f"{path}: {kind} holds {' or '.join(types)}, not {dtype}; {remedy}")
    is_planar = like.axes == "CYX" and like.is_rgb
    if not (is_planar or like.axes in ("YX", "YXC")) or like.sizes["C"] not in colours:
        raise InputError(
            f"{path}: {kind} holds YX or YXC with {' or '.join(map(str, colours))} channels, not "
            f"{like.axes} of shape {like.shape}; {remedy}"
        )
    count = like.sizes["C"]
    if like.path and count in (2, 4) and not like.is_rgb and like.alpha != count - 1:
        raise InputError(
            f"{path}: the last of {count} channels would be taken for transparency in PNG, and "
            f"{like.name} has no colours of gray or RGB; {remedy}"
        )
    write = _write_png if is_png else _write_jpeg

    def encode(part: Path, pixels: Any) -> None:
        picture = np.asarray(pixels)
        picture = np.moveaxis(picture, 0, -1) if is_planar else picture
        write(part, _from_black(picture, like), like)

    return Encoded(like.shape, dtype, encode)


def lost(path: Path, like: Image, dtype: np.dtype) -> list[str]:
    """What is known of an image and will not be in its file."""
    is_png = path.suffix.lower() == ".png"
    kept = {"orientation"}
    names = {"exif": "EXIF", "icc": "colour profile"}
    kept |= {name for key, name in names.items() if is_png or _fits(like.metadata, key)}
    kept |= {"pixel size"} if _density(like, *(PER_METRE if is_png else PER_INCH)) else set()
    kept |= {"text", "date"} if is_png and "chunks" in like.metadata else set()
    kept |= set() if is_png else {"comment", "XMP"}
    kept |= {"lookup table"} if is_png and _colormap(like, dtype) is not None else set()
    found = [*like.metadata.get("lost", ()), *(name for name in held(like) if name not in kept)]
    if like.path and like.sizes["C"] == 3 and not like.is_rgb:
        found.append("what its channels are (they are shown as red, green and blue)")
    return found


def _fits(meta: Mapping[str, Any], key: str) -> bool:
    """Whether JPEG has room for a profile or EXIF."""
    return len(meta.get(key, b"")) <= MOST_SEGMENT[key]


def _from_black(picture: NDArray, like: Image) -> NDArray:
    """Gray that rises from black, as both formats have it, where 0 of the image is white."""
    if like.metadata.get("photometric") != WHITE_IS_ZERO or like.is_rgb:
        return picture
    gray = picture.copy()
    shade = gray[..., :1] if like.alpha is not None else gray
    np.subtract(np.iinfo(gray.dtype).max, shade, out=shade)
    return gray


def _exif(meta: Mapping[str, Any]) -> bytes:
    """What is known as EXIF; the orientation that other formats tell in another way."""
    own = bytes(meta.get("exif", b""))
    if own or meta.get("orientation", 1) == 1:
        return own
    made = Pillow.Exif()
    made[ORIENTATION] = int(meta["orientation"])
    return made.tobytes().removeprefix(b"Exif\0\0")


def _is_png(path: Path) -> bool:
    """Whether a file is a PNG by its content or, where that is no JPEG either, by its name."""
    with reading(path, "PNG"), open(path, "rb") as file:
        head = file.read(len(PNG_SIGNATURE))
    is_jpeg = head.startswith(JPEG_SIGNATURE)
    return head == PNG_SIGNATURE or (path.suffix.lower() == ".png" and not is_jpeg)


def _density(image: Image, length: float, most: int) -> tuple[int, int] | None:
    """Pixels along X and Y on a length in metres, if known and within 1 % of whole numbers."""
    steps = [image.scale.get(a, 0) * metres(image.units.get(a, "")) for a in "XY"]
    if min(steps) <= 0:
        return None
    found = [length / step for step in steps]
    if not all(abs(round(n) - n) <= 0.01 * n and round(n) <= most for n in found):
        return None
    return round(found[0]), round(found[1])


def _read_png(path: Path) -> tuple[NDArray, dict[str, float], str, Meta]:
    with reading(path, "PNG"):
        data = path.read_bytes()
        chunks = _chunks(data)
        known = dict(chunks)
        if b"acTL" in known:
            raise InputError(f"{path} is an animation; save its frames as single files")
        width, height, bits, colours = struct.unpack_from(">IIBB", known[b"IHDR"])
        compressed = sum(len(content) for name, content in chunks if name == b"IDAT")
        if width * height * bits * PNG_COLOURS[colours] > compressed * 8 * MOST_EXPANSION:
            raise ValueError(f"its {compressed} bytes cannot hold the {width} x {height} pixels")
        check_room(path, width * height * max(bits // 8, 1) * PNG_COLOURS[colours])
        # Colours of palettes become RGB, transparent ones an alpha channel, 1 to 4 bits become 8.
        pixels: NDArray = imagecodecs.png_decode(data)
        kept = [c for c in chunks if c[0] not in PNG_ANEW and c[0] not in PNG_LOST]
        meta: Meta = {"source": "png", "chunks": kept}
        meta["lost"] = [name for chunk, name in PNG_LOST.items() if chunk in known]
        if colours == 3:
            pixels, more = _of_palette(path, pixels, known)
            meta |= more
        elif bits == 1 and colours == 0:
            meta["unfit"] = (
                f"{path} holds pixels of one bit, black or white: a mask or a drawing has no noise "
                f"to remove; give the image that it was made from"
            )
        if b"iCCP" in known:
            profile = zlib.decompressobj()
            meta["icc"] = profile.decompress(known[b"iCCP"].split(b"\0", 1)[1][1:], MOST_PROFILE)
            if profile.unconsumed_tail:
                raise ValueError("its colour profile unpacks to more than any profile needs")
        if b"eXIf" in known:
            meta["exif"] = known[b"eXIf"]
        meta["holds"] = _held(meta)
        x, y, unit = struct.unpack(">IIB", known.get(b"pHYs", bytes(9)))
    scale = {"X": 1 / x, "Y": 1 / y} if x and y and unit == 1 else {}
    return pixels, scale, "m", meta


def _of_palette(path: Path, expanded: NDArray, chunks: dict[bytes, bytes]) -> tuple[NDArray, Meta]:
    """The pixels that a picture with a palette stands for, as in `_palette.kind`."""
    colours = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3).T.astype(np.uint16) * 257
    with _opened(path, "PNG") as image:
        pixels = np.asarray(image)
    way = _palette.kind(colours, pixels)
    if way == "labels":
        return pixels, {"unfit": str(_palette.refusal(path))}
    if b"tRNS" in chunks or way == "colour":
        return expanded, {}
    if way == "gray":
        return _palette.expand(pixels, colours, way), {}
    return pixels, {"colormap": _palette.whole(colours)}


def _opened(path: Path, kind: str) -> Pillow.Image:
    """A file by Pillow, however large: what fits neither its bytes nor the memory is refused."""
    with _lock:
        most, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            return Pillow.open(path, formats=[kind])
        finally:
            Pillow.MAX_IMAGE_PIXELS = most


def _held(meta: Meta) -> list[str]:
    """Names of what is known besides the pixels."""
    names = {"icc": "colour profile", "exif": "EXIF", "colormap": "lookup table"}
    names |= {"comment": "comment", "xmp": "XMP"}
    chunks = [name for name, _ in meta.get("chunks", ()) if name not in PNG_COLOUR]
    others = ["text"] if {b"tEXt", b"iTXt", b"zTXt"} & set(chunks) else []
    others += ["date"] if b"tIME" in chunks else []
    return [name for key, name in names.items() if key in meta] + others


def _colormap(image: Image, dtype: np.dtype) -> NDArray | None:
    """The lookup table of intensities, where the format can hold it."""
    table: NDArray | None = image.metadata.get("colormap")
    fits = table is not None and table.shape[1] == 256 and image.axes == "YX"
    return table if fits and dtype == np.uint8 else None


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of the chunks of a PNG; ValueError if the last one is missing."""
    if not data.startswith(PNG_SIGNATURE):
        raise ValueError("no PNG signature")
    chunks, at = [], len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        chunks.append((name, data[at + 8 : at + 8 + size]))
        at += size + 12
        if name == b"IEND" and at <= len(data):
            return chunks
    raise ValueError("its end is missing")


def _write_png(part: Path, pixels: NDArray, like: Image) -> None:
    meta, density = like.metadata, _density(like, *PER_METRE)
    chunks: list[tuple[bytes, bytes]] = list(meta.get("chunks", []))
    if density:
        chunks.append((b"pHYs", struct.pack(">IIB", *density, 1)))
    if "icc" in meta:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(meta["icc"])))
    exif = _exif(meta)
    if exif:
        chunks.append((b"eXIf", exif))
    png = imagecodecs.png_encode(np.ascontiguousarray(pixels))
    colormap = _colormap(like, pixels.dtype)
    if colormap is not None:
        stream, image = io.BytesIO(), Pillow.fromarray(np.ascontiguousarray(pixels))
        image.putpalette((colormap >> 8).astype(np.uint8).T.tobytes())
        image.save(stream, "PNG")
        png = stream.getvalue()
    head = len(PNG_SIGNATURE) + 25  # IHDR comes first and has 25 bytes
    added = [
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    part.write_bytes(b"".join((png[:head], *added, png[head:])))


def _read_jpeg(path: Path) -> tuple[NDArray, dict[str, float], str, Meta]:
    with reading(path, "JPEG"), _opened(path, "JPEG") as image:
        _check_scans(path)
        samples, size = math.prod(image.size) * len(image.getbands()), path.stat().st_size
        if samples > MOST_EXPANSION * size:
            raise ValueError(
                f"its {size} bytes cannot hold the {image.width} x {image.height} pixels"
            )
        check_room(path, 2 * samples)
        if image.mode not in ("L", "RGB"):
            raise InputError(f"{path} has {image.mode} colours; convert it to RGB or gray first")
        pixels = np.asarray(image)
        info = image.info
        meta: Meta = {"source": "jpeg"}
        if "icc_profile" in info:
            meta["icc"] = info["icc_profile"]
        if "exif" in info:
            meta["exif"] = info["exif"].removeprefix(b"Exif\0\0")
            meta["orientation"] = image.getexif().get(ORIENTATION, 1)
        meta |= {key: info[key] for key in ("comment", "xmp") if info.get(key)}
        meta["lost"] = [name for key, name in JPEG_LOST.items() if key in info]
        if "xmp" in meta and PILLOW < (11, 0):  # which cannot write it
            meta["lost"].append("XMP")
            del meta["xmp"]
        meta["holds"] = _held(meta)
        if getattr(image, "n_frames", 1) > 1:
            meta["note"] = f"{path.name} holds several pictures; only the first is used"
        x, y = (float(d) for d in info.get("dpi", (0, 0)))
    # Cameras write 72 dpi for "unknown", but copying it back keeps the file as it was.
    scale = {"X": 1 / x, "Y": 1 / y} if x > 0 and y > 0 else {}
    return pixels, scale, "inch", meta


def _check_scans(path: Path) -> None:
    """ValueError where the pixels are gone over more often than any program does it.

    A scan of some bytes may stand for nothing new of all pixels.
    """
    at, scans = 2, 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while (found := MARKER.search(data, at)) and found[1] != END_OF_IMAGE:
            size = int.from_bytes(data[found.end() : found.end() + 2], "big")
            at = found.end() + (0 if found[1] == START_OF_IMAGE else max(size, 2))
            scans += found[1] == START_OF_SCAN
            if scans > MOST_SCANS:
                raise ValueError(f"it goes over its pixels more than {MOST_SCANS} times")
        found = None  # it holds on to the map


def _write_jpeg(part: Path, pixels: NDArray, like: Image) -> None:
    meta, density = like.metadata, _density(like, *PER_INCH)
    extra: Meta = {"dpi": density} if density else {}
    if "icc" in meta and _fits(meta, "icc"):
        extra["icc_profile"] = meta["icc"]
    exif = _exif(meta if _fits(meta, "exif") else {"orientation": meta.get("orientation", 1)})
    if exif:
        extra["exif"] = b"Exif\0\0" + exif
    extra |= {key: meta[key] for key in ("comment", "xmp") if key in meta}
    gray_or_rgb = pixels[..., 0] if like.axes == "YXC" and pixels.shape[-1] == 1 else pixels
    image = Pillow.fromarray(np.ascontiguousarray(gray_or_rgb))
    image.save(part, format="JPEG", quality=95, subsampling=0, **extra)
