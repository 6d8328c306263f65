"""Texts of settings that are damaged, or made to fill the memory."""

from __future__ import annotations

import time

import pytest
import yaml

from unnoise.config.config import Config
from unnoise.config.plain_yaml import LONGEST, read_yaml
from unnoise.errors import InputError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine lines that stand for a billion values."""
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{b}: &{b} {{p: *{a}, q: *{a}, <<: *{a}}}\n"
    for a, b in zip("abcdefghijklmnopq", "bcdefghijklmnopqr", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "repeat themselves too often"),
        (MERGES, "repeat themselves too often"),
        ("a: &a [*a]", "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 200 + "]" * 200, "nested too deeply"),
        ("x" * (LONGEST + 1), "too long"),
        ("a: [", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("!!python/object:os.system {}", "not valid YAML"),
        ("a: 2026-99-99", "not valid YAML"),
        ("a: " + "9" * 10_000, "not valid YAML"),
        ("{[1]: 2}", "not valid YAML"),
        ("\x00", "not valid YAML"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(text: str, why: str) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match=f"the settings .*{why}"):
        Config.from_yaml(text)
    assert time.monotonic() - started < 20


def test_values_are_those_of_yaml() -> None:
    text = yaml.safe_dump(Config().values())
    assert read_yaml(text, "x") == yaml.safe_load(text)
    alias = "a: &a [1, 2]\nb: [*a, *a]\nc: {<<: {d: 1}, e: 2}"
    assert read_yaml(alias, "x") == yaml.safe_load(alias)
    assert read_yaml("", "x") is None
