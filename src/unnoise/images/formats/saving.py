"""Where an image becomes a file: what is checked before, and all at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unnoise.errors import InputError, expect, warn
from unnoise.images import axes as ax
from unnoise.images.atomic import target
from unnoise.images.formats import uploading, urls
from unnoise.images.formats.registry import folder_format, format_of, is_read_only, suffix_of
from unnoise.images.formats.writer import Writer
from unnoise.images.image import Image
from unnoise.images.pixel_types import as_pixels


def create(
    path: str | os.PathLike[str],
    like: Image,
    *,
    dtype: DTypeLike | None = None,
    overwrite: bool = False,
    compress: str | None = None,
) -> Writer:
    """Prepare an image file with the shape, axes, scale and metadata of another image.

    Everything that can be known beforehand is checked here; the file is laid out when the
    ``with`` block is entered, and gets its name when the block ends well. What is known of `like`
    and will not be in the file is named by `Writer.lost`.

    Parameters
    ----------
    path : path
        Its suffix chooses the format; its folder is made if missing. What goes to an address like
        ``s3://bucket/clean.tif`` is made on this machine, and sent when it is whole.
    like : Image
    dtype : dtype, optional
        Type of the pixels in the file, that of `like` by default.
    overwrite : bool
        Whether an existing file may be replaced. The file of `like` itself never is.
    compress : str, optional
        For TIFF ``none``, ``zlib``, ``lzw``, ``zstd``, ``packbits`` or ``lzma``, for Zarr ``none``,
        ``zstd``, ``zlib`` or ``blosc``; by default as the file of `like`, where that loses nothing.

    Raises
    ------
    InputError

    Examples
    --------
    >>> with create("clean.tif", like=image) as out:  # doctest: +SKIP
    ...     out.write({"Z": 3}, block)
    """
    expect("path", path, (str, os.PathLike), "a name like 'cells.tif'")
    path = urls.place(path)
    found: Any = format_of(path)
    if is_read_only(path):
        raise InputError(
            f"{path}: images are read from {path.suffix} files but not written to them; choose a "
            f"name that ends in .ome.tif"
        )
    sources = [p for p in (like.path, *like.metadata.get("files", ())) if p is not None]
    if isinstance(path, urls.Url):
        uploading.check_address(path, sources)
    else:
        target(path)  # a link that leads nowhere is refused now
        _refuse_source(path, [p for p in sources if not isinstance(p, urls.Url)])
    if path.exists():
        if path.is_dir() and folder_format(path) is not found:
            raise InputError(f"{path} is a folder; choose another name with -o")
        if not overwrite:
            raise InputError(f"{path} exists; add --overwrite or choose another name with -o")
    writer = uploading.Uploaded if isinstance(path, urls.Url) else Writer
    kind = np.dtype(like.dtype if dtype is None else dtype).newbyteorder("=")
    source: Any = format_of(like.path) if like.path and suffix_of(like.path) else None
    if hasattr(source, "develop"):
        developed = source.develop(path, like, kind, compress)
        if developed is not None:
            return writer(path, like.axes, like.shape, kind, developed, source.LOST)
    lost = found.lost(path, like, kind) if hasattr(found, "lost") else []
    if compress is None:
        layout = found.prepare(path, like, kind)
    elif hasattr(found, "compressions"):
        layout = found.prepare(path, like, kind, compress)
    else:
        raise InputError(
            f"{path}: only TIFF and Zarr can be compressed in a way of choice, and that is asked "
            f"for ({compress}); leave that out, or choose a name that ends in .tif or .zarr"
        )
    return writer(path, like.axes, like.shape, kind, layout, lost)


def _refuse_source(path: Path, sources: Sequence[Path]) -> None:
    """InputError where a result would change an image that it is made of."""
    real = Path(os.path.realpath(path))
    for source in sources:
        if not source.exists():
            continue
        if path.exists() and path.samefile(source):
            raise InputError(
                f"{path} is the input itself, and the input is never overwritten; "
                f"choose another name with -o"
            )
        other = Path(os.path.realpath(source))
        if real in other.parents or (other in real.parents and other.is_dir()):
            which = "holds the input" if real in other.parents else "lies in the input"
            raise InputError(
                f"{path} {which} {source}, and the input is never changed; choose another name "
                f"with -o"
            )


def save(
    path: str | os.PathLike[str],
    array: NDArray | Image,
    *,
    like: Image | None = None,
    axes: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write an array at once, with the axes and metadata of `like` or with `axes`.

    An image in the place of the array has its own. What the file cannot hold of the metadata is
    told by a warning.

    Raises
    ------
    InputError

    Examples
    --------
    >>> save("clean.tif", np.zeros((5, 64, 64), np.float32), axes="ZYX")  # doctest: +SKIP
    """
    if like is not None:
        expect("like", like, Image, "an image of unnoise.open")
        if axes is not None:
            raise InputError("the axes are those of like; leave out like or axes")
    own = array if isinstance(array, Image) else None
    if own is not None:
        own = own.with_axes(axes) if axes else own
    image = like or own or Image.from_array(array, axes)
    pixels = np.asarray((own.data if own else as_pixels(array, "array"))[...])
    if image.shape != pixels.shape or (own and own.axes != image.axes):
        told = f" ({own.axes})" if own else ""
        raise InputError(
            f"the array has shape {pixels.shape}{told} but its image {image.shape} ({image.axes}); "
            f"give the image that it was made from"
        )
    with create(path, image, dtype=pixels.dtype, overwrite=overwrite) as out:
        out.write({}, ax.to_canonical(pixels, image.axes))
    if out.lost:
        warn(not_carried(out, image))


def not_carried(out: Writer, like: Image) -> str:
    """A sentence on what of an image's metadata a file does not hold; nothing where it holds all.

    Examples
    --------
    >>> image = Image.from_array(np.zeros((8, 8)))
    >>> not_carried(Writer(Path("a.npy"), "YX", (8, 8), image.dtype, print, ["date"]), image)
    'not carried from the image to a.npy: date'
    """
    names = ", ".join(out.lost)
    return f"not carried from {like.name} to {out.path.name}: {names}" if names else ""
