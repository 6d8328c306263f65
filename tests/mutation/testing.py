"""Running tests within a process, and which of them pass which lines."""

from __future__ import annotations

import ast
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutation.groups import GROUPS, ROOT, digest_of, path
from mutation.mutants import Mutant

ENOUGH = 30.0
"""CPU seconds of a mutant's tests; the longest are left out. Only a survivor takes them all."""

FIRST = os.environ.get("MUTATION_FIRST", "")
"""A word in the names of tests that are tried before others, as those that are new."""


class Watch:
    """A plugin of pytest: CPU seconds of every test, which failed, and examples without shrinking.

    Parameters
    ----------
    told : callable
        Is called with the name of a test before it runs.
    instead : callable, optional
        What is done with the collected tests, by their names, in place of running them.
    """

    def __init__(
        self,
        told: Callable[[str], object] = lambda name: None,
        instead: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self.told, self.instead = told, instead
        self.seconds, self.failed = dict[str, float](), list[str]()

    def pytest_collection(self) -> None:
        import hypothesis

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        now = hypothesis.settings()
        hypothesis.settings.register_profile("mutants", now, database=None, phases=phases)
        hypothesis.settings.load_profile("mutants")

    def pytest_runtestloop(self, session: Any) -> bool | None:
        if self.instead is None or self.failed:
            return None
        self.instead({item.nodeid: item for item in session.items})
        return True

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.told(nodeid)
        self.seconds[nodeid] = -time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] += time.process_time()
        self.told("")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def run_pytest(tests: list[str], temporary: Path, watch: Watch) -> int:
    """The exit code of pytest."""
    import pytest

    quiet = "-q -x -s -n0 -p no:randomly -p no:cacheprovider -p no:cov --hypothesis-seed=0"
    known = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # libraries were loaded before
    marks = ["-m", "not slow and not gpu", f"--basetemp={temporary}"]
    try:
        return int(pytest.main([*quiet.split(), *known, *marks, *tests], plugins=[watch]))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def run_items(items: list[Any], watch: Watch) -> int:
    """Collected tests until one fails."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if watch.failed:
            return 1
    return 0


def files_of(group: str) -> tuple[list[Path], str]:
    """The files of tests of a group, its modules among them for their examples; their digest."""
    modules, patterns = GROUPS[group]
    found = sorted({f for p in patterns for f in (ROOT / "tests").glob(p)})
    within = ((sorted(f.rglob("test_*.py")) if f.is_dir() else [f]) for f in found)
    files = [file for some in within for file in some]
    files += [path(m) for m in modules]
    return files, digest_of(files)


def survey(group: str, items: dict[str, Any], watch: Watch, kept: Path) -> None:
    """Write ``{"seconds": {test: CPU}, "lines": {"module:line": [tests]}}`` of a group's tests."""
    import coverage

    sources = {m: str(path(m)) for m in GROUPS[group][0]}
    measured = coverage.Coverage(data_file=None, config_file=False, include=list(sources.values()))
    measured.start()
    watch.told = measured.switch_context
    code = run_items(list(items.values()), watch)
    measured.stop()
    if code:
        raise SystemExit(f"a test fails without a mutant: {watch.failed}")
    data = measured.get_data()
    lines = {
        f"{module}:{line}": sorted(t for t in tests if t)
        for module, source in sources.items()
        for line, tests in (data.contexts_by_lineno(source) or {}).items()
    }
    seconds = {name: round(s, 3) for name, s in watch.seconds.items()}
    kept.write_text(json.dumps({"seconds": seconds, "lines": lines}))


def lines_with(source: str, line: int) -> set[int]:
    """Where the name is used that a line of a module, outside of functions, gives a value.

    Examples
    --------
    >>> lines_with("N = 1\\ndef f():\\n    return N\\n", 1)
    {3}
    """
    tree = ast.parse(source)
    names = {
        node.id
        for one in tree.body
        if isinstance(one, ast.Assign | ast.AnnAssign)
        and one.lineno <= line <= (one.end_lineno or 0)
        for node in ast.walk(one)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    used = (n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
    return {node.lineno for node in used if node.id in names}


def tests_of(module: str, mutant: Mutant, seen: dict[str, Any]) -> list[str]:
    """The tests that pass the changed line: those of `FIRST`, then quickest first."""
    tests = seen["lines"].get(f"{module}:{mutant.line}", [])
    if not tests and mutant.on_import:  # which no test passes: those that pass its users, or any
        every = {k: t for k, t in seen["lines"].items() if k.startswith(f"{module}:")}
        users = {f"{module}:{n}" for n in lines_with(path(module).read_text(), mutant.line)}
        own = {k: t for k, t in every.items() if k in users} or every
        tests = sorted({t for names in own.values() for t in names})
    tests = sorted(tests, key=lambda t: (not FIRST or FIRST not in t, seen["seconds"][t]))
    spent = itertools.accumulate(seen["seconds"][t] for t in tests)
    return [test for test, seconds in zip(tests, spent, strict=True) if seconds <= ENOUGH]
