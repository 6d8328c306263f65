"""Small faults that a program could have, one at a time: mutants of a module's source.

The operators are those of mutation testing's literature (Jia and Harman, An analysis and survey of
the development of mutation testing, 2011, table 3) on Python's syntax tree. Left alone is what no
test should see: annotations, decorators, messages, asserts for the type checker, and ``strict=``
of `zip`, which matters in wrong programs alone.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.MatMult: ast.Mult,
}
CALLS = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "minimum": "maximum",
    "maximum": "minimum",
    "floor": "ceil",
    "ceil": "floor",
    "sorted": "list",
    "zeros": "ones",
    "ones": "zeros",
}


@dataclass(frozen=True)
class Mutant:
    """One change of a module.

    Attributes
    ----------
    where : str
        Function or class that it is in, with dots.
    line : int
        First line of the changed expression.
    change : str
        What became of what; the second alike one of a function ends with ``#2``.
    node, choice : int
        Which node of the tree, in the order of the walk, and which change of it.
    on_import : bool
        Whether it lies outside the bodies of functions.
    """

    where: str
    line: int
    change: str
    node: int
    choice: int
    on_import: bool

    @property
    def key(self) -> str:
        """The same as long as the function is, wherever it stands in its file."""
        return f"{self.where or '(module)'}: {self.change}"


def mutants(source: str) -> list[Mutant]:
    """All of a module, in the order of their places.

    Examples
    --------
    >>> [m.change for m in mutants("def f(n):\\n    return n < 1\\n")]
    ['return n < 1 -> return None', 'n < 1 -> n <= 1', 'n < 1 -> n >= 1', '1 -> 2', '1 -> 0']
    """
    found: list[Mutant] = []
    seen: Counter[tuple[str, str]] = Counter()
    for index, (node, where, on_import) in enumerate(_places(ast.parse(source), "", True)):
        for choice, changed in enumerate(_changes(node)):
            change = f"{_text(node)} -> {_text(changed)}"
            seen[where, change] += 1
            if seen[where, change] > 1:
                change += f" #{seen[where, change]}"
            found.append(Mutant(where, node.lineno, change, index, choice, on_import))
    return found


def mutated(source: str, mutant: Mutant) -> ast.Module:
    """The module with one change, ready to be compiled."""
    tree = ast.parse(source)
    nodes = [node for node, *_ in _places(tree, "", True)]
    old = nodes[mutant.node]
    new = ast.copy_location(_changes(old)[mutant.choice], old)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                setattr(parent, name, [new if item is old else item for item in value])
    return ast.fix_missing_locations(tree)


def _places(
    node: ast.AST, where: str, on_import: bool
) -> Iterator[tuple[ast.expr | ast.stmt, str, bool]]:
    """Nodes that may be changed, what they lie in, and whether they run at import."""
    if isinstance(node, ast.Assert | ast.JoinedStr):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}" if where else node.name
    if isinstance(node, ast.expr | ast.stmt):
        yield node, where, on_import
    if isinstance(node, ast.Raise):  # its message
        return
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        inside = on_import and not (isinstance(node, ast.FunctionDef) and name == "body")
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue
            if isinstance(child, ast.AST):
                yield from _places(child, where, inside)


def _text(node: ast.AST) -> str:
    """The node as source on one line, the middle of long ones left out."""
    if isinstance(node, ast.If | ast.While):
        node = copy.copy(node)
        node.body, node.orelse = [ast.Expr(ast.Constant(...))], []
    text = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    return text if len(text) <= 90 else f"{text[:60]} ... {text[-25:]}"


def _changes(node: ast.AST) -> list[ast.expr | ast.stmt]:
    """What a node could have been by mistake."""
    return [
        change
        for kind, change_of in _OPERATORS
        if isinstance(node, kind)
        for change in change_of(node)
    ]


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    for i, operator in enumerate(node.ops):
        for other in COMPARISONS[type(operator)]:
            yield _with(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])


def _binary(node: ast.BinOp | ast.AugAssign) -> Iterator[ast.AST]:
    yield _with(node, op=ARITHMETIC[type(node.op)]())


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)


def _call(node: ast.Call) -> Iterator[ast.AST]:
    function = node.func
    if isinstance(function, ast.Name) and function.id in CALLS:
        yield _with(node, func=ast.Name(CALLS[function.id], ast.Load()))
    elif isinstance(function, ast.Attribute) and function.attr in CALLS:
        yield _with(node, func=_with(function, attr=CALLS[function.attr]))


def _slice(node: ast.Slice) -> Iterator[ast.AST]:
    """Bounds that are one off; those that are numbers change as constants."""
    for name, operator in (("lower", ast.Add()), ("upper", ast.Sub())):
        bound = getattr(node, name)
        if bound is not None and not isinstance(bound, ast.Constant):
            yield _with(node, **{name: ast.BinOp(bound, operator, ast.Constant(1))})


def _negated(node: ast.If | ast.IfExp | ast.While) -> Iterator[ast.AST]:
    if not isinstance(node.test, ast.Compare | ast.UnaryOp | ast.BoolOp):  # those have their own
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _returned(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and ast.unparse(node.value) != "None":
        yield _with(node, value=ast.Constant(None))


def _left_out(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call):
        return
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name | ast.Tuple):
        return  # the name would be missing: found by anyone who comes by
    yield ast.Pass()


def _jump(node: ast.Break | ast.Continue) -> Iterator[ast.AST]:
    yield ast.Continue() if isinstance(node, ast.Break) else ast.Break()


_OPERATORS = (
    (ast.Compare, _compare),
    (ast.BinOp, _binary),
    (ast.AugAssign, _binary),
    (ast.BoolOp, _boolean),
    (ast.UnaryOp, _unary),
    (ast.Constant, _constant),
    (ast.Call, _call),
    (ast.Slice, _slice),
    ((ast.If, ast.IfExp, ast.While), _negated),
    (ast.Return, _returned),
    ((ast.Expr, ast.Assign, ast.AugAssign, ast.Raise), _left_out),
    ((ast.Break, ast.Continue), _jump),
)
