"""Finding the pixels of an image that are no measurement: padding, nodata, NaN and outliers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images import axes as ax
from unnoise.images.image import Image, as_image
from unnoise.images.pixel_mask import Key, PixelMask, PlaneMask, fill
from unnoise.noise.artifacts.histogram import percent
from unnoise.noise.artifacts.outliers import outliers as find_outliers
from unnoise.noise.artifacts.padding import padding as find_padding
from unnoise.noise.planes import BLOCK, WIDEST, run_places, spread_places

NAN = ("keep", "fill", "refuse")
SPARSE = 0.3
"""Share of pixels at the lowest value, as in images of few photons, where a plane may be empty."""
ALL = 2**26
"""Of images with more pixels measures look at a part."""


@dataclass
class _Tally:
    """What was found in an image, for its notes."""

    pixels: int = 0
    nan: int = 0
    nodata: int = 0
    given: int = 0
    outliers: int = 0
    padding: dict[float, int] = field(default_factory=dict)

    def notes(self, nan: str, keep_outliers: bool) -> tuple[str, ...]:
        """One sentence for every kind."""
        kinds: list[tuple[int, str]] = [
            (self.given, "are excluded by the mask: they stay as they are"),
            (self.nodata, "have the nodata value: they stay as they are"),
        ]
        if nan == "fill":
            kinds.append((self.nan, "are NaN or infinite and are filled in the result"))
        else:
            kinds.append((self.nan, "are NaN or infinite: they stay as they are"))
        lines = [f"{self._share(n)} {what}" for n, what in kinds if n]
        padding = sum(self.padding.values())
        if padding:
            most = sorted(self.padding, key=self.padding.__getitem__, reverse=True)[:3]
            values = " or ".join(f"{value:g}" for value in most)
            lines.append(
                f"{self._share(padding)} lie in regions of constant value ({values}) "
                f"and are taken for padding or burnt-in text: they stay as they are"
            )
        if 2 * self.given > self.pixels:
            lines.append(
                "the mask excludes more than half of the image; it is nonzero where pixels are "
                "measurements, 0 where they are not"
            )
        if self.outliers:
            many = "outlier (a single pixel" if self.outliers == 1 else "outliers (single pixels"
            does = "is" if self.outliers == 1 else "are"
            what = "kept as they were" if keep_outliers else "replaced by their surroundings"
            lines.append(
                f"{self.outliers:,} {many} far from all around, such as a hot pixel) {does} {what}"
            )
        return tuple(lines)

    def _share(self, count: int) -> str:
        if count < 1000:
            return "1 pixel" if count == 1 else f"{count:,} pixels"
        return f"{percent(count / self.pixels)} of the pixels"


def with_mask(
    image: Image | NDArray,
    mask: Image | NDArray | None = None,
    *,
    axes: str | None = None,
    nodata: float | None = None,
    nan: str = "keep",
    keep_outliers: bool = False,
) -> Image:
    """An image that knows which of its pixels are no measurement.

    They are what the mask excludes, what a masked array hides, nodata values, NaN and infinite
    pixels, regions of one constant value that noise makes improbable (padding), and outliers:
    single pixels far from all around, such as hot pixels. None of them is measured or learned
    from. In results outliers are replaced; all others come back bit for bit.

    Parameters
    ----------
    image : Image or ndarray
        Noisy image.
    mask : Image or ndarray, optional
        Nonzero where pixels are measurements, 0 where they are not or are to stay as they are (a
        time stamp, a scale bar); of the shape of the image or of its last dimensions, e.g. (Y, X).
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.
    nodata : float, optional
        A value that marks pixels without a measurement; that of the file by default.
    nan : str
        ``keep`` NaN and infinite pixels, ``fill`` them in results, or ``refuse`` such images.
    keep_outliers : bool
        Whether outliers come back as they were, instead of replaced.

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
    opened = as_image(image, axes)
    if nan not in NAN:
        raise InputError(f"unknown way '{nan}' to treat NaN; choose {', '.join(NAN)}")
    nothing_new = mask is None and nodata is None and nan == "keep" and not keep_outliers
    if opened.mask is not None and nothing_new:
        return opened
    search = _Search(opened, _given(opened, mask), nodata, nan)
    return replace(opened, mask=search.mask(keep_outliers))


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
    search = _Search(part, _given(part, None), None, "keep")
    return replace(part, mask=search.mask(keep_outliers=False, planes=keys))


def fill_missing(image: Image | NDArray, *, axes: str | None = None) -> NDArray:
    """An array with its NaN and infinite pixels filled from around, plane by plane.

    Parameters
    ----------
    image : Image or ndarray
        Any image.
    axes : str, optional
        Axes of an array, e.g. ``"ZYX"``, where they are ambiguous.

    Returns
    -------
    ndarray
        Pixels of the same shape, axes and dtype; planes without any finite pixel get the mean.

    Raises
    ------
    InputError
        If no pixel is finite.

    Examples
    --------
    >>> x = np.ones((32, 32), np.float32)
    >>> x[3, 4] = np.nan
    >>> bool(np.isfinite(fill_missing(x)).all())
    True
    """
    opened = as_image(image, axes)
    block = np.array(opened.original(), order="C")  # so that reshape is a view
    known = np.isfinite(block)
    if not known.any():
        raise InputError(f"{opened.name} has no finite pixel, so there is nothing to denoise")
    for plane in block.reshape(-1, *block.shape[-2:]):
        plane[...] = fill(plane, ~np.isfinite(plane)) if np.isfinite(plane).any() else np.nan
    for c in range(block.shape[2]):
        channel = block[:, :, c]
        finite = np.isfinite(channel)
        channel[~finite] = channel[finite].mean() if finite.any() else 0
    return np.asarray(ax.from_canonical(block, opened.axes))


class _Search:
    """The search through all planes of an image."""

    def __init__(
        self, image: Image, given: NDArray[np.bool_] | None, nodata: float | None, nan: str
    ) -> None:
        self.image, self.given, self.nan = image, given, nan
        self.nodata = image.nodata if nodata is None else nodata
        self.tally = _Tally()
        self.planes: dict[Key, PlaneMask] = {}
        self.constant: dict[Key, float] = {}  # planes of a single value
        self.empty: set[Key] = set()  # planes without any measurement
        self.lowest: dict[int, list[tuple[float, float]]] = {}  # of other planes, with its share

    def mask(self, keep_outliers: bool, planes: Collection[Key] | None = None) -> PixelMask:
        """Search all planes, or some."""
        n = self.image.sizes
        keys = [
            key
            for key in np.ndindex(n["S"], n["T"], n["C"], n["Z"])
            if key[2] != self.image.alpha and (planes is None or key in planes)
        ]
        for key in keys:
            self._search(key, keep_outliers)
        self._whole_planes()
        tally = self.tally
        tally.pixels = len(keys) * n["Y"] * n["X"]
        if tally.nan + tally.nodata + tally.given >= tally.pixels:
            what = "finite pixel" if tally.nan >= tally.pixels else "pixel that is a measurement"
            raise InputError(f"{self.image.name} has no {what}, so there is nothing to denoise")
        if tally.nan and self.nan == "refuse":
            raise InputError(
                f"{self.image.name} has {tally.nan:,} NaN or infinite pixels of "
                f"{tally.pixels:,}; keep or fill them instead of refusing"
            )
        counts = {name: getattr(tally, name) for name in ("nan", "nodata", "given", "outliers")}
        counts["padding"] = sum(tally.padding.values())
        notes = tally.notes(self.nan, keep_outliers)
        return PixelMask((n["Y"], n["X"]), self.planes, notes, counts, self._stand_ins(), n["T"])

    def _search(self, key: Key, keep_outliers: bool) -> None:
        """Find the excluded pixels of a plane."""
        tally = self.tally
        plane = self.image.original(dict(zip("STCZ", key, strict=True)))[0, 0, 0, 0]
        none = np.zeros(plane.shape, np.bool_)
        missing = ~np.isfinite(plane) if plane.dtype.kind == "f" else none
        tally.nan += int(missing.sum())
        named = none
        if self.nodata is not None and np.isfinite(self.nodata):
            named = _equal(plane, self.nodata) & ~missing
            tally.nodata += int(named.sum())
        if self.given is not None:
            hidden = self.given[key] & ~missing & ~named
            tally.given += int(hidden.sum())
            named = named | hidden
        excluded = missing | named
        known = plane[~excluded]
        if not known.size:
            self.empty.add(key)
            self._keep(key, plane, excluded, missing, none)
            return
        if known.min() == known.max():
            self.constant[key] = float(known.flat[0])
            self._keep(key, plane, excluded, missing, none)
            return
        low = known.min()
        self.lowest.setdefault(key[2], []).append((float(low), float((known == low).mean())))
        padding = find_padding(plane, excluded)
        for value, region in padding:
            tally.padding[value] = tally.padding.get(value, 0) + int(region.sum())
            excluded = excluded | region
        outliers = find_outliers(plane, excluded)
        tally.outliers += int(outliers.sum())
        self._keep(key, plane, excluded, missing, none if keep_outliers else outliers, outliers)

    def _keep(
        self,
        key: Key,
        plane: NDArray,
        excluded: NDArray[np.bool_],
        missing: NDArray[np.bool_],
        replaced: NDArray[np.bool_],
        outliers: NDArray[np.bool_] | None = None,
    ) -> None:
        if outliers is not None:
            excluded = excluded | outliers
        if excluded.any():
            again = replaced | missing if self.nan == "fill" else replaced
            self.planes[key] = PlaneMask.of(plane, excluded, again)

    def _whole_planes(self) -> None:
        """Planes of a single value, such as dropped frames, among others that vary."""
        for key, value in self.constant.items():
            others = self.lowest.get(key[2])
            if not others:
                continue  # a channel without any signal
            shares = [share for low, share in others if low == value]
            if sum(shares) > SPARSE * len(others):
                continue  # few photons: a plane without any is a measurement
            shape = self.image.sizes["Y"], self.image.sizes["X"]
            whole = np.ones(shape, np.bool_)
            plane = self.image.original(dict(zip("STCZ", key, strict=True)))[0, 0, 0, 0]
            self.planes[key] = PlaneMask.of(plane, whole, np.zeros(shape, np.bool_))
            self.empty.add(key)
            self.tally.padding[value] = self.tally.padding.get(value, 0) + whole.size

    def _stand_ins(self) -> dict[Key, Key]:
        """For planes without any measurement the one that mirrors them about the last that has
        some, along Z, T or S; itself where there is none.
        """
        sizes = [self.image.sizes[k] for k in "STCZ"]
        found = {}
        for key in self.empty:
            for axis in (3, 1, 0):
                line = [(*key[:axis], i, *key[axis + 1 :]) for i in range(sizes[axis])]
                full = [i for i, other in enumerate(line) if other not in self.empty]
                if full:
                    rim = min(full, key=lambda i: abs(i - key[axis]))
                    back = 2 * rim - key[axis] + (1 if key[axis] > rim else -1)
                    found[key] = line[back if back in full else rim]
                    break
        return found  # type: ignore[return-value]


def _given(image: Image, mask: Image | NDArray | None) -> NDArray[np.bool_] | None:
    """Pixels that the caller or a masked array excludes, STCZYX without being copied."""
    n = image.sizes
    whole = tuple(n[k] for k in ax.CANONICAL)
    hidden = None
    if image.hidden is not None:
        hidden = ax.to_canonical(image.hidden, image.axes)
    if mask is None:
        return hidden
    if isinstance(mask, Image):
        pixels = np.asarray(mask.data[(slice(None),) * len(mask.shape)])
    else:
        pixels = np.asarray(mask)
    if pixels.dtype.kind not in "buif":
        raise InputError(
            f"a mask holds numbers or truth values, not {pixels.dtype}; give an array that is "
            f"nonzero where pixels are measurements"
        )
    pixels = pixels.squeeze() if pixels.ndim > 2 else pixels
    axes = _axes_of_mask(image, pixels.shape)
    if axes is None:
        raise InputError(
            f"the mask has shape {pixels.shape} but {image.name} has shape {image.shape} (axes "
            f"{image.axes}); give one of that shape, or of its planes ({n['Y']}, {n['X']})"
        )
    out = np.broadcast_to(ax.to_canonical(pixels == 0, axes), whole)
    return out if hidden is None else out | hidden


def _axes_of_mask(image: Image, shape: Sequence[int]) -> str | None:
    """Letters of the dimensions of a mask: all of the image, all that are longer than 1, the last
    ones, or Y and X.
    """
    n = image.sizes
    options = [image.axes, "".join(k for k in image.axes if n[k] > 1)]
    without = [k for k in image.axes if k != "C"]
    options += ["".join(without[i:]) for i in range(len(without) - 1)]
    for option in options:
        if tuple(n[k] for k in option) == tuple(shape) and "Y" in option and "X" in option:
            return option
    return None


def _equal(plane: NDArray, value: float) -> NDArray[np.bool_]:
    """Pixels of a value that was written in decimals, perhaps of another precision."""
    if plane.dtype.kind != "f":
        return np.asarray(plane == value)
    with np.errstate(over="ignore"):
        own = plane.dtype.type(value)
    if not np.isfinite(own):  # as the lowest float32, printed with too few digits
        own = plane.dtype.type(np.copysign(np.finfo(plane.dtype).max, value))
    return np.asarray(np.isclose(plane, own, rtol=4 * np.finfo(plane.dtype).eps, atol=0))
