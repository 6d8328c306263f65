"""A module with a change: exchanged in a process that has it, or imported in one that has not."""

from __future__ import annotations

import ast
import gc
import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mutation.groups import SRC, path


def exchange(file: Path, tree: ast.Module) -> None:
    """Give the functions of a loaded module the code of a tree."""

    def codes(code: types.CodeType) -> Iterator[types.CodeType]:
        yield code
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                yield from codes(constant)

    new = {(c.co_qualname, c.co_firstlineno): c for c in codes(compile(tree, str(file), "exec"))}
    for thing in gc.get_objects():
        # Not isinstance: asking what they are wakes objects of libraries that load when touched.
        if type(thing) is types.FunctionType and thing.__code__.co_filename == str(file):
            code = new[thing.__code__.co_qualname, thing.__code__.co_firstlineno]
            thing.__code__ = code  # refused where it sees other names of the function around it


def preload(module: str) -> None:
    """Import what does not lead to the module: a fork would pay for it again and again."""
    target = f"unnoise.{module}"
    imported = {name: {*imports(file), *parents(name)} for name, file in modules().items()}
    leads = {target}
    while more := {n for n, found in imported.items() if found & leads} - leads:
        leads |= more
    for name in sorted(set(imported) - leads):
        if ".app" not in name:  # Qt and the page are for other tests
            importlib.import_module(name)
    assert target not in sys.modules


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    return {
        ".".join(file.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (SRC / "unnoise").rglob("*.py")
        if file.name != "__main__.py"
    }


def parents(name: str) -> list[str]:
    """The packages that are imported before a module."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def imports(file: Path) -> Iterator[str]:
    """The modules that one names, wherever; of packages their names alone."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in (n for top in tree.body if not for_types(top) for n in ast.walk(top)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def for_types(node: ast.AST) -> bool:
    """Whether a statement is one that only type checkers read."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


class Changed:
    """A finder of modules that has one alone, from a tree."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.name, self.code = module, compile(tree, str(path(module[8:])), "exec")

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """Of the module that was changed; None of others."""
        if name != self.name:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        assert found is not None
        found.loader = self
        return found

    def create_module(self, spec: object) -> None:
        """A module as usual."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the changed code in place of the file's."""
        exec(self.code, module.__dict__)
