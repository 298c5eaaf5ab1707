"""Scalars before the loop are what the GPU computes: integers of their width, floats of their precision."""

from __future__ import annotations

import numpy as np
import pytest

from twill.errors import InputError, Unsupported
from twill.frontend.launch import ArgumentSpec, Launch
from twill.frontend.scalars import Scalars
from twill.ir import elementwise
from twill.ir.graph import Graph, Loop, Op, Type, Value
from twill.ir.parser import parse_graph

I1, I8, I32, I64, F16, F32 = (Type(name) for name in ("i1", "i8", "i32", "i64", "f16", "f32"))
LARGEST, SMALLEST = 2**31 - 1, -(2**31)


def computed(op: Op, *given: tuple[object, Type]) -> object:
    """The result of one op before the loop on scalar arguments a, b."""
    names = "ab"[: len(given)]
    loop = Loop(Value("i", I32), "zero", "zero", "zero", (), ())
    zero = Op("constant", (), (Value("zero", I32),), {"value": 0})
    arguments = tuple(Value(name, type) for name, (_, type) in zip(names, given, strict=True))
    graph = Graph("k", arguments, (zero, op), loop, ())
    specs = tuple(
        ArgumentSpec(name, "scalar", type.dtype, value=value)
        for name, (value, type) in zip(names, given, strict=True)  # type: ignore[arg-type]
    )
    return Scalars(graph, Launch("k", "k.py", specs, grid=(1, 1, 1)), (0, 0, 0))["x"]


def op(opcode: str, type: Type, operands: int = 2, **attributes: object) -> Op:
    return Op(opcode, ("a", "b")[:operands], (Value("x", type),), attributes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("opcode", "a", "b", "expected"),
    [
        ("add", LARGEST, 1, SMALLEST),
        ("sub", SMALLEST, 1, LARGEST),
        ("mul", 65536, 65536, 0),
        ("mul", 50000, 50000, 50000 * 50000 - 2**32),
        ("shl", 3, 31, SMALLEST),
        ("shl", 1, 32, 0),
        ("shl", 1, -1, 0),
        ("shr", -8, 40, -1),
        ("div", SMALLEST, -1, SMALLEST),
    ],
)
def test_whole_numbers_wrap_at_32_bits(opcode: str, a: int, b: int, expected: int) -> None:
    assert computed(op(opcode, I32), (a, I32), (b, I32)) == expected


def test_64_bits_hold_what_32_do_not() -> None:
    assert computed(op("add", I64), (LARGEST, I64), (1, I64)) == 2**31
    assert computed(op("neg", I32, 1), (SMALLEST, I32)) == SMALLEST
    assert computed(op("abs", I8, 1), (-128, I8)) == -128


CASES = [
    *((opcode, I32, I32, {}) for opcode in ("add", "sub", "mul", "and", "or", "xor")),
    *((opcode, I32, I32, {"signed": signed}) for opcode in ("max", "min", "shr", "rem") for signed in (True, False)),
    *(
        ("cmp", I32, I1, {"predicate": p, "signed": signed, "unordered": False})
        for p in ("lt", "ge")
        for signed in (True, False)
    ),
    *((opcode, F32, F32, {}) for opcode in ("add", "mul", "div")),
    *(("cast", I32, to, {"signed": signed}) for to in (I8, I64, F16, F32) for signed in (True, False)),
    *(("cast", F32, to, {"signed": signed}) for to in (I8, I32, I64, F16) for signed in (True, False)),
    *(("cast", I1, I32, {"signed": signed}) for signed in (True, False)),
]
NUMBERS = {
    "i32": (0, 1, 3, -1, -7, LARGEST, SMALLEST, 16777217, 123456789),
    "f32": (0.0, 0.5, -2.75, 1e9, -1e9, 1e30, float(np.float32(0.1))),
    "i1": (True, False),
}


@pytest.mark.parametrize(("opcode", "source", "result", "attributes"), CASES)
def test_they_are_what_the_ir_says(opcode: str, source: Type, result: Type, attributes: dict[str, object]) -> None:
    numbers = NUMBERS[source.dtype]
    made = op(opcode, result, 1 if opcode == "cast" else 2, **attributes)
    for a in numbers:
        for b in numbers if opcode != "cast" else (None,):
            if (opcode in ("div", "rem") and b == 0) or (opcode == "shr" and not 0 <= b < 32):
                continue
            given = [(x, source) for x in (a, b) if x is not None]
            arrays = [np.asarray(x, elementwise.storage(source, "native")) for x, _ in given]
            with np.errstate(all="ignore"):
                want = elementwise.compute(made, arrays, [source] * len(given), "native").item()
            assert computed(made, *given) == want, (a, b)


PLACE = """graph g(%y: *i32, %H: i32, %S: i32, %scale: f32) {
  %c128 = constant {value = 128} : i32
  %log2e = constant {value = 1.44269502} : f32
  %pid = program_id {axis = 0} : i32
  %head = program_id {axis = 1} : i32
  %first = mul %head, %S : i32
  %off = mul %pid, %c128 : i32
  %row = add %first, %off : i32
  %upper = add %off, %c128 : i32
  %s = mul %scale, %log2e : f32
  %tile = arange {start = 0, end = 8} : i32[8]
  for %i: i32 in [%off, %upper) step %c128 {
    carry %sum: i32 from %off yields %next gives %total: i32
    %next = add %sum, %i : i32
  }
  %p = addptr %y, %row : *i32
  store %p, %total
}"""


def test_a_program_s_own_scalars_and_what_is_none() -> None:
    graph = parse_graph(PLACE)
    specs = (ArgumentSpec("S", "scalar", "i32", value=512), ArgumentSpec("scale", "scalar", "f32", value=0.5))
    found = Scalars(graph, Launch("g", "g.py", specs, grid=(4, 2, 1)), (3, 1, 0))
    assert (found["row"], found["upper"]) == (512 + 384, 512)
    assert found["s"] == float(np.float32(0.5) * np.float32(1.44269502))
    assert found.get("H") is None
    with pytest.raises(InputError, match="depends on argument `H`, whose value is not known"):
        found["H"]
    with pytest.raises(Unsupported, match="depends on `arange`"):
        found["tile"]
