"""Settings as YAML for people: every one explained by the text beside its default."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel


def text(settings: BaseModel, values: Mapping[str, Any], *, comments: bool = False) -> str:
    """The plain values of settings as YAML; with `comments`, each one explained."""
    if not comments:
        return str(yaml.safe_dump(dict(values), sort_keys=False))
    lines: list[str] = []
    for key, value in values.items():
        if isinstance(value, dict):
            section = getattr(settings, key)
            lines += ["", *_comment(_summary(type(section)), 0), f"{key}:"]
            for name, inner in value.items():
                lines += _comment(type(section).model_fields[name].description, 2)
                lines.append(_assign(name, inner, 2))
        else:
            lines += [*_comment(type(settings).model_fields[key].description, 0)]
            lines.append(_assign(key, value, 0))
    return "\n".join(lines) + "\n"


def _summary(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _comment(text: str | None, indent: int) -> list[str]:
    lines = textwrap.wrap(" ".join((text or "").replace("`", "").split()), 94 - indent)
    return [" " * indent + "# " + line for line in lines]


def _assign(name: str, value: Any, indent: int) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False)
    return f"{' ' * indent}{name}: {text.removesuffix('...' + chr(10)).strip()}"
