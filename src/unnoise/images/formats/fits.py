"""FITS of astronomy, bare, packed by gzip, or with compressed tiles (.fz), by astropy.

The standard is FITS 4.0 (https://fits.gsfc.nasa.gov/fits_standard.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.acquisition import Acquisition
from unnoise.images.formats import _fits_packed, _fits_tiles, _stored
from unnoise.images.formats._series import Series
from unnoise.images.formats._values import Values, flipped
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import PlanePixels, needs
from unnoise.images.formats.writer import Encoded, Layout, Sink, held
from unnoise.images.image import Image
from unnoise.images.pixel_types import check_pixels
from unnoise.images.quiet import quiet
from unnoise.images.units import spelled

BARE, TILED = (".fits", ".fit", ".fts"), (".fits.fz", ".fit.fz", ".fz")
ABOUT = (
    About(
        "FITS",
        (*BARE, *(f"{suffix}.gz" for suffix in BARE), *TILED),
        "astropy",
        "BSD-3",
        "YX; T and C by CTYPE; else by `--axes`; image extensions are series",
        "header, pixel size by CDELT or CD, date, BLANK",
        extra="formats",
        tested="fits",
    ),
)
LETTERS = {
    "T": ("TIME", "UTC", "TAI", "MJD"),
    "C": ("STOKES", "FREQ", "VELO", "VRAD", "VOPT", "WAVE", "AWAV", "ENER", "WAVN", "ZOPT"),
}
"""Letter -> how CTYPE of such an axis begins."""
AUXILIARY = re.compile(
    r"(ERR|ERRORS?|DQ|VAR|VARIANCE|VAR_(POISSON|RNOISE|FLAT)|MASK|BPM|WHT|CTX|CON|HDRLET|SAMP|TIME)"
    r"[_-]?\d*"
)
"""Names of extensions with errors, flags and weights of the pictures beside them."""
STRUCTURE: tuple[str, ...] = (
    "SIMPLE",
    "XTENSION",
    "BITPIX",
    "EXTEND",
    "PCOUNT",
    "GCOUNT",
    "GROUPS",
    "BSCALE",
)
STRUCTURE += ("BZERO", "BLANK", "DATAMIN", "DATAMAX", "CHECKSUM", "DATASUM", "INHERIT", "END")
"""Keywords that describe the stored pixels, and are written anew."""
TYPES = {"uint8": 8, "int16": 16, "int32": 32, "int64": 64, "float32": -32, "float64": -64}
OFFSETS = {"int8": "uint8", "uint16": "int16", "uint32": "int32", "uint64": "int64"}
"""What is stored as what else, with its first bit flipped."""
UNITS = {"um": "µm", "Angstrom": "angstrom"}
BLOCK = 2880


def _parse(path: Path, axes: str | None) -> list[Image]:
    """All pictures of a file; `axes` may be "?" for any."""
    with quiet(), _opened(path) as hdus:
        found = [(i, hdu) for i, hdu in enumerate(hdus) if hdu.is_image and len(hdu.shape) > 1]
        names = {i: str(hdu.header.get("EXTNAME", "")).strip() for i, hdu in found}
        others = [i for i, _ in found if i and AUXILIARY.fullmatch(names[i].upper())]
        others = others if len(others) < len(found) else []  # of which one is what is wanted
        images = [_image(path, i, hdu, axes) for i, hdu in found if i not in others]
        left = [names[i] for i in others]
        more = len(hdus) > 1
    if not images:
        raise InputError(f"{path} holds tables or spectra, but no picture")
    for image in images:
        lost = ["other extensions"] * more
        image.metadata["lost"].extend(lost)
    if left:
        images[0].metadata["note"] = (  # type: ignore[index]
            f"holds extensions that tell of the pictures, which are left out: {', '.join(left)}"
        )
    return images


def read(path: Path, axes: str | None = None, series: int | None = None) -> Image:
    """Open a picture of a FITS file: the one of a number, or the first of full size.

    Raises
    ------
    InputError
        For damaged files, and files without pictures.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    return Series("FITS", partial(_parse, axes=axes)).read(path, None, series)


def numbers(path: Path, series: str | int | None = None) -> tuple[list[int], str]:
    """Which pictures of a file are meant, and what to tell of the others.

    Raises
    ------
    InputError
        If there is no such picture, or the file is damaged.
    """
    return Series("FITS", partial(_parse, axes="?")).numbers(path, series)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The extensions of a file, within `quiet`: astropy warns of most headers."""
    fits = needs("astropy.io.fits", "formats")
    with (
        _fits_packed.unpacked(path) as file,
        fits.open(file, memmap=True, do_not_scale_image_data=True) as hdus,
    ):
        len(hdus)  # all of them are looked for here
        yield hdus


def _image(path: Path, number: int, hdu: Any, axes: str | None) -> Image:
    header = hdu.header
    shape = tuple(map(int, hdu.shape))
    check_pixels(shape, np.dtype(np.uint8), path.name)
    data = _tiles(path, number, hdu, shape) if _is_tiled(hdu) else _values(path, hdu, shape)
    letters = ("SCTZYX"[-len(shape) :] if axes == "?" else axes) or _axes(header, shape)
    letters = ax.check(letters, shape)
    scale, units = _scale(header, letters)
    blank = header.get("BLANK") if data.dtype.kind in "ui" else None
    nodata = None if blank is None else float(blank) + float(header.get("BZERO", 0))
    date = _date(str(header.get("DATE-OBS", "")))
    name = str(header.get("EXTNAME", "")).strip()
    metadata: dict[str, Any] = {
        "source": "fits",
        "header": header.copy(),
        "holds": ["FITS header"] + ["nodata value"] * (nodata is not None),
        "lost": [],
    } | ({"title": name} if name else {})
    return Image(
        data, letters, scale=scale, units=units, path=path, metadata=metadata, nodata=nodata,
        acquisition=Acquisition(date=date),
    )  # fmt: skip


def _date(text: str) -> str:
    """A date in ISO 8601, or nothing; before 1999 it was DD/MM/YY, by the standard of FITS of 19YY.

    Examples
    --------
    >>> _date("2010-07-02T15:10:48"), _date("05/04/87"), _date("spring")
    ('2010-07-02T15:10:48', '1987-04-05', '')
    """
    if re.match(r"\d{4}-\d\d-\d\d", text):
        return text
    old = re.fullmatch(r"(\d\d)/(\d\d)/(\d\d)", text.strip())
    return f"19{old[3]}-{old[2]}-{old[1]}" if old else ""


def _is_tiled(hdu: Any) -> bool:
    """Whether the pixels are compressed tile by tile in a table."""
    return type(hdu).__name__ == "CompImageHDU"


def _values(path: Path, hdu: Any, shape: tuple[int, ...]) -> Values:
    header = hdu.header
    stored = np.dtype(
        {8: ">u1"}.get(hdu._bitpix, f">{'if'[hdu._bitpix < 0]}{abs(hdu._bitpix) // 8}")
    )
    place = _stored.Place(int(hdu.fileinfo()["datLoc"]), shape, stored)
    pixels = _stored.pixels(path, place, "FITS")
    factor, zero = float(header.get("BSCALE", 1)), float(header.get("BZERO", 0))
    return Values(pixels, factor, zero, header.get("BLANK"))


def _tiles(path: Path, number: int, hdu: Any, shape: tuple[int, ...]) -> PlanePixels:
    """Pixels of which only the compressed tiles that a region touches are decoded."""
    header = hdu.header

    @contextmanager
    def opened(place: Path) -> Iterator[Any]:
        _fits_tiles.guard()
        with ExitStack() as stack:  # the file stays open, and others have to be warned meanwhile
            with quiet():
                hdus = stack.enter_context(_opened(place))
                _fits_packed.check_tiles(place, number)
                values = Values(_Section(hdus[number], shape), *line)
            yield lambda _: values

    line = float(header.get("BSCALE", 1)), float(header.get("BZERO", 0)), header.get("BLANK")
    form = Values(np.broadcast_to(np.zeros((), _type(hdu)), shape), *line)
    return PlanePixels(path, "FITS", opened, shape, form.dtype, plane=len(shape))


def _type(hdu: Any) -> np.dtype:
    """Type of the stored numbers, behind compressed tiles too."""
    bits = int(hdu.header["BITPIX"])
    return np.dtype("u1" if bits == 8 else f"{'if'[bits < 0]}{abs(bits) // 8}")


class _Section:
    """The part of astropy's extension that reads regions."""

    def __init__(self, hdu: Any, shape: tuple[int, ...]):
        self._hdu, self.shape, self.dtype = hdu, shape, _type(hdu)

    def __getitem__(self, index: Any, /) -> NDArray:
        with quiet():
            return np.asarray(self._hdu.section[index], self.dtype)


def _axes(header: Any, shape: tuple[int, ...]) -> str:
    """Letters by CNAME, which is how this program writes them, and by CTYPE."""
    count = len(shape)
    pattern = ["?"] * (count - 2) + ["Y", "X"]
    for i in range(count - 2):
        name = str(header.get(f"CNAME{count - i}", "")).strip()
        kind = str(header.get(f"CTYPE{count - i}", "")).strip().upper()
        found = [letter for letter, starts in LETTERS.items() if kind.startswith(starts)]
        letter = name if name in tuple(ax.CANONICAL) else (found or ["?"])[0]
        if letter not in pattern:
            pattern[i] = letter
    for i, size in enumerate(shape):
        if pattern[i] == "?" and size == 1:  # any unused letter is right
            pattern[i] = next(a for a in ax.CANONICAL if a not in pattern)
    letters = "".join(pattern)
    if "?" in letters:
        raise ax.ambiguous(shape, letters if set(letters) - set("?YX") else "")
    return letters


def _scale(header: Any, letters: str) -> tuple[dict[str, float], dict[str, str]]:
    """Pixel size along each axis, by the column of the CD matrix or by CDELT, and units."""
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    count = len(letters)
    for i, letter in enumerate(letters):
        n = count - i
        column = [header.get(f"CD{row}_{n}") for row in range(1, count + 1)]
        known = [float(value) for value in column if isinstance(value, int | float)]
        size = np.linalg.norm(known) if known else header.get(f"CDELT{n}", 0)
        if letter in "TZYX" and isinstance(size, int | float) and 0 < abs(size) < np.inf:
            scale[letter] = float(abs(size))
            kind = str(header.get(f"CTYPE{n}", ""))
            is_sky = kind.startswith(("RA--", "DEC-", "GLON", "GLAT"))
            unit = str(header.get(f"CUNIT{n}", "deg" if is_sky else "")).strip()
            units |= {letter: UNITS.get(unit, unit)} if unit else {}
    return scale, units


def prepare(path: Path, like: Image, dtype: np.dtype) -> Layout:
    """Check that FITS has the type of the pixels, and say how to lay the file out.

    Raises
    ------
    InputError
        For pixel types that FITS lacks.
    """
    stored = np.dtype(OFFSETS.get(dtype.name, dtype.name))
    if stored.name not in TYPES:
        raise InputError(f"{path}: FITS holds no {dtype}; choose another --dtype, e.g. float32")
    letters = "".join(a for a in ax.CANONICAL if a in like.axes)
    shape = tuple(like.shape[like.axes.index(a)] for a in letters)
    header = _header(like, letters, shape, dtype)
    order = tuple(letters.index(a) for a in like.axes)
    if path.name.lower().endswith(".fz"):
        inverse = [like.axes.index(a) for a in letters]
        return Encoded(
            like.shape,
            dtype,
            lambda part, array: _compress(
                part, np.asarray(array).transpose(inverse), header, _blank(like, dtype)
            ),
        )
    start = header.tostring(endcard=True, padding=True).encode("ascii")
    place = _stored.Place(len(start), shape, stored.newbyteorder(">"))
    layout = _stored.layout(path, place, order, lambda _: start, b"\0" * (-place.size % BLOCK))
    return _Offset(layout, stored) if dtype != stored else layout


def _compress(part: Path, array: NDArray, header: Any, blank: int | None) -> None:
    """Write compressed tiles, without any loss for floats too."""
    fits = needs("astropy.io.fits", "formats")
    kind = "RICE_1" if array.dtype.kind in "ui" and array.dtype.itemsize < 8 else "GZIP_2"
    cards = fits.Header([c for c in header.cards if c.keyword not in STRUCTURE], copy=True)
    hdu = fits.CompImageHDU(
        np.ascontiguousarray(array), cards, compression_type=kind, quantize_level=0, uint=True
    )
    if blank is not None:
        hdu.header["BLANK"] = blank
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(part, overwrite=True, output_verify="silentfix")


@dataclass(frozen=True)
class _Offset:
    """A layout whose pixels are stored with the other sign."""

    layout: Layout
    stored: np.dtype

    @property
    def waiting(self) -> int:
        """As `Layout` says."""
        return int(getattr(self.layout, "waiting", 0))

    def __call__(self, part: Path) -> tuple[Sink, Any]:
        sink, complete = self.layout(part)
        return _Flipping(sink, self.stored), complete


@dataclass(frozen=True)
class _Flipping:
    sink: Sink
    stored: np.dtype

    def __setitem__(self, index: tuple[slice, ...], block: NDArray, /) -> None:
        self.sink[index] = flipped(block, self.stored)


def _header(like: Image, letters: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """A header of the structure of new pixels, with all that the input said of other things."""
    fits = needs("astropy.io.fits", "formats")
    header, count = fits.Header(), len(shape)
    stored = np.dtype(OFFSETS.get(dtype.name, dtype.name))
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, TYPES[stored.name], count
    for i, size in enumerate(reversed(shape)):
        header[f"NAXIS{i + 1}"] = size
    if dtype != stored:
        header["BSCALE"], header["BZERO"] = 1, _zero(dtype)
    blank = _blank(like, dtype)
    if blank is not None:
        header["BLANK"] = blank
    if like.metadata.get("source") == "fits":
        own = [c for c in like.metadata["header"].cards if _is_kept(c.keyword)]
        header.extend(own, strip=False, bottom=True)
    elif like.acquisition.date:
        header["DATE-OBS"] = like.acquisition.date
    for i, letter in enumerate(letters):
        _describe(header, like, count - i, letter)
    header.add_history("denoised by unnoise")
    return header


def _zero(dtype: np.dtype) -> int:
    """What a stored 0 stands for."""
    half = 2 ** (8 * dtype.itemsize - 1)
    return (half if dtype.kind == "u" else -half) if dtype.name in OFFSETS else 0


def _blank(like: Image, dtype: np.dtype) -> int | None:
    """The stored number of pixels without data, or None where the type of the pixels has none."""
    if like.nodata is None or dtype.kind not in "ui" or not float(like.nodata).is_integer():
        return None
    number, stored = int(like.nodata) - _zero(dtype), np.dtype(OFFSETS.get(dtype.name, dtype.name))
    return number if np.iinfo(stored).min <= number <= np.iinfo(stored).max else None


def _is_kept(keyword: str) -> bool:
    return keyword not in STRUCTURE and not keyword.startswith("NAXIS")


def _describe(header: Any, like: Image, n: int, letter: str) -> None:
    """Name an axis where CTYPE does not, and put its pixel size where none is."""
    kind = str(header.get(f"CTYPE{n}", "")).upper()
    if n > 2 and not kind.startswith(LETTERS.get(letter, ("?",))):
        header[f"CNAME{n}"] = letter
    known = f"CDELT{n}" in header or any(f"CD{row}_{n}" in header for row in range(1, 7))
    if letter in like.scale and not known:
        header[f"CDELT{n}"] = like.scale[letter]
        unit = spelled(like.units.get(letter, ""))
        unit = {"µm": "um", "Å": "Angstrom"}.get(unit, unit)
        header[f"CUNIT{n}"] = unit.encode("ascii", "ignore").decode()


def lost(path: Path, like: Image, dtype: np.dtype) -> list[str]:
    """What is known of an image and will not be in its file."""
    kept = {"pixel size", "acquisition date"}
    kept |= {"FITS header"} if like.metadata.get("source") == "fits" else set()
    kept |= {"nodata value"} if _blank(like, dtype) is not None else set()
    return [*like.metadata.get("lost", ()), *(name for name in held(like) if name not in kept)]
