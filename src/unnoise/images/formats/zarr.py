"""Zarr: OME-Zarr and plain arrays, of version 2 and 3, in folders, zip files and object stores."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unnoise.errors import AxesError, InputError
from unnoise.images import arrays
from unnoise.images.acquisition import Acquisition, positive
from unnoise.images.formats import _ngff, _zarr_pixels, _zarr_store, listing
from unnoise.images.formats._zarr_writing import compressions, lost, prepare, storage_of
from unnoise.images.formats.about import About
from unnoise.images.image import ArrayLike, Image
from unnoise.images.pixel_types import check_pixels

ABOUT = (
    About(
        "Zarr: OME-Zarr 0.1 to 0.5 (drafts of 0.6 are read), arrays of Zarr 2 and 3",
        (".zarr", ".zarr.zip", ".ozx"),
        "zarr",
        "MIT",
        "any of TCZYX, plain arrays any of STCZYX",
        "pixel size, units, position, names and colours of channels, date, objective, version, "
        "chunks, shards, compression, pyramid, attributes",
        tested="synthetic",
    ),
)
folders = True
"""An image is a folder, or a zip file."""
MOST_LEVELS = 64
"""Smaller copies of an image that are looked at: each has half the pixels of the one before."""
__all__ = ["ABOUT", "compressions", "folders", "lost", "numbers", "prepare", "read", "smaller"]


def read(path: Path, axes: str | None = None, series: int | None = None) -> Image:
    """Open an image of a store: the one of a number, or the first of full size.

    Raises
    ------
    InputError
        For what is damaged or no image.
    AxesError
        If the axes are ambiguous or do not fit.
    """
    node, found = _listed(path)
    notes: list[str] = []
    if series is None:
        chosen = _chosen(path, node, found)
        number = chosen[0]
        notes += _others(found, chosen[:1]) if len(found) > 1 else []
    elif 0 <= series < len(found):
        number = series
    else:
        names = ", ".join(entry.name or "the image" for entry in found[:4])
        raise InputError(
            f"{path} has no series {series}; it holds {len(found)}, counted from 0: {names}"
            + (", ..." if len(found) > 4 else "")
        )
    entry = found[number]
    array = _zarr_store.array(node, entry, path)
    shape, dtype = tuple(map(int, array.shape)), np.dtype(array.dtype)
    check_pixels(shape, dtype, path.name)
    gone = _zarr_pixels.missing(array)
    if gone:
        notes.append(
            f"{gone} of its chunks are missing and read as {array.fill_value}, which Zarr allows; "
            f"if it was copied, look whether all came along"
        )
    _zarr_store.watch(array)
    data = _zarr_pixels.ZarrPixels(path, entry.array, array)
    try:
        image = _described(entry, data, array, axes)
    except AxesError as error:
        raise AxesError(f"{path}: {error}") from error
    except InputError:
        raise
    except Exception as error:  # values of any kind where numbers should be
        raise _zarr_store.explained(path, error) from error
    extras: dict[str, Any] = {"title": entry.name}
    if "/" in entry.name:  # a field of a plate is known by its well
        extras |= {"part": f"_{entry.name.replace('/', '_')}", "which": f" ({entry.name})"}
    extras |= {"note": "; ".join(notes)} if notes else {}
    extras |= {"unfit": _labels(path)} if "image-label" in entry.ome else {}
    return replace(image, path=path, metadata={**image.metadata, **extras})


def numbers(path: Path, series: str | int | None = None) -> tuple[list[int], str]:
    """Which images of a store are meant, and what to tell of the others.

    Raises
    ------
    InputError
        If the store is damaged or holds no image.
    """
    if isinstance(series, int):
        return [series], ""
    node, found = _listed(path)
    if series == "all" or len(found) == 1:
        return list(range(len(found))), ""
    chosen = _chosen(path, node, found)
    return chosen, "".join(_others(found, chosen))


def smaller(image: Image) -> list[ArrayLike]:
    """The pixels of the smaller copies of an image, the largest first.

    Raises
    ------
    InputError
        If the store is damaged.
    """
    path, data = image.path, image.data
    if path is None or not isinstance(data, _zarr_pixels.ZarrPixels):
        return []
    node, known = _listed(path)
    whole = [e for e in known if e.array == data.inner and not e.level]
    found: list[ArrayLike] = []
    for entry in whole[:1]:
        first, *names = [str(d["path"]) for d in entry.multiscale.get("datasets", ({"path": ""},))]
        group = entry.array.removesuffix(first)
        for name in list(dict.fromkeys(names))[:MOST_LEVELS] if entry.array else ():
            inner = _zarr_store.joined(group, name)
            array = _zarr_store.array(node, replace(entry, array=inner), path)
            found.append(_zarr_pixels.ZarrPixels(path, inner, array))
    return found


def _listed(path: Path) -> tuple[Any, list[_zarr_store.Entry]]:
    """The outermost group or array, and the images in it."""

    def look() -> tuple[Any, list[_zarr_store.Entry]]:
        node = _zarr_store.root(path)
        return node, _zarr_store.entries(path, node)

    found: tuple[Any, list[_zarr_store.Entry]] = listing.listed(path, look)
    return found


def _chosen(path: Path, node: Any, found: list[_zarr_store.Entry]) -> list[int]:
    """The numbers of those of full size: the largest, and all that are like it."""
    if len(found) == 1:
        return [0]
    arrays = [_zarr_store.array(node, entry, path) for entry in found]
    forms = [(math.prod(a.shape), a.dtype.itemsize, a.shape, a.dtype.str) for a in arrays]
    largest = max(forms, key=lambda form: form[:2])
    return [i for i, form in enumerate(forms) if form == largest]


def _others(found: list[_zarr_store.Entry], used: list[int]) -> list[str]:
    """A sentence about the images that are not used, if there are any."""
    left = sorted({*range(len(found))} - {*used})
    if not left:
        return []
    names = [f"series {i} ({found[i].name})" for i in left]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [
        f"holds {len(found)} images; {found[used[0]].name or 'one'}, of full size, is used, and "
        f"left out are {', '.join(names[:3])}{more}; others with --series N, or series=N in Python"
    ]


def _labels(path: Path) -> str:
    return (
        f"{path} holds labels of another image, which have no noise to remove; give the image that "
        f"they were made from"
    )


def _described(
    entry: _zarr_store.Entry, data: _zarr_pixels.ZarrPixels, array: Any, axes: str | None
) -> Image:
    """An image with its metadata."""
    storage = storage_of(array, entry.version)
    if not entry.multiscale:
        return _plain(entry, data, array, axes, storage)
    omero, own = _ngff.shown(entry.ome), entry.own
    meta = _ngff.read(entry.multiscale, omero, own, entry.level, data.shape, axes)
    is_rgb = bool(own.get("rgb")) and "C" in meta.axes
    levels = [] if entry.level else _levels(entry, data.shape)
    return Image(
        data,
        meta.axes,
        scale=meta.scale,
        units=meta.units,
        channel_names=meta.channel_names,
        is_rgb=is_rgb,
        alpha=own.get("alpha") if is_rgb else None,
        metadata={
            "source": "ome-zarr",
            "zarr": {**storage, "axes": meta.axes, "levels": levels},
            "ngff": {
                "axes": meta.axes,
                "shape": data.shape,
                "offset": meta.offset,
                "omero": omero,
                "others": entry.others,
                "name": entry.multiscale.get("name"),
            },
            "holds": list(meta.holds),
            "made_by": own.get("made_by"),
        },
        acquisition=meta.acquisition,
    )


def _levels(entry: _zarr_store.Entry, shape: tuple[int, ...]) -> list[tuple[float, ...]]:
    """By how much each of the smaller levels is smaller, by axis; 1 where that is not told."""
    sizes = [
        _ngff.placed(entry.multiscale, level, len(shape))[0]
        for level in range(len(entry.multiscale["datasets"]))
    ]
    return [
        tuple(positive(a and b / a) or 1.0 for a, b in zip(sizes[0], size, strict=True))
        for size in sizes[1:]
    ]


def _plain(
    entry: _zarr_store.Entry,
    data: _zarr_pixels.ZarrPixels,
    array: Any,
    axes: str | None,
    storage: dict[str, Any],
) -> Image:
    """An array without metadata of OME; its dimensions may have names, or this package knows it."""
    dims, own = arrays.names_of(array), entry.own
    letters = axes or own.get("axes") or arrays.letters(dims, data.shape)
    image = Image.from_array(data, letters)
    others = {k: v for k, v in entry.others.items() if k != "_ARRAY_DIMENSIONS"}
    names = tuple(map(str, own.get("channel_names", ())))
    return replace(
        image,
        scale={k: float(v) for k, v in own.get("scale", {}).items() if positive(v)},
        units=dict(own.get("units", {})),
        channel_names=names if len(names) == image.sizes["C"] else (),
        acquisition=Acquisition.of(own.get("acquisition", {})),
        metadata={
            "source": "zarr",
            "zarr": {**storage, "axes": image.axes},
            "dimensions": dims,
            "ngff": {"others": others},
            "holds": ["attributes"] if others else [],
            "made_by": own.get("made_by"),
        },
    )
