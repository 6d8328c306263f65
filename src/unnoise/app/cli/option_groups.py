"""Options that go together: a command takes a group, its users see the single options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from unnoise.app.cli.options import (
    Axes,
    Backend,
    Channels,
    Compress,
    ConfigFile,
    Context,
    Dtype,
    FixScan,
    KeepOutliers,
    Mask,
    Method,
    Minutes,
    Nan,
    Nodata,
    NoiseModel,
    Out,
    Overwrite,
    Pairs,
    Positions,
    Preset,
    Seed,
    SequenceOfFiles,
    Series,
    Set,
    SkipExisting,
    Slices,
    Steps,
    Struct,
    ThreeD,
    Time,
    Tta,
    Uncertainty,
)
from unnoise.app.settings import assigned, wanted

if TYPE_CHECKING:
    from unnoise.app.files import InputOptions, OutputOptions
    from unnoise.config.config import Config
    from unnoise.training.auto import Auto


@dataclass(frozen=True)
class Selection:
    """What of the files is meant."""

    axes: Axes = None
    series: Series = None
    channels: Channels = None
    time: Time = None
    z: Slices = None
    positions: Positions = None
    sequence: SequenceOfFiles = False

    def options(self) -> InputOptions:
        """For the jobs."""
        from unnoise.app.files import InputOptions

        return InputOptions(**vars(self))


@dataclass(frozen=True)
class Measured(Selection):
    """And which of its pixels are measurements."""

    nodata: Nodata = None
    mask: Mask = None


@dataclass(frozen=True)
class Reading(Measured):
    """And what is done with those that are none."""

    nan: Nan = "keep"
    keep_outliers: KeepOutliers = False
    fix_scan: FixScan = False


@dataclass(frozen=True)
class Result:
    """Where results go, and as what."""

    out: Out = None
    overwrite: Overwrite = False
    dtype: Dtype = None
    compress: Compress = None

    def options(self, **more: Any) -> OutputOptions:
        """For the jobs, some of them changed."""
        from unnoise.app.files import OutputOptions

        return OutputOptions(**{**vars(self), **more})


@dataclass(frozen=True)
class Writing(Result):
    """And what a prediction writes, and how."""

    skip_existing: SkipExisting = False
    tta: Tta = None
    uncertainty: Uncertainty = None
    backend: Backend = "torch"


@dataclass(frozen=True)
class Training:
    """What a net is, and how it learns."""

    method: Method = None
    minutes: Minutes = None
    steps: Steps = None
    three_d: ThreeD = None
    noise_model: NoiseModel = None
    pairs: Pairs = None
    struct: Struct = None
    context: Context = None
    preset: Preset = "fast"
    config: ConfigFile = None
    set_: Set = None
    seed: Seed = None

    def settings(self) -> Config | Auto:
        """What they add up to."""
        changes = assigned(self.set_, self.noise_model, self.context)
        return wanted(
            self.method,
            self.preset,
            self.config,
            self.pairs,
            self.struct,
            changes,
            self.minutes,
            self.steps,
            self.seed,
            self.three_d,
        )


def given(group: object) -> bool:
    """Whether any option of a group is not as it is by itself."""
    own = {**vars(group)}
    # Of an option that may be repeated, none is None or an empty list.
    return any(own[f.name] not in (f.default, []) for f in fields(group))  # type: ignore[arg-type]


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with single options in the place of its groups.

    Parameters
    ----------
    command : callable
        Parameters whose type is a dataclass are groups: its fields, with their types and defaults,
        become parameters.

    Returns
    -------
    callable

    Examples
    --------
    >>> def shown(name: str, what: Selection) -> None: print(name, what.axes, what.sequence)
    >>> shown = with_groups(shown)
    >>> shown(name="a.tif", axes="ZYX")
    a.tif ZYX False
    >>> list(inspect.signature(shown).parameters)[:3]
    ['name', 'axes', 'series']
    """
    types = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in types.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name not in groups:
            parameters.append(parameter.replace(annotation=types[parameter.name]))
            continue
        kind = groups[parameter.name]
        hints = get_type_hints(kind, include_extras=True)
        parameters += [
            parameter.replace(name=f.name, default=f.default, annotation=hints[f.name])
            for f in fields(kind)
        ]

    @functools.wraps(command)
    def single(**values: Any) -> None:
        for name, kind in groups.items():
            own = [f.name for f in fields(kind)]
            values[name] = kind(**{key: values.pop(key) for key in own if key in values})
        command(**values)

    # By name only: what has a default may stand before what has none.
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    single.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    single.__annotations__ = {p.name: p.annotation for p in parameters}
    return single
