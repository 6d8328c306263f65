"""Finding the pixels of an image that are no measurement: padding, nodata, NaN and outliers."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError, expect
from unnoise.images import arrays
from unnoise.images import axes as ax
from unnoise.images.image import Image, as_image, masked_as
from unnoise.images.pixel_mask import Key, PixelMask, fill
from unnoise.noise.lazy_mask import LazyMask
from unnoise.noise.mask_search import Search
from unnoise.noise.planes import BLOCK, WIDEST, run_places, spread_places

NAN = ("keep", "fill", "refuse")
ALL = 2**26
"""Images with more pixels are searched where they are read, and measures look at a part."""


def with_mask(
    image: Image | NDArray,
    mask: Image | NDArray | None = None,
    *,
    axes: str | None = None,
    nodata: float | None = None,
    nan: str | None = None,
    keep_outliers: bool | None = None,
) -> Image:
    """An image that knows which of its pixels are no measurement.

    They are what the mask excludes, what a masked array hides, nodata values, NaN and infinite
    pixels, regions of one constant value that noise makes improbable (padding), and outliers:
    single pixels far from all around, such as hot pixels. None of them is measured or learned
    from. In results outliers are replaced; all others come back bit for bit.

    Of an image that knows them already, a further mask excludes further pixels, and options that
    are not given stay as they were.

    Parameters
    ----------
    image : Image or ndarray
        Noisy image.
    mask : Image or ndarray, optional
        Nonzero where pixels are measurements, 0 where they are not or are to stay as they are (a
        time stamp, a scale bar); of the shape of the image or of its last dimensions, with or
        without channels, e.g. (Y, X); an `Image`, or an array of xarray, tells which it has.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.
    nodata : float, optional
        A value that marks pixels without a measurement; that of the file by default.
    nan : str, optional
        ``keep`` NaN and infinite pixels (the default), ``fill`` them in results, or ``refuse``
        such images.
    keep_outliers : bool, optional
        Whether outliers come back as they were, instead of replaced; False by default.

    Raises
    ------
    InputError
        If the mask does not fit, or no pixel is a measurement, or some are NaN and to be refused.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(100, 5, (64, 64))
    >>> x[:, :20] = 0
    >>> image = with_mask(x)
    >>> image.mask.notes[0][:58]
    '31 % of the pixels lie in regions of constant value (0) an'
    >>> int(image.excluded().sum())
    1280
    """
    expect("nodata", nodata, (Real, type(None)), "a number")
    expect("keep_outliers", keep_outliers, (bool, np.bool_, type(None)), "True or False")
    opened = as_image(image, axes)
    given = {"nodata": nodata, "nan": nan, "keep_outliers": keep_outliers}
    options: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
    if options.get("nan", "keep") not in NAN:
        raise InputError(f"unknown way '{nan}' to treat NaN; choose {', '.join(NAN)}")
    known = vars(opened.wanted)
    if opened.mask is not None and mask is None and {**known, **options} == known:
        return opened
    if mask is not None:
        options["given"] = _either(opened.wanted.given, _given(opened, mask))
    opened = replace(opened, mask=None, wanted=replace(opened.wanted, **options))
    if math.prod(opened.shape) > ALL:
        return replace(opened, mask=LazyMask(opened, _told(opened)))
    return replace(opened, mask=_search(opened))


def looked_at(image: Image) -> Image:
    """An image for measures that look at a part of it: of a huge one that part, which knows its
    excluded pixels; any other with all of them.

    Examples
    --------
    >>> looked_at(Image.from_array(np.zeros((9000, 9000), np.uint8))).shape
    (1448, 1448)
    """
    n = image.sizes
    if image.mask is not None or np.prod([float(size) for size in image.shape]) <= ALL:
        return with_mask(image)
    part = image.window({k: ax.middle(n[k], WIDEST, BLOCK) for k in "YX"})
    places = [*spread_places(part)]
    for axis in (k for k in "STZ" if n[k] > 1):
        places += run_places(part, axis)
    keys = {(p["S"], p["T"], c, p["Z"]) for p in places for c in range(n["C"])}
    return replace(part, mask=_search(part, keys))


def fill_missing(image: Image | NDArray, *, axes: str | None = None) -> NDArray:
    """An array with its NaN and infinite pixels filled from around, plane by plane.

    Other pixels that are no measurement (`with_mask`) fill none, and stay as they are.

    Parameters
    ----------
    image : Image or ndarray
        Any image.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.

    Returns
    -------
    ndarray
        Pixels of the same shape, axes and dtype; planes without any measurement get the mean. A
        masked array for a masked array.

    Raises
    ------
    InputError
        If no pixel is a measurement.

    Examples
    --------
    >>> x = np.ones((32, 32), np.float32)
    >>> x[3, 4] = np.nan
    >>> bool(np.isfinite(fill_missing(x)).all())
    True
    """
    opened = with_mask(image, axes=axes)
    block = np.array(opened.original(), order="C")
    missing = ~np.isfinite(block)
    excluded = opened.excluded()
    others = np.zeros_like(missing) if excluded is None else excluded & ~missing
    for key in np.ndindex(*block.shape[:4]):
        gone, unknown = missing[key], missing[key] | others[key]
        if gone.any():
            block[key][gone] = np.nan if unknown.all() else fill(block[key], unknown)[gone]
    for c in range(block.shape[2]):
        channel = block[:, :, c]
        finite = np.isfinite(channel)
        known = finite & ~others[:, :, c]
        channel[~finite] = channel[known].mean() if known.any() else 0
    return masked_as(opened, np.asarray(ax.from_canonical(block, opened.axes)))


def _search(image: Image, planes: Collection[Key] | None = None) -> PixelMask:
    """The excluded pixels of an image, or of some of its planes."""
    wanted = image.wanted
    search = Search(image, _told(image), wanted.nodata, wanted.nan)
    return search.mask(wanted.keep_outliers, planes)


def _told(image: Image) -> NDArray[np.bool_] | None:
    """Pixels that a masked array hides or masks exclude, STCZYX."""
    told = _either(image.hidden, image.wanted.given)
    return None if told is None else ax.to_canonical(told, image.axes)


def _either(
    one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Pixels of one or the other of two arrays of one shape; what both repeat stays repeated."""
    if one is None or other is None:
        return other if one is None else one
    strides = zip(one.strides, other.strides, strict=True)
    once = tuple(slice(0, 1) if a == b == 0 else slice(None) for a, b in strides)
    return np.broadcast_to(one[once] | other[once], one.shape)


def _given(image: Image, mask: Image | NDArray) -> NDArray[np.bool_]:
    """Pixels that a mask excludes, of the shape of the image without being copied."""
    n = image.sizes
    whole = tuple(n[k] for k in ax.CANONICAL)
    if isinstance(mask, Image):
        values = masked_as(mask, np.asarray(mask.data[(slice(None),) * len(mask.shape)]))
    else:
        values = mask
    pixels = np.asarray(np.ma.filled(values, 0))  # what a mask hides is no measurement
    if pixels.dtype.kind not in "buif":
        raise InputError(
            f"a mask holds numbers or truth values, not {pixels.dtype}; give an array that is "
            f"nonzero where pixels are measurements"
        )
    if pixels.dtype.kind == "f" and np.isnan(pixels).any():
        raise InputError("the mask has pixels that are NaN; give 0 where nothing was measured")
    told = mask.axes if isinstance(mask, Image) else _letters_of_names(image, mask)
    axes = _axes_of_mask(image, pixels.shape, told)
    out = np.broadcast_to(ax.to_canonical(pixels.squeeze() == 0, axes), whole)
    return ax.from_canonical(out, image.axes)


def _letters_of_names(image: Image, mask: Any) -> str:
    """Letters for the names that a mask gives its dimensions; none where it gives no names."""
    names = arrays.names_of(mask)
    try:
        return arrays.letters(names, np.shape(mask)) or ""
    except InputError as error:
        raise InputError(
            f"the dimensions of the mask are called {', '.join(names)}, which is no part of the "
            f"axes of {image.name} ({image.axes}); rename them, or give its values alone"
        ) from error


def _axes_of_mask(image: Image, shape: tuple[int, ...], told: str) -> str:
    """Letters of the dimensions of a mask that are longer than 1: those that it tells, if the
    image has them; else those of the image or its last ones, with or without channels.

    Raises
    ------
    InputError
        If none fit, or several.
    """
    n = image.sizes
    if len(shape) > 2:  # what has a length of 1 may be left out, or be there
        told = "".join(k for k, size in zip(told, shape, strict=False) if size > 1)
    options = [told]
    if not told or not set(told) <= set(image.axes):
        ways = (image.axes, image.axes.replace("C", ""))
        options = [way[i:] for way in ways for i in range(len(way)) if {*"YX"} <= set(way[i:])]
    core = tuple(size for size in shape if size > 1)
    found = []
    for option in options:
        long = "".join(k for k in option if n[k] > 1)
        same = len(shape) > 2 and tuple(n[k] for k in long) == core
        if (same or tuple(n[k] for k in option) == shape) and long not in found:
            found.append(long)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"the mask of shape {shape} may have the axes {' or '.join(found)} of {image.name} "
            f"(shape {image.shape}, axes {image.axes}); tell which, as in "
            f"unnoise.Image.from_array(mask, '{found[0]}'), or give it in the shape of the image"
        )
    own = f"axes {told} and " if options == [told] else ""
    raise InputError(
        f"the mask has {own}shape {shape} but {image.name} has shape {image.shape} (axes "
        f"{image.axes}); give one of that shape, or of its planes ({n['Y']}, {n['X']})"
    )
