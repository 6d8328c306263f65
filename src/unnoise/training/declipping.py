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
    before = model.mean_correction
    lines: list[Polyline] = []
    told = []
    for k, c in enumerate(model.channels):
        line = ((0.0,), (0.0,)) if before is None else (before.at[k], before.add[k])
        found = [x for report in reports for x in report.channels if x.index == c]
        first = next((x for x in found if x.curve is not None), None)
        which = f"channel {c + 1}: " * (len(model.channels) > 1)
        shift = None
        if first is not None and first.curve is not None:
            if first.found["excess_noise"].found:
                told.append(f"{which}declip is left out: noise of multiplied electrons is skewed")
                lines.append(line)
                continue
            shift = declipping(first.curve, first.found["saturation"])
        if shift is None:
            told.append(f"{which}nothing to declip: no end is cut off by so much that it matters")
            lines.append(line)
            continue
        dark, bright = shift.most
        told.append(
            f"{which}declipped: results are the signal before values were cut off, up to "
            f"{dark:.3g} grey levels below the mean of dark pixels and {bright:.3g} above that of "
            f"bright ones; what lies beyond an end is set to it"
        )
        lines.append(_joined(line, shift))
    if all(text.find("declipped:") < 0 for text in told):
        return model, told
    at, add = zip(*lines, strict=True)
    # Without `less`: the darkest signals may well be negative.
    return replace(model, mean_correction=MeanCorrection(at, add)), told


def _joined(line: Polyline, shift: Declipping) -> Polyline:
    """One polyline that does what two do one after the other."""
    at, add = (np.array(row) for row in line)
    low, high = (float(shift.at[i]) for i in (0, -1))
    ends = (min(low, float(at[0])), max(high, float(at[-1])))
    places = np.union1d(np.linspace(*ends, 2 * KNOTS), at)
    means = places + np.interp(places, at, add)
    total = means + np.interp(means, shift.at, shift.add) - places
    return tuple(places.tolist()), tuple(total.tolist())
