"""The history of a training: the records of ``log.jsonl`` as a table and as a picture."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unnoise.errors import InputError
from unnoise.images.atomic import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOG = "log.jsonl"
REMEDY = "choose another place with -o"
FORMATS = (".png", ".pdf", ".svg")
TRAINING, HELD_OUT = "#9a9a9a", "#1f5fa8"
"""Colours: what the net was fitted to stands back, what it is judged by in front."""
LOG_RANGE = 10
"""Losses that differ by more than this factor are drawn on a logarithmic scale."""


def read(folder: str | os.PathLike[str]) -> list[dict[str, float]]:
    """The records of a model folder, one per validation.

    Parameters
    ----------
    folder : path
        Model folder.

    Returns
    -------
    list of dict
        In the order they were written. A last line cut short, as by a full disk, is left out.

    Raises
    ------
    InputError
        If there are none, or a line is damaged.
    """
    path = Path(folder) / LOG
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        raise InputError(
            f"{folder} has no {LOG}; give the folder of a model that was trained beyond its first "
            f"validation"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}; give a model folder"
        ) from error
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("no record")
        except ValueError as error:
            if number == len(lines):
                break
            raise InputError(
                f"line {number} of {path} is damaged ({error}); restore the file from a copy or "
                f"delete the line"
            ) from error
        records.append(record)
    if not records:
        raise InputError(f"{path} holds no record yet; wait for the first validation")
    return records


def to_csv(records: Sequence[Mapping[str, float]]) -> str:
    """The records as a table: one row each, one column per key, missing values empty.

    Parameters
    ----------
    records : sequence of mapping
        Records; the columns are in the order in which their keys first appear.

    Returns
    -------
    str
        Lines of comma-separated values, the first of them the names.

    Examples
    --------
    >>> print(to_csv([{"step": 50, "loss": 0.5}, {"step": 100, "loss": 0.4, "held_out": 0.45}]))
    step,loss,held_out
    50,0.5,
    100,0.4,0.45
    """
    text = io.StringIO()
    names = list(dict.fromkeys(key for record in records for key in record))
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(records)
    return text.getvalue()


def plot(
    records: Sequence[Mapping[str, float]], path: str | os.PathLike[str], title: str = ""
) -> None:
    """Draw training and held-out loss against steps.

    The band is the 95 % interval of the held-out loss, the ring its least value, whose weights
    are the ones that are kept.

    Parameters
    ----------
    records : sequence of mapping
        Records with ``step`` and whatever there is of ``loss``, ``held_out``, ``held_out_low``,
        ``held_out_high`` and ``seconds``.
    path : path
        Picture to write; its ending (png, pdf or svg) says the format.
    title : str
        Title.

    Raises
    ------
    InputError
        For another ending, no record, or a place that cannot be written.
    """
    place = Path(path)
    if place.suffix.lower() not in FORMATS:
        raise InputError(
            f"{place.name} is no picture that can be drawn; end it with .png, .pdf or .svg"
        )
    if not records:
        raise InputError("the history holds no record yet; wait for the first validation")
    content = io.BytesIO()
    # The date would make two drawings of the same history differ.
    undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    suffix = place.suffix.lower()
    with warnings.catch_warnings():  # letters that the font lacks are drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        _figure(records, title).savefig(
            content, format=suffix[1:], dpi=160, metadata=undated.get(suffix)
        )
    write_whole(place, content.getvalue(), REMEDY)


def write(
    folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> tuple[Path, Path]:
    """Write the history of a model as table and picture.

    Parameters
    ----------
    folder : path
        Model folder.
    out : path, optional
        The picture; the table is put beside it. By default ``history.png`` in the folder.

    Returns
    -------
    table, picture : Path
        The files.

    Raises
    ------
    InputError
        As `read` and `plot` do.
    """
    picture = Path(folder) / "history.png" if out is None else Path(out)
    table = picture.with_suffix(".csv")
    records = read(folder)
    plot(records, picture, title=Path(folder).resolve().name)
    write_whole(table, to_csv(records).encode(), REMEDY)
    return table, picture


def _figure(records: Sequence[Mapping[str, float]], title: str) -> Figure:
    from matplotlib.figure import Figure  # pyplot would keep every figure and choose a window
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    step = _column(records, "step")
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    marker = "o" if len(records) == 1 else None  # one point draws no line
    loss, held_out = _column(records, "loss"), _column(records, "held_out")
    if _any(loss):
        axes.plot(step, loss, color=TRAINING, lw=1.6, marker=marker, label="training")
    if _any(held_out):
        low, high = _column(records, "held_out_low"), _column(records, "held_out_high")
        if _any(low) and _any(high) and len(records) > 1:
            axes.fill_between(
                step, low, high, color=HELD_OUT, alpha=0.18, lw=0, label="95 % interval"
            )
        axes.plot(step, held_out, color=HELD_OUT, lw=2.0, marker=marker, label="held out")
        best = min(
            (i for i, v in enumerate(held_out) if math.isfinite(v)), key=held_out.__getitem__
        )
        ring = f"best: {held_out[best]:.4g} at step {step[best]:,.0f}"
        axes.plot(
            step[best], held_out[best], "o", ms=9, mfc="none", mec="#c2410c", mew=2, label=ring
        )

    finite = [v for v in loss + held_out if math.isfinite(v)]
    if finite and min(finite) > 0 and max(finite) > LOG_RANGE * min(finite):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if len(set(step)) == 1:  # an axis without length would repeat its one label
        axes.set_xlim(step[0] - 1, step[0] + 1)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.set_xlabel("step")
    axes.set_ylabel("loss (normalised units)")
    axes.grid(color="0.92", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if finite:
        axes.legend(frameon=False, fontsize=9)
    seconds = _column(records, "seconds")
    last = seconds[-1]
    if math.isfinite(last) and last > 0:
        time = f"{len(records)} validation{'s' if len(records) > 1 else ''} in {_duration(last)}"
        axes.set_title(time, loc="right", fontsize=9, color="0.45")
    short = title if len(title) <= 40 else title[:39] + "…"
    # A model may be named "$x_"; that is no formula.
    axes.set_title(short, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    return figure


def _column(records: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """Values of a key; what is missing or no number is NaN, which matplotlib leaves out."""
    values = (record.get(key) for record in records)
    return [float(v) if isinstance(v, int | float) else math.nan for v in values]


def _any(values: Sequence[float]) -> bool:
    return any(math.isfinite(v) for v in values)


def _duration(seconds: float) -> str:
    """A time to read, e.g. ``2 h 5 min``."""
    minutes, hours = round(seconds / 60), round(seconds / 60) // 60
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{hours} h {minutes % 60} min"
