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
    return "\n".join(_explained(settings, values)) + "\n"


def _explained(settings: BaseModel, values: Mapping[str, Any], indent: int = 0) -> list[str]:
    """A comment and a line for every setting; a section's comment is its first line."""
    lines: list[str] = []
    for name, value in values.items():
        inner = getattr(settings, name)
        if isinstance(inner, BaseModel):
            summary = (type(inner).__doc__ or "").strip().splitlines()[0]
            lines += ["", *_comment(summary, indent), f"{name}:", *_explained(inner, value, 2)]
        else:
            lines += _comment(type(settings).model_fields[name].description, indent)
            text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False)
            lines.append(f"{' ' * indent}{name}: {text.removesuffix('...' + chr(10)).strip()}")
    return lines


def _comment(text: str | None, indent: int) -> list[str]:
    lines = textwrap.wrap(" ".join((text or "").replace("`", "").split()), 94 - indent)
    return [" " * indent + "# " + line for line in lines]
