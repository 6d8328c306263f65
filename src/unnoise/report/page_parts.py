"""What a report says, without how it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from numpy.typing import NDArray

from unnoise.errors import InputError

Values = Sequence[float] | NDArray
"""Numbers of a chart: any sequence, or an array of one dimension."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One plane before and after, and what is known about it pixel by pixel.

    Attributes
    ----------
    title : str
        E.g. the name of the file, the channel and the slice.
    noisy : array (y, x) or (y, x, 3)
        In image units; any real dtype; not-finite pixels are drawn black.
    clean : array of the same shape, optional
        The result, or the truth.
    uncertainty : array (y, x), optional
        Spread of the result in image units.
    novelty : array (y, x), optional
        How unlike the training data a place is; larger is less like it.
    leak : array (y, x), optional
        How much of the picture is seen in the residual; signed or not.
    novelty_limit, leak_limit : float, optional
        The value from which a map is worth a look. The colours end at twice this value, so that a
        harmless map looks harmless; otherwise they are stretched to the values.
    pixel_size : (float, str), optional
        Size and unit of a pixel, for a scale bar.
    has_signal : bool
        Without, both share the grey scale of `noisy`: that of `clean` would show its last traces
        of noise as structure.

    Raises
    ------
    InputError
        If an array has another shape.
    """

    title: str
    noisy: NDArray
    clean: NDArray | None = None
    uncertainty: NDArray | None = None
    novelty: NDArray | None = None
    leak: NDArray | None = None
    novelty_limit: float | None = None
    leak_limit: float | None = None
    pixel_size: tuple[float, str] | None = None
    has_signal: bool = True

    def __post_init__(self) -> None:
        shape = self.noisy.shape
        plane = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
        if not plane or 0 in shape:
            raise InputError(
                f"the picture '{self.title}' has shape {shape}; give one plane, (y, x) or (y, x, 3)"
            )
        wanted = {"clean": shape, "uncertainty": shape[:2], "novelty": shape[:2], "leak": shape[:2]}
        for name, expected in wanted.items():
            array: NDArray | None = getattr(self, name)
            if array is not None and array.shape != expected:
                raise InputError(
                    f"'{name}' of the picture '{self.title}' has shape {array.shape}, but the "
                    f"noisy plane asks for {expected}; give the same plane of both"
                )


@dataclass(frozen=True, eq=False)
class Series:
    """Values against x, with a band where `low` and `high` are given.

    Not-finite values leave gaps. Raises `InputError` if the lengths differ.
    """

    label: str
    x: Values
    y: Values
    low: Values | None = None
    high: Values | None = None
    style: Literal["line", "points", "bars"] = "line"

    def __post_init__(self) -> None:
        lengths = [len(v) for v in (self.x, self.y, self.low, self.high) if v is not None]
        if len(set(lengths)) > 1 or (self.low is None) != (self.high is None):
            raise InputError(
                f"the series '{self.label}' has {' and '.join(map(str, lengths))} values; give as "
                f"many x as y, and low and high together"
            )
        if self.style not in ("line", "points", "bars"):
            raise InputError(
                f"the series '{self.label}' has the style '{self.style}'; use line, points or bars"
            )


@dataclass(frozen=True)
class Chart:
    """Series in one pair of axes; what a logarithmic axis cannot show is left out."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    note: str = ""
    x_log: bool = False
    y_log: bool = False


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Correlation by lag (2D array, lag 0 at the index ``n // 2``).

    The value at lag 0 is left out of the colours. Raises `InputError` for other dimensions.
    """

    title: str
    values: NDArray
    x_label: str = "lag in x"
    y_label: str = "lag in y"
    note: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise InputError(
                f"the map '{self.title}' has shape {self.values.shape}; give a 2D array of "
                f"correlations by lag"
            )


@dataclass(frozen=True)
class Number:
    """A measured number as text, how sure it is, and what it means in a few words."""

    name: str
    value: str
    interval: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report, e.g. one file or one channel."""

    title: str
    pictures: tuple[Picture, ...] = ()
    numbers: tuple[Number, ...] = ()
    charts: tuple[Chart | HeatMap, ...] = ()
    warnings: tuple[str, ...] = ()
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes
    ----------
    title, verdict : str
        What was done, and in one line how well.
    sections : tuple of Section
    warnings : tuple of str
        What the reader must know before anything else.
    settings : tuple of (str, str)
        Headings and settings as YAML, one of each run.
    versions : mapping of str to str
        Software by name.
    seed : int or None
    command : str
        What repeats the run.
    created : str
        Date and time, as they should be read; the report takes none of its own, so equal pages
        give equal files.
    """

    title: str
    verdict: str
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    command: str = ""
    created: str = ""
