"""Charts and heat maps as inline SVG, whose colours come from the style sheet of the page.

Drawn here and not by matplotlib, whose four charts of a report took 0.8 s instead of 0.06 s, the
three with lines 47 kB instead of 11 kB and the heat map 220 kB instead of 129 kB, told no value
under the pointer, and had 1328 ``style`` attributes: the page's security policy allows none of
them, and with fixed colours there would be no dark mode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from markupsafe import Markup

from unnoise.report._templates import fill
from unnoise.report.axis import Axis, axis_of, short
from unnoise.report.colour import hex_colour, signed_scale
from unnoise.report.page_parts import Chart, HeatMap, Series, Values

WIDTH, HEIGHT = 420, 284
LEFT, RIGHT, TOP, BOTTOM = 62, 408, 12, 236
COLOURS = 6

MOST_POINTS = 1200
"""Points of a series that are drawn, more than the axis has pixels."""

TOLD = 60
"""Points that tell their values when pointed at; more of them would only make the page large."""

MOST_LAGS = 16
"""Lags drawn in each direction."""


def chart(content: Chart) -> Markup:
    """A chart as an HTML figure."""
    across = [float(v) for s in content.series for v in s.x]
    drawn = [v for s in content.series for v in (s.y, s.low, s.high) if v is not None]
    up = [float(v) for values in drawn for v in values]
    bars = any(s.style == "bars" for s in content.series)
    if bars and not content.x_log:
        half = _bar_width(across) / 2
        across = [v + d for v in across for d in (-half, half)]
    x = axis_of(across, LEFT, RIGHT, log=content.x_log, zero=False)
    y = axis_of(up, BOTTOM, TOP, log=content.y_log, zero=bars)
    kept = [_shown(s, x, y) for s in content.series]
    if not any(len(s.x) for s in kept):
        body = f'<text class="empty" x="{(LEFT + RIGHT) / 2}" y="130">no values to show</text>'
    else:
        body = "".join(_band(s, i, x, y) for i, s in enumerate(kept))
        body += "".join(DRAWN[s.style](s, i, x, y) for i, s in enumerate(kept))
    return _figure(content, f'{_frame(x, y)}<g class="data">{body}</g>', x, BOTTOM)


WEAKEST = 0.1
"""The colours of a map of correlations reach at least so far."""


def heat_map(content: HeatMap) -> Markup:
    """Correlation by lag as an HTML figure; lag 0, which is 1 by definition, is left grey."""
    values = np.asarray(content.values, dtype=np.float64)
    centre = [n // 2 for n in values.shape]
    begin = [max(0, c - MOST_LAGS) for c in centre]
    values = values[begin[0] : centre[0] + MOST_LAGS + 1, begin[1] : centre[1] + MOST_LAGS + 1]
    centre = [c - b for c, b in zip(centre, begin, strict=True)]
    others = values.copy()
    others[centre[0], centre[1]] = np.nan
    scale = signed_scale(others)
    if scale.high < WEAKEST:  # chance must not look like correlation
        scale = signed_scale(others, WEAKEST / 2)
    tall, wide = values.shape
    cell = min((BOTTOM - TOP) / tall, (RIGHT - LEFT - 70) / wide)
    left, top = LEFT + 12, TOP
    cells = []
    for (row, column), value in np.ndenumerate(values):
        lag = f"lag x {column - centre[1]}, y {row - centre[0]}: {short(float(value))}"
        blank = not np.isfinite(others[row, column])
        fill = 'class="blank"' if blank else f'fill="{hex_colour(float(value), scale)}"'
        cells.append(
            f'<rect x="{left + column * cell:.2f}" y="{top + row * cell:.2f}" '
            f'width="{cell + 0.2:.2f}" height="{cell + 0.2:.2f}" {fill}><title>{lag}</title></rect>'
        )
    # Rows of an image run downwards, and so does the axis.
    x = Axis(-centre[1] - 0.5, wide - centre[1] - 0.5, left, left + wide * cell)
    y = Axis(-centre[0] - 0.5, tall - centre[0] - 0.5, top, top + tall * cell)
    marks = _lags(x, y, wide, tall, centre)
    bar = left + wide * cell + 24
    ramp = "".join(
        f'<rect x="{bar:.2f}" y="{TOP + i * 6:.2f}" width="12" height="6.2" '
        f'fill="{hex_colour(scale.high * (1 - 2 * i / 29), scale)}"/>'
        for i in range(30)
    )
    ends = "".join(
        f'<text class="tick" x="{bar + 18:.2f}" y="{TOP + y:.2f}">{short(float(f"{v:.2g}"))}</text>'
        for y, v in ((8, scale.high), (94, 0.0), (180, scale.low))
    )
    return _figure(content, f"<g>{''.join(cells)}</g>{marks}{ramp}{ends}", x, y.end)


def _figure(content: Chart | HeatMap, drawing: str, x: Axis, bottom: float) -> Markup:
    """A drawing, which holds no text of the content, with the texts around it."""
    return fill(
        "chart.html.jinja",
        content=content,
        drawing=Markup(drawing),  # noqa: S704  numbers alone
        colours=COLOURS,
        width=WIDTH,
        height=HEIGHT,
        middle=f"{(x.start + x.end) / 2:.1f}",
        below=f"{bottom + 41:.1f}",
        half=f"{(TOP + bottom) / 2:.1f}",
    )


def _frame(x: Axis, y: Axis) -> str:
    """Grid lines and marks of the axes."""
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text class="tick y" x="{LEFT - 7}" y="{at + 4:.1f}">{label}</text>'
        for at, label in ((y.place(value), label) for value, label in y.ticks())
    ]
    marks = [(x.place(value), label) for value, label in x.ticks()]
    room = (RIGHT - LEFT) / 9  # characters of the larger type of narrow screens
    every = math.ceil(sum(len(label) + 1 for _, label in marks) / room)
    parts += [
        f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{BOTTOM}" y2="{BOTTOM + 4}"/>'
        f'<text class="tick x" x="{at:.1f}" y="{BOTTOM + 19}">{label}</text>'
        for at, label in marks[:: max(1, every)]
    ]
    parts.append(f'<line class="mark" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>')
    return "".join(parts)


def _lags(x: Axis, y: Axis, wide: int, tall: int, centre: Sequence[int]) -> str:
    """Marks at whole lags on both axes of a heat map."""
    step = next(s for s in (1, 2, 4, 8, 16) if max(wide, tall) / s <= 9)
    parts = []
    for lag in range(-MOST_LAGS, MOST_LAGS + 1, step):
        label = short(lag)
        if 0 <= lag + centre[1] < wide:
            parts.append(
                f'<text class="tick x" x="{x.place(lag):.1f}" y="{y.end + 16:.1f}">{label}</text>'
            )
        if 0 <= lag + centre[0] < tall:
            parts.append(
                f'<text class="tick y" x="{x.start - 7}" y="{y.place(lag) + 4:.1f}">{label}</text>'
            )
    return "".join(parts)


def _shown(series: Series, x: Axis, y: Axis) -> Series:
    """The series with gaps (NaN) where an axis has no place, thinned if it is long.

    Of every stretch the smallest and the largest value stay, so that no spike is lost.
    """
    xs = np.array([v if x.shows(v) else math.nan for v in map(float, series.x)], dtype=np.float64)
    ys = np.array([v if y.shows(v) else math.nan for v in map(float, series.y)], dtype=np.float64)
    keep = np.arange(len(xs))
    if not np.isfinite(xs + ys).any():
        keep = keep[:0]
    elif len(xs) > MOST_POINTS:
        stretches = np.array_split(keep, MOST_POINTS // 2)
        low, high = (np.nan_to_num(ys, nan=fill) for fill in (math.inf, -math.inf))
        ends = [{s[np.argmin(low[s])], s[np.argmax(high[s])]} for s in stretches]
        keep = np.array(sorted(set().union(*ends)))
    band = [
        None if v is None else [float(v[int(i)]) for i in keep] for v in (series.low, series.high)
    ]
    return Series(series.label, list(xs[keep]), list(ys[keep]), band[0], band[1], series.style)


def _runs(series: Series) -> list[list[int]]:
    """Stretches without gaps."""
    good = [math.isfinite(a) and math.isfinite(b) for a, b in zip(series.x, series.y, strict=True)]
    return [list(run) for fine, run in groupby(range(len(good)), good.__getitem__) if fine]


def _band(series: Series, number: int, x: Axis, y: Axis) -> str:
    """The filled band between `low` and `high`, or error bars on points."""
    if series.low is None or series.high is None:
        return ""
    low, high = series.low, series.high
    parts = []
    for run in _runs(series):
        held = [i for i in run if y.shows(high[i]) and not math.isnan(low[i])]
        ends = [(x.place(series.x[i]), _held(low[i], y), y.place(high[i])) for i in held]
        if series.style == "line":
            line = [f"{a:.1f},{c:.1f}" for a, _, c in ends]
            line += [f"{a:.1f},{b:.1f}" for a, b, _ in reversed(ends)]
            parts.append(f'<polygon points="{" ".join(line)}"/>')
        else:
            parts += [f'<path d="M{a:.1f} {b:.1f}V{c:.1f}"/>' for a, b, c in ends]
    return f'<g class="band c{number % COLOURS}">{"".join(parts)}</g>'


def _held(value: float, axis: Axis) -> float:
    """Where the lower end of a band is drawn; at the border if the axis has no place for it."""
    return axis.place(value) if axis.shows(value) else axis.start


def _line(series: Series, number: int, x: Axis, y: Axis) -> str:
    parts = []
    for run in _runs(series):
        places = [f"{x.place(series.x[i]):.1f},{y.place(series.y[i]):.1f}" for i in run]
        places = places if len(places) > 1 else places * 2  # a round cap makes a dot of it
        parts.append(f'<polyline points="{" ".join(places)}"/>')
    return f'<g class="line c{number % COLOURS}">{"".join(parts)}</g>'


def _points(series: Series, number: int, x: Axis, y: Axis) -> str:
    many = len(series.x) > TOLD
    parts = []
    for i in (i for run in _runs(series) for i in run):
        place = f'cx="{x.place(series.x[i]):.1f}" cy="{y.place(series.y[i]):.1f}"'
        told = "" if many else f"<title>{short(series.x[i])}: {short(series.y[i])}</title>"
        parts.append(f'<circle {place} r="{1.6 if many else 3}">{told}</circle>')
    return f'<g class="points c{number % COLOURS}">{"".join(parts)}</g>'


def _bars(series: Series, number: int, x: Axis, y: Axis) -> str:
    width = 0.0 if x.log else _bar_width(series.x) * 0.8
    floor = _held(0.0, y)
    parts = []
    for i in (i for run in _runs(series) for i in run):
        left, right = (x.place(series.x[i] + d * width / 2) for d in (-1, 1))
        left, right = min(left, right - 1.5), right
        top, bottom = sorted((y.place(series.y[i]), floor))
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{bottom - top:.1f}"><title>{short(series.x[i])}: {short(series.y[i])}</title>'
            f"</rect>"
        )
    return f'<g class="bars c{number % COLOURS}">{"".join(parts)}</g>'


def _bar_width(xs: Values) -> float:
    """The smallest distance of two bars."""
    some = np.unique([v for v in xs if math.isfinite(v)])
    return float(np.diff(some).min()) if some.size > 1 else 1.0


DRAWN = {"line": _line, "points": _points, "bars": _bars}
