"""``unnoise inspect``: from files to text, JSON or a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unnoise.app.files import InputOptions, notes
from unnoise.errors import InputError, printable
from unnoise.images.image import Image
from unnoise.noise.inspect import NoiseReport, inspect
from unnoise.report.noise_page import kind_of, noise_numbers, of_noise
from unnoise.report.page import write

SIDE = 1024


def run(
    inputs: Sequence[str | Path],
    reading: InputOptions,
    *,
    as_json: bool = False,
    html: Path | None = None,
    overwrite: bool = False,
    command: str = "",
) -> str:
    """Inspect files and return what to print.

    Raises
    ------
    InputError
        If a file cannot be used, or the page not be written.
    """
    paths = reading.paths(inputs)
    if html is not None and html.exists() and not overwrite:
        raise InputError(f"{html} exists; add --overwrite or choose another name with --html")
    images = reading.find(paths)
    reading.sources(paths, images).refuse(html, "the page", "with --html")
    if reading.nodata is not None or reading.mask is not None:
        # Else only what is looked at is searched for pixels that are no measurement.
        images = [reading.check(image) for image in images]
    reports = [inspect(image) for image in images]
    if html is not None:
        write(html, of_noise(reports, list(map(_picture, images, reports)), command))
    if as_json:
        texts = [report.to_json() for report in reports]
        return texts[0] if len(texts) == 1 else json.dumps([json.loads(t) for t in texts], indent=1)
    wrote = [] if html is None else [f"wrote {html}"]
    told = "\n".join(note.text for note in notes(images))
    return "\n\n".join([*([told] if told else []), *map(text, reports), *wrote])


def _picture(image: Image, report: NoiseReport) -> NDArray:
    """The middle of the middle plane of the first channel that varies."""
    where = image.middle(SIDE) | {"C": report.channels[0].index}
    return np.asarray(image.read(where)[0, 0, 0, 0])


def text(report: NoiseReport) -> str:
    """A report for the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=100, highlight=False, force_terminal=False, markup=False, emoji=False)
    with console.capture() as capture:
        shape = "x".join(str(size) for size in report.shape)
        name = printable(report.name)
        console.print(f"{name}: axes {report.axes}, {shape}, {report.dtype}")
        for channel in report.channels:
            several = len(report.channels) > 1
            title = Text(printable(f"channel {channel.name}")) if several else None
            table = Table(box=box.SIMPLE, title=title, title_justify="left", show_header=False)
            for number in noise_numbers(channel):
                table.add_row(number.name, number.value, number.interval)
            console.print(table)
        for line in _conclusions(report):
            console.print(printable(line))
    return capture.get().rstrip()


def _conclusions(report: NoiseReport) -> Iterator[str]:
    """What the numbers mean, and what to do."""
    advice = report.advice
    yield from (f"- {sentence}" for sentence in report.sentences())
    yield from (f"! {warning}" for warning in advice.warnings)
    yield f"Noise: {kind_of(report)}"
    less = " (instant with --minutes 0.5 or less)" if advice.pretrained else ""
    yield f"Method: {advice.automatic}{less}; {advice.why}"
    if advice.mask is not None and advice.method == "structn2v":
        yield "Mask drawn from the measured correlation:"
        yield from (f"  {row}" for row in _rows(advice.mask))
    yield f"Time: about {advice.seconds / 60:.1f} minutes with the defaults on this machine"


def _rows(mask: list) -> list[str]:
    """A mask as rows of dots and crosses, slices of a 3D one below each other."""
    array = np.array(mask)
    planes = array.reshape(-1, *array.shape[-2:])
    return [" ".join("#" if v else "." for v in row) for plane in planes for row in plane]
