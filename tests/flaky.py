"""Whether a test fails now and then: ``make flaky``.

Beside processes that burn both cores, the suite runs in five random orders, and its tests of
threads, processes, locks and files that two want run in twenty. What was run is in the ledger, so
that a run that is stopped goes on; ``--table`` prints it. A test that failed once is a defect.

    python tests/flaky.py                                       # all, hours
    python tests/flaky.py tests/app/session/test_jobs.py        # this file alone, twenty times
    python tests/flaky.py --list                                # which tests are run twenty times
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
MODULES = re.compile(
    r"(threading|subprocess|multiprocessing|signal|asyncio|psutil|concurrent"
    r"|unnoise\.images\.(atomic|durable)|unnoise\.models\.claim)(\.|$)"
)
"""Modules of threads and processes, and of files that two of them want."""
CLASSES = {"JobQueue", "FileLock", "Zygote", "fork"}
"""What has threads, processes or locks, too: classes, and functions of the system."""
WORKERS = "workers"
"""A parameter by which processes are asked for."""
ALL, CONCURRENT = "all", "concurrent"
"""Tests, as they are called in the ledger."""
Definitions = dict[str, ast.AST]


def main() -> int:
    """Run what is left; the exit code is 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="run these alone")
    parser.add_argument("--folder", type=Path, default=Path(".flaky"))
    parser.add_argument("--orders", type=int, default=5, help="of the whole suite")
    parser.add_argument("--times", type=int, default=20, help="of the concurrent tests, or files")
    parser.add_argument("--burners", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after")
    parser.add_argument("--table", action="store_true", help="only print what was found")
    parser.add_argument("--list", action="store_true", help="only print the concurrent tests")
    options = parser.parse_args()
    tests = options.files or concurrent_tests()
    if options.list:
        print(*tests, sep="\n")
        return 0
    options.folder.mkdir(parents=True, exist_ok=True)
    ledger = options.folder / "ledger.jsonl"
    of_all = 0 if options.files else options.orders
    runs = [(ALL, seed) for seed in range(of_all)]
    runs += [(" ".join(options.files) or CONCURRENT, seed) for seed in range(options.times)]
    end = time.monotonic() + 60 * options.minutes
    if not options.table:
        done = {(entry["tests"], entry["seed"]) for entry in entries(ledger)}
        with burning(options.burners):
            for name, seed in runs:
                if (name, seed) not in done and time.monotonic() < end:
                    entry = run(name, seed, [] if name == ALL else tests)
                    with ledger.open("a") as out:
                        out.write(json.dumps(entry) + "\n")
                    found = ", ".join(entry["failed"]) or f"exit code {entry['code']}"
                    print(f"{name}, seed {seed}: {entry['last']}; {found}", flush=True)
    return summary(entries(ledger))


def concurrent_tests() -> list[str]:
    """Tests with threads, processes or locks; those of a screen are left out."""
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text("utf-8")
        names = [] if "pytestmark = pytest.mark.gui" in text else concurrent_names(path)
        file = path.relative_to(ROOT).as_posix()
        found += [f"{file}::{name}" for name in names if name.startswith("test_")]
    return found


@functools.cache
def concurrent_names(path: Path) -> list[str]:
    """What a file defines that comes to threads, processes or locks, by whatever it uses.

    That is followed through functions, fixtures (of its conftest.py, too), constants and helpers
    of the tests, and not into the library: nearly all of it takes a lock somewhere.
    """
    is_helper = not path.name.startswith("test_")
    chain = [] if is_helper else [p / "conftest.py" for p in reversed(path.parents) if p != ROOT]
    known: set[str] = CLASSES.copy()
    for file in [*(file for file in chain if file.is_file() and TESTS in file.parents), path]:
        tree = ast.parse(file.read_text("utf-8"))
        known |= imported(tree)
        names = {name: used(node) for name, node in definitions(tree).items()}
        known -= names.keys()  # a fixture that another one of its name replaces
        while new := {name for name in names.keys() - known if names[name] & known}:
            known |= new
    return [name for name in names if name in known]


def imported(tree: ast.Module) -> set[str]:
    """Names of modules of threads and processes, and of what uses one, that a file imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.asname or a.name.split(".")[0] for a in node.names if MODULES.match(a.name)}
        elif isinstance(node, ast.ImportFrom) and node.module:
            helper = TESTS.joinpath(*node.module.split(".")).with_suffix(".py")
            uses = concurrent_names(helper) if helper.is_file() else []
            for alias in node.names:
                if alias.name in uses or MODULES.match(f"{node.module}.{alias.name}"):
                    found.add(alias.asname or alias.name)
    return found


def definitions(tree: ast.Module) -> Definitions:
    """Functions, classes and constants of a file, by their names."""
    found: Definitions = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {t.id: node for t in node.targets if isinstance(t, ast.Name)}
    return found


def used(tree: ast.AST) -> set[str]:
    """Names, attributes and parameters, so fixtures too, that code uses."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.keyword) and node.arg == WORKERS:
            found.add("fork")
    return found


def run(name: str, seed: int, tests: list[str]) -> dict[str, Any]:
    """Tests, or all, in parallel in the order of a seed, as an entry of the ledger."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "randomly", f"--randomly-seed={seed}"]
    command += [*tests, "--numprocesses=auto", "--dist=worksteal", "-m", "not slow and not gpu"]
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"UNNOISE_NEW_EXAMPLES": "1"},
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return {
        "tests": name,
        "seed": seed,
        "code": done.returncode,
        "failed": failed,
        "last": (done.stdout.splitlines() or [""])[-1].strip(" ="),
        "output": done.stdout[-4000:] if done.returncode else "",
        "seconds": round(time.monotonic() - started, 1),
        "date": time.strftime("%Y-%m-%d"),
    }


@contextlib.contextmanager
def burning(count: int) -> Iterator[None]:
    """Processes that take what they get of the machine, and end with this one."""
    code = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(10**6))"
    burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def entries(ledger: Path) -> list[dict[str, Any]]:
    """What was run; a line that a kill cut off is left out."""
    found = []
    for line in ledger.read_text("utf-8").splitlines() if ledger.exists() else []:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def summary(found: list[dict[str, Any]]) -> int:
    """Print how often what was run, and whatever failed; 1 where something did."""
    print("| tests | orders | minutes | failed |", "|---|---|---|---|", sep="\n")
    for name in dict.fromkeys(entry["tests"] for entry in found):
        own = [entry for entry in found if entry["tests"] == name]
        minutes = sum(entry["seconds"] for entry in own) / 60
        print(f"| {name} | {len(own)} | {minutes:.0f} | {sum(len(e['failed']) for e in own)} |")
    bad = [entry for entry in found if entry["code"]]
    for entry in bad:
        print(f"    {entry['tests']}, seed {entry['seed']}: {entry['failed'] or entry['last']}")
    return int(bool(bad))


if __name__ == "__main__":
    raise SystemExit(main())
