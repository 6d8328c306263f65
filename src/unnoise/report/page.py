"""The page around pictures, numbers and charts, and the file it becomes.

The page runs only its own script and style, named by hash in its Content-Security-Policy, and loads
nothing: even a string that slipped through the escaping could neither run nor call home. No string
of the user is ever put inside ``<script>`` or ``<style>``.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
from markupsafe import Markup

from unnoise.images.atomic import write_whole
from unnoise.report._templates import fill
from unnoise.report.charts import chart, heat_map
from unnoise.report.colour import RAMPS, hex_colours
from unnoise.report.embedded_images import LABELS, View, views
from unnoise.report.page_parts import Chart, Page, Picture

ONE_SECTION = 3_300_000
"""Bytes of images for the pictures of a section, such as the whole of a file and its middle; base64
makes 4.4 MB of them, so the report of one file stays below 5 MB."""

ALL_PICTURES = 8_500_000
MOST_PICTURES = 60
"""Pictures that are shown; further ones would be too small to judge and are only named."""

MEANINGS = {
    "noisy": "Brightness in image units; noisy and clean share this scale.",
    "residual": "Noisy minus clean. It should look like noise, with no edges or texture of the "
    "specimen.",
    "uncertainty": "The spread of the result at every pixel, in image units.",
    "leak": "Where the residual resembles the picture: signal that was removed with the noise.",
    "novelty": "Where the picture is unlike what the model has learned: trust it less there.",
}

MICROMETRE = ("um", "\u03bcm", "micron", "microns", "micrometer", "micrometre")


def render(page: Page) -> str:
    """The report as one HTML document; equal pages give equal text.

    Raises
    ------
    InputError
        From the content, while it is made: shapes and lengths that do not fit.

    Examples
    --------
    >>> html = render(Page("cells.tif", "Noise fell by half.", (), command="unnoise denoise"))
    >>> html.startswith("<!doctype html>"), "://" in html
    (True, False)
    """
    style = _asset("page.css") + _ramps()
    script = _asset("before_after_slider.js") + _asset("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    html = fill(
        "page.html.jinja",
        page=page,
        style=Markup(style),  # noqa: S704  these three are files of this package
        script=Markup(script),  # noqa: S704
        policy=Markup(policy),  # noqa: S704
        figures=list(_figures(page)),
        charts=[
            [chart(c) if isinstance(c, Chart) else heat_map(c) for c in s.charts]
            for s in page.sections
        ],
        most_pictures=MOST_PICTURES,
        facts={**({} if page.seed is None else {"Seed": str(page.seed)}), **page.versions},
    )
    return str(html)


def write(path: str | os.PathLike[str], page: Page) -> None:
    """Write the report; the file appears whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_whole(Path(path), render(page).encode(), "choose another place for the report")


def _asset(name: str) -> str:
    """The text of a file of this package, with the same line ends on every system."""
    text = resources.files("unnoise.report").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def _hash(text: str) -> str:
    """The name of a script or style in a Content-Security-Policy."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _ramps() -> str:
    """Style rules of the colour bars."""
    return "".join(
        f".ramp.{name}{{background:linear-gradient(to right,{','.join(hex_colours(name, 16))})}}\n"
        for name in RAMPS
    )


def _figures(page: Page) -> Iterator[list[Markup]]:
    """The pictures of every section as HTML, one after another within the bytes of all.

    Early pictures may take more than an equal share; what they do not need is passed on.
    """
    left = float(ALL_PICTURES)
    waiting = min(MOST_PICTURES, sum(len(s.pictures) for s in page.sections))
    number = 0
    for section in page.sections:
        figures: list[Markup] = []
        room = float(ONE_SECTION)
        for i, picture in enumerate(section.pictures):
            if number == MOST_PICTURES:
                break
            fair = min(room / (len(section.pictures) - i), left / (waiting - number))
            seen = views(picture, int(fair))
            taken = sum(len(layer.uri) for view in seen for layer in view.layers) * 3 / 4
            left, room = left - taken, room - taken
            figures.append(_slider(picture, seen, number))
            number += 1
        yield figures


def _slider(picture: Picture, views: tuple[View, ...], number: int) -> Markup:
    """The slider that compares a picture before and after, as HTML.

    `number` tells the sliders of a page apart. Without ``before_after_slider.js``, which makes them
    move, and on paper, the same elements are a plain row of labelled images.
    """
    return fill(
        "before_after_slider.html.jinja",
        picture=picture,
        views=views,
        number=number,
        labels=LABELS,
        meanings=MEANINGS,
        limits={"leak": picture.leak_limit, "novelty": picture.novelty_limit},
        compared=picture.clean is not None,
        size=picture.noisy.shape,
        pixel=_pixel_size(picture),
        not_finite=np.count_nonzero(~np.isfinite(picture.noisy)),
    )


def _pixel_size(picture: Picture) -> tuple[float, str] | None:
    """A usable pixel size with the usual spelling of micrometres, of which files have several."""
    if picture.pixel_size is None or not 0 < picture.pixel_size[0] < np.inf:
        return None
    value, unit = picture.pixel_size
    return value, "\u00b5m" if unit.lower() in MICROMETRE else unit
