"""The table of formats tells the truth, and docs/formats.md has it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from unnoise.images.formats import about, registry

ROOT = Path(__file__).parents[3]
FACTS = registry.about()


def test_every_suffix_is_told_once():
    told = [suffix for one in FACTS for suffix in one.suffixes]
    assert sorted(told) == sorted(registry.FORMATS)


def test_what_is_written_has_a_writer_and_the_rest_none():
    for one in FACTS:
        module = registry.format_of(Path(f"a{one.suffixes[0]}"))
        assert one.writes == hasattr(module, "prepare"), one.name


def test_every_extra_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = set(extras["optional-dependencies"])
    assert {one.extra for one in FACTS} <= known | {""}


def test_the_document_has_the_table():
    text = (ROOT / "docs" / "formats.md").read_text("utf-8")
    found = re.search(r"<!-- begin: formats -->\n(.*?)\n<!-- end: formats -->", text, re.S)
    assert found, "docs/formats.md lacks its markers"
    assert found[1].strip() == about.table(FACTS), "run python docs/formats_table.py"
