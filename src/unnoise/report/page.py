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

from unnoise.images.atomic import write_whole
from unnoise.report.before_after_slider import viewer
from unnoise.report.charts import chart, heat_map
from unnoise.report.colour import RAMPS
from unnoise.report.embedded_images import views
from unnoise.report.number_format import escape
from unnoise.report.page_parts import Chart, Number, Page, Picture, Section

ONE_SECTION = 3_300_000
"""Bytes of images for the pictures of a section, such as the whole of a file and its middle; base64
makes 4.4 MB of them, so the report of one file stays below 5 MB."""

ALL_PICTURES = 8_500_000
MOST_PICTURES = 60
"""Pictures that are shown; further ones would be too small to judge and are only named."""


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
    style, script = _asset("page.css") + _ramps(), _asset("before_after_slider.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    sections = list(_sections(page))
    made = f'<p class="made">{escape(page.created)}</p>' if page.created else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(page.title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<p class="kind">unnoise report</p>
<h1>{escape(page.title)}</h1>
<p class="verdict">{escape(page.verdict)}</p>
{made}
{_warnings(page.warnings, "h2")}
{_contents(page.sections)}
</header>
<main>
{"".join(sections)}
{_run(page)}
</main>
<script>{script}</script>
</body>
</html>
"""


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
        f".ramp.{name}{{background:linear-gradient(to right,{','.join(stops)})}}\n"
        for name, stops in RAMPS.items()
    )


def _sections(page: Page) -> Iterator[str]:
    """Sections as HTML, one picture after another within the bytes of all.

    Early pictures may take more than an equal share; what they do not need is passed on.
    """
    left = float(ALL_PICTURES)
    waiting = min(MOST_PICTURES, sum(len(s.pictures) for s in page.sections))
    number = 0
    for place, section in enumerate(page.sections):
        figures = []
        room = float(ONE_SECTION)
        for i, picture in enumerate(section.pictures):
            if number == MOST_PICTURES:
                figures.append(_not_shown(picture))
                continue
            fair = min(room / (len(section.pictures) - i), left / (waiting - number))
            seen = views(picture, int(fair))
            taken = sum(len(layer.uri) for view in seen for layer in view.layers) * 3 / 4
            left, room = left - taken, room - taken
            figures.append(viewer(picture, seen, number))
            number += 1
        yield _section(section, "".join(figures), place)


def _not_shown(picture: Picture) -> str:
    return (
        f'<p class="note">{escape(picture.title)}: not shown, because a report holds '
        f"{MOST_PICTURES} pictures.</p>"
    )


def _section(section: Section, figures: str, place: int) -> str:
    text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in section.text)
    charts = "".join(chart(c) if isinstance(c, Chart) else heat_map(c) for c in section.charts)
    charts = f'<div class="charts">{charts}</div>' if charts else ""
    warnings = _warnings(section.warnings, "h3")
    return (
        f'<section id="part{place}"><h2>{escape(section.title)}</h2>{text}'
        f"{warnings}{figures}{_numbers(section.numbers)}{charts}</section>\n"
    )


def _warnings(warnings: tuple[str, ...], heading: str) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    name = "Warning" if len(warnings) == 1 else "Warnings"
    return f'<div class="warnings" role="note"><{heading}>{name}</{heading}><ul>{items}</ul></div>'


def _contents(sections: tuple[Section, ...]) -> str:
    """Links to the sections, where there are several."""
    if len(sections) < 3:
        return ""
    links = "".join(
        f'<li><a href="#part{i}">{escape(s.title)}</a></li>' for i, s in enumerate(sections)
    )
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


COLUMNS = {"name": "Quantity", "value": "Value", "interval": "Interval", "meaning": "Meaning"}


def _numbers(numbers: tuple[Number, ...]) -> str:
    """Measured numbers as a table, without columns that would be empty."""
    if not numbers:
        return ""
    used = [c for c in COLUMNS if any(getattr(number, c) for number in numbers)]
    head = "".join(f'<th scope="col">{COLUMNS[c]}</th>' for c in used)
    rows = "".join(f"<tr>{''.join(_cell(number, c) for c in used)}</tr>" for number in numbers)
    return f'<table class="numbers"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _cell(number: Number, column: str) -> str:
    text = escape(getattr(number, column))
    tag = '<th scope="row">{}</th>' if column == "name" else '<td class="{}">{}</td>'
    return tag.format(text) if column == "name" else tag.format(column, text)


def _run(page: Page) -> str:
    """How the run can be repeated: command, seed, versions, settings."""
    parts = []
    if page.command:
        parts.append(
            f'<div class="command"><pre><code id="command">{_words(page.command)}</code></pre>'
            f'<button type="button" data-copy="command">Copy</button></div>'
        )
    facts = {**({} if page.seed is None else {"Seed": str(page.seed)}), **page.versions}
    if facts:
        items = "".join(
            f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items()
        )
        parts.append(f"<dl>{items}</dl>")
    if page.settings:
        parts.append(
            f"<details><summary>Settings</summary><pre><code>{_verbatim(page.settings)}</code>"
            f"</pre></details>"
        )
    if not parts:
        return ""
    return f'<section class="run"><h2>Repeat this run</h2>{"".join(parts)}</section>'


def _words(command: str) -> str:
    """A command that wraps between words only, never after the first dash of an option."""
    return " ".join(f"<span>{escape(word)}</span>" for word in command.strip().split(" "))


def _verbatim(text: str) -> str:
    """Text for ``<pre>``, which swallows a first line break."""
    return escape(text.strip("\n"))
