"""Charts: the drawn coordinates say what the data say."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from unnoise.errors import InputError
from unnoise.report.axis import axis_of
from unnoise.report.charts import MOST_POINTS, chart, heat_map
from unnoise.report.page_parts import Chart, HeatMap, Series


def drawing(html: str) -> ET.Element:
    """The figure as a tree; SVG must be well-formed XML."""
    return ET.fromstring(html)


def polyline(html: str, number: int = 0) -> np.ndarray:
    points = [e.attrib["points"] for e in drawing(html).iter("polyline")][number]
    return np.array([p.split(",") for p in points.split()], dtype=float)


def ticks(html: str, axis: str) -> dict[float, float]:
    """Positions by the number that is written there."""
    across, shift = ("x", 0.0) if axis == "x" else ("y", -4.0)
    marks = [e for e in drawing(html).iter("text") if e.attrib.get("class") == f"tick {axis}"]
    number = {
        m.text.replace("\u2212", "-"): float(m.attrib[across]) + shift for m in marks if m.text
    }
    return {float(text): at for text, at in number.items()}


def test_points_lie_where_the_marks_say() -> None:
    """Read the data back by interpolation between the labels of both axes."""
    x, y = np.linspace(-3, 7, 20), np.linspace(-3, 7, 20) ** 2 * 13
    html = chart(Chart("t", "x", "y", (Series("s", x, y),)))
    for axis, values, column in (("x", x, 0), ("y", y, 1)):
        marks = ticks(html, axis)
        assert len(marks) >= 3
        slope, offset = np.polyfit(list(marks.values()), list(marks), 1)
        read = slope * polyline(html)[:, column] + offset
        np.testing.assert_allclose(read, values, atol=0.004 * np.ptp(values))


def test_logarithmic_axes() -> None:
    x, y = np.geomspace(1, 1e6, 13), np.geomspace(1e-4, 10, 13)
    html = chart(Chart("t", "x", "y", (Series("s", x, y),), x_log=True, y_log=True))
    steps = np.diff(polyline(html), axis=0)
    assert np.ptp(steps, axis=0) == pytest.approx([0, 0], abs=0.25)
    marks = ticks(html, "y")
    logs = np.polyfit(np.log10(list(marks)), list(marks.values()), 1, full=True)
    assert logs[1].sum() < 0.1  # labels lie on a line in the logarithm


def test_not_finite_and_not_positive_values_leave_gaps() -> None:
    y = [1.0, 2.0, math.nan, 3.0, 4.0, math.inf, 5.0]
    html = chart(Chart("t", "x", "y", (Series("s", range(7), y),)))
    assert len(list(drawing(html).iter("polyline"))) == 3
    html = chart(Chart("t", "x", "y", (Series("s", range(1, 5), [1, 0, -1, 2]),), y_log=True))
    assert len(list(drawing(html).iter("polyline"))) == 2
    assert "nan" not in html.lower()


def test_bands_bars_and_points() -> None:
    x, y = np.arange(5.0), np.array([1.0, -2.0, 3.0, 0.0, 2.0])
    band = Series("band", x, y, y - 1, y + 1)
    html = chart(Chart("t", "x", "y", (band,)))
    (polygon,) = drawing(html).iter("polygon")
    assert len(polygon.attrib["points"].split()) == 10
    html = chart(Chart("t", "x", "y", (Series("bars", x, y, style="bars"),)))
    bars = [e.attrib for e in drawing(html).iter("rect")]
    heights = np.array([float(b["height"]) for b in bars])
    np.testing.assert_allclose(heights / heights[0], np.abs(y), atol=0.02)
    lefts = [float(b["x"]) for b in bars]
    widths = [float(b["width"]) for b in bars]
    assert all(a + w < b for a, w, b in zip(lefts, widths, lefts[1:], strict=False))
    html = chart(Chart("t", "x", "y", (Series("p", x, y, y - 1, y + 1, "points"),)))
    assert len(list(drawing(html).iter("circle"))) == 5
    assert len(list(drawing(html).iter("path"))) == 5
    assert "<title>2: 3</title>" in html


def test_long_series_keep_their_spikes() -> None:
    y = np.random.default_rng(0).normal(size=200_000)
    y[123_456] = 50
    y[99_999] = -50
    html = chart(Chart("t", "x", "y", (Series("s", np.arange(y.size), y),)))
    assert len(html) < 60_000
    line = polyline(html)
    assert len(line) <= MOST_POINTS
    assert np.ptp(line[:, 1]) > 180  # of 224 points between top and bottom


STRANGE = [
    [],
    [math.nan, math.nan],
    [5.0],
    [0.0, 0.0, 0.0],
    [1e6, 1e6 + 0.001],
    [65533.0, 65534.0, 65535.0],
    [1e-12, 3e-12],
    [-1e9, 1e9],
    [1e200, 1e-200],
    [-5.0, -3.0],
]


@pytest.mark.parametrize(
    ("values", "style", "x_log", "y_log"),
    list(itertools.product(STRANGE, ("line", "points", "bars"), (False, True), (False, True))),
)
def test_strange_values(values: list[float], style, x_log: bool, y_log: bool) -> None:
    low, high = [v - 1 for v in values], [v + 1 for v in values]
    series = (Series("s", values, values, low, high, style),)
    html = chart(Chart("t", "x", "y", series, x_log=x_log, y_log=y_log))
    drawing(html)
    assert not re.search(r"\b(nan|inf)\b", html)


def test_no_values_is_said() -> None:
    assert "no values to show" in chart(Chart("t", "x", "y", ()))
    assert "no values to show" in chart(Chart("t", "x", "y", (Series("s", [1], [0]),), y_log=True))


@pytest.mark.parametrize("log", [False, True])
def test_marks_are_few_distinct_and_inside(log: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        low = 10 ** rng.uniform(-8, 8) * (1 if log else rng.choice([-1, 1]))
        high = low + abs(low) * 10 ** rng.uniform(-3, 5)
        axis = axis_of([low, high], 0, 100, log=log, zero=False)
        marks = axis.ticks()
        assert 2 <= len(marks) <= 10
        assert len({label for _, label in marks}) == len(marks)
        assert all(len(label) <= 9 for _, label in marks)
        for value, label in marks:
            assert -0.01 <= axis.place(value) <= 100.01
            assert float(label.replace("\u2212", "-")) == pytest.approx(value, rel=1e-2, abs=1e-12)


def test_heat_map_colours_and_lags() -> None:
    values = np.zeros((7, 9))
    values[3, 4] = 1
    values[3, 5] = 0.3  # x + 1
    values[2, 4] = -0.3  # y - 1
    html = heat_map(HeatMap("t", values))
    cells = {
        e.findtext("title"): e.attrib
        for e in drawing(html).iter("rect")
        if e.find("title") is not None
    }
    assert len(cells) == 63
    assert cells["lag x 0, y 0: 1"].get("class") == "blank"

    def colour(name: str) -> tuple[int, ...]:
        return tuple(int(cells[name]["fill"][i : i + 2], 16) for i in (1, 3, 5))

    right, above = colour("lag x 1, y 0: 0.3"), colour("lag x 0, y -1: \u22120.3")
    assert right[0] > 2 * right[2]
    assert above[2] > 2 * above[0]
    assert min(colour("lag x 3, y 2: 0")) > 230


@pytest.mark.parametrize(
    "values",
    [np.ones((1, 1)), np.full((5, 5), np.nan), np.zeros((4, 6)), np.eye(101), np.ones((1, 33))],
    ids=["one", "nan", "even", "large", "row"],
)
def test_strange_heat_maps(values: np.ndarray) -> None:
    html = heat_map(HeatMap("t", values))
    drawing(html)
    assert len(html) < 250_000
    assert 'fill="#nan' not in html


def test_refused_series() -> None:
    with pytest.raises(InputError, match="as many x as y"):
        Series("s", (1, 2), (1,))
    with pytest.raises(InputError, match="low and high together"):
        Series("s", (1, 2), (1, 2), low=(0, 1))
    with pytest.raises(InputError, match="line, points or bars"):
        Series("s", (1,), (1,), style="pie")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="2D array"):
        HeatMap("t", np.zeros(5))
