"""Laws of the mutants themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mutation.groups import GROUPS, ROOT, path
from mutation.mutants import mutants, mutated
from mutation.run import judged, sample

SOURCE = '''
def f(x, *, n: int | None = 2) -> int | None:
    """Text."""
    assert x is not None
    if x < 0 and not n:
        raise ValueError(f"{x} + 1 is " + "wrong")
    for a, b in zip(x[n:], x, strict=True):
        x += min(a, b)
    return x
'''


def test_every_mutant_is_another_program_with_one_change() -> None:
    whole = ast.unparse(ast.parse(SOURCE))
    found = mutants(SOURCE)
    changed = [ast.unparse(mutated(SOURCE, mutant)) for mutant in found]
    assert len(set(changed)) == len({m.key for m in found}) == len(found)
    for text in changed:
        assert text != whole
        lines = zip(text.splitlines(), whole.splitlines(), strict=False)
        assert sum(a != b for a, b in lines) >= 1
        compile(text, "mutant", "exec")


def test_what_no_test_should_see_is_left_alone() -> None:
    keys = "\n".join(mutant.key for mutant in mutants(SOURCE))
    for word in ("int | None", "Text", "assert", "is not None", "wrong ->", "strict=False"):
        assert word not in keys
    assert "x < 0 and (not n) -> x < 0 or not n" in keys
    assert "min(a, b) -> max(a, b)" in keys
    assert "n: -> n + 1:" in keys
    assert "f: raise ValueError" in keys
    assert [m.on_import for m in mutants(SOURCE)].count(True) == 2  # the default of n


@pytest.mark.parametrize("group", GROUPS)
def test_the_tables_name_what_exists(group: str) -> None:
    modules, patterns = GROUPS[group]
    assert all(path(module).is_file() for module in modules)
    assert all(list((ROOT / "tests").glob(pattern)) for pattern in patterns)
    assert sample(group, 120, 0)[:40] == sample(group, 40, 0), "a larger sample goes on"


def test_judgements_are_of_mutants_that_there_are() -> None:
    keys = {
        f"{module} {mutant.key}"
        for modules, _ in GROUPS.values()
        for module in modules
        for mutant in mutants(Path(path(module)).read_text())
    }
    for name, reason in judged().items():
        assert name in keys, "a judgement of code that is gone: take the line away"
        assert reason.startswith(("equivalent: ", "accepted: "))
