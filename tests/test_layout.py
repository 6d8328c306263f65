"""The tests mirror the package file by file, and no module is too long to read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "src" / "unnoise"
LONGEST = 400

# What does not hold yet. An entry that is no longer true must go.
LONG_YET: set[str] = set()
UNNAMED_YET = {"report/test_browser.py", "training/methods/test_plugins.py"}


def mirrored() -> list[Path]:
    """Test files of packages; those beside them test the documentation and whole commands."""
    found = [path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")]
    return sorted(
        path
        for path in found
        if path.parts[0] not in ("e2e", "faults", "fuzz", "golden", "load", "mutation", path.name)
    )


@pytest.mark.parametrize("path", mirrored(), ids=str)
def test_every_test_file_begins_with_the_name_of_a_module(path: Path) -> None:
    folder = PACKAGE / path.parent
    names = {module.stem.lstrip("_") for module in folder.iterdir()} | {folder.name}
    words = path.stem.removeprefix("test_").split("_")
    named = any("_".join(words[:n]) in names for n in range(1, len(words) + 1))
    assert named != (path.as_posix() in UNNAMED_YET), f"{folder} has {sorted(names)}"


def test_no_module_and_no_test_file_is_longer_than_it_should_be() -> None:
    files = [path for folder in (PACKAGE, TESTS) for path in folder.rglob("*.py")]
    long = {path for path in files if len(path.read_text("utf-8").splitlines()) > LONGEST}
    assert long == {TESTS / name for name in LONG_YET}


def test_every_file_with_a_leading_underscore_has_its_contract() -> None:
    """The linter protects files by name, so a new one must be told to it."""
    contracts = tomllib.loads((TESTS.parent / "pyproject.toml").read_text("utf-8"))["tool"]
    protected = {
        (module, importer)
        for contract in contracts["importlinter"]["contracts"]
        if contract["type"] == "protected"
        for module in contract["protected_modules"]
        for importer in contract["allowed_importers"]
    }
    for path in PACKAGE.rglob("_[!_]*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        assert (module, module.rpartition(".")[0]) in protected
