"""The reader of TTIR's text: statements, attributes, regions and locations as written."""

from __future__ import annotations

import pytest

from twill.frontend.drafts import literal
from twill.frontend.ttir_parser import parse_module
from twill.frontend.ttir_tokens import SyntaxProblem
from twill.frontend.ttir_tree import Loc, Module
from twill.frontend.ttir_types import UnknownType, parse_type
from twill.ir.graph import Type


def module(body: str, aliases: str = "") -> Module:
    return parse_module(
        f'#loc = loc("k.py":1:0)\n{aliases}\nmodule {{\n  tt.func public @k(%x: !tt.ptr<f16> loc("x"(#loc))) '
        f"attributes {{noinline = false}} {{\n{body}\n    tt.return loc(#loc)\n  }} loc(#loc)\n}} loc(#loc)\n"
    )


def first(body: str):
    return module(body).functions[0].body.statements[0]


def test_operands_words_attributes_and_types() -> None:
    dot = first(
        "%d = tt.dot %a, %b, %c, inputPrecision = tf32 "
        ": tensor<64x32xf16> * tensor<32x16xf16> -> tensor<64x16xf32> loc(#loc)"
    )
    assert (dot.name, dot.results, dot.operands) == ("tt.dot", ["%d"], ["%a", "%b", "%c"])
    assert dot.attributes == {"inputPrecision": "tf32"}
    assert (dot.inputs, dot.outputs) == (["tensor<64x32xf16>", "tensor<32x16xf16>"], ["tensor<64x16xf32>"])


def test_attribute_dictionaries() -> None:
    trans = first(
        '%t = tt.trans %a {order = array<i32: 1, 0>, s = "a{b", n = -3 : i64, f = 1.5 : f32, u, l = [1, 2]} '
        ": T -> T loc(#loc)"
    )
    assert trans.attributes == {"order": (1, 0), "s": "a{b", "n": -3, "f": 1.5, "u": True, "l": (1, 2)}


def test_the_loop_declares_its_values() -> None:
    loop = first(
        "%r:2 = scf.for %i = %a to %b step %c iter_args(%p = %x, %q = %y) -> (f32, tensor<4xf32>)  : i32 {\n"
        "  scf.yield %q, %p : f32, tensor<4xf32> loc(#loc)\n} {tt.num_stages = 3 : i32} loc(#loc)"
    )
    assert loop.results == ["%r#0", "%r#1"]
    assert loop.operands == ["%a", "%b", "%c"]
    assert loop.carried == [("%p", "%x"), ("%q", "%y")]
    assert loop.words == ["%i"]
    assert (loop.inputs, loop.outputs) == (["i32"], ["f32", "tensor<4xf32>"])
    assert loop.regions[0].statements[0].operands == ["%q", "%p"]
    assert loop.attributes == {"tt.num_stages": 3}


def test_generic_form_with_a_region() -> None:
    reduce = first(
        '%m = "tt.reduce"(%s) <{axis = 1 : i32}> ({\n^bb0(%a: f32 loc(unknown), %b: f32 loc(unknown)):\n'
        "  %c = arith.addf %a, %b : f32 loc(#loc)\n  tt.reduce.return %c : f32 loc(#loc)\n"
        "}) : (tensor<4x8xf32>) -> tensor<4xf32> loc(#loc)"
    )
    assert reduce.attributes == {"axis": 1}
    assert reduce.regions[0].blocks[0][0] == [("%a", "f32"), ("%b", "f32")]
    assert [inner.name for inner in reduce.regions[0].statements] == ["arith.addf", "tt.reduce.return"]
    assert reduce.outputs == ["tensor<4xf32>"]


def test_locations_resolve_through_aliases_names_and_calls() -> None:
    read = module(
        "%a = arith.constant 1 : i32 loc(#named)\n%b = arith.constant 1 : i32 loc(#call)\n"
        '%c = arith.constant 1 : i32 loc(fused["k.py":3:4, "k.py":5:6])\n'
        '%d = arith.constant 1 : i32 loc("k.py":7:8 to :7:20)',
        '#named = loc("v"(#later))\n#call = loc(callsite(#inner at #named))\n#inner = loc("lib.py":9:1)\n'
        '#later = loc("k.py":2:5)',
    )
    found = [read.resolve(step.location) for step in read.functions[0].body.statements[:4]]
    named = Loc("k.py", 2, 5, "v")
    assert found[0] == named
    assert found[1] == Loc("lib.py", 9, 1, "v", named)
    assert (found[2].line, found[3].line) == (3, 7)


@pytest.mark.parametrize("text", ["", "module {", "module { tt.func @k() { tt.return loc(#l } }", "module { ~ }"])
def test_what_is_not_ttir_is_said_to_be_so(text: str) -> None:
    if text:
        with pytest.raises(SyntaxProblem):
            parse_module(text)
    else:
        assert parse_module(text).functions == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f32", Type("f32")),
        ("tensor<128x64xbf16>", Type("bf16", (128, 64))),
        ("tensor<1xf8E4M3FN>", Type("f8e4m3", (1,))),
        ("!tt.ptr<f16>", Type("f16", (), "pointer")),
        ("!tt.ptr<i32, 1>", Type("i32", (), "pointer")),
        ("tensor<128x!tt.ptr<f32>>", Type("f32", (128,), "pointer")),
        ("!tt.tensordesc<tensor<64x32xf16>>", Type("f16", (64, 32), "descriptor")),
        ("!tt.tensordesc<64x32xui8>", Type("i8", (64, 32), "descriptor")),
    ],
)
def test_types(text: str, expected: Type) -> None:
    assert parse_type(text) == expected


def test_unknown_types_are_named() -> None:
    with pytest.raises(UnknownType, match="i128"):
        parse_type("tensor<4xi128>")


@pytest.mark.parametrize(
    ("text", "dtype", "expected"),
    [
        ("0xFF800000", "f32", float("-inf")),
        ("0x7C00", "f16", float("inf")),
        ("0xFF80", "bf16", float("-inf")),
        ("1.44269502", "f32", 1.44269502),
        ("-7", "i32", -7),
        ("true", "i1", True),
    ],
)
def test_literals(text: str, dtype: str, expected: object) -> None:
    assert literal(text, Type(dtype)) == expected
