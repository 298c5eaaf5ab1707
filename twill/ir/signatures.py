"""One rule per opcode: which operands, result and attributes it takes.

A rule is a function of a `Subject` (`subject.py`: an op with the types of its operands) that calls
`subject.require(condition, message)`; messages name both sides of what does not match.
"""

from __future__ import annotations

from collections.abc import Callable

from twill.ir.graph import Type
from twill.ir.opcodes import ATOMICS, BINARY, FLOAT_UNARY, PRECISIONS, PREDICATES, REDUCTIONS, UNARY
from twill.ir.subject import Subject
from twill.ir.text import print_type


def _constant(s: Subject) -> None:
    s.operands(0)
    s.values(s.result)
    value = s.op.attributes.get("value")
    if s.result.is_float:
        s.attribute("value", float)
    elif s.result.dtype == "i1":
        s.attribute("value", bool)
    else:
        s.attribute("value", int)
        bits = s.result.bits
        assert isinstance(value, int)
        s.require(-(2 ** (bits - 1)) <= value < 2 ** (bits - 1), f"{value} does not fit in {s.result.dtype}")


def _program(s: Subject) -> None:
    s.operands(0)
    s.integer("axis", 0, 3)
    s.same(s.result, Type("i32"), "result and the type of a program index")


def _arange(s: Subject) -> None:
    s.operands(0)
    start, end = s.integer("start", -(2**31), 2**31), s.integer("end", -(2**31), 2**31)
    s.require(start < end, f"start {start} is not below end {end}")
    s.same(s.result, Type("i32", (end - start,)), "result and the range")


def _splat(s: Subject) -> None:
    s.operands(1)
    (x,) = s.types
    s.require(x.shape == (), f"the operand is {print_type(x)}, not a scalar")
    s.require(s.result.shape != (), "the result is a scalar, not a tensor")
    s.same(s.result, Type(x.dtype, s.result.shape, x.kind), "result and the splatted operand")


def _expand_dims(s: Subject) -> None:
    s.operands(1)
    (x,) = s.types
    axis = s.integer("axis", 0, len(x.shape) + 1)
    s.same(s.result, Type(x.dtype, (*x.shape[:axis], 1, *x.shape[axis:]), x.kind), "result and the expanded operand")


def _broadcast(s: Subject) -> None:
    s.operands(1)
    (x,) = s.types
    fits = len(x.shape) == len(s.result.shape) and all(
        a in (1, b) for a, b in zip(x.shape, s.result.shape, strict=True)
    )
    s.require(fits, f"{print_type(x)} does not stretch to {print_type(s.result)}")
    s.same(s.result, Type(x.dtype, s.result.shape, x.kind), "result and the stretched operand")


def _trans(s: Subject) -> None:
    s.operands(1)
    (x,) = s.types
    order = s.attribute("order", tuple)
    assert isinstance(order, tuple)
    s.require(sorted(order) == list(range(len(x.shape))), f"order {order} does not permute the axes of {print_type(x)}")
    s.same(s.result, Type(x.dtype, tuple(x.shape[i] for i in order), x.kind), "result and the transposed operand")


def _reshape(s: Subject) -> None:
    s.operands(1)
    (x,) = s.types
    s.require(x.size == s.result.size, f"{print_type(x)} has {x.size} elements, the result {s.result.size}")
    s.same(s.result, Type(x.dtype, s.result.shape, x.kind), "result and the reshaped operand")


def _unary(s: Subject) -> None:
    s.operands(1)
    s.values(*s.types)
    s.same(s.result, s.types[0], "result and operand")
    if s.op.opcode in FLOAT_UNARY:
        s.require(s.result.is_float, f"{print_type(s.result)} is not a float")
    if s.op.opcode == "not":
        s.require(not s.result.is_float, f"{print_type(s.result)} is not an integer")


def _binary(s: Subject) -> None:
    s.operands(2)
    s.values(*s.types)
    s.same(s.types[0], s.types[1], "operands")
    s.same(s.result, s.types[0], "result and operands")
    s.attribute("signed", bool, True)
    s.attribute("propagate_nan", bool, False)
    if s.op.opcode in ("and", "or", "xor", "shl", "shr"):
        s.require(not s.result.is_float, f"{print_type(s.result)} is not an integer")
    if s.op.opcode == "pow":
        s.require(s.result.is_float, f"{print_type(s.result)} is not a float")


def _ternary(s: Subject) -> None:
    s.operands(3)
    s.values(*s.types)
    for type in s.types:
        s.same(s.result, type, "result and operand")
    if s.op.opcode == "clamp":
        s.attribute("propagate_nan", bool, False)
        s.attribute("signed", bool, True)


def _cmp(s: Subject) -> None:
    s.operands(2)
    s.values(*s.types)
    s.same(s.types[0], s.types[1], "operands")
    s.same(s.result, Type("i1", s.types[0].shape), "result and a comparison of the operands")
    s.choice("predicate", PREDICATES)
    s.attribute("signed", bool, True)
    s.attribute("unordered", bool, False)


def _select(s: Subject) -> None:
    s.operands(3)
    condition, a, b = s.types
    s.require(
        condition.dtype == "i1" and condition.kind == "value", f"the condition is {print_type(condition)}, not i1"
    )
    if condition.shape:
        s.same_shape(condition, s.result, "condition and result")
    s.same(a, b, "the two choices")
    s.same(s.result, a, "result and choice")


def _cast(s: Subject) -> None:
    s.operands(1)
    s.values(s.types[0], s.result)
    s.same_shape(s.result, s.types[0], "result and operand")
    s.attribute("signed", bool, True)


def _bitcast(s: Subject) -> None:
    s.operands(1)
    s.same_shape(s.result, s.types[0], "result and operand")
    s.require(s.result.kind == s.types[0].kind, f"{print_type(s.types[0])} is of another kind than the result")
    s.require(s.result.bits == s.types[0].bits, f"{s.types[0].bits} bits do not become {s.result.bits} bits")


def _reduce(s: Subject) -> None:
    s.operands(1)
    (x,) = s.types
    s.values(x)
    axis = s.integer("axis", 0, len(x.shape))
    s.choice("kind", REDUCTIONS)
    s.attribute("signed", bool, True)
    s.attribute("propagate_nan", bool, False)
    s.same(s.result, Type(x.dtype, x.shape[:axis] + x.shape[axis + 1 :]), "result and the reduced operand")


def _dot(s: Subject) -> None:
    s.operands(3)
    a, b, c = s.types
    s.values(a, b, c)
    for type, what in ((a, "a"), (b, "b"), (c, "c")):
        s.require(len(type.shape) == 2, f"operand {what} is {print_type(type)}, not a matrix")
    s.require(a.shape[1] == b.shape[0], f"the inner extents of {print_type(a)} and {print_type(b)} differ")
    narrow = ("f8e4m3", "f8e5m2")
    s.require(a.dtype == b.dtype or (a.dtype in narrow and b.dtype in narrow), f"dtypes {a.dtype} and {b.dtype} differ")
    s.same(c, Type(c.dtype, (a.shape[0], b.shape[1])), "accumulator and the product's shape")
    s.same(s.result, c, "result and accumulator")
    s.require(c.is_float == a.is_float, f"{a.dtype} products do not accumulate in {c.dtype}")
    s.choice("precision", PRECISIONS, "ieee")


def _descriptor(s: Subject) -> None:
    rank = s.integer("rank", 1, 6)
    s.operands(1 + 2 * rank)
    base = s.types[0]
    s.require(base.kind == "pointer" and base.shape == (), f"the base is {print_type(base)}, not a pointer")
    for type in s.types[1:]:
        s.scalar_integer(type, "a size or stride")
    s.require(s.result.kind == "descriptor", f"the result is {print_type(s.result)}, not a descriptor")
    s.require(len(s.result.shape) == rank, f"block shape {s.result.shape} is not of rank {rank}")
    s.require(s.result.dtype == base.dtype, f"dtypes of base {base.dtype} and descriptor {s.result.dtype} differ")


def _access(s: Subject, tile: Type, offsets: tuple[Type, ...]) -> None:
    descriptor = s.types[0]
    s.require(len(offsets) == len(descriptor.shape), f"{len(offsets)} offsets for {print_type(descriptor)}")
    for type in offsets:
        s.scalar_integer(type, "an offset")
    s.values(tile)
    s.require(
        tile.dtype == descriptor.dtype and _squeezed(tile.shape) == _squeezed(descriptor.shape),
        f"{print_type(descriptor)} does not hold tiles of type {print_type(tile)}",
    )


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without its axes of one element: a tile may leave those of its block out."""
    return tuple(extent for extent in shape if extent != 1)


def _descriptor_load(s: Subject) -> None:
    s.operands(1, 99)
    s.require(s.types[0].kind == "descriptor", f"{print_type(s.types[0])} is not a descriptor")
    _access(s, s.result, s.types[1:])


def _descriptor_store(s: Subject) -> None:
    s.operands(2, 99)
    s.require(s.types[0].kind == "descriptor", f"{print_type(s.types[0])} is not a descriptor")
    _access(s, s.types[-1], s.types[1:-1])


def _addptr(s: Subject) -> None:
    s.operands(2)
    pointer, offset = s.types
    s.require(pointer.kind == "pointer", f"{print_type(pointer)} is not a pointer")
    s.require(offset.kind == "value" and not offset.is_float, f"the offset is {print_type(offset)}, not an integer")
    s.same_shape(pointer, offset, "pointer and offset")
    s.same(s.result, pointer, "result and pointer")


def _pointer(s: Subject, tile: Type, mask: Type | None) -> None:
    pointer = s.types[0]
    s.same(pointer, Type(tile.dtype, tile.shape, "pointer"), "pointer and what it is to point at")
    if mask is not None:
        s.same(mask, Type("i1", tile.shape), "mask and one i1 an element")


def _load(s: Subject) -> None:
    s.operands(1, 3)
    _pointer(s, s.result, s.types[1] if len(s.types) > 1 else None)
    if len(s.types) == 3:
        s.same(s.types[2], s.result, "the value of masked elements and the result")


def _async_load(s: Subject) -> None:
    s.operands(1, 2)
    s.require(len(s.result.shape) == 2, f"{print_type(s.result)} is not a matrix")
    _pointer(s, s.result, s.types[1] if len(s.types) > 1 else None)


def _store(s: Subject) -> None:
    s.operands(2, 3)
    _pointer(s, s.types[1], s.types[2] if len(s.types) > 2 else None)


def _atomic(s: Subject) -> None:
    s.operands(2, 3)
    _pointer(s, s.types[1], s.types[2] if len(s.types) > 2 else None)
    kind = s.choice("kind", ATOMICS)
    dtype = s.types[1].dtype
    allowed = ("i32", "i64") if kind != "add" else ("i32", "i64", "f16", "bf16", "f32", "f64")
    s.require(dtype in allowed, f"an atomic {kind} takes {', '.join(allowed)}, not {dtype}")


RULES: dict[str, tuple[Callable[[Subject], None], frozenset[str]]] = {
    "constant": (_constant, frozenset({"value"})),
    "program_id": (_program, frozenset({"axis"})),
    "num_programs": (_program, frozenset({"axis"})),
    "arange": (_arange, frozenset({"start", "end"})),
    "splat": (_splat, frozenset()),
    "expand_dims": (_expand_dims, frozenset({"axis"})),
    "broadcast": (_broadcast, frozenset()),
    "trans": (_trans, frozenset({"order"})),
    "reshape": (_reshape, frozenset()),
    **{opcode: (_unary, frozenset()) for opcode in UNARY},
    **{opcode: (_binary, frozenset({"signed", "propagate_nan"})) for opcode in BINARY},
    "fma": (_ternary, frozenset()),
    "clamp": (_ternary, frozenset({"signed", "propagate_nan"})),
    "cmp": (_cmp, frozenset({"predicate", "signed", "unordered"})),
    "select": (_select, frozenset()),
    "cast": (_cast, frozenset({"signed"})),
    "bitcast": (_bitcast, frozenset()),
    "reduce": (_reduce, frozenset({"axis", "kind", "signed", "propagate_nan"})),
    "dot": (_dot, frozenset({"precision"})),
    "descriptor": (_descriptor, frozenset({"rank"})),
    "descriptor_load": (_descriptor_load, frozenset()),
    "descriptor_store": (_descriptor_store, frozenset()),
    "addptr": (_addptr, frozenset()),
    "async_load": (_async_load, frozenset()),
    "load": (_load, frozenset()),
    "store": (_store, frozenset()),
    "atomic": (_atomic, frozenset({"kind"})),
}
"""Opcode -> its rule and the attributes it may carry."""
