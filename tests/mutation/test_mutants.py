"""Laws of the mutants themselves."""

from __future__ import annotations

import ast
import os
import select
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mutation import forks, ledger
from mutation.groups import DIGITS, GROUPS, ROOT, digest_of, path
from mutation.ledger import Entry, code_of, digest_of_test, holds, judged
from mutation.mutants import mutants, mutated
from mutation.run import sample

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


def test_an_entry_holds_as_long_as_its_function_and_its_test_are_the_same(tmp_path: Path) -> None:
    files = [tmp_path / "test_a.py", tmp_path / "b.py"]
    tests = "def test_f(x):\n    assert f({})\n"
    files[0].write_text(tests.format(1))
    files[1].write_text('class B:\n    """>>> f(1)"""\n')
    first = next(m for m in mutants(SOURCE) if m.where)
    code = code_of(SOURCE, first)
    assert code == code_of(f"import os\n{SOURCE}\nN = 2\n", replace(first, line=first.line + 1))
    assert code != code_of(SOURCE.replace("x += min", "x -= min"), first)
    own = digest_of_test(f"{files[0]}::test_f[1.5-B]")
    example, other = (digest_of_test(f"{files[1]}::m.b.{name}") for name in ("B.of", "gone"))
    assert len({own, example, other}) == 3
    assert other == digest_of(files[1:])
    seen = Entry("m f: x", "killed", code, own)
    kills = [replace(seen, tests=test) for test in (own, example, other)]
    lives = replace(seen, outcome="survived", tests=digest_of(files))
    broken = replace(lives, outcome="error")
    assert all(holds(entry, code, files) for entry in (*kills, lives))
    assert not holds(broken, code, files)
    assert not holds(replace(lives, tests=own), code, files), "of one test, not of all"
    assert not any(holds(entry, "another", files) for entry in (*kills, lives))
    files[0].write_text(tests.format(1) + tests.format(2).replace("_f", "_g"))
    assert all(holds(entry, code, files) for entry in kills), "each of its test"
    assert not holds(lives, code, files), "the new test may see it"
    files[0].write_text(tests.format(3))
    assert [holds(entry, code, files) for entry in kills] == [False, True, True]


def test_the_ledger_keeps_the_last_entry_of_each_mutant_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "LEDGER", tmp_path / "ledger.tsv")
    module = "images.together"
    keys = [m.key for m in mutants(path(module).read_text())]
    names = [f"{module} {key}" for key in (keys[3], keys[1], "gone: 1 -> 2")]
    entries = [Entry(name, "survived", "0" * DIGITS, "1" * DIGITS) for name in names]
    later = replace(entries[0], outcome="killed")
    for entry in (*entries, later):
        ledger.remember(entry)
    with (tmp_path / "ledger.tsv").open("a") as file:
        file.write(f"{names[1]}\tkilled\t01")  # a run that was killed meanwhile
    known = {names[0]: later, names[1]: entries[1]}
    assert ledger.remembered() == {**known, names[2]: entries[2]}
    ledger.tidy()
    assert ledger.remembered() == known
    lines = (tmp_path / "ledger.tsv").read_text().splitlines()[1:]
    assert lines == sorted(lines)
    assert len(lines) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.tsv"]


def spin() -> int:
    while True:
        pass


def spin_in_a_test() -> int:
    forks.within(0.1)  # the system counts in whole seconds
    return spin()


def wait_for_a_child() -> int:
    os.fork()
    while True:
        time.sleep(60)


def ask_again_and_again() -> int:
    """Neither busy nor asleep."""
    while True:
        time.sleep(0.1)
        end = time.process_time() + 0.03
        while time.process_time() < end:
            pass


@pytest.mark.parametrize(
    ("call", "outcome", "limit", "asleep", "busy"),
    [
        (spin, "no end", 0.2, 0.3, 1000),
        (spin_in_a_test, "no end", 1000, 0.3, 1000),
        (wait_for_a_child, "no end", 1000, 0.3, 1000),
        (ask_again_and_again, "no end", 1000, 0.3, 0.001),
        (int, "survived", 1000, 1000, 1000),  # on a busy machine it may wait for its turn
        (lambda: 1, "killed", 1000, 1000, 1000),
    ],
)
def test_a_mutant_without_an_end_is_ended_with_all_that_it_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[], int],
    outcome: str,
    limit: float,
    asleep: float,
    busy: float,
) -> None:
    monkeypatch.setattr(forks, "ASLEEP", asleep)
    monkeypatch.setattr(forks, "BUSY", busy)
    reading, writing = os.pipe()  # whoever lives keeps its end open
    child = forks.start(call, tmp_path / "out")
    os.close(writing)
    assert forks.wait(child, limit) == outcome
    assert select.select([reading], [], [], 30) == ([reading], [], [])
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_fork_is_ended_before_it_did_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "BUSY", 0.001)
    join = os.setpgid

    def late(process: int, group: int) -> None:
        if process == 0:  # in the fork
            time.sleep(20)
            (tmp_path / "woke").touch()
        join(process, group)

    monkeypatch.setattr(os, "setpgid", late)
    child = forks.start(int, tmp_path / "out")
    assert forks.wait(child, 100) == "no end"
    assert not (tmp_path / "woke").exists()
