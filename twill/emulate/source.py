"""Reading a Gluon module: names of its allocations, and Gluon's meaning of loops and `.value`.

The module runs as ordinary Python with three differences, made on its syntax tree so that every line
keeps its number: numbers carried around a loop become 32-bit scalars of the machine, as Gluon's code
generator makes them; a turn of a `while` loop is counted; and `.value` of a compile-time constant works
although constants are plain Python values here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, FrameType

from twill.errors import InputError, Location

CARRY, TICK, VALUE = "__twill_carry__", "__twill_tick__", "__twill_value__"
_ALLOCATORS = {"allocate_shared_memory", "allocate_mbarrier", "allocate_tensor_memory"}


@dataclass(frozen=True)
class Source:
    """Compiled module and the variable each line's allocation is bound to."""

    filename: str
    code: CodeType
    names: dict[int, str]


def caller() -> Location | None:
    """The innermost line of an emulated file on the stack."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if CARRY in frame.f_builtins:
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def read(text: str, filename: str) -> Source:
    """Parse and compile `text`. Raises InputError on a syntax error."""
    try:
        tree = ast.parse(text, filename)
    except SyntaxError as error:
        raise InputError(
            f"syntax error: {error.msg}.", location=Location(filename, error.lineno or 0, error.offset or 0)
        ) from error
    lines = text.split("\n")
    pieces = [_rewritten(lines, statement) for statement in tree.body]
    tree.body = [statement for statement, _ in pieces]
    names = {line: name for _, some in pieces for line, name in some.items()}
    return Source(filename, compile(tree, filename, "exec", dont_inherit=True), names)


_known: dict[tuple[str, int, int], tuple[ast.stmt, dict[int, str]]] = {}  # of the last statements, by text and place
_MOST_KNOWN = 256


def _rewritten(lines: Sequence[str], statement: ast.stmt) -> tuple[ast.stmt, dict[int, str]]:
    """A statement of the module as it is run, and its allocations' names. What was rewritten before is not again:
    the mutation suite loads a module hundreds of times, with one of its functions changed."""
    first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])
    key = "\n".join(lines[first - 1 : statement.end_lineno]), statement.lineno, statement.col_offset
    if key not in _known:
        names = _allocation_names(statement)
        while len(_known) >= _MOST_KNOWN:
            del _known[next(iter(_known))]
        _known[key] = ast.fix_missing_locations(_Kernels().visit(statement)), names
    return _known[key]


def _allocation_names(tree: ast.stmt) -> dict[int, str]:
    names: dict[int, str] = {}
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if not isinstance(target, ast.Name):
            continue
        for call in ast.walk(node.value):
            if isinstance(call, ast.Call) and _last_name(call.func) in _ALLOCATORS:
                for line in range(call.lineno, (call.end_lineno or call.lineno) + 1):
                    names[line] = target.id
    return names


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class _Kernels(ast.NodeTransformer):
    """Finds the functions decorated with jit and rewrites their bodies."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        decorators = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
        if any(_last_name(d) == "jit" for d in decorators):
            body = _Body()
            node.body = [new for statement in node.body for new in _many(body.visit(statement))]
        else:
            self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """The methods of an aggregate are jitted, decorated or not."""
        if any(_last_name(d).lstrip("_") == "aggregate" for d in node.decorator_list):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    body = _Body()
                    method.body = [new for statement in method.body for new in _many(body.visit(statement))]
        else:
            self.generic_visit(node)
        return node


class _Body(ast.NodeTransformer):
    def visit_For(self, node: ast.For) -> list[ast.stmt]:
        self.generic_visit(node)
        if isinstance(node.iter, ast.Call) and _last_name(node.iter.func) == "static_range":
            return [node]
        return [*_carries(node), node]

    def visit_While(self, node: ast.While) -> list[ast.stmt]:
        self.generic_visit(node)
        carries = _carries(node)
        node.body.insert(0, _at(node, ast.Expr(_call(TICK))))
        return [*carries, node]

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if node.attr == "value" and isinstance(node.ctx, ast.Load):
            return ast.copy_location(_call(VALUE, node.value), node)
        return node


def _carries(loop: ast.For | ast.While) -> list[ast.stmt]:
    """`if "x" in locals(): x = carry(x)` for each name the loop assigns."""
    assigned: dict[str, None] = {}
    for statement in loop.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                assigned[node.id] = None
    result: list[ast.stmt] = []
    for name in assigned:
        bound = ast.Compare(ast.Constant(name), [ast.In()], [_call("locals")])
        carry = ast.Assign([ast.Name(name, ast.Store())], _call(CARRY, ast.Name(name, ast.Load())))
        result.append(_at(loop, ast.If(bound, [carry], [])))
    return result


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _at(where: ast.stmt, node: ast.stmt) -> ast.stmt:
    for inner in ast.walk(node):
        ast.copy_location(inner, where)
        if "lineno" in inner._attributes:  # one line, or compile() spreads it over the whole loop
            inner.end_lineno, inner.end_col_offset = where.lineno, where.col_offset  # type: ignore[attr-defined]
    return node


def _many(node: ast.AST | list[ast.stmt]) -> list[ast.stmt]:
    return node if isinstance(node, list) else [node]  # type: ignore[list-item]
