"""What is added to results so that, dark and bright, they keep the mean of the noisy pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MeanCorrection:
    """A polyline for every denoised channel; beyond its ends it is level.

    Attributes
    ----------
    at : tuple of tuple of float
        Results, ascending, in image units.
    add : tuple of tuple of float
        What is added there.
    less : tuple of float or None, optional
        Of channels whose noisy pixels are all positive or 0 (counts, power): what is taken from
        results before negative ones become 0, so that this keeps the mean too. Of an image that
        has pixels below 0 (a background was subtracted), none of both: see `unclipped`.
    averaged : MeanCorrection, optional
        Of results that are means over flips and rotations, where these have another mean.

    Examples
    --------
    >>> correction = MeanCorrection(at=((0.0, 10.0),), add=((1.0, 0.0),))
    >>> correction.apply(np.array([[-5.0, 5.0, 20.0]]))
    array([[-4. ,  5.5, 20. ]])
    """

    at: tuple[tuple[float, ...], ...]
    add: tuple[tuple[float, ...], ...]
    less: tuple[float | None, ...] = ()
    averaged: MeanCorrection | None = None

    def apply(self, clean: NDArray, *, averaged: bool = False) -> NDArray[np.float64]:
        """Results of shape (c, *space), of one pass or averaged over several, corrected."""
        if averaged and self.averaged is not None:
            return self.averaged.apply(clean)
        rows = zip(clean, self.at, self.add, self.less or (None,) * len(self.at), strict=True)
        return np.stack([_corrected(*row) for row in rows])

    def unclipped(self, which: Sequence[bool]) -> MeanCorrection:
        """The same for an image that has pixels below 0 in these channels: nothing becomes 0."""
        less = tuple(None if c else v for c, v in zip(which, self.less, strict=False))
        if all(value is None for value in less):
            less = ()
        averaged = None if self.averaged is None else self.averaged.unclipped(which)
        return replace(self, less=less, averaged=averaged)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MeanCorrection:
        """Out of the plain values of a file."""
        at, add = (tuple(tuple(map(float, row)) for row in values[name]) for name in ("at", "add"))
        whole = len(at) == len(add) and all(
            len(x) == len(y) > 0 and np.isfinite([x, y]).all() and (np.diff(x) > 0).all()
            for x, y in zip(at, add, strict=True)
        )
        less = tuple(None if v is None else float(v) for v in values.get("less", ()))
        whole = whole and all(v is None or 0 <= v < np.inf for v in less)
        if not whole or len(less) not in (0, len(at)):
            raise ValueError("the corrections of the mean do not fit each other")
        averaged = values.get("averaged")
        if averaged is None:
            return cls(at, add, less)
        own = cls.from_dict({**averaged, "averaged": None})
        if len(own.at) != len(at):
            raise ValueError("the corrections of the mean do not fit each other")
        return cls(at, add, less, own)


def _corrected(
    values: NDArray, at: tuple[float, ...], add: tuple[float, ...], less: float | None
) -> NDArray[np.float64]:
    """The results of one channel, corrected."""
    found = values + np.interp(values, at, add)
    return np.asarray(found if less is None else np.maximum(found - less, 0))
