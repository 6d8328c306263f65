"""The history of a training: the records of ``log.jsonl`` as a table and as a picture."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unnoise.errors import InputError
from unnoise.images.atomic import write_whole
from unnoise.images.quiet import quiet
from unnoise.images.together import current

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOG = "log.jsonl"
REMEDY = "choose another place with -o"
FORMATS = (".png", ".pdf", ".svg")
TRAINING, HELD_OUT = "#9a9a9a", ("#1f5fa8", "#2e8b57", "#8757a8", "#a17a00")
"""Colours: what the net was fitted to stands back, what it is judged by in front, by stage."""
LOG_RANGE = 10
"""Losses that differ by more than this factor are drawn on a logarithmic scale."""

Record = Mapping[str, Any]
"""The numbers of one validation by name; ``stage`` is a text, ``kept`` says yes or no."""


@dataclass(frozen=True)
class Losses:
    """Losses against steps in one stage of a training; what is missing is NaN.

    Stages weight their losses differently, so a curve through two of them would mean nothing.

    Attributes
    ----------
    stage : str
        Its name; empty for a training of one stage.
    step, training, held_out, low, high : list of float
        One value per validation; `low` and `high` are the 95 % interval of the held-out loss.
    """

    stage: str
    step: list[float]
    training: list[float]
    held_out: list[float]
    low: list[float]
    high: list[float]

    def label(self, name: str) -> str:
        """The name of a curve.

        Examples
        --------
        >>> [losses.label("training") for losses in losses_of([{"step": 1}])]
        ['training']
        """
        return f"{name}, {self.stage}" if self.stage else name


def losses_of(records: Sequence[Record]) -> list[Losses]:
    """The losses of every stage, in the order of the stages.

    Examples
    --------
    >>> records = [{"step": 50, "loss": 0.5, "stage": "first"}, {"step": 60, "stage": "second"}]
    >>> [(losses.stage, losses.step, losses.training) for losses in losses_of(records)]
    [('first', [50.0], [0.5]), ('second', [60.0], [nan])]
    """
    stages: dict[str, list[Record]] = {}
    for record in records:
        stages.setdefault(str(record.get("stage", "")), []).append(record)
    keys = ("step", "loss", "held_out", "held_out_low", "held_out_high")
    return [Losses(name, *(_column(rows, key) for key in keys)) for name, rows in stages.items()]


def kept(records: Sequence[Record]) -> tuple[float, float, str] | None:
    """Step, held-out loss and a text of the validation whose weights are kept, if it is known.

    Later weights are kept as long as they are not significantly worse, so this need not be the
    validation of the lowest loss.

    Examples
    --------
    >>> kept([{"step": 50, "held_out": 0.5, "kept": True}, {"step": 100, "kept": False}])
    (50.0, 0.5, 'kept: 0.5 at step 50')
    """
    record: Record = next((r for r in reversed(records) if r.get("kept")), {})
    step, loss = (_column([record], key)[0] for key in ("step", "held_out"))
    if not math.isfinite(step + loss):
        return None
    return step, loss, f"kept: {loss:.4g} at step {step:,.0f}"


def read(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
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
    path = current(Path(folder), LOG) or Path(folder, LOG)
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


def to_csv(records: Sequence[Record]) -> str:
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


def plot(records: Sequence[Record], path: str | os.PathLike[str], title: str = "") -> None:
    """Draw training and held-out loss against steps.

    The band is the 95 % interval of the held-out loss, the ring the validation whose weights are
    kept. Stages of a training have curves of their own.

    Parameters
    ----------
    records : sequence of mapping
        Records with ``step`` and whatever there is of ``loss``, ``held_out``, ``held_out_low``,
        ``held_out_high``, ``seconds``, ``kept`` and ``stage``.
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
    suffix = place.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            f"{place.name} is no picture that can be drawn; end it with .png, .pdf or .svg"
        )
    if not records:
        raise InputError("the history holds no record yet; wait for the first validation")
    content = io.BytesIO()
    # The date would make two drawings of the same history differ.
    undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with quiet(UserWarning):  # letters that the font lacks are drawn as boxes
        _figure(records, title).savefig(
            content, format=suffix[1:], dpi=160, metadata=undated.get(suffix)
        )
    write_whole(place, content.getvalue(), REMEDY)


def write(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Write the history of a model as table and picture.

    Parameters
    ----------
    folder : path
        Model folder.
    out : path, optional
        The picture; the table is put beside it. By default ``history.png`` in the folder, which
        is replaced.
    overwrite : bool
        Whether files that lie elsewhere may be replaced.

    Returns
    -------
    table, picture : Path
        The files.

    Raises
    ------
    InputError
        As `read` and `plot` do, and if a file exists that may not be replaced.
    """
    own = Path(folder) / "history.png"
    picture = own if out is None else Path(out)
    table = picture.with_suffix(".csv")
    records = read(folder)
    for place in (picture, table):
        if os.path.lexists(place) and not overwrite and picture != own:
            raise InputError(f"{place} exists; add --overwrite or choose another name with -o")
    plot(records, picture, title=Path(folder).resolve().name)
    write_whole(table, to_csv(records).encode(), REMEDY)
    return table, picture


def _figure(records: Sequence[Record], title: str) -> Figure:
    from matplotlib.figure import Figure  # pyplot would keep every figure and choose a window
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    stages = losses_of(records)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for i, losses in enumerate(stages):
        step, colour = losses.step, HELD_OUT[i % len(HELD_OUT)]
        behind = TRAINING if len(stages) == 1 else (colour, 0.45)
        marker = "o" if len(step) == 1 else None  # one point draws no line
        train, interval, held = map(losses.label, ("training", "95 % interval", "held out"))
        if _any(losses.training):
            axes.plot(step, losses.training, color=behind, lw=1.6, marker=marker, label=train)
        if _any(losses.held_out):
            if _any(losses.low) and _any(losses.high) and len(step) > 1:
                band = step, losses.low, losses.high
                axes.fill_between(*band, color=colour, alpha=0.18, lw=0, label=interval)
            axes.plot(step, losses.held_out, color=colour, lw=2.0, marker=marker, label=held)
    if ring := kept(records):
        at, loss, label = ring
        axes.plot(at, loss, "o", ms=9, mfc="none", mec="#c2410c", mew=2, label=label)

    steps = _column(records, "step")
    drawn = (v for losses in stages for v in (*losses.training, *losses.held_out))
    finite = [v for v in drawn if math.isfinite(v)]
    if finite and min(finite) > 0 and max(finite) > LOG_RANGE * min(finite):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if len(set(steps)) == 1:  # an axis without length would repeat its one label
        axes.set_xlim(steps[0] - 1, steps[0] + 1)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.set_xlabel("step")
    axes.set_ylabel("loss (normalised units)")
    axes.grid(color="0.92", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if finite:
        axes.legend(frameon=False, fontsize=9)
    last = _column(records, "seconds")[-1]
    if math.isfinite(last) and last > 0:
        time = f"{len(records)} validation{'s' if len(records) > 1 else ''} in {_duration(last)}"
        axes.set_title(time, loc="right", fontsize=9, color="0.45")
    short = title if len(title) <= 40 else title[:39] + "…"
    # A model may be named "$x_"; that is no formula.
    axes.set_title(short, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    return figure


def _column(records: Sequence[Record], key: str) -> list[float]:
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
