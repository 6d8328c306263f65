"""TIFF: ImageJ hyperstacks, OME-TIFF and plain files, mapped where the pixels lie bare on disk."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import TiffPageSeries

from unnoise.errors import AxesError
from unnoise.images import axes as ax
from unnoise.images.formats import (
    _ome_xml,
    _palette,
    _series,
    _tiff_colours,
    _tiff_metadata,
    _tiff_series,
    _tiff_storage,
    _tiff_tags,
)
from unnoise.images.formats._tiff_regions import Regions, Shown, check_segments
from unnoise.images.formats._tiff_writing import compressions, described, lost, prepare
from unnoise.images.formats.about import About
from unnoise.images.formats.reader import Pixels, reading
from unnoise.images.image import ArrayLike, Image
from unnoise.images.pixel_types import check_pixels

ABOUT = (
    About(
        "TIFF: OME-TIFF, ImageJ, plain, GeoTIFF, BigTIFF",
        (".tif", ".tiff"),
        "tifffile, imagecodecs",
        "BSD-3",
        "any of STCZYX",
        "pixel size, units, names and colours of channels, date, objective, all of OME-XML and "
        "ImageJ, compression, tiles, pyramid, georeference, colour profile",
        tested="tiff_codecs, imagej_ome",
    ),
)
__all__ = ["ABOUT", "compressions", "lost", "numbers", "prepare", "read", "smaller"]


def read(path: Path, axes: str | None = None, series: int | None = None) -> Image:
    """Open an image of a TIFF file: the one of a number, or the first of full size.

    Raises
    ------
    InputError
        For damaged and incomplete files, and pixels that are no real numbers.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    with _opened(path) as (tif, found, notes, root):
        number = _number(path, found, series, notes)
        one = found[number]
        page, dtype = one.keyframe, np.dtype(one.dtype)
        check_pixels(one.shape, dtype, path.name)
        xml = root if one.kind == "ome" else None
        part = _tiff_series.alone(tif, one, _ome_xml.file_names(xml))
        _tiff_series.check_complete(tif, one, part)
        names, shape = _tiff_series.form(one) if part is None else (part.axes, part.shape)
        palette, differs = _tiff_colours.palette(one, page, one.kind)
        if palette in ("gray", "colour"):
            names, shape, dtype = (
                (names, shape, np.dtype(np.uint8))
                if palette == "gray"
                else (names + "S", (*shape, 3), np.dtype(np.uint8))
            )
        letters, samples = _axes(one, names, shape, axes, is_expanded=palette == "colour")
        coloured = samples is not None and letters[samples] == "C"
        if xml is not None:
            at = next(i for i, other in enumerate(tif.series) if other is one)
            at = at if len(tif.series) == len(xml.findall("{*}Image")) else -1
            xml = _ome_xml.of_image(xml, at, part and part.coordinates)
        meta = _tiff_metadata.read(tif, one, xml)
        storage, lossy = _tiff_storage.of(tif, one)
        tags = _tiff_tags.read(tif, one)
        files = _tiff_series.files_of(one) if one.is_multifile and part is None else []
        metadata: dict[str, Any] = {
            "source": one.kind if one.kind in ("imagej", "ome") else "plain",
            "number": number,
            "samples": coloured and one.kind != "lsm",  # there they are channels with names
            "extras": meta.extras,
            **_tiff_colours.shown(page, expanded=palette in ("gray", "colour")),
            "storage": storage,
            "tags": tags.kept,
            "holds": [*tags.names, *meta.holds, *["lookup table"] * (palette == "tint")],
            "lost": [
                *tags.lost,
                *_lost(tif, one, lossy),
                *["lookup table of every single page"] * (differs and palette == "tint"),
            ],
            "files": files,
        }
        if xml is not None and letters == names.replace("S", "C"):
            metadata["ome"] = _ome_xml.serialised(xml).decode()
        unfit = _tiff_colours.refusal(path, page)
        if palette == "labels" or unfit:
            metadata["unfit"] = unfit or str(_palette.refusal(path))
        notes += _of_set(part, files)
        if one.kind == "lsm" and "Y" not in one.axes:
            notes.append(f"was scanned along {one.axes[-2]} and X, which are Y and X here")
        data = _pixels(path, one, number, part, (shape, dtype, palette))
    image = Image(
        data,
        letters,
        scale=meta.scale,
        units=meta.units,
        channel_names=meta.channel_names,
        acquisition=meta.acquisition,
        is_rgb=coloured and (page.photometric in _tiff_colours.RGB or palette == "colour"),
        alpha=_tiff_colours.alpha(page) if coloured else None,
        path=path,
        metadata=metadata | ({"note": "; ".join(notes)} if notes else {}),
        nodata=tags.nodata,
    )
    metadata = {**image.metadata, "described": described(image)}
    return replace(image, metadata=metadata)


def numbers(path: Path, series: str | int | None = None) -> tuple[list[int], str]:
    """Which images of a file are meant, and what to tell of the others.

    Parameters
    ----------
    path : Path
    series : int or str, optional
        A number, or ``all``; by default all that are of full size.

    Raises
    ------
    InputError
        If there is no such image, or the file is damaged.
    """
    with _opened(path) as (_, found, _, _):
        if isinstance(series, int):
            return [_number(path, found, series, [])], ""
        if series == "all":
            return list(range(len(found))), ""
        chosen = _tiff_series.choose(found)
        return chosen, _series.others(_listed(found), chosen, several=True)


def smaller(image: Image) -> list[ArrayLike]:
    """The pixels of the smaller copies of an image, the largest first.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path, number = image.path, image.metadata.get("number")
    if path is None or number is None or not isinstance(image.data, Pixels):
        return []
    with _opened(path) as (_, found, _, _):
        levels = found[number].levels
        forms = [(tuple(level.shape), np.dtype(level.dtype)) for level in levels]
    if forms[0] != (image.shape, levels[0].dtype):  # palettes, and files of sets without the others
        return []
    return [
        Pixels(partial(_regions, path, number, None, "", level), shape, dtype)
        for level, (shape, dtype) in enumerate(forms)
        if level
    ]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tifffile.TiffFile, list[TiffPageSeries], list[str], Any]]:
    """A file with its images, what there is to tell, and its document of OME; errors are those of a
    damaged file.

    Of a file with several images all are opened one after the other, but it is parsed once.
    """
    with reading(path, "TIFF"), ExitStack() as files, _problems() as problems:
        state = path.stat()
        key = path, state.st_ino, state.st_mtime_ns, state.st_size
        tif, found, note, root = _parsed.pop(key, None) or (None, [], "", None)  # for nobody else
        if tif is None:
            tif, note, root = files.enter_context(_tiff_series.opened(path))
            if not tif.series or problems:  # tifffile parses the file here
                raise ValueError(problems[0] if problems else "it holds no image")
            found = _tiff_series.series_of(tif, path)
        else:
            files.callback(tif.close)
            tif.filehandle.open()
        yield tif, found, [note] if note else [], root
    is_whole = all(one.keyframe.parent is tif and not one.is_multifile for one in found)
    if len(found) > 1 and is_whole and tif.filehandle.name == path.name:  # in no other file
        _parsed.clear()
        _parsed[key] = tif, found, note, root


_parsed: dict[tuple[Any, ...], tuple[tifffile.TiffFile, list[TiffPageSeries], str, Any]] = {}
"""The last file with several images, closed, under its path and what tells that it is the same."""


def _number(path: Path, found: list[TiffPageSeries], series: int | None, notes: list[str]) -> int:
    """The number of an image; what to tell of the others where it was not asked for is noted."""
    if series is None:
        chosen = _tiff_series.choose(found)
        text = _series.others(_listed(found), chosen, several=False)
        notes += [text] if text else []
        return chosen[0]
    return _series.checked(path, _listed(found), series)


def _listed(found: list[TiffPageSeries]) -> list[str]:
    return [f"of shape {tuple(one.shape)}" for one in found]


def _lost(tif: tifffile.TiffFile, one: TiffPageSeries, lossy: str) -> list[str]:
    """What else of a file is not kept."""
    found = {
        lossy: bool(lossy),
        "transparency mask": any(map(_tiff_series.is_mask, tif.series)),
        "order of a cloud-optimised GeoTIFF": "LAYOUT" in (tif.gdal_structural_metadata or {}),
        "Aperio metadata": one.kind == "svs",
        "OME metadata": tif.is_ome and one.kind != "ome",  # tifffile could not follow it
    }
    return [name for name, is_lost in found.items() if is_lost]


def _of_set(part: _tiff_series.Alone | None, files: list[Path]) -> list[str]:
    """What to tell of an image whose planes lie in several files."""
    if part is not None:
        more = f" and {len(part.missing) - 3} more" if len(part.missing) > 3 else ""
        return [
            f"is one file of a set whose others are missing ({', '.join(part.missing[:3])}{more}); "
            f"its own planes alone are used"
        ]
    if files:
        return [f"is one of {len(files)} files that hold one image; it is read and written once"]
    return []


@contextmanager
def _problems() -> Iterator[list[str]]:
    """Collect what tifffile logs about a broken structure, instead of printing it.

    tifffile goes on with fewer pages where it cannot follow them; that must not pass unseen, not
    even in programs that want to hear nothing of tifffile.
    """
    _listen()
    before, problems = getattr(_heard, "problems", None), list[str]()
    _heard.problems = problems
    try:
        yield problems
    finally:
        _heard.problems = before


_heard = threading.local()
"""Of this thread the problems that are collected now."""


@cache
def _listen() -> None:
    """Have the logger of tifffile hand over errors where they are collected, whatever is set.

    Its level, `logging.disable` or a configuration of the program may silence it. Messages about
    single tags are left out: the pixels do not depend on private tags.
    """
    logger = logging.getLogger("tifffile")
    is_wanted, handle = logger.isEnabledFor, logger.handle

    def is_enabled(level: int) -> bool:
        return getattr(_heard, "problems", None) is not None or is_wanted(level)

    def take(record: logging.LogRecord) -> None:
        problems = getattr(_heard, "problems", None)
        if problems is None:
            handle(record)
            return
        text = record.getMessage()
        is_of_tag = text.startswith(("<TiffTag", "<tifffile.read"))
        if record.levelno >= logging.ERROR and not is_of_tag:
            problems.append(re.sub(r"<tifffile[^>]*> ", "", text))

    logger.isEnabledFor = is_enabled  # type: ignore[method-assign]
    logger.handle = take  # type: ignore[method-assign]


def _pixels(
    path: Path,
    series: TiffPageSeries,
    number: int,
    part: _tiff_series.Alone | None,
    form: tuple[tuple[int, ...], np.dtype, str],
) -> Pixels:
    """A memory map where possible, else pixels of which the regions asked for are decoded."""
    shape, dtype, palette = form
    is_elsewhere = series.is_multifile or not os.path.samefile(
        series.keyframe.parent.filehandle.path, path
    )
    offset = None if is_elsewhere or series.transform else series.dataoffset
    if offset is None or part is not None or palette in ("gray", "colour"):
        return Pixels(partial(_regions, path, number, part, palette), shape, dtype)
    dtype = dtype.newbyteorder(series.keyframe.parent.byteorder)
    return Pixels(partial(_mapped, path, dtype, offset, shape), shape, dtype)


def _mapped(path: Path, dtype: np.dtype, offset: int, shape: tuple[int, ...]) -> NDArray:
    """The pixels of an image that lies in its file as it is."""
    with reading(path, "TIFF"):  # an offset may be a fraction, or beyond the end
        return np.memmap(path, dtype, "r", offset, shape)


def _regions(
    path: Path, number: int, part: _tiff_series.Alone | None, palette: str, level: int = 0
) -> ArrayLike:
    """The pixels of an image, whose files stay open as long as they."""
    with ExitStack() as files, reading(path, "TIFF"), _problems() as problems:
        tif, _, _ = files.enter_context(_tiff_series.opened(path))
        one = _tiff_series.series_of(tif, path)[number].levels[level]
        shown, colours = None, one.keyframe.colormap
        if one.transform is not None:
            shown = Shown(one.transform, np.dtype(one.dtype))
        if palette in ("gray", "colour") and colours is not None:
            expand = partial(_palette.expand, colours=colours, way=palette)
            shown = Shown(expand, np.dtype(np.uint8), (3,) if palette == "colour" else ())
        pages: Sequence[Any] = one
        _, shape = _tiff_series.form(one)
        if part is not None:
            pages, shape = [tif.pages[i] for i in part.pages], part.shape
        try:
            return Regions(path, files, pages, shape, shown)
        except (ValueError, IndexError):  # a single page tells of all, or their shapes differ
            check_segments(path, one.keyframe)
            whole = one.asarray()
            whole = whole.reshape(shape) if part is None else whole
            return whole if shown is None or one.transform else shown.pixels_of(whole)
        finally:
            if problems:
                raise ValueError(problems[0])


def _axes(
    series: TiffPageSeries,
    names: str,
    shape: tuple[int, ...],
    given: str | None,
    *,
    is_expanded: bool,
) -> tuple[str, int | None]:
    """Letters of a series, and which dimension holds the samples of a pixel.

    `names` are those of tifffile; an expanded palette has added samples.
    """
    samples = names.find("S") if "S" in names else names.find("C")
    has_samples = "S" in names or (series.keyframe.samplesperpixel > 1 and samples >= 0)
    position = samples if has_samples else None
    own = given or (None if is_expanded else _tiff_metadata.own_axes(series))
    if own:
        return ax.check(own, shape), position
    pattern = [{"P": "S"}.get(a, a if a in "TCZYX" else "?") for a in names]
    if position is not None:
        if {"C", "S"} <= set(names) and min(shape[names.index("C")], shape[position]) > 1:
            swapped = names.translate(str.maketrans("CS", "SC"))
            raise AxesError(
                f"the image of shape {shape} holds channels and colour samples, which cannot be "
                f"joined; split it into one file per channel, or take the channels for "
                f"independent images with --axes {swapped}"
            )
        pattern = [a if a != "C" or shape[i] > 1 else "?" for i, a in enumerate(pattern)]
        pattern[position] = "C" if "C" not in pattern or names[position] == "C" else "?"
    for i, size in enumerate(shape):
        if pattern[i] == "?" and size == 1:  # any unused letter is right
            pattern[i] = next(a for a in ax.CANONICAL if a not in pattern)
    letters = "".join(pattern)
    if "?" in letters:
        raise ax.ambiguous(shape, letters if set(letters) - set("?YX") else "")
    return ax.check(letters, shape), position
