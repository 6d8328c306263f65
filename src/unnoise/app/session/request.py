"""What a front end asks for, in plain values: a command line, or the events of the job."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unnoise.errors import InputError, without_passwords

if TYPE_CHECKING:
    from unnoise.app.events import Event
    from unnoise.app.files import InputOptions
    from unnoise.config.config import Config
    from unnoise.images.image import Image
    from unnoise.training.auto import Auto


class Budget(NamedTuple):
    """How long a job may take: what a person reads, and the minutes that it means."""

    label: str
    about: str
    minutes: float | None


BUDGETS = {
    "auto": Budget("as long as it needs", "a minute or two for most images", None),
    "instant": Budget("instant", "seconds: the shipped net, where it suits the noise", 0.5),
    "minute": Budget("a minute", "a training of one minute", 1.0),
    "five": Budget("five minutes", "a training of five minutes", 5.0),
}
"""Budgets by name. With half a minute `auto` takes the shipped net as it is, and trains nothing
unless the noise does not suit it."""
_OPTIONS = {
    "out": "-o",
    "axes": "--axes",
    "series": "--series",
    "channels": "--channels",
    "time": "--time",
    "z": "--z",
    "positions": "--positions",
    "dtype": "--dtype",
    "compress": "--compress",
    "uncertainty": "--uncertainty",
}
"""Options of `denoise` and `predict` by the fields that they stand for."""


@dataclass(frozen=True)
class Request:
    """A job, as a person asks for it.

    Attributes
    ----------
    inputs : tuple of str
        Files and folders as the command line takes them; of images in memory, their names.
    out : str or None
        File or folder; by default beside the input.
    budget : str
        Out of `BUDGETS`; not of a model, nor of a method that trains nothing.
    method : str or None
        By default chosen by the noise.
    model : str or None
        A model folder that is used instead of a training.
    axes, series, channels, time, z, positions : str or None
        How inputs are read, and which part of them.
    dtype, compress : str or None
        Type of the result, and its compression.
    uncertainty : str or None
        Place of the standard deviations.
    save_model : str or None
        Folder for what is trained.
    report : bool
    overwrite : bool
    skip_existing : bool
        Whether images are left alone whose result is there.
    preview : tuple of int or None
        Centre of the piece that is shown while it runs, (y, x) in pixels; by default the middle.
    settings : tuple of str
        Single settings, as ``mask.percent=5``.
    steps : int or None
        Length of the training in steps, in the place of the budget.
    device : str

    Examples
    --------
    >>> request = Request(("cells.tif",), budget="five", out="clean.tif")
    >>> request.command()
    'unnoise denoise cells.tif -o clean.tif --minutes 5'
    >>> Request.from_dict(request.to_dict()) == request
    True
    """

    inputs: tuple[str, ...]
    out: str | None = None
    budget: str = "auto"
    method: str | None = None
    model: str | None = None
    axes: str | None = None
    series: str | None = None
    channels: str | None = None
    time: str | None = None
    z: str | None = None
    positions: str | None = None
    dtype: str | None = None
    compress: str | None = None
    uncertainty: str | None = None
    save_model: str | None = None
    report: bool = True
    overwrite: bool = False
    skip_existing: bool = False
    preview: tuple[int, int] | None = None
    settings: tuple[str, ...] = ()
    steps: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.budget not in BUDGETS:
            raise InputError(f"there is no budget '{self.budget}'; choose {', '.join(BUDGETS)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is left at its default is left out."""
        found = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                found[field.name] = list(value) if isinstance(value, tuple) else value
        return found

    def written(self) -> dict[str, Any]:
        """The same for a file, which keeps no passwords: a queue that starts anew asks for them."""
        found = self.to_dict()
        texts = {name: value for name, value in found.items() if isinstance(value, str)}
        found |= {name: without_passwords(text) for name, text in texts.items()}
        return {**found, "inputs": list(map(without_passwords, self.inputs))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """Read what `to_dict` made, or a form.

        Raises
        ------
        InputError
            For what is no request.
        """
        given = dict(values)
        kinds = {f.name: str(f.type) for f in dataclasses.fields(cls)}
        unknown = sorted(set(given) - set(kinds))
        if unknown or not given.get("inputs"):
            what = f"'{unknown[0]}'" if unknown else "no inputs"
            raise InputError(f"a request has {what}; its fields are {', '.join(kinds)}")
        for name, value in given.items():
            if isinstance(value, list):
                given[name] = tuple(value)
            if not _fits(given[name], kinds[name]):
                raise InputError(f"the field {name} of a request is {value!r}; give {kinds[name]}")
        return cls(**given)

    @property
    def minutes(self) -> float | None:
        """The budget in minutes, where one counts."""
        if self.steps is not None or self.model is not None:
            return None
        if self.method not in (None, "auto"):
            from unnoise.config.config import Config

            with contextlib.suppress(InputError):  # a method that is not installed any more
                if not Config.preset(method=str(self.method)).is_trained:
                    return None
        return BUDGETS[self.budget].minutes

    def command(self) -> str:
        """The command line that does the same, to be copied."""
        inputs = [f"./{name}" if name.startswith("-") else name for name in self.inputs]
        words = ["unnoise", "denoise", *inputs]
        if self.model is not None:
            words = ["unnoise", "predict", self.model, *inputs]
        for field, option in _OPTIONS.items():
            value = getattr(self, field)
            words += [] if value is None else [option, value]
        if self.model is None:
            words += [] if self.method is None else ["--method", self.method]
            words += [] if self.minutes is None else ["--minutes", f"{self.minutes:g}"]
            words += [] if self.steps is None else ["--steps", str(self.steps)]
            words += [] if self.save_model is None else ["--save-model", self.save_model]
            words += [word for setting in self.settings for word in ("--set", setting)]
        words += [] if self.device == "auto" else ["--device", self.device]
        words += [] if self.report else ["--no-report"]
        words += ["--overwrite"] if self.overwrite else []
        words += ["--skip-existing"] if self.skip_existing else []
        return without_passwords(shlex.join(words))

    def chosen(self) -> Config | Auto:
        """The settings of the training, or ``auto``.

        Raises
        ------
        InputError
            For what cannot work with any image.
        """
        from unnoise.app.settings import wanted, with_uncertainty

        assigned = list(self.settings)
        options = (assigned, self.minutes, self.steps, None, None)
        found = wanted(self.method, "fast", None, None, None, *options)
        return found if self.uncertainty is None else with_uncertainty(found)

    def reading(self) -> InputOptions:
        """How its inputs are read."""
        from unnoise.app.files import InputOptions

        named = ("axes", "series", "channels", "time", "z", "positions")
        return InputOptions(**{name: getattr(self, name) for name in named})

    def events(self, images: Sequence[Image] | None = None) -> Generator[Event]:
        """The job, as events of `unnoise.app.events`; closing the generator cancels it.

        Parameters
        ----------
        images : sequence of Image, optional
            Images in memory, which take the place of files; `inputs` are then their names. They
            may be lazy, and no more than a region of them is asked for at a time.
        """
        from unnoise.app.denoise import denoise_files
        from unnoise.app.files import OutputOptions, PreviewOptions, ReportOptions
        from unnoise.app.predict import predict_files

        inputs: Sequence[Any] = self.inputs if images is None else named(images, self.inputs)
        writing = OutputOptions(
            self.out,
            self.dtype,
            self.overwrite,
            None if self.model is None else False,
            self.uncertainty,
            compress=self.compress,
            skip_existing=self.skip_existing,
        )
        reporting = ReportOptions(self.report, self.command(), PreviewOptions(self.preview))
        if self.model is not None:
            return predict_files(
                self.model,
                inputs,
                reading=self.reading(),
                writing=writing,
                device=self.device,
                reporting=reporting,
            )
        return denoise_files(
            inputs,
            self.chosen(),
            reading=self.reading(),
            writing=writing,
            save_model=self.save_model,
            device=self.device,
            reporting=reporting,
        )


def named(images: Sequence[Image], names: Sequence[str], folder: Path | None = None) -> list[Image]:
    """Images in memory with places from which the places of their results follow.

    Those that came from a file keep its place; with a `folder`, its name.

    Examples
    --------
    >>> import numpy as np
    >>> from unnoise.images.image import Image
    >>> image = Image(np.zeros((8, 8)), "YX")
    >>> [one.name for one in named([image, image], ["nuclei: a/b", "nuclei: a/b"])]
    ['nuclei_ a_b.ome.tif', 'nuclei_ a_b-2.ome.tif']

    Raises
    ------
    InputError
        If there are not as many names.
    """
    if len(names) != len(images):
        raise InputError(
            f"there are {len(images)} images but {len(names)} names; name each of the images"
        )
    found, taken = [], set[Path]()
    for image, name in zip(images, names, strict=True):
        plain = re.sub(r"[^\w .()+,-]", "_", name).strip(" .") or "image"
        own, n = image.path or Path(f"{plain}.ome.tif"), 1
        place = own if folder is None else folder / own.name
        while place in taken:
            n += 1
            place = place.with_name(f"{plain}-{n}.ome.tif")
        taken.add(place)
        found.append(dataclasses.replace(image, path=place))
    return found


def _fits(value: object, kind: str) -> bool:
    """Whether a value is of the kind that a field is annotated with."""
    if value is None:
        return kind.endswith("| None")
    if kind.startswith("tuple"):
        one = int if "int" in kind else str
        alike = isinstance(value, tuple) and all(type(v) is one for v in value)
        return alike and (one is str or len(tuple(value)) == 2)  # type: ignore[arg-type]
    return type(value).__name__ == kind.partition(" ")[0]
