"""Scalar expressions that the launcher evaluates, as plain Python."""

from __future__ import annotations

from twill.codegen.literals import literal
from twill.codegen.statements import Apply, Expr, Literal, Name
from twill.errors import Unsupported

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr": ">>", "rem": "%",
    "div": "//",
}  # fmt: skip


def host(expr: Expr) -> str:
    """Python source of a host-side scalar expression."""
    if isinstance(expr, Name):
        return expr.text
    if isinstance(expr, Literal):
        return literal(expr.value, expr.type)
    if isinstance(expr, Apply):
        operands = [host(operand) for operand in expr.operands]
        if expr.opcode == "cast":
            return operands[0]
        parts = [f"({text})" if " " in text else text for text in operands]
        if expr.opcode in _INFIX:
            return f"{parts[0]} {_INFIX[expr.opcode]} {parts[1]}"
        if expr.opcode in {"max", "min"}:
            return f"{expr.opcode}({', '.join(operands)})"
    raise Unsupported("the launcher cannot compute the shape of a tensor descriptor from this expression.")
