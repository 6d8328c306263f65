"""Texts of settings that are damaged, or made to fill the memory."""

from __future__ import annotations

import time

import pytest
import yaml

from unnoise.config import plain_yaml
from unnoise.config.config import Config
from unnoise.config.plain_yaml import LONGEST, read_yaml, write_yaml
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


@pytest.fixture(params=["SafeLoader", "CSafeLoader"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers that PyYAML may have."""
    if not hasattr(yaml, request.param):
        pytest.skip("PyYAML comes without libyaml")
    loader = plain_yaml._counting(getattr(yaml, request.param))
    monkeypatch.setattr(plain_yaml, "_Loader", loader)


@pytest.mark.usefixtures("parser")
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
        ("a: !!float ''", "not valid YAML"),
        ("a: !!int ''", "not valid YAML"),
        ("a: !!bool x", "not valid YAML"),
        ("a: !!timestamp x", "not valid YAML"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(text: str, why: str) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match=f"the settings .*{why}"):
        Config.from_yaml(text)
    assert time.monotonic() - started < 20


@pytest.mark.usefixtures("parser")
def test_values_are_counted_as_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """600 kB took 6.5 s and 192 MB, as all of them were read first."""
    monkeypatch.setattr(plain_yaml, "MOST_VALUES", 1000)
    started = time.process_time()
    with pytest.raises(InputError, match="the settings hold more than 1,000 values; give fewer"):
        Config.from_yaml("mask:\n  struct: [" + "1," * 300_000 + "1]\n")
    assert time.process_time() - started < 1
    assert read_yaml("[" + "1," * 998 + "1]", "x") == [1] * 999
    with pytest.raises(InputError):
        read_yaml("[" + "1," * 999 + "1]", "x")


@pytest.mark.usefixtures("parser")
def test_levels_are_counted_the_same_with_and_without_libyaml() -> None:
    deepest = plain_yaml.DEEPEST + 1
    assert str(read_yaml("[" * deepest + "1" + "]" * deepest, "x")).count("[") == deepest
    with pytest.raises(InputError, match="nested too deeply"):
        read_yaml("[" * (deepest + 1) + "1" + "]" * (deepest + 1), "x")


def test_libyaml_is_used_where_it_is() -> None:
    assert issubclass(plain_yaml._Loader, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@pytest.mark.usefixtures("parser")
def test_values_are_those_of_yaml() -> None:
    text = yaml.safe_dump(Config().values())
    assert read_yaml(text, "x") == yaml.safe_load(text)
    alias = "a: &a [1, 2]\nb: [*a, *a]\nc: {<<: {d: 1}, e: 2}"
    assert read_yaml(alias, "x") == yaml.safe_load(alias)
    assert read_yaml("", "x") is None


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    "text",
    [
        "a.tif",
        "",
        "\udcff",
        "k\udcff/\udce9t\udce9.tif",
        chr(0xD800),
        "\U0001f600",
        "\x85\ufffe\x1b",
        "12",
    ],
)
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    values = {"path": text, "all": [text, {text: [None, 1.5, True]}]}
    written = write_yaml(values, "the settings")
    assert read_yaml(written, "the settings") == values
    written.encode()  # a file takes it


def test_what_could_not_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_yaml, "MOST_VALUES", 10)
    with pytest.raises(InputError, match=r"config\.yaml hold more than 10 values"):
        write_yaml(list(range(20)), "config.yaml")
