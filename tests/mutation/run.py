"""Mutation testing: do the tests of a part see a small fault in it? ``make mutate``.

A seeded sample of the mutants of every group of modules is tried. The tests of a group are
collected once; a fork of that process per mutant gives the changed function its new code, and runs
the tests that pass the changed line, quickest first, until one fails. So a mutant costs a tenth of
a second, where a process of its own, as of mutmut or Cosmic Ray, pays several seconds for PyTorch
alone. What changes at import is tried in a process that has not imported it.

What was tried is in the ledger (`mutation.ledger`), so that a run goes on where another one ended.
Survivors are judged in ``judged.tsv``; the exit code is 1 where one is not. With ``tests`` on the
path:

    python -m mutation.run                # all groups
    python -m mutation.run tiles axes     # two of them
    python -m mutation.run --table        # what the ledger tells
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutation.changed import Changed, exchange, preload
from mutation.forks import in_a_fork, start, wait, within
from mutation.groups import GROUPS, ROOT, path
from mutation.ledger import (
    SEEN,
    Entry,
    code_of,
    digest_of_test,
    holds,
    judged,
    remember,
    remembered,
    tidy,
)
from mutation.mutants import Mutant, mutants, mutated
from mutation.testing import Watch, files_of, run_items, run_pytest, survey, tests_of

SAMPLE = 100
"""Mutants of a group."""
LIMIT = 5.0
"""CPU seconds above twice the usual ones, after which a test counts as one without an end."""
RUNS = "runs: "
LIBRARIES = "numpy scipy.ndimage scipy.stats scipy.special torch skimage pydantic pytest hypothesis"


def main() -> int:
    """Try what is left to try; the exit code is 1 where a survivor is not judged."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=f"out of {', '.join(GROUPS)}; default: all")
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--table", action="store_true", help="only print what was found")
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    options.folder.mkdir(parents=True, exist_ok=True)
    for library in () if options.table else LIBRARIES.split():
        importlib.import_module(library)
    left = 0
    for group in options.groups or GROUPS:
        drawn = sample(group, options.sample, options.seed)
        if not options.table:
            try_all(group, drawn, options.folder)
            tidy()
        left += summary(group, drawn)
    return int(left > 0)


def sample(group: str, size: int, seed: int) -> list[tuple[str, Mutant]]:
    """The mutants of a group that are tried: (module, mutant).

    The first of all in a random order, so that a larger sample holds the smaller one; those that
    were tried before, whatever came of it, are the first of all: other code, and so another order,
    leaves the sample as it was but for what is gone.
    """
    every = [(m, mutant) for m in GROUPS[group][0] for mutant in mutants(path(m).read_text())]
    drawn, known = random.Random(f"{seed} {group}").sample(every, len(every)), remembered()
    return sorted(drawn, key=lambda each: f"{each[0]} {each[1].key}" not in known)[:size]


def try_all(group: str, drawn: list[tuple[str, Mutant]], folder: Path) -> None:
    """Each mutant of a group in a fork of its own; what came of it goes into the ledger.

    Tests are collected once. A fork takes the code of a changed function into the functions that
    are there already; what changes at import has to be imported anew, in a process that has not.
    """
    files, digest = files_of(group)
    kept = folder / f"{group.replace(' ', '_')}-{digest}.json"
    todo, known = list[tuple[str, Mutant]](), remembered()
    for module, mutant in drawn:
        entry = known.get(f"{module} {mutant.key}")
        if entry is None or not holds(entry, code_of(path(module).read_text(), mutant), files):
            todo.append((module, mutant))
    if not todo:
        return
    names = [str(f.relative_to(ROOT)) for f in files]
    temporary = folder / f"tmp-{os.getpid()}"

    def collected(items: dict[str, Any]) -> None:
        if not kept.exists():
            print(f"{group}: which of {len(items)} tests pass which lines", flush=True)
            in_a_fork(lambda: survey(group, items, watch, kept))
        seen = json.loads(kept.read_text())
        for module, mutant in todo:
            if not mutant.on_import:
                tests = tests_of(module, mutant, seen)

                def changed(m: str = module, x: Mutant = mutant, t: list[str] = tests) -> int:
                    exchange(path(m), mutated(path(m).read_text(), x))
                    return run_items([items[name] for name in t], watch)

                try_one(module, mutant, tests, seen, changed, watch, folder, digest)

    watch = Watch(instead=collected)
    in_a_fork(lambda: run_pytest(names, temporary, watch))
    seen = json.loads(kept.read_text())
    for wanted in GROUPS[group][0]:
        rest = [x for module, x in todo if module == wanted and x.on_import]
        if rest:
            in_a_fork(lambda w=wanted, r=rest: _on_import(w, r, seen, folder, digest))


def _on_import(
    module: str, todo: list[Mutant], seen: dict[str, Any], folder: Path, digest: str
) -> None:
    preload(module)
    for mutant in todo:
        tests, watch = tests_of(module, mutant, seen), Watch()

        def changed(x: Mutant = mutant, t: list[str] = tests, w: Watch = watch) -> int:
            tree = mutated(path(module).read_text(), x)
            sys.meta_path.insert(0, Changed(f"unnoise.{module}", tree))
            try:  # before pytest does in its own way
                importlib.import_module(f"unnoise.{module}")
            except Exception as error:
                print(f"not imported: {error!r}")
                return 1
            return run_pytest(t, folder / f"tmp-{os.getpid()}", w)

        try_one(module, mutant, tests, seen, changed, watch, folder, digest)


def try_one(
    module: str,
    mutant: Mutant,
    tests: list[str],
    seen: dict[str, Any],
    changed: Callable[[], int],
    watch: Watch,
    folder: Path,
    digest: str,
) -> None:
    """Run tests with a mutant in a fork, and tell the ledger."""
    out, outcome, by = folder / f"output-{os.getpid()}", "no test", ""

    def begin(name: str) -> None:
        if name:
            print(f"\n{RUNS}{name}", flush=True)
            within(LIMIT + 2 * seen["seconds"].get(name, 0))

    def call() -> int:
        watch.told = begin
        return changed()

    if tests:
        usual = sum(seen["seconds"][t] for t in tests)
        outcome = wait(start(call, out), LIMIT + 2 * usual)
        begun = [x for x in out.read_text(errors="replace").splitlines() if x.startswith(RUNS)]
        by = begun[-1].removeprefix(RUNS) if begun and outcome in SEEN else ""
        out.unlink()
    name, code = f"{module} {mutant.key}", code_of(path(module).read_text(), mutant)
    remember(Entry(name, outcome, code, digest_of_test(by) if by else digest))
    print(f"{outcome:9} {name}  {by}", flush=True)


def summary(group: str, drawn: list[tuple[str, Mutant]]) -> int:
    """Print a line of the table, and survivors that nobody judged; their number.

    What lives does so until a new test has killed it; a kill counts while its test is the same.
    """
    known, reasons, files = remembered(), judged(), files_of(group)[0]
    killed, lives = 0, list[str]()
    for module, mutant in drawn:
        name, code = f"{module} {mutant.key}", code_of(path(module).read_text(), mutant)
        entry = known.get(name)
        if entry is not None and entry.lives and entry.code == code:
            lives.append(name)
            if name not in reasons:
                print(f"    not judged: {name} (line {mutant.line}, {entry.outcome})")
        elif entry is not None and holds(entry, code, files):
            killed += 1
    tried = killed + len(lives)
    told = sum(reasons.get(name, "").startswith("equivalent") for name in lives)
    accepted = sum(reasons.get(name, "").startswith("accepted") for name in lives)
    missing = len(lives) - told - accepted
    print(
        f"| {group} | {tried} | {killed} | {told} | {accepted} | {missing} "
        f"| {100 * killed / max(tried - told, 1):.0f} % |"
    )
    return missing


if __name__ == "__main__":
    raise SystemExit(main())
