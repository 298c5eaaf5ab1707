"""The source expression behind a position: Triton up to 3.6 gives an op the place of its last argument.

The expression is the smallest one around that place of the kind the op comes from: a call for a
load or a dot, a subscript for an expanded axis, an operator for arithmetic.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

Kinds = tuple[type[ast.AST], ...]

_OPERATOR: Kinds = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.AugAssign, ast.Call)
_CALL: Kinds = (ast.Call,)

_KINDS: Mapping[str, Kinds] = {
    "scf.for": (ast.For,),
    "scf.while": (ast.While,),
    "scf.if": (ast.If, ast.IfExp),
    "cf.cond_br": (ast.If,),
    "arith.constant": (),
    "tt.expand_dims": (ast.Subscript, ast.Call),
    "tt.trans": (ast.Attribute, ast.Call),
    "tt.splat": _OPERATOR,
    "tt.broadcast": _OPERATOR,
    "tt.addptr": _OPERATOR,
}

# What the called function is named, where an op comes from calls of certain names only.
_CALLED: Mapping[str, str] = {
    "tt.load": "load",
    "tt.descriptor_load": "load",
    "tt.store": "store",
    "tt.descriptor_store": "store",
    "tt.dot": "dot",
    "tt.make_tensor_descriptor": "make_tensor_descriptor",
    "tt.atomic_rmw": "atomic_",
    "tt.atomic_cas": "atomic_",
    "tt.descriptor_reduce": "atomic_",
}


def start(file: str, line: int, column: int, opname: str) -> tuple[int, int]:
    """(line, column) where the expression around a position starts; columns count from 0."""
    kinds = _KINDS.get(opname, _OPERATOR if opname.startswith("arith.") else _CALL)
    called = _CALLED.get(opname)
    around = [
        node for node in _nodes(file) if isinstance(node, kinds) and _span(node)[0] <= (line, column) < _span(node)[1]
    ]
    named = [node for node in around if called is not None and _function(node).startswith(called)]
    best: ast.AST | None = None
    for node in named or around:
        best = node if best is None or _inside(node, best) else best
    return _span(best)[0] if best is not None else (line, column)


def _span(node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
    begin = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
    return begin, (getattr(node, "end_lineno", 0) or 0, getattr(node, "end_col_offset", 0) or 0)


def _inside(inner: ast.AST, outer: ast.AST) -> bool:
    """Whether `inner` lies within `outer`."""
    return _span(inner)[0] >= _span(outer)[0] and _span(inner)[1] <= _span(outer)[1]


def _function(node: ast.AST) -> str:
    """The last name of what a call calls."""
    function = node.func if isinstance(node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _nodes(file: str) -> tuple[ast.AST, ...]:
    try:
        return _parsed(Path(file).read_text())
    except (OSError, SyntaxError, ValueError):
        return ()


@lru_cache(maxsize=8)
def _parsed(text: str) -> tuple[ast.AST, ...]:
    return tuple(node for node in ast.walk(ast.parse(text)) if hasattr(node, "lineno"))
