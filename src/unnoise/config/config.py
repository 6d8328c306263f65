"""Every setting of a run; `sections` and `methods` beside it hold the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from unnoise.config import methods
from unnoise.config import struct_mask as structure
from unnoise.config.plain_yaml import read_yaml
from unnoise.config.sections import (
    MAX_MEAN,
    MOST_CONTEXT,
    SECTIONS,
    SPREADS,
    FileName,
    Frozen,
    Mask,
    Net,
    Pairs,
    Recorruption,
    Revisible,
    Training,
    merged,
    nearest,
)
from unnoise.errors import InputError, expect


class Config(Frozen):
    """All settings of a run. Sections that a method does not use are None.

    Examples
    --------
    >>> config = Config.preset("paper")
    >>> config.net.filters, config.training.batch_size, config.training.steps
    (96, 128, 80000)
    >>> Config(method="n2v2").mask.replacement
    'median'
    """

    method: str = "n2v"
    """Training method; `unnoise methods` describes them."""
    ndim: Literal[2, 3] | None = None
    """Dimensions of the net: 2, 3, or chosen from the number of Z slices."""
    use_center_pixel: bool = False
    """Whether the noisy pixel itself is used beside its blind prediction, where a test on held-out
    pixels shows that it helps (n2v, n2v2, structn2v)."""
    noise_model: FileName | None = None
    """File of unnoise calibrate with the noise of the camera, instead of what is measured on the
    images; the center pixel is then used as with use_center_pixel. With r2r, the noise that is
    split."""
    declip: bool = False
    """Whether the signal is estimated where noise was cut off at an end of the grey levels, which
    shifts the mean of what is left. Results then do not keep the mean of the image."""
    context: dict[Literal["T", "Z"], Annotated[int, Field(ge=0, le=MOST_CONTEXT)]] | None = None
    """Frames before and after that a result looks at, as {T: 2} or {Z: 1}; {T: 0} is frame by
    frame, and unset leaves it to the method, and auto to the images."""
    mask: Mask | None = None
    b2u: Revisible | None = None
    recorruption: Recorruption | None = None
    pairs: Pairs | None = None
    net: Net | None = None
    training: Training = Training()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        """Put the defaults of the method under the given values."""
        if not isinstance(values, Mapping):
            return values
        values = dict(values)
        if "centre" in values:  # its name in older settings
            values["use_center_pixel"] = values.pop("centre")
        try:
            defaults = methods.method(str(values.get("method", "n2v"))).defaults
        except InputError as error:
            raise InputError(f"setting 'method': {error}") from error
        return merged(defaults, values)

    @model_validator(mode="after")
    def _possible(self) -> Config:
        """Refuse combinations that cannot work."""
        for section in SECTIONS:
            used = section in self.entry.defaults
            if (getattr(self, section) is not None) != used:
                if used:
                    raise InputError(f"the method {self.method} needs the settings '{section}'")
                raise InputError(
                    f"the method {self.method} has no settings '{section}'; they belong to "
                    f"{', '.join(methods.users(section))}"
                )
        for refused, reason in self._conflicts():
            if refused:
                raise InputError(reason)
        self.footprint(self.ndim or 3)  # one that cannot be read is refused now
        return self

    def _conflicts(self) -> list[tuple[bool, str]]:
        """Every combination that cannot work, as (whether it is there, why)."""
        name, entry, t, net = self.method, self.entry, self.training, self.net
        mask, r2r, b2u = self.mask, self.recorruption, self.b2u
        struct = mask.struct if mask else None
        return [
            (
                t.steps is not None and t.minutes is not None,
                "a budget is either training.steps or training.minutes; set one of the two",
            ),
            (
                struct is not None and name != "structn2v",
                f"mask.struct belongs to the method structn2v, not {name}; change the method",
            ),
            (
                struct is None and name == "structn2v",
                "structn2v needs mask.struct, the direction in which noise is correlated, e.g. "
                "horizontal:9",
            ),
            (
                mask is not None and mask.replacement == "mean" and mask.percent > MAX_MEAN,
                f"mask.replacement mean needs mask.percent of at most {MAX_MEAN:g}: in denser "
                f"masks the means of windows that overlap give the hidden pixels away",
            ),
            (
                t.patience is not None and t.schedule == "cosine",
                "early stopping (training.patience) cannot go with the cosine schedule, whose last "
                "part decides; choose training.schedule plateau, halving or constant",
            ),
            (
                t.loss != "mse" and bool(entry.only_mse),
                f"the loss {t.loss} cannot go with {name}, {entry.only_mse}; choose mse",
            ),
            (
                t.patience is not None and bool(entry.no_early_stopping),
                f"early stopping (training.patience) cannot go with {name}, "
                f"{entry.no_early_stopping}; leave it out",
            ),
            (
                bool(r2r and r2r.kind in ("thinning", "multiplied") and r2r.correlated),
                "recorruption.correlated cannot go with this kind, as photons are independent; "
                "leave it out or set recorruption.kind to gaussian",
            ),
            (
                net is not None and net.z_poolings is not None and net.z_poolings > net.depth,
                "net.z_poolings is larger than net.depth, the number of all poolings",
            ),
            (
                net is not None and net.z_poolings is not None and self.ndim == 2,
                "net.z_poolings is for 3D nets; leave it out or set ndim to 3",
            ),
            (
                b2u is not None and b2u.phases > b2u.side ** (self.ndim or 3),
                "b2u.phases is larger than the number of phases of the grid, b2u.side ** ndim",
            ),
            (
                not self.is_trained and t.model_copy(update={"seed": 0}) != Training(),
                f"{name} is calibrated, not trained, so no training setting applies; leave out "
                f"minutes, steps and other training settings",
            ),
            (
                self.use_center_pixel and not entry.blind_spot,
                f"each pixel's own value (use_center_pixel) can be used beside a blind prediction "
                f"only, and {name} makes none; leave use_center_pixel out",
            ),
            (
                entry.planes_only and self.ndim == 3,
                f"{name} works on planes; add --2d (ndim: 2) or choose another method",
            ),
            (len(self.context or ()) > 1, "context looks along one axis; give either T or Z"),
            (
                bool((self.context or {}).get("Z")) and self.ndim == 3,
                "context along Z is for 2D nets, as a 3D net sees the slices around anyway; leave "
                "it out, or add --2d (ndim: 2)",
            ),
            (
                self.neighbours is not None and not entry.context,
                f"the method {name} cannot look at neighbouring frames (context); leave it out or "
                f"choose another method",
            ),
        ]

    @classmethod
    def preset(cls, name: str = "fast", method: str = "n2v") -> Config:
        """Settings by name and method: ``fast`` (the default) or ``paper``.

        Raises
        ------
        InputError
            For an unknown name; the known ones are listed.
        """
        expect("name", name, str, "fast or paper")
        if name not in methods.PRESETS:
            known = ", ".join(methods.PRESETS)
            raise InputError(f"unknown preset '{name}'; the presets are {known}")
        recipe = methods.method(method).paper if name == "paper" else {}
        return cls.parse({"method": method, **recipe})

    @classmethod
    def of_method(cls, config: Config | None, method: str | None) -> Config:
        """Settings of a method, or given ones, which must not contradict it.

        Raises
        ------
        InputError
            For an unknown method, or settings made for another one.
        """
        if config is None:
            return cls.preset(method="n2v" if method is None else method)
        expect("config", config, Config, "settings like unnoise.Config()")
        if method is not None and method != config.method:
            raise InputError(
                f"the settings are for the method {config.method}, not {method}; leave out one of "
                f"the two"
            )
        return config

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Config:
        """Check plain values, e.g. those of a YAML file.

        Raises
        ------
        InputError
            Naming the setting that is unknown or out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                message = f"there is no such setting{nearest(first['loc'], cls)}"
            raise InputError(f"setting '{where}': {message}" if where else message) from error

    @classmethod
    def from_yaml(cls, text: str) -> Config:
        """Settings out of a YAML text: as `to_yaml` writes it, or of a model folder.

        Raises
        ------
        InputError
            If it is no YAML, or a setting is unknown or impossible.
        """
        expect("text", text, str, "the content of a settings file")
        values = read_yaml(text, "the settings")
        if not isinstance(values, dict):
            raise InputError("the settings must be 'name: value' lines, as unnoise config prints")
        inner = values.get("config") if "format" in values else None  # of a model folder
        return cls.parse(inner if isinstance(inner, dict) else values)

    def replace(self, **changes: dict[str, Any] | Any) -> Config:
        """A copy with changed settings; nested ones as dictionaries, None values left alone.

        Examples
        --------
        >>> Config().replace(training={"steps": 10}).training.steps
        10
        """
        values = self.model_dump()
        if changes.get("method", self.method) != self.method:
            raise InputError("the method cannot be replaced; use Config.preset(method=...)")
        for key, change in changes.items():
            if isinstance(change, dict) and isinstance(values.get(key), dict):
                values[key] |= {k: v for k, v in change.items() if v is not None}
            elif change is not None:
                values[key] = change
        return self.parse(values)

    def set(self, *assignments: str) -> Config:
        """A copy with settings changed by texts like ``mask.percent=5``; null means None.

        Raises
        ------
        InputError
            If there is no such setting, or the values cannot be together.

        Examples
        --------
        >>> Config().set("mask.percent=5").mask.percent
        5.0
        """
        values = self.model_dump()
        for assignment in assignments:
            expect("the setting", assignment, str, "a text like 'mask.percent=5'")
            path, equals, text = assignment.partition("=")
            *sections, key = path.strip().split(".")
            if not equals or not key:
                raise InputError(f"'{assignment}' is no setting; write it as mask.percent=5")
            if not sections and key == "method":
                raise InputError("the method cannot be changed by --set; use --method")
            inner = values
            for section in sections:
                if inner.get(section) is None:
                    inner[section] = {}
                inner = inner[section]
                if not isinstance(inner, dict):
                    raise InputError(f"setting '{path}': there is no such setting")
            try:
                inner[key] = read_yaml(text, f"the setting {path}")
            except InputError as error:
                raise InputError(f"'{text}' is no value for the setting {path}") from error
        return self.parse(values)

    def with_budget(
        self,
        minutes: float | None = None,
        steps: int | None = None,
        seed: int | None = None,
        ndim: int | None = None,
    ) -> Config:
        """A copy with another budget, seed and dimensions; None leaves what there is.

        Raises
        ------
        InputError
            If both minutes and steps are given, or the method has no budget.

        Examples
        --------
        >>> Config().with_budget(steps=10).with_budget(minutes=2).training.steps is None
        True
        """
        if minutes is not None and steps is not None:
            raise InputError("a budget is either minutes or steps; give one of the two")
        training = self.training.model_dump()
        if minutes is not None or steps is not None:
            training |= {"minutes": minutes, "steps": steps}
        if seed is not None:
            training["seed"] = seed
        changes = {"training": training, "ndim": self.ndim if ndim is None else ndim}
        return self.parse({**self.model_dump(), **changes})

    def to_yaml(self, *, comments: bool = False) -> str:
        """The settings as YAML, every default included; with `comments`, each one explained."""
        if comments:
            return "\n".join(self._explained(self.values())) + "\n"
        return str(yaml.safe_dump(self.values(), sort_keys=False))

    def values(self) -> dict[str, Any]:
        """Plain values of the settings that the method uses, ready for YAML."""
        used = self.model_dump(mode="json")
        if not self.is_trained:
            del used["training"]
        return {k: v for k, v in used.items() if v is not None or k not in SECTIONS}

    @property
    def entry(self) -> methods.Method:
        """The method of the name: assumptions, defaults, how it is trained."""
        return methods.method(self.method)

    @property
    def is_classical(self) -> bool:
        """Whether the method is a filter that is calibrated, not trained."""
        return self.entry.run == "filter"

    @property
    def is_shipped(self) -> bool:
        """Whether the method starts from the weights of the package."""
        return self.entry.pretrained

    @property
    def needs_pairs(self) -> bool:
        """Whether the method learns from two images of a scene."""
        return bool(self.entry.pairs)

    @property
    def is_trained(self) -> bool:
        """Whether weights are trained, so that budgets and other training settings apply."""
        return self.entry.run not in ("filter", "instant")

    @property
    def is_probabilistic(self) -> bool:
        """Whether the net predicts a mean and a scale."""
        return self.training.loss in SPREADS

    @property
    def neighbours(self) -> tuple[str, int] | None:
        """Axis and number of the frames before and after that the context asks for, if any.

        Examples
        --------
        >>> Config().neighbours, Config(context={"T": 0}).neighbours
        (None, None)
        """
        return next(((axis, reach) for axis, reach in (self.context or {}).items() if reach), None)

    def footprint(self, ndim: int) -> Any:
        """The structN2V mask as a boolean array of `ndim` dimensions, or None."""
        if self.mask is None or self.mask.struct is None:
            return None
        return structure.parse(self.mask.struct, ndim)

    def symmetries(self, ndim: int) -> tuple[tuple[int, bool], ...]:
        """The (turns, flip) in YX that keep the direction of structured noise."""
        if self.recorruption is not None and self.recorruption.correlated:
            return ((0, False), (2, False))  # an autocorrelation is the same after a half turn
        return structure.symmetries(self.footprint(ndim))
