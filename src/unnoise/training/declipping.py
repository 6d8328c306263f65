"""Results of clipped pixels as the signal behind: the setting ``declip``.

Every method finds the mean of the noisy pixels, and results keep it, dark and bright
(`unnoise.training.mean_correction`). Where noise was cut off, that mean is not the signal. So with
this setting the shift that the measured noise predicts is taken back, after the means are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unnoise.models.mean_correction import MeanCorrection
from unnoise.models.model import Model
from unnoise.noise.clipping import KNOTS, Declipping, declipping
from unnoise.noise.inspect import NoiseReport

Polyline = tuple[tuple[float, ...], tuple[float, ...]]


def with_declipping(model: Model, reports: Sequence[NoiseReport]) -> tuple[Model, list[str]]:
    """The model whose results are signals and not means of clipped pixels, and what to tell.

    Parameters
    ----------
    model : Model
        Trained, with its correction of the mean if it has one.
    reports : sequence of NoiseReport
        What was measured of its images.
    """
    if model.config.entry.pairs == "clean":
        return model, ["declip is left out: results have the units of the clean images"]
    shifts: list[Declipping | None] = []
    told = []
    for c in model.channels:
        found = [x for report in reports for x in report.channels if x.index == c]
        first = next((x for x in found if x.curve is not None), None)
        which = f"channel {c + 1}: " * (len(model.channels) > 1)
        shift = None
        if first is not None and first.curve is not None:
            if first.found["excess_noise"].found:
                told.append(f"{which}declip is left out: noise of multiplied electrons is skewed")
                shifts.append(None)
                continue
            shift = declipping(first.curve, first.found["saturation"])
        shifts.append(shift)
        if shift is None:
            told.append(f"{which}nothing to declip: no end is cut off by so much that it matters")
            continue
        dark, bright = shift.most
        told.append(
            f"{which}declipped: results are the signal before values were cut off, up to "
            f"{dark:.3g} grey levels below the mean of dark pixels and {bright:.3g} above that of "
            f"bright ones; what lies beyond an end is set to it"
        )
    if all(shift is None for shift in shifts):
        return model, told
    level = ((0.0,),) * len(shifts)
    before = model.mean_correction or MeanCorrection(level, level)
    done = _declipped(before, shifts)
    if before.averaged is not None:
        done = replace(done, averaged=_declipped(before.averaged, shifts))
    return replace(model, mean_correction=done), told


def _declipped(before: MeanCorrection, shifts: Sequence[Declipping | None]) -> MeanCorrection:
    """A correction and then the shifts; without `less`, as the darkest signals may be negative."""
    rows = zip(zip(before.at, before.add, strict=True), shifts, strict=True)
    at, add = zip(
        *(line if shift is None else _joined(line, shift) for line, shift in rows), strict=True
    )
    return MeanCorrection(at, add)


def _joined(line: Polyline, shift: Declipping) -> Polyline:
    """One polyline that does what two do one after the other."""
    at, add = (np.array(row) for row in line)
    low, high = (float(shift.at[i]) for i in (0, -1))
    ends = (min(low, float(at[0])), max(high, float(at[-1])))
    places = np.union1d(np.linspace(*ends, 2 * KNOTS), at)
    means = places + np.interp(places, at, add)
    total = means + np.interp(means, shift.at, shift.add) - places
    return tuple(places.tolist()), tuple(total.tolist())
