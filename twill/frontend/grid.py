"""Launch grids as text: the lambda of the decorator, checked to be arithmetic and nothing else.

The text travels in schedule files and is printed into generated launchers, so only a small language
is let through: numbers, the lambda's one parameter and its items, extents of tensors among these
(`.shape`, `.size(0)`, `.numel()`), arithmetic, comparisons, conditionals, tuples, min, max, abs, int,
len, and triton.cdiv and triton.next_power_of_2.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from twill.errors import InputError

_CALLS = {"min": min, "max": max, "abs": abs, "int": int, "len": len}
_NODES = (
    ast.Lambda, ast.arguments, ast.arg, ast.Tuple, ast.List, ast.Constant, ast.Name, ast.Load, ast.Subscript,
    ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop,
    ast.IfExp, ast.Call, ast.Attribute,
)  # fmt: skip


_TENSOR = ("shape", "size", "numel")  # what a grid may ask of an argument


@dataclass(frozen=True)
class Extents:
    """What a grid may ask of a tensor argument, as of a torch.Tensor."""

    shape: tuple[int, ...]

    def size(self, dimension: int) -> int:
        """The extent of one dimension."""
        return self.shape[dimension]

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


class _Triton:
    """The two functions of `triton` a grid may call."""

    @staticmethod
    def cdiv(a: int, b: int) -> int:
        return -(-a // b)

    @staticmethod
    def next_power_of_2(n: int) -> int:
        return 1 << (n - 1).bit_length()


def grid_text(grid: Any) -> str | None:
    """A self-contained lambda for the decorator's `grid`; None when it is not of the small language."""
    if isinstance(grid, (tuple, list)):
        return f"lambda a: {tuple(int(extent) for extent in grid)!r}"
    if not isinstance(grid, FunctionType):
        return None
    node = _lambda_of(grid)
    if node is None or len(node.args.args) != 1:
        return None
    names = inspect.getclosurevars(grid)
    node = _Inline({**names.globals, **names.nonlocals}).visit(node)
    return ast.unparse(node) if _problem(node) is None else None


def evaluate_grid(text: str, arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """The grid for these arguments (tensors: their `Extents`), padded with 1. Raises InputError."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise InputError(f"the launch grid {text!r} cannot be read: {error.msg}.") from None
    problem = _problem(tree.body)
    if problem is not None:
        raise InputError(
            f"the launch grid {text!r} contains {problem}.", hint="Only arithmetic on arguments is allowed."
        )
    function = eval(compile(tree, "<grid>", "eval"), {"__builtins__": {}, "triton": _Triton, **_CALLS})
    return padded_grid(function, arguments)


def padded_grid(grid: Any, arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """What `grid` (a function or a tuple) gives, padded with 1. Raises InputError."""
    try:
        found = grid(dict(arguments)) if callable(grid) else grid
        extents = [int(extent) for extent in (found if isinstance(found, (tuple, list)) else (found,))]
    except Exception as error:
        raise InputError(f"the launch grid cannot be computed: {type(error).__name__}: {error}.") from None
    if not 1 <= len(extents) <= 3:
        raise InputError(f"the launch grid has {len(extents)} extents, it must have one to three.")
    first, second, third = (*extents, 1, 1)[:3]
    return first, second, third


def _lambda_of(function: FunctionType) -> ast.Lambda | None:
    """The lambda expression a function was compiled from, or its single `return` as one."""
    try:
        source = inspect.findsource(function)[0]
        tree = ast.parse("".join(source))
    except (OSError, SyntaxError, TypeError):
        return None
    code, found = function.__code__, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno and _same(node, code):
            found.append(node)
        if isinstance(node, ast.FunctionDef) and node.lineno == code.co_firstlineno and node.name == code.co_name:
            *rest, last = node.body
            only_docstring = all(isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant) for step in rest)
            if only_docstring and isinstance(last, ast.Return) and last.value is not None:
                found.append(ast.Lambda(node.args, last.value))
    return found[0] if len(found) == 1 else None


def _same(node: ast.Lambda, code: Any) -> bool:
    """Whether `code` was compiled from `node`: two lambdas may share a line."""
    span = (node.body.lineno, node.body.col_offset, node.body.end_lineno, node.body.end_col_offset)
    places = [(p[0], p[2], p[1], p[3]) for p in code.co_positions() if None not in p and p[2] != p[3]]
    return span in places and all(span[:2] <= place[:2] for place in places)


class _Inline(ast.NodeTransformer):
    """Replaces names of the module: numbers by their value, `cdiv` by `triton.cdiv`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.values.get(node.id)
        if isinstance(value, (int, float, str)):
            return ast.Constant(value)
        name = getattr(value, "__name__", "")
        if name in ("cdiv", "next_power_of_2") and str(getattr(value, "__module__", "")).startswith("triton"):
            return ast.Attribute(ast.Name("triton", ast.Load()), name, ast.Load())
        if inspect.ismodule(value) and value.__name__ == "triton":
            return ast.Name("triton", ast.Load())
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        return ast.Lambda(node.args, self.visit(node.body))


def _problem(tree: ast.AST) -> str | None:
    """The first thing in the expression outside the small language, None when there is none."""
    if not isinstance(tree, ast.Lambda) or len(tree.args.args) != 1 or tree.args.defaults:
        return "something other than a lambda of one parameter"
    parameter = tree.args.args[0].arg
    keys = {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and not isinstance(node.value, int) and id(node) not in keys:
            return f"the value {node.value!r}"
        if not isinstance(node, _NODES) or isinstance(node, (ast.Pow, ast.LShift)):
            return f"a {type(node).__name__}"
        if isinstance(node, ast.Name) and node.id not in (parameter, "triton", *_CALLS):
            return f"the name `{node.id}`"
        if isinstance(node, ast.Attribute):
            inside_triton = isinstance(node.value, ast.Name) and node.value.id == "triton"
            allowed = inside_triton and node.attr in ("cdiv", "next_power_of_2")
            if not allowed and not (_is_item(node.value, parameter) and node.attr in _TENSOR):
                return f"the attribute `{node.attr}`"
        if isinstance(node, ast.Lambda) and node is not tree:
            return "a second lambda"
    return None


def _is_item(node: ast.AST, parameter: str) -> bool:
    """`a["NAME"]`, of the lambda's parameter."""
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == parameter
