"""The table from TTIR ops to the opcodes of `twill.ir.graph`, and the words for what has no row in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twill.ir.graph import Attribute

Row = tuple[str, Mapping[str, Attribute]]

UNARY: Mapping[str, Row] = {
    "arith.negf": ("neg", {}),
    "math.absf": ("abs", {}),
    "math.absi": ("abs", {}),
    "math.exp": ("exp", {}),
    "math.exp2": ("exp2", {}),
    "math.log": ("log", {}),
    "math.log2": ("log2", {}),
    "math.sqrt": ("sqrt", {}),
    "tt.precise_sqrt": ("sqrt", {}),
    "math.rsqrt": ("rsqrt", {}),
    "math.sin": ("sin", {}),
    "math.cos": ("cos", {}),
    "math.tanh": ("tanh", {}),
    "math.erf": ("erf", {}),
    "math.floor": ("floor", {}),
    "math.ceil": ("ceil", {}),
}

# Extern functions that are an opcode under another name: libdevice's, by symbol.
EXTERN: Mapping[str, Row] = {
    f"__nv_{name}{suffix}": (opcode, {})
    for name, opcode in (
        ("tanh", "tanh"), ("exp", "exp"), ("exp2", "exp2"), ("log", "log"), ("log2", "log2"), ("sqrt", "sqrt"),
        ("rsqrt", "rsqrt"), ("sin", "sin"), ("cos", "cos"), ("erf", "erf"), ("floor", "floor"), ("ceil", "ceil"),
        ("fabs", "abs"),
    )
    for suffix in ("", "f")
}  # fmt: skip

_SIGNED: Mapping[str, Attribute] = {"signed": True}
_UNSIGNED: Mapping[str, Attribute] = {"signed": False}

BINARY: Mapping[str, Row] = {
    "arith.addf": ("add", {}),
    "arith.addi": ("add", {}),
    "arith.subf": ("sub", {}),
    "arith.subi": ("sub", {}),
    "arith.mulf": ("mul", {}),
    "arith.muli": ("mul", {}),
    "arith.divf": ("div", {}),
    "tt.precise_divf": ("div", {}),
    "arith.divsi": ("div", _SIGNED),
    "arith.divui": ("div", _UNSIGNED),
    "arith.remf": ("rem", {}),
    "arith.remsi": ("rem", _SIGNED),
    "arith.remui": ("rem", _UNSIGNED),
    "arith.maxnumf": ("max", {"propagate_nan": False}),
    "arith.minnumf": ("min", {"propagate_nan": False}),
    "arith.maximumf": ("max", {"propagate_nan": True}),
    "arith.minimumf": ("min", {"propagate_nan": True}),
    "arith.maxsi": ("max", _SIGNED),
    "arith.minsi": ("min", _SIGNED),
    "arith.maxui": ("max", _UNSIGNED),
    "arith.minui": ("min", _UNSIGNED),
    "arith.andi": ("and", {}),
    "arith.ori": ("or", {}),
    "arith.xori": ("xor", {}),
    "arith.shli": ("shl", {}),
    "arith.shrsi": ("shr", _SIGNED),
    "arith.shrui": ("shr", _UNSIGNED),
}

CAST: Mapping[str, Row] = {
    "arith.extf": ("cast", {}),
    "arith.truncf": ("cast", {}),
    "tt.fp_to_fp": ("cast", {}),
    "arith.extsi": ("cast", _SIGNED),
    "arith.extui": ("cast", _UNSIGNED),
    "arith.trunci": ("cast", {}),
    "arith.sitofp": ("cast", _SIGNED),
    "arith.uitofp": ("cast", _UNSIGNED),
    "arith.fptosi": ("cast", _SIGNED),
    "arith.fptoui": ("cast", _UNSIGNED),
    "tt.bitcast": ("bitcast", {}),
    "arith.bitcast": ("bitcast", {}),
}

# MLIR's comparison predicates -> (predicate, signed or unordered).
INTEGER_PREDICATES: Mapping[str, tuple[str, bool]] = {
    "eq": ("eq", True), "ne": ("ne", True),
    "slt": ("lt", True), "sle": ("le", True), "sgt": ("gt", True), "sge": ("ge", True),
    "ult": ("lt", False), "ule": ("le", False), "ugt": ("gt", False), "uge": ("ge", False),
}  # fmt: skip
FLOAT_PREDICATES: Mapping[str, tuple[str, bool]] = {
    f"{order}{predicate}": (predicate, order == "u")
    for order in "ou"
    for predicate in ("eq", "ne", "lt", "le", "gt", "ge")
}

# What combines in a tt.reduce -> kind of reduction.
REDUCE_KINDS: Mapping[str, str] = {
    "arith.addf": "sum", "arith.addi": "sum",
    "arith.mulf": "prod", "arith.muli": "prod",
    "arith.maxnumf": "max", "arith.maxsi": "max",
    "arith.minnumf": "min", "arith.minsi": "min",
}  # fmt: skip

# Kinds of tt.atomic_rmw -> kind of the opcode `atomic`; unsigned and bitwise ones are not read.
ATOMIC_KINDS: Mapping[str, str] = {"fadd": "add", "add": "add", "max": "max", "min": "min"}

# Hints to the compiler that change no value.
IGNORED = frozenset({"llvm.intr.assume", "gpu.barrier", "ttg.barrier"})


@dataclass(frozen=True)
class Refusal:
    """A construct in the user's words, and what to do instead."""

    construct: str
    advice: str


_BY_HAND = "Move it into a kernel of its own, before or after this one."

REFUSALS: Mapping[str, Refusal] = {
    "scf.if": Refusal(
        "an `if` on a run-time value around a loop",
        "Let the loop's bounds depend on the condition: an empty range does nothing.",
    ),
    "scf.while": Refusal("a `while` loop", "Write it as `for ... in range(lower, upper, step)`."),
    "scf.index_switch": Refusal("a branch on a run-time value", "Use tl.where, or a tl.constexpr."),
    "cf.cond_br": Refusal(
        "an early `return` or a branch on a run-time value",
        "Let the grid start only programs that have work, or mask the stores.",
    ),
    "tt.atomic_cas": Refusal("tl.atomic_cas", "Let each program own what it writes."),
    "tt.scan": Refusal("a scan (tl.associative_scan, tl.cumsum, tl.cumprod)", _BY_HAND),
    "tt.histogram": Refusal("tl.histogram", _BY_HAND),
    "tt.gather": Refusal("tl.gather", _BY_HAND),
    "tt.join": Refusal("tl.join", "Keep the halves as two tiles."),
    "tt.split": Refusal("tl.split", "Load the halves as two tiles."),
    "tt.cat": Refusal("tl.cat", "Keep the parts as two tiles."),
    "tt.elementwise_inline_asm": Refusal(
        "inline assembly (tl.inline_asm_elementwise)", "Write it with Triton's own operations."
    ),
    "tt.call": Refusal("a call of a noinline function", "Drop `noinline=True` from the callee."),
    "tt.extern_elementwise": Refusal(
        "an extern function", "Use tl.exp, tl.exp2, tl.log, tl.log2, tl.sqrt, tl.rsqrt, tl.sin, tl.cos, tl.erf or tanh."
    ),
    "tt.dot_scaled": Refusal("tl.dot_scaled", "Use tl.dot on fp16, bf16 or fp8 tiles."),
    "tt.descriptor_gather": Refusal("a descriptor gather", "Load rectangular tiles."),
    "tt.descriptor_scatter": Refusal("a descriptor scatter", "Store rectangular tiles."),
    "tt.descriptor_reduce": Refusal(
        "an atomic descriptor store (desc.atomic_add and the like)",
        "Gluon has TMA reductions only from Triton 3.9 on, and Twill's kernels run on 3.6: "
        "use tl.atomic_add on a tensor of pointers.",
    ),
    "tt.make_tensor_ptr": Refusal("a block pointer (tl.make_block_ptr)", "Use tl.make_tensor_descriptor."),
    "tt.advance": Refusal("a block pointer (tl.advance)", "Use tl.make_tensor_descriptor."),
    "tt.print": Refusal("tl.device_print", "Remove it; `twill verify` shows where a value goes wrong."),
    "tt.assert": Refusal("tl.device_assert", "Remove it, or check on the host."),
    "tt.ptr_to_int": Refusal("a cast of a pointer to an integer", "Keep pointers as pointers."),
    "tt.int_to_ptr": Refusal("a cast of an integer to a pointer", "Pass the tensor itself as an argument."),
    "tt.map_elementwise": Refusal("tl.map_elementwise", "Write it with Triton's own operations."),
    "tt.mulhiui": Refusal("tl.umulhi (also behind tl.rand)", "Generate random numbers in a kernel of their own."),
    "arith.mulsi_extended": Refusal("a wide integer product", "Use 64-bit integers."),
    "arith.mului_extended": Refusal("a wide integer product", "Use 64-bit integers."),
}
