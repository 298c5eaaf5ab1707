"""One TTIR statement to its ops, before they have names: one function per family of ops."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from twill.frontend.opcodes import (
    ATOMIC_KINDS,
    BINARY,
    CAST,
    EXTERN,
    FLOAT_PREDICATES,
    INTEGER_PREDICATES,
    REDUCE_KINDS,
    UNARY,
)
from twill.frontend.ttir_tree import Statement
from twill.frontend.ttir_types import parse_type
from twill.ir.graph import Attribute, Type


class Refused(Exception):
    """The statement has no meaning in the Graph: the construct in the user's words, and advice."""

    def __init__(self, construct: str, advice: str) -> None:
        super().__init__(construct)
        self.construct = construct
        self.advice = advice


@dataclass(frozen=True)
class Draft:
    """An op whose operands and results are still SSA names of the TTIR. ignored: results that nothing may use."""

    opcode: str
    operands: tuple[str, ...]
    results: tuple[tuple[str, Type], ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def draft(statement: Statement) -> list[Draft] | None:
    """The ops a statement stands for; None when no family reads it. Raises Refused, UnknownType."""
    name = statement.name
    if name in UNARY:
        return _plain(statement, *UNARY[name])
    if name in BINARY:
        return _plain(statement, *BINARY[name])
    if name in CAST:
        return _cast(statement)
    family = _FAMILIES.get(name)
    return None if family is None else family(statement)


def result_type(statement: Statement) -> Type:
    """The type of a statement's (last) result, as its signature writes it; `true` and `false` have none."""
    written = statement.outputs or statement.inputs
    return parse_type(written[-1]) if written else Type("i1")


def _plain(statement: Statement, opcode: str, attributes: Mapping[str, Attribute]) -> list[Draft]:
    results = ((statement.results[0], result_type(statement)),)
    return [Draft(opcode, tuple(statement.operands), results, attributes)]


def _cast(statement: Statement) -> list[Draft]:
    opcode, attributes = CAST[statement.name]
    if result_type(statement).kind != "value":
        raise Refused("a cast of a pointer", "Pass the tensor with the element type the kernel reads.")
    if statement.attributes.get("rounding", "rtne") != "rtne" or "toward_zero" in statement.words:
        raise Refused("a cast that does not round to nearest even", "Use the default rounding.")
    return _plain(statement, opcode, attributes)


def _constant(statement: Statement) -> list[Draft]:
    kind = result_type(statement)
    text = statement.words[0]
    if text.startswith("dense<"):
        text = text[len("dense<") : -1]
    if text.startswith(("[", '"')):
        raise Refused("a constant tensor of several values", "Compute it from tl.arange.")
    return _plain(statement, "constant", {"value": literal(text, kind)})


def literal(text: str, kind: Type) -> bool | int | float:
    """An MLIR literal as a Python number; floats may be written as their bits in hexadecimal."""
    if text in ("true", "false"):
        return text == "true"
    if not kind.is_float:
        return bool(int(text)) if kind.dtype == "i1" else int(text)
    if not text.startswith("0x"):
        return float(text)
    bits = int(text, 16)
    if kind.dtype == "bf16":
        return float(struct.unpack("<f", struct.pack("<I", bits << 16))[0])
    code, unsigned = {"f16": ("e", "H"), "f32": ("f", "I"), "f64": ("d", "Q")}[kind.dtype]
    return float(struct.unpack(f"<{code}", struct.pack(f"<{unsigned}", bits))[0])


def _axis_of_grid(opcode: str) -> Callable[[Statement], list[Draft]]:
    def family(statement: Statement) -> list[Draft]:
        return _plain(statement, opcode, {"axis": "xyz".index(statement.words[0])})

    return family


def _arange(statement: Statement) -> list[Draft]:
    bounds: dict[str, Attribute] = {key: int(statement.attributes[key]) for key in ("start", "end")}
    return _plain(statement, "arange", bounds)


def _expand_dims(statement: Statement) -> list[Draft]:
    return _plain(statement, "expand_dims", {"axis": int(statement.attributes["axis"])})


def _trans(statement: Statement) -> list[Draft]:
    return _plain(statement, "trans", {"order": tuple(statement.attributes["order"])})


def _rename(opcode: str) -> Callable[[Statement], list[Draft]]:
    return lambda statement: _plain(statement, opcode, {})


def _extern(statement: Statement) -> list[Draft] | None:
    row = EXTERN.get(str(statement.attributes.get("symbol")))
    if row is None or len(statement.operands) != 1:
        symbol = statement.attributes.get("symbol")
        raise Refused(
            f"the extern function `{symbol}`",
            "Use tl.exp, tl.exp2, tl.log, tl.log2, tl.sqrt, tl.rsqrt, tl.sin, tl.cos, tl.erf or libdevice.tanh.",
        )
    return _plain(statement, *row)


def _integer_compare(statement: Statement) -> list[Draft]:
    predicate, signed = INTEGER_PREDICATES[statement.words[0]]
    return _compare(statement, {"predicate": predicate, "signed": signed, "unordered": False})


def _float_compare(statement: Statement) -> list[Draft]:
    word = statement.words[0]
    if word == "uno" and statement.operands[0] == statement.operands[1]:
        word = "une"  # x is unordered with itself exactly when x != x
    if word == "ord" and statement.operands[0] == statement.operands[1]:
        word = "oeq"
    if word not in FLOAT_PREDICATES:
        raise Refused("a comparison that only tests for NaN", "Test each value by `x != x`.")
    predicate, unordered = FLOAT_PREDICATES[word]
    return _compare(statement, {"predicate": predicate, "signed": True, "unordered": unordered})


def _compare(statement: Statement, attributes: Mapping[str, Attribute]) -> list[Draft]:
    result = Type("i1", result_type(statement).shape)
    return [Draft("cmp", tuple(statement.operands), ((statement.results[0], result),), attributes)]


def _select(statement: Statement) -> list[Draft]:
    require_value(result_type(statement))
    return _plain(statement, "select", {})


def require_value(chosen: Type) -> None:
    """Raises Refused when what a condition chooses is a pointer or a descriptor."""
    if chosen.kind != "value":
        raise Refused(
            f"a {chosen.kind} that a condition chooses",
            "Choose the offset instead, into one tensor for both cases.",
        )


def _dot(statement: Statement) -> list[Draft]:
    result = result_type(statement)
    if len(result.shape) != 2:
        raise Refused("a batched tl.dot", "Loop over the batch in the grid.")
    precision = str(statement.attributes.get("inputPrecision", "ieee"))
    return _plain(statement, "dot", {"precision": precision})


def _reduce(statement: Statement) -> list[Draft]:
    if len(statement.operands) != 1:
        raise Refused(
            "a reduction of several values at once (tl.argmax, tl.argmin, tl.max(return_indices=True), ...)",
            "Reduce one tile by sum, max, min or prod.",
        )
    body = [step for step in statement.regions[0].statements if step.name != "tt.reduce.return"]
    (arguments, _), *_rest = statement.regions[0].blocks
    kind = REDUCE_KINDS.get(body[0].name) if len(body) == 1 else None
    if kind is None or sorted(body[0].operands) != sorted(name for name, _ in arguments):
        raise Refused("a reduction by a function of its own", "Reduce by tl.sum, tl.max, tl.min or a product.")
    return _plain(statement, "reduce", {"axis": int(statement.attributes["axis"]), "kind": kind})


def _descriptor(statement: Statement) -> list[Draft]:
    if str(statement.attributes.get("padding", 1)) not in ("1", "PAD_ZERO", "zero"):
        raise Refused("a tensor descriptor padded with NaN", 'Use padding_option="zero".')
    text = statement.inputs[-1]
    kind = parse_type(text if text.startswith("!") else f"!tt.tensordesc{text}")
    results = ((statement.results[0], kind),)
    return [Draft("descriptor", tuple(statement.operands), results, {"rank": len(kind.shape)})]


def _load(statement: Statement) -> list[Draft]:
    pointer = parse_type(statement.inputs[0])
    result = Type(pointer.dtype, pointer.shape)
    return [Draft("load", tuple(statement.operands), ((statement.results[0], result),))]


def _addptr(statement: Statement) -> list[Draft]:
    results = ((statement.results[0], parse_type(statement.inputs[0])),)
    return [Draft("addptr", tuple(statement.operands), results)]


def _store(opcode: str) -> Callable[[Statement], list[Draft]]:
    return lambda statement: [Draft(opcode, tuple(statement.operands), ())]


def _atomic(statement: Statement) -> list[Draft]:
    """`tt.atomic_rmw KIND, ORDER, SCOPE, pointer, value, mask`; ORDER is not kept, as no load may read the memory."""
    kind, order, scope = statement.words[:3]
    if kind not in ATOMIC_KINDS:
        raise Refused(f"an atomic of kind {kind}", "Use tl.atomic_add, or tl.atomic_max and atomic_min of integers.")
    if order not in ("relaxed", "acq_rel"):
        raise Refused(f"an atomic of order {order}, by which programs signal to one another", 'Use sem="relaxed".')
    if scope != "gpu":
        raise Refused(f"an atomic of scope {scope}", 'Use scope="gpu".')
    attributes: Mapping[str, Attribute] = {"kind": ATOMIC_KINDS[kind]}
    return [Draft("atomic", tuple(statement.operands), (), attributes, tuple(statement.results))]


_FAMILIES: Mapping[str, Callable[[Statement], list[Draft] | None]] = {
    "arith.constant": _constant,
    "tt.get_program_id": _axis_of_grid("program_id"),
    "tt.get_num_programs": _axis_of_grid("num_programs"),
    "tt.make_range": _arange,
    "tt.splat": _rename("splat"),
    "tt.expand_dims": _expand_dims,
    "tt.broadcast": _rename("broadcast"),
    "tt.trans": _trans,
    "tt.reshape": _rename("reshape"),
    "math.fma": _rename("fma"),
    "tt.clampf": _rename("clamp"),
    "tt.extern_elementwise": _extern,
    "arith.cmpi": _integer_compare,
    "arith.cmpf": _float_compare,
    "arith.select": _select,
    "tt.dot": _dot,
    "tt.reduce": _reduce,
    "tt.make_tensor_descriptor": _descriptor,
    "tt.descriptor_load": _rename("descriptor_load"),
    "tt.descriptor_store": _store("descriptor_store"),
    "tt.load": _load,
    "tt.store": _store("store"),
    "tt.addptr": _addptr,
    "tt.atomic_rmw": _atomic,
}
