"""Every setting of a run; `settings` and `presets` beside it hold the defaults."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from unnoise.config import footprint as structure
from unnoise.config.conflicts import conflicts
from unnoise.config.methods import BLIND_SPOT, CLASSICAL, DEFAULTS, METHODS, PRESETS, SHIPPED
from unnoise.config.sections import (
    LIKELIHOODS,
    Frozen,
    Mask,
    Net,
    Pairs,
    Recorruption,
    Revisible,
    Training,
)
from unnoise.errors import InputError


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

    method: Literal[
        "instant",
        "adapted",
        "n2v",
        "n2v2",
        "structn2v",
        "n2n",
        "care",
        "b2u",
        "r2r",
        "gaussian",
        "nlm",
        "tv",
        "wavelet",
        "bm3d",
    ] = "n2v"
    """Training method; `unnoise methods` describes them."""
    ndim: Literal[2, 3] | None = None
    """Dimensions of the net: 2, 3, or chosen from the number of Z slices."""
    centre: bool = False
    """Whether the pixel itself is used too, where a test on held-out pixels shows that it helps
    (n2v, n2v2, structn2v)."""
    noise_model: str | None = None
    """File of unnoise calibrate with the noise of the camera, instead of what is measured on the
    images; the pixel itself is then used as with centre. With r2r, the noise that is split."""
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
        method = values.get("method", "n2v")
        return _merge(DEFAULTS.get(method, {}) if isinstance(method, str) else {}, values)

    @model_validator(mode="after")
    def _possible(self) -> Config:
        """Refuse combinations that cannot work."""
        for section, users in SECTIONS.items():
            if (getattr(self, section) is not None) != (self.method in users):
                if self.method in users:
                    raise InputError(f"the method {self.method} needs the settings '{section}'")
                raise InputError(
                    f"the method {self.method} has no settings '{section}'; they belong to "
                    f"{', '.join(users)}"
                )
        for refused, reason in conflicts(self):
            if refused:
                raise InputError(reason)
        if self.mask is not None and self.mask.struct is not None:
            self.footprint(self.ndim or 3)
        return self

    @classmethod
    def preset(cls, name: str = "fast", method: str = "n2v") -> Config:
        """Settings by name and method: ``fast`` (the default) or ``paper``.

        Raises
        ------
        InputError
            For an unknown name; the known ones are listed.
        """
        if name not in PRESETS:
            raise InputError(f"unknown preset '{name}'; the presets are {', '.join(PRESETS)}")
        if method not in METHODS:
            raise InputError(f"unknown method '{method}'; the methods are {', '.join(METHODS)}")
        return cls.parse({"method": method, **PRESETS[name].get(method, {})})

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
            subject = f"setting '{where}'"
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                message = f"there is no such setting{_nearest(first['loc'])}"
            text = f"{subject}: {message}" if where else message
            raise InputError(text) from error

    @classmethod
    def from_yaml(cls, text: str) -> Config:
        """Settings out of a YAML text: as `to_yaml` writes it, or of a model folder.

        Raises
        ------
        InputError
            If it is no YAML, or a setting is unknown or impossible.
        """
        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            problem = " ".join(str(error).split())
            raise InputError(f"the settings are not valid YAML ({problem})") from error
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
                inner[key] = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise InputError(f"'{text}' is no value for the setting {path}") from error
        return self.parse(values)

    def to_yaml(self, *, comments: bool = False) -> str:
        """The settings as YAML, every default included; with `comments`, each one explained."""
        values = self.values()
        if not comments:
            return str(yaml.safe_dump(values, sort_keys=False))
        lines: list[str] = []
        for key, value in values.items():
            if isinstance(value, dict):
                section = getattr(self, key)
                lines += ["", *_comment(_summary(type(section)), 0), f"{key}:"]
                for name, inner in value.items():
                    lines += _comment(type(section).model_fields[name].description, 2)
                    lines.append(_assign(name, inner, 2))
            else:
                lines += [*_comment(type(self).model_fields[key].description, 0)]
                lines.append(_assign(key, value, 0))
        return "\n".join(lines) + "\n"

    def values(self) -> dict[str, Any]:
        """Plain values of the settings that the method uses, ready for YAML."""
        used = self.model_dump(mode="json")
        if not self.is_trained:
            del used["training"]
        return {k: v for k, v in used.items() if v is not None or k not in SECTIONS}

    @property
    def is_classical(self) -> bool:
        """Whether the method is a filter that is calibrated, not trained."""
        return self.method in CLASSICAL

    @property
    def is_shipped(self) -> bool:
        """Whether the method starts from the weights of the package."""
        return self.method in SHIPPED

    @property
    def is_trained(self) -> bool:
        """Whether weights are trained, so that budgets and other training settings apply."""
        return not self.is_classical and self.method != "instant"

    @property
    def is_probabilistic(self) -> bool:
        """Whether the net predicts a mean and a scale."""
        return self.training.loss in LIKELIHOODS

    @property
    def needs_pairs(self) -> bool:
        """Whether the method learns from two images of a scene."""
        return self.method in ("n2n", "care")

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


WITH_NET = tuple(method for method in METHODS if method not in (*CLASSICAL, *SHIPPED))
SECTIONS: dict[str, tuple[str, ...]] = {
    "mask": BLIND_SPOT,
    "b2u": ("b2u",),
    "recorruption": ("r2r",),
    "pairs": ("n2n",),
    "net": WITH_NET,
}
"""Which methods use which sections."""


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, those of `over` winning."""
    result = dict(under)
    for key, value in over.items():
        plain = value.model_dump() if isinstance(value, BaseModel) else value
        below = result.get(key)
        nested = isinstance(below, Mapping) and isinstance(plain, Mapping)
        result[key] = _merge(below, plain) if nested else plain  # type: ignore[arg-type]
    return result


def _nearest(loc: tuple[int | str, ...]) -> str:
    """A hint at the setting that was probably meant."""
    import difflib

    model: Any = Config
    sections = {
        "mask": Mask,
        "b2u": Revisible,
        "recorruption": Recorruption,
        "pairs": Pairs,
        "net": Net,
        "training": Training,
    }
    if len(loc) > 1:
        model = sections.get(str(loc[0]), Config)
    close = difflib.get_close_matches(str(loc[-1]), model.model_fields, 1, 0.5)
    return (
        f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(model.model_fields)}"
    )


def _summary(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _comment(text: str | None, indent: int) -> list[str]:
    lines = textwrap.wrap(" ".join((text or "").replace("`", "").split()), 94 - indent)
    return [" " * indent + "# " + line for line in lines]


def _assign(name: str, value: Any, indent: int) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False)
    return f"{' ' * indent}{name}: {text.removesuffix('...' + chr(10)).strip()}"
