"""What the samples of a pixel of a TIFF file mean: grey levels, colours, numbers of colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.formats import _palette
from unnoise.images.formats._tiff_regions import Regions

RGB = (2, 6)
"""PhotometricInterpretation RGB and YCBCR, which is refused unless it is decoded to RGB."""
KEPT = (0, 5)
"""MINISWHITE and SEPARATED (CMYK) are written back as such."""
INDEXED, YCBCR, CFA = 3, 6, 32803
JPEG = (6, 7, 33007, 34892)
"""Compressions whose YCbCr tifffile decodes to RGB."""
APERIO_YCBCR, APERIO_RGB = 33003, 33005
"""JPEG 2000 of Aperio, which is what its number says, whatever PhotometricInterpretation does."""
LAB = {8: "CIELAB", 9: "ICC Lab", 10: "ITU Lab"}
SIDE = 4096
"""Of larger pictures the middle shows what a palette is for."""
ALPHA = (1, 2)
"""ExtraSamples ASSOCALPHA and UNASSALPHA."""


def palette(pages: Sequence[Any], key: Any, source: str) -> tuple[str, bool]:
    """What the palette of an image is for, or nothing, and whether those of its pages differ.

    In ImageJ all are lookup tables.

    Raises
    ------
    InputError
        If the palettes of its pages differ, and their colours are the picture.
    """
    if key.photometric != INDEXED or key.colormap is None or source == "imagej":
        return "", False
    found = _kind(key)
    others = list(_differing(pages, key))
    if found != "labels" and any(found != "tint" or _kind(page) != "tint" for page in others):
        raise InputError(
            f"{key.parent.filehandle.path} holds pages whose indexed colours differ; convert it "
            f"to RGB first"
        )
    return found, bool(others)


def _kind(page: Any) -> str:
    with ExitStack() as nothing:
        path = Path(page.parent.filehandle.path)
        pixels = Regions(path, nothing, [page], page.shape)
        middle = tuple(ax.middle(n, SIDE) for n in page.shape)
        part = pixels[middle]
    return _palette.kind(page.colormap, part.reshape(-1, part.shape[-1]))


def _differing(pages: Sequence[Any], key: Any) -> Iterator[Any]:
    """One page for each palette that is not that of the first page."""
    seen = {_bytes(key.colormap)}
    for page in pages:
        if page is None or page.parent is not key.parent or getattr(page, "is_virtual", False):
            continue
        whole = page.aspage()
        table = _bytes(whole.colormap)
        if table and table not in seen:
            seen.add(table)
            yield whole


def _bytes(table: NDArray | None) -> bytes:
    return b"" if table is None else np.asarray(table).tobytes()


def refusal(path: Path, page: Any) -> str:
    """Why the colours of an image cannot be denoised as they are, or nothing."""
    kind, compression = LAB.get(int(page.photometric), ""), int(page.compression)
    if int(page.photometric) == CFA:
        return (
            f"{path} holds the mosaic of a sensor, whose pixels are of different colours; open the "
            f"raw photograph itself (such as .dng), or convert it to RGB first"
        )
    is_decoded = compression in JPEG and int(page.planarconfig) == 1 and not page.extrasamples
    if int(page.photometric) == YCBCR and not is_decoded and compression != APERIO_RGB:
        kind = "YCbCr"
    if compression == APERIO_YCBCR:
        kind = "YCbCr"
    if not kind or int(page.samplesperpixel) < 3:
        return ""
    return f"{path} has {kind} colours; convert it to RGB first"


def alpha(page: Any) -> int | None:
    """Index of the transparency among the samples."""
    first = page.samplesperpixel - len(page.extrasamples)
    return next((first + i for i, kind in enumerate(page.extrasamples) if kind in ALPHA), None)


def shown(page: Any, *, expanded: bool) -> dict[str, Any]:
    """Tags that change how the pixels are shown; an expanded palette is none of them."""
    table, icc, orientation = page.colormap, page.tags.valueof(34675), page.tags.valueof(274)
    tags = {
        "icc": icc if isinstance(icc, bytes) and icc else None,
        "orientation": orientation if orientation in tuple(range(1, 9)) else None,
        "extrasamples": tuple(int(kind) for kind in page.extrasamples),
        "photometric": int(page.photometric) if page.photometric in KEPT else None,
        "colormap": None if expanded or table is None else _palette.whole(table),
    }
    return {key: value for key, value in tags.items() if value is not None}
