"""What was tried and what came of it: ``ledger.tsv``, a line a mutant, which the repository keeps.

A line tells of the code and of the tests that it was tried with. So a run goes on where another
one ended, on whatever machine, and tries anew what has changed since: a mutant whose function has,
one that was seen by a test that has, and one that lives once any test of its group has.
"""

from __future__ import annotations

import ast
import functools
import os
import re
from dataclasses import astuple, dataclass
from pathlib import Path

from mutation.groups import DIGITS, GROUPS, ROOT, digest, digest_of, path
from mutation.mutants import Mutant, mutants

LEDGER, JUDGED = (Path(__file__).with_name(f"{name}.tsv") for name in ("ledger", "judged"))
LIVES, SEEN = ("survived", "no test"), ("killed", "no end")
TITLE = "# mutant\toutcome\tcode\ttests (see ledger.py)\n"


@dataclass(frozen=True)
class Entry:
    """A line of the ledger.

    Attributes
    ----------
    name : str
        Module and key of a mutant.
    outcome : str
        ``killed``; ``no end``, which is seen as well; ``survived``; ``no test``, where none passes
        the line; ``error`` of what tries them.
    code : str
        Digest of the function, class or statement of the module that it is in.
    tests : str
        Digest of the test that saw it, or of all files of tests of the group.
    """

    name: str
    outcome: str
    code: str
    tests: str

    @property
    def lives(self) -> bool:
        """Whether no test saw the mutant."""
        return self.outcome in LIVES


def code_of(source: str, mutant: Mutant) -> str:
    """Digest of the outermost function, class or statement that a mutant is in.

    Examples
    --------
    >>> from mutation.mutants import mutants
    >>> source = "N = 1\\ndef f():\\n    return N + 1\\n"
    >>> [code_of(source, m) == code_of("\\n" + source, m) for m in mutants(source)[:1]]
    [False]
    """
    around = (n for n in ast.parse(source).body if n.lineno <= mutant.line <= (n.end_lineno or 0))
    parts = [ast.get_source_segment(source, node) or "" for node in around]
    return digest("".join(parts).encode())


def digest_of_test(by: str) -> str:
    """Digest of a test by its id of pytest: its function, or its file where that has none.

    Its fixtures, and what it imports, are not looked at.
    """
    file, _, name = by.partition("::")
    text = (ROOT / file).read_text("utf-8")
    own = _functions(text)
    # Ids are test_name[parameters], and package.module.name of examples.
    return next((own[n] for n in re.split(r"[.\[]", name) if n in own), digest(text.encode()))


def holds(entry: Entry, code: str, files: list[Path]) -> bool:
    """Whether an entry is of this code, and of tests that are still what they were."""
    tests = {digest_of(files)}
    for file in files if entry.outcome in SEEN else ():
        tests |= {digest_of([file]), *_functions(file.read_text("utf-8")).values()}
    return entry.outcome != "error" and entry.code == code and entry.tests in tests


@functools.cache
def _functions(source: str) -> dict[str, str]:
    """Digests of the functions and classes of a module by their names."""
    return {
        node.name: digest((ast.get_source_segment(source, node) or "").encode())
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def remember(entry: Entry) -> None:
    """Add a line, which counts in place of an earlier one of the same mutant."""
    with LEDGER.open("a", encoding="utf-8") as file:
        file.write("\t".join(astuple(entry)) + "\n")


def remembered() -> dict[str, Entry]:
    """The last entry of every mutant by its name; what was cut by a kill is no entry."""
    lines = LEDGER.read_text("utf-8").splitlines() if LEDGER.exists() else []
    parts = (line.split("\t") for line in lines if not line.startswith("#"))
    return {part[0]: Entry(*part) for part in parts if len(part) == 4 and len(part[3]) == DIGITS}


def tidy() -> None:
    """Sort the lines, and leave out what is superseded, or of mutants that are no more."""
    every = {
        f"{module} {mutant.key}"
        for modules, _ in GROUPS.values()
        for module in modules
        for mutant in mutants(path(module).read_text("utf-8"))
    }
    kept = sorted(astuple(entry) for name, entry in remembered().items() if name in every)
    text = TITLE + "".join("\t".join(line) + "\n" for line in kept)
    part = LEDGER.with_suffix(f".{os.getpid()}")
    part.write_text(text, "utf-8")
    os.replace(part, LEDGER)


def judged() -> dict[str, str]:
    """Why a survivor is no fault, by its name."""
    lines = JUDGED.read_text("utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines if line and not line.startswith("#"))
