"""The search of an image, plane by plane, for pixels that are no measurement."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unnoise.errors import InputError
from unnoise.images.image import Image
from unnoise.images.pixel_mask import Key, PixelMask, PlaneMask
from unnoise.noise.artifacts.histogram import percent
from unnoise.noise.artifacts.outliers import outliers as find_outliers
from unnoise.noise.artifacts.padding import padding as find_padding

SPARSE = 0.3
"""Share of pixels at the lowest value, as in images of few photons, where a plane may be empty."""


@dataclass
class Tally:
    """What was found in an image, for its notes."""

    pixels: int = 0
    nan: int = 0
    nodata: int = 0
    given: int = 0
    outliers: int = 0
    padding: dict[float, int] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Join what was found elsewhere."""
        for name in ("pixels", "nan", "nodata", "given", "outliers"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for value, count in other.padding.items():
            self.padding[value] = self.padding.get(value, 0) + count

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
            own = "it was" if self.outliers == 1 else "they were"
            their = "its" if self.outliers == 1 else "their"
            what = f"kept as {own}" if keep_outliers else f"replaced by {their} surroundings"
            lines.append(
                f"{self.outliers:,} {many} far from all around, such as a hot pixel) {does} {what}"
            )
        return tuple(lines)

    def _share(self, count: int) -> str:
        if count < 1000:
            return "1 pixel" if count == 1 else f"{count:,} pixels"
        return f"{percent(count / self.pixels)} of the pixels"


class Search:
    """The search through all planes of an image."""

    def __init__(
        self, image: Image, given: NDArray[np.bool_] | None, nodata: float | None, nan: str
    ) -> None:
        self.image, self.given, self.nan = image, given, nan
        self.nodata = image.nodata if nodata is None else nodata
        self.tally = Tally()
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
            self.plane(key, keep_outliers)
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

    def single(
        self, key: Key, keep_outliers: bool, lowest: Mapping[int, list[tuple[float, float]]]
    ) -> tuple[PlaneMask | None, bool]:
        """The excluded pixels of one plane, and whether all are, if `lowest` is known of others."""
        self.lowest = {c: list(known) for c, known in lowest.items()}
        self.plane(key, keep_outliers)
        self._whole_planes()
        return self.planes.get(key), key in self.empty

    def plane(self, key: Key, keep_outliers: bool) -> None:
        """Find the excluded pixels of a plane."""
        tally = self.tally
        plane = self.image.original(dict(zip("STCZ", key, strict=True)))[0, 0, 0, 0]
        none = np.zeros(plane.shape, np.bool_)
        missing = ~np.isfinite(plane) if plane.dtype.kind == "f" else none
        tally.nan += int(np.count_nonzero(missing))
        named = none
        if self.nodata is not None and np.isfinite(self.nodata):
            named = _equal(plane, self.nodata) & ~missing
            tally.nodata += int(np.count_nonzero(named))
        if self.given is not None:
            hidden = self.given[key] & ~missing & ~named
            tally.given += int(np.count_nonzero(hidden))
            named = named | hidden
        excluded = missing | named
        known = plane[~excluded] if excluded.any() else plane.ravel()
        if not known.size:
            self.empty.add(key)
            self._keep(key, plane, excluded, missing, none)
            return
        if known.min() == known.max():
            self.constant[key] = float(known.flat[0])
            self._keep(key, plane, excluded, missing, none)
            return
        low = known.min()
        self.lowest.setdefault(key[2], []).append(
            (float(low), np.count_nonzero(known == low) / known.size)
        )
        padding = find_padding(plane, excluded)
        for value, region in padding:
            tally.padding[value] = tally.padding.get(value, 0) + int(np.count_nonzero(region))
            excluded = excluded | region
        outliers = find_outliers(plane, excluded)
        tally.outliers += int(np.count_nonzero(outliers))
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
        lines: dict[tuple[int, ...], list[int]] = {}  # of planes with some, by axis and others
        found = {}
        for key in self.empty:
            for axis in (3, 1, 0):
                line = (axis, *key[:axis], *key[axis + 1 :])
                if line not in lines:
                    every = ((i, (*key[:axis], i, *key[axis + 1 :])) for i in range(sizes[axis]))
                    lines[line] = [i for i, other in every if other not in self.empty]
                if full := lines[line]:
                    after = bisect_left(full, key[axis])
                    near = full[max(after - 1, 0) : after + 1]
                    rim = min(near, key=lambda i: abs(i - key[axis]))
                    back = 2 * rim - key[axis] + (1 if key[axis] > rim else -1)
                    place = bisect_left(full, back)
                    there = place < len(full) and full[place] == back
                    found[key] = (*key[:axis], back if there else rim, *key[axis + 1 :])
                    break
        return found  # type: ignore[return-value]


def _equal(plane: NDArray, value: float) -> NDArray[np.bool_]:
    """Pixels of a value that was written in decimals, perhaps of another precision."""
    if plane.dtype.kind != "f":
        return np.asarray(plane == value)
    with np.errstate(over="ignore"):
        own = plane.dtype.type(value)
    if not np.isfinite(own):  # as the lowest float32, printed with too few digits
        own = plane.dtype.type(np.copysign(np.finfo(plane.dtype).max, value))
    return np.asarray(np.isclose(plane, own, rtol=4 * np.finfo(plane.dtype).eps, atol=0))
