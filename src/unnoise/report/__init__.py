"""The report of a run: one HTML file that opens from disk and needs no network."""

from __future__ import annotations

from unnoise.report.page import render, write
from unnoise.report.page_parts import Chart, HeatMap, Number, Page, Picture, Section, Series

__all__ = [
    "Chart",
    "HeatMap",
    "Number",
    "Page",
    "Picture",
    "Section",
    "Series",
    "render",
    "write",
]
