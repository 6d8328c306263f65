"""An image: pixels that may still lie on disk, and what must survive denoising."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unnoise.errors import InputError
from unnoise.images import arrays
from unnoise.images import axes as ax
from unnoise.images.acquisition import UNKNOWN, Acquisition
from unnoise.images.file_version import FileSet, FileVersion
from unnoise.images.pixel_mask import DEFAULT, Key, Mask, Picks, PixelMask, Wanted
from unnoise.images.pixel_types import as_pixels, cast, unchanged


class ArrayLike(Protocol):
    """What the pixels of an `Image` must offer: NumPy arrays, memory maps and lazy arrays do."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class Image:
    """Pixels with their axes, physical scale and origin.

    Attributes
    ----------
    data : array-like
        Pixels in the order of `axes`; read only when a region is asked for.
    axes : str
        Letters out of STCZYX, one per dimension, in the order of the file.
    scale : mapping of str to float
        Pixel size by letter (Z, Y, X) and frame interval (T), where known.
    units : mapping of str to str
        Unit of each entry of `scale`, as the file spells it, e.g. ``{"X": "micron"}``.
    channel_names : tuple of str
        Names along C, or empty.
    acquisition : Acquisition
        Colours of channels, date and objective, where known.
    is_rgb : bool
        Whether C holds the colour samples of a photograph.
    alpha : int or None
        Index along C of a transparency channel, which is copied and never denoised.
    path : Path or None
        The file the image came from.
    metadata : mapping
        What the reader of a format wants its writer to know; no other module looks inside, but for
        ``which``, the end of `name` that tells images of one file apart, and ``made_by``, a number
        for the run that made it.
    nodata : float or None
        The value by which the file marks pixels without data, where it names one.
    hidden : ndarray of bool or None
        Pixels that a masked array hides, of its shape.
    fill_value : number or None
        What a masked array says stands for them.
    mask : Mask or None
        Pixels that are no measurement, once `unnoise.noise.excluded_pixels` has looked for them.
    wanted : Wanted
        What that search was told; another search, as under other axes, is told it again.
    version : FileVersion, FileSet or None
        The files as they were when the image was opened: pixels of others are refused.

    Raises
    ------
    InputError
        If the pixels are no array, or the axes do not fit them.

    Examples
    --------
    >>> image = Image.from_array(np.zeros((5, 64, 48), np.uint16), axes="ZYX")
    >>> image.sizes["Z"], image.read({"Z": 2}).shape
    (5, (1, 1, 1, 1, 64, 48))
    """

    data: ArrayLike
    axes: str
    scale: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()
    is_rgb: bool = False
    alpha: int | None = None
    path: Path | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    nodata: float | None = None
    hidden: NDArray[np.bool_] | None = None
    fill_value: Any = None
    mask: Mask | None = None
    wanted: Wanted = DEFAULT
    acquisition: Acquisition = UNKNOWN
    version: FileVersion | FileSet | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        own, data = vars(self), self.data
        if isinstance(data, np.ma.MaskedArray):
            # A copy, as the mask of the caller may change later.
            hidden = np.ma.getmaskarray(data) | (False if self.hidden is None else self.hidden)
            own.update(data=np.ma.getdata(data), hidden=hidden, fill_value=data.fill_value)
        elif not hasattr(data, "dtype") or not hasattr(data, "shape"):
            own.update(data=as_pixels(data, "the array"))
        own.update(axes=ax.check(self.axes, self.shape))

    @classmethod
    def from_array(cls, array: Any, axes: str | None = None) -> Image:
        """Wrap an array, with axes inferred where only one reading is possible.

        Arrays of Dask, Zarr and xarray stay lazy; names of dimensions tell their axes.

        Raises
        ------
        InputError
            For arrays that hold no real numbers or no pixels, or whose axes are ambiguous.
        """
        data = as_pixels(array, "the array")
        shape = tuple(data.shape)
        axes = arrays.letters(arrays.names_of(data), shape) if axes is None else axes
        axes = ax.infer(shape) if axes is None else ax.check(axes, shape)
        is_rgb = axes.endswith("YXC") and shape[-1] in (3, 4)
        scale, units = arrays.steps(data, axes)
        return cls(data, axes, scale, units, is_rgb=is_rgb)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in the order of `axes`."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels on disk."""
        return np.dtype(self.data.dtype)

    @property
    def sizes(self) -> dict[str, int]:
        """Size by canonical letter, 1 where the image lacks it."""
        return ax.sizes(self.axes, self.shape)

    @property
    def name(self) -> str:
        """How messages call the image."""
        own = self.path.name if self.path else "the image"
        return f"{own}{self.metadata.get('which', '')}"

    def read(self, where: ax.Where | None = None, *, alone: bool = False) -> NDArray:
        """Pixels of a region as an STCZYX block in the dtype of the image.

        Pixels that are no measurement are filled once they were looked for: from frames nearby or
        from around; `alone` from their own frame, as must be beside a frame that is hidden.
        """
        block = self.original(where)
        if self.mask is None or self.mask.is_empty:
            return block
        return self.mask.filled(block, self._picks(where), self._plane, alone=alone)

    def original(self, where: ax.Where | None = None) -> NDArray:
        """Pixels of a region as they are, whether measurements or not."""
        if self.version is not None:
            self.version.check()
        block = np.asarray(self.data[ax.index(self.axes, where or {})])
        return ax.to_canonical(block, self.axes)

    def excluded(self, where: ax.Where | None = None) -> NDArray[np.bool_] | None:
        """Which pixels of a region are no measurement, STCZYX; None where all are."""
        if self.mask is None or self.mask.is_empty:
            return None
        return self.mask.marks(self._picks(where))

    def kept(self, where: ax.Where | None = None) -> NDArray[np.bool_] | None:
        """Which excluded pixels of a region come back as they are, STCZYX; None where none do."""
        if self.mask is None or self.mask.is_empty:
            return None
        return self.mask.marks(self._picks(where), kept=True)

    def finished(
        self, values: NDArray, where: ax.Where, dtype: DTypeLike, copied: Sequence[int] = ()
    ) -> NDArray:
        """A region of a result in its final type, with the pixels that come back as they were.

        Parameters
        ----------
        values : ndarray, STCZYX
            Clean pixels of the region.
        where : mapping
            The region, as for `read`.
        dtype : dtype
            Type of the result.
        copied : sequence of int
            Channels of the region that are copied, to the last bit.
        """
        pixels = cast(values, dtype)
        if copied and self.dtype.itemsize > 4:  # float64 holds all smaller types
            channels = list(copied)
            pixels[:, :, channels] = unchanged(self.read(where)[:, :, channels], dtype)
        kept = self.kept(where)
        if kept is not None:
            pixels = np.where(kept, unchanged(self.original(where), dtype), pixels)
        return pixels

    def spread(self, values: NDArray, where: ax.Where) -> NDArray[np.float32]:
        """Standard deviations of a region of a result: NaN where pixels came back as they were."""
        pixels = cast(values, np.float32)
        kept = self.kept(where)
        if kept is not None:
            pixels = np.where(kept, np.float32(np.nan), pixels)
        return pixels

    def _picks(self, where: ax.Where | None) -> Picks:
        """The positions of a region along S, T, C, Z, Y, X."""
        region = ax.index(ax.CANONICAL, where or {})
        sizes = self.sizes
        return tuple(
            np.arange(sizes[k])[part] for k, part in zip(ax.CANONICAL, region, strict=True)
        )

    def _plane(self, key: Key) -> NDArray:
        """A whole plane as it is."""
        return np.asarray(self.original(dict(zip("STCZ", key, strict=True)))[0, 0, 0, 0])

    @overload
    def middle(self) -> dict[str, int]: ...

    @overload
    def middle(
        self, side: int, depth: int | None = None, grid: int = 1
    ) -> dict[str, int | slice]: ...

    def middle(self, side: int | None = None, depth: int | None = None, grid: int = 1) -> Any:
        """Where the middle plane lies, or the middle of it.

        Parameters
        ----------
        side : int, optional
            Pixels along Y and X, or all where there are fewer. Without it the whole plane.
        depth : int, optional
            Instead of one plane so many along Z, or all where there are fewer.
        grid : int
            Where Y and X start is a multiple of this, for whoever needs blocks to stay aligned.

        Returns
        -------
        dict of str to int or slice
            A region for `read`: integers along S and T, and Z without `depth`; slices else.

        Examples
        --------
        >>> image = Image.from_array(np.zeros((5, 64, 48)), axes="ZYX")
        >>> image.middle()
        {'S': 0, 'T': 0, 'Z': 2}
        >>> image.read(image.middle(32)).shape, image.read(image.middle(32, depth=4)).shape
        ((1, 1, 1, 1, 32, 32), (1, 1, 1, 4, 32, 32))
        """
        n = self.sizes
        where: dict[str, int | slice] = {k: n[k] // 2 for k in "STZ"}
        if depth is not None:
            where["Z"] = ax.middle(n["Z"], depth)
        if side is not None:
            where |= {k: ax.middle(n[k], side, grid) for k in "YX"}
        return where

    def with_axes(self, axes: str) -> Image:
        """The same pixels under other letters.

        Raises
        ------
        AxesError
            If the letters do not fit the shape.
        """
        axes = ax.check(axes, self.shape)
        if axes == self.axes:
            return self
        same = axes.find("C") == self.axes.find("C")
        return replace(
            self,
            axes=axes,
            is_rgb=self.is_rgb and same,
            alpha=self.alpha if same else None,
            mask=None,
        )

    def with_data(self, data: ArrayLike) -> Image:
        """Other pixels of the same shape under the same description, all of them measurements."""
        return replace(self, data=data, hidden=None, mask=None, wanted=DEFAULT)

    def window(self, where: ax.Where) -> Image:
        """A region along Y and X as an image, not searched yet; pixels are read when asked for."""
        region = ax.index(self.axes, where)
        return as_part(self, _Window(self.data, region), self.axes, lambda marks: marks[region])

    def part(self, where: ax.Where, *, alone: bool = False) -> Image:
        """A region as an image in memory, STCZYX, with what is known of its pixels."""
        block, excluded = self.read(where, alone=alone), self.excluded(where)
        mask = None if self.mask is None else PixelMask(block.shape[-2:])
        if excluded is not None:
            mask = PixelMask.of_planes(block, excluded, self.kept(where))
        known = {name: getattr(self, name) for name in Image.__dataclass_fields__}
        known |= {"data": block, "axes": ax.CANONICAL, "hidden": None, "mask": mask}
        known |= {"wanted": DEFAULT, "version": None}
        return Image(**known)


class _Window:
    """A region of an array, as an array whose pixels are read when they are asked for."""

    def __init__(self, data: ArrayLike, region: tuple[slice, ...]) -> None:
        self._data = data
        ranges = [range(n)[part] for n, part in zip(data.shape, region, strict=True)]
        self._ranges = ranges
        self.shape = tuple(map(len, ranges))
        self.dtype = np.dtype(data.dtype)

    def __getitem__(self, index: Any, /) -> Any:
        parts = [r[part] for r, part in zip(self._ranges, index, strict=True)]
        return self._data[tuple(slice(r.start, r.stop, r.step) for r in parts)]


def as_image(image: Any, axes: str | None = None, name: str = "image") -> Image:
    """An array as an image; an image with other axes if they are given.

    Parameters
    ----------
    image : Image or ndarray
        Or what NumPy takes for an array of numbers.
    axes : str, optional
        Letters, e.g. ``"ZYX"``.
    name : str
        The parameter of the caller, for messages.

    Raises
    ------
    InputError
        For everything else.
    """
    if isinstance(image, Image):
        return image.with_axes(axes) if axes else image
    if isinstance(image, (str, os.PathLike)):
        raise InputError(
            f"{name} is {os.fspath(image)!r}, a name and no image; open it with unnoise.open"
        )
    opened = Image.from_array(as_pixels(image, name), axes)
    if opened.dtype.kind == "b":
        raise InputError(
            "the array holds booleans: a mask has no noise to remove; give the image that it was "
            "made from, or convert it to uint8 if it is one"
        )
    return opened


def as_part(image: Image, data: ArrayLike, axes: str, part: Callable[[NDArray], NDArray]) -> Image:
    """The image of a part, not searched yet, with what is hidden or excluded there.

    `part` makes an array of the shape of `data` from one of the shape of the image.
    """
    told = image.hidden, image.wanted.given
    hidden, given = (None if marks is None else part(marks) for marks in told)
    wanted = replace(image.wanted, given=given)
    return replace(image, data=data, axes=axes, hidden=hidden, mask=None, wanted=wanted)


def masked_as(image: Image, pixels: NDArray) -> NDArray:
    """A result of the shape of the image: a masked array where the image came from one."""
    if image.hidden is None:
        return pixels
    value = image.fill_value if pixels.dtype == image.dtype else None
    return np.ma.MaskedArray(pixels, image.hidden.copy(), fill_value=value)
