"""The opcodes of the IR, by what may be done with them. No stage keeps a list of its own."""

from __future__ import annotations

FLOAT_UNARY = frozenset(
    {"exp", "exp2", "log", "log2", "sqrt", "rsqrt", "sin", "cos", "tanh", "erf", "floor", "ceil"}
)  # fmt: skip
UNARY = FLOAT_UNARY | {"neg", "abs", "not"}
BINARY = frozenset({"add", "sub", "mul", "div", "rem", "max", "min", "and", "or", "xor", "shl", "shr", "pow"})
ELEMENTWISE = UNARY | BINARY | {"fma", "cmp", "select", "clamp", "cast", "bitcast"}

SHAPE = frozenset({"splat", "expand_dims", "broadcast", "trans", "reshape"})
"""Rearrange elements; they cost nothing where their result is used."""

SOURCES = frozenset({"constant", "arange", "program_id", "num_programs"})
"""Take no operands."""

LOADS = frozenset({"descriptor_load", "async_load", "load"})
FETCHES = frozenset({"descriptor_load", "async_load"})
"""Of the loads, those that a loader makes, into shared memory: by TMA, and by asynchronous copies."""

STORES = frozenset({"descriptor_store", "store", "atomic"})
POINTER_STORES = frozenset({"store", "atomic"})
"""Of the stores, those through pointers: operands are pointers, values and perhaps a mask."""
MEMORY = LOADS | STORES

PURE = SOURCES | SHAPE | ELEMENTWISE | {"reduce", "dot", "descriptor", "addptr"}

ATOMICS = frozenset({"add", "max", "min"})
REDUCTIONS = frozenset({"sum", "max", "min", "prod"})
PREDICATES = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
PRECISIONS = frozenset({"ieee", "tf32", "tf32x3", "bf16x3", "bf16x6"})
