"""Prints the expressions of a role's program as Gluon."""

from __future__ import annotations

from collections.abc import Callable

from twill.codegen.iterations import iteration_text, slot_text
from twill.codegen.layout_constants import LayoutConstants
from twill.codegen.layouts import Layout
from twill.codegen.literals import GLUON_DTYPES, literal
from twill.codegen.statements import Apply, Convert, Expr, Index, Literal, Name, ReadTile, Tile
from twill.errors import Unsupported
from twill.ir.graph import Type

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr": ">>", "rem": "%",
}  # fmt: skip
_CALLS = {
    name: f"gl.{name}"
    for name in ("abs", "exp", "exp2", "log", "log2", "sqrt", "rsqrt", "sin", "cos", "erf", "floor", "ceil", "fma")
}
_PREDICATES = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_REDUCTIONS = {"sum": "gl.sum", "max": "gl.max", "min": "gl.min"}


class Printer:
    """Prints expressions; `layouts` collects the layouts they name."""

    def __init__(self) -> None:
        self.layouts = LayoutConstants()

    def expr(self, expr: Expr) -> str:
        """Gluon source of an expression."""
        if isinstance(expr, Name):
            return expr.text
        if isinstance(expr, Literal):
            return literal(expr.value, expr.type)
        if isinstance(expr, Index):
            return self._index(expr)
        if isinstance(expr, Convert):
            return f"gl.convert_layout({self.full(expr.operand)}, {self.layouts.name(expr.layout)})"
        if isinstance(expr, Tile):
            return self.tile(expr)
        if isinstance(expr, ReadTile):
            return f"{self.tile(expr.tile)}.load({self.layouts.name(expr.layout)})"
        return self._apply(expr)

    def full(self, expr: Expr) -> str:
        """Like `expr`, with a broadcast or a splat made explicit: the context does not stretch it."""
        if isinstance(expr, Apply) and expr.type.shape:
            if expr.opcode == "broadcast":
                return f"{self.atom(expr.operands[0])}.broadcast_to({list(expr.type.shape)})"
            if expr.opcode == "splat":
                return self._full(expr.type, self.expr(expr.operands[0]), expr.layout)
        return self.expr(expr)

    def atom(self, expr: Expr) -> str:
        """The expression, in parentheses unless it binds tightly anyway."""
        text = self.expr(expr)
        simple = text.replace("_", "a").replace(".", "a").isalnum() or _closed(text)
        return text if simple else f"({text})"

    def tile(self, tile: Tile) -> str:
        text = tile.buffer
        if tile.depth and tile.iteration is not None:
            text += f".index({slot_text(tile.iteration, tile.depth, tile.since)})"
        for view, numbers in tile.views:
            text += f".{view}({list(numbers)})"
        return text

    def _index(self, expr: Index) -> str:
        step = self.atom(expr.step)
        at = iteration_text(expr.iteration)
        if step == "1":
            product = at
        else:
            product = f"({at}) * {step}" if " " in at else f"{at} * {step}"
        lower = self.expr(expr.lower)
        return product if lower == "0" else f"{self.atom(expr.lower)} + {product}"

    def _full(self, type: Type, value: str, layout: Layout | None) -> str:
        if layout is None:
            raise AssertionError("a tile without a layout")
        return f"gl.full({list(type.shape)}, {value}, {GLUON_DTYPES[type.dtype]}, {self.layouts.name(layout)})"

    def _apply(self, expr: Apply) -> str:
        special: Callable[[Apply], str] | None = getattr(self, f"_op_{expr.opcode}", None)
        if special is not None:
            return special(expr)
        if expr.opcode in _INFIX:
            return self._infix(_INFIX[expr.opcode], expr)
        operands = self._operands(expr)
        if expr.opcode in _CALLS:
            return f"{_CALLS[expr.opcode]}({', '.join(strip(operand) for operand in operands)})"
        raise Unsupported(f"the code generator has no Gluon for `{expr.opcode}` yet.")

    def _operands(self, expr: Apply) -> list[str]:
        """Operands of an elementwise op, at least one of them a full tile when the result is one."""
        texts = [self.atom(operand) for operand in expr.operands]
        if expr.type.shape and not any(_is_tile(operand) for operand in expr.operands):
            first = expr.operands[0]
            type = expr.operand_types[0] if expr.operand_types else expr.type
            inner = first.operands[0] if isinstance(first, Apply) and first.opcode == "splat" else first
            texts[0] = self._full(type, self.expr(inner), expr.layout)
        return texts

    def _infix(self, sign: str, expr: Apply) -> str:
        """Gluon reads the operator by the signs of its operands' types: all are unsigned where the op is."""
        if _signed(expr):
            a, b = self._operands(expr)
            return f"{a} {sign} {b}"
        a, b = self._without_signs(expr)
        return f"({a} {sign} {b}).to({GLUON_DTYPES[expr.type.dtype]}, bitcast=True)"

    def _without_signs(self, expr: Apply) -> list[str]:
        """Operands whose type is unsigned, of the bits of the first; numbers take the type of what they meet."""
        bits = (expr.operand_types or (expr.type,))[0].bits
        found = []
        for text, operand in zip(self._operands(expr), expr.operands, strict=True):
            number = _without_sign(text, bits)
            if strip(number).isdigit():
                found.append(strip(number))
                continue
            if not (expr.type.shape and _is_tile(operand)) and not text.startswith("gl.full("):
                text = f"gl.to_tensor({strip(text)})"
            found.append(f"{text}.to(gl.uint{bits}, bitcast=True)")
        return found

    def _op_constant(self, expr: Apply) -> str:
        value = literal(expr.attributes["value"], expr.type)
        return self._full(expr.type, value, expr.layout) if expr.type.shape and expr.layout is not None else value

    def _op_splat(self, expr: Apply) -> str:
        return self.expr(expr.operands[0])

    def _op_broadcast(self, expr: Apply) -> str:
        return self.expr(expr.operands[0])

    def _op_arange(self, expr: Apply) -> str:
        layout = f", layout={self.layouts.name(expr.layout)}" if expr.layout is not None else ""
        return f"gl.arange({expr.attributes['start']}, {expr.attributes['end']}{layout})"

    def _op_expand_dims(self, expr: Apply) -> str:
        return f"gl.expand_dims({self.full(expr.operands[0])}, {expr.attributes['axis']})"

    def _op_trans(self, expr: Apply) -> str:
        order = expr.attributes["order"]
        assert isinstance(order, tuple)
        return f"gl.permute({self.full(expr.operands[0])}, {list(order)})"

    def _op_reshape(self, expr: Apply) -> str:
        return f"gl.reshape({self.full(expr.operands[0])}, {list(expr.type.shape)})"

    def _op_addptr(self, expr: Apply) -> str:
        a, b = (self.atom(operand) for operand in expr.operands)
        return f"{a} + {b}"

    def _op_program_id(self, expr: Apply) -> str:
        return f"gl.program_id({expr.attributes['axis']})"

    def _op_num_programs(self, expr: Apply) -> str:
        return f"gl.num_programs({expr.attributes['axis']})"

    def _op_neg(self, expr: Apply) -> str:
        return f"-{self._operands(expr)[0]}"

    def _op_not(self, expr: Apply) -> str:
        return f"~{self._operands(expr)[0]}"

    def _op_div(self, expr: Apply) -> str:
        return self._infix("/" if expr.type.is_float else "//", expr)

    def _op_max(self, expr: Apply) -> str:
        return self._extremum("gl.maximum", expr)

    def _op_min(self, expr: Apply) -> str:
        return self._extremum("gl.minimum", expr)

    def _extremum(self, call: str, expr: Apply) -> str:
        if not _signed(expr):
            a, b = self._without_signs(expr)
            return f"{call}({a}, {b}).to({GLUON_DTYPES[expr.type.dtype]}, bitcast=True)"
        a, b = (strip(operand) for operand in self._operands(expr))
        nan = ", propagate_nan=gl.PropagateNan.ALL" if expr.attributes.get("propagate_nan") else ""
        return f"{call}({a}, {b}{nan})"

    def _op_clamp(self, expr: Apply) -> str:
        x, low, high = (strip(operand) for operand in self._operands(expr))
        return f"gl.minimum(gl.maximum({x}, {low}), {high})"

    def _op_cmp(self, expr: Apply) -> str:
        texts = self._operands(expr)
        if expr.attributes.get("signed", True) is False:
            # It is enough that one has no sign: the other is read as it is then.
            at = next((i for i, operand in enumerate(expr.operands) if _is_tile(operand)), 0)
            bits = expr.operand_types[at].bits
            first = texts[at] if expr.type.shape else f"gl.to_tensor({strip(texts[at])})"
            texts[1 - at] = _without_sign(texts[1 - at], bits)
            texts[at] = f"{first}.to(gl.uint{bits}, bitcast=True)"
        a, b = texts
        return f"{a} {_PREDICATES[str(expr.attributes['predicate'])]} {b}"

    def _op_select(self, expr: Apply) -> str:
        c, a, b = (strip(operand) for operand in self._operands(expr))
        return f"gl.where({c}, {a}, {b})"

    def _op_cast(self, expr: Apply) -> str:
        operand = self._operands(expr)[0]
        if expr.operand_types and expr.operand_types[0].dtype == "i1" and expr.type.dtype != "i1":
            operand = f"gl.where({strip(operand)}, {literal(1, expr.type)}, {literal(0, expr.type)})"
        elif not _signed(expr) and expr.operand_types and not expr.operand_types[0].is_float:
            operand = self._without_signs(expr)[0]
        elif not _signed(expr) and expr.operand_types and not expr.type.is_float:
            operand = f"{operand}.to(gl.uint{expr.type.bits})"
        return f"{operand}.to({GLUON_DTYPES[expr.type.dtype]})"

    def _op_bitcast(self, expr: Apply) -> str:
        return f"{self._operands(expr)[0]}.to({GLUON_DTYPES[expr.type.dtype]}, bitcast=True)"

    def _op_reduce(self, expr: Apply) -> str:
        kind = str(expr.attributes["kind"])
        if kind not in _REDUCTIONS:
            raise Unsupported(f"the code generator has no Gluon for a {kind} reduction yet.")
        return f"{_REDUCTIONS[kind]}({self.full(expr.operands[0])}, {expr.attributes['axis']})"

    def _op_load(self, expr: Apply) -> str:
        pointer = self._pointers(expr.operands[0])
        rest = [strip(self.atom(operand)) for operand in expr.operands[1:]]
        names = ("mask", "other")
        extra = "".join(f", {name}={text}" for name, text in zip(names, rest, strict=False))
        return f"gl.load({pointer}{extra})"

    def _pointers(self, operand: Expr) -> str:
        """As many pointers as elements are moved: a splat of one, as of a tile of one element, is spelled out."""
        if not isinstance(operand, Apply) or operand.opcode != "splat":
            return strip(self.atom(operand))
        zeros = self._full(Type("i32", operand.type.shape), "0", operand.layout)
        return f"{self.atom(operand.operands[0])} + {zeros}"

    def _op_store(self, expr: Apply) -> str:
        pointer = self._pointers(expr.operands[0])
        value = self.full(expr.operands[1])
        mask = f", mask={self.expr(expr.operands[2])}" if len(expr.operands) > 2 else ""
        return f"gl.store({pointer}, {value}{mask})"

    def _op_atomic(self, expr: Apply) -> str:
        pointer = self._pointers(expr.operands[0])
        value = self.full(expr.operands[1])
        mask = f", mask={self.expr(expr.operands[2])}" if len(expr.operands) > 2 else ""
        return f'gl.atomic_{expr.attributes["kind"]}({pointer}, {value}{mask}, sem="relaxed")'


def strip(text: str) -> str:
    """`text` without the one pair of parentheses that encloses all of it."""
    if not text.startswith("(") or not text.endswith(")"):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1]


def _signed(expr: Apply) -> bool:
    return expr.attributes.get("signed", True) is not False or (expr.operand_types or (expr.type,))[0].dtype == "i1"


def _without_sign(text: str, bits: int) -> str:
    """A whole number as its bits read without a sign; any other expression as it is."""
    digits = strip(text)
    return str(int(digits) % (1 << bits)) if digits.removeprefix("-").isdigit() else text


def _closed(text: str) -> bool:
    """`name(...)` or `name.attr(...)`: a call chain that needs no parentheses around it."""
    depth = 0
    for character in text:
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif depth == 0 and not (character.isalnum() or character in "_."):
            return False
    return not text.startswith("-")


def _is_tile(expr: Expr) -> bool:
    """The printed form is a tensor of full rank (a splat or a literal prints as a scalar)."""
    if isinstance(expr, Apply):
        if expr.opcode in {"splat"}:
            return False
        if expr.opcode == "broadcast":
            return _is_tile(expr.operands[0])
        return bool(expr.type.shape)
    return isinstance(expr, Name | Convert | ReadTile)
