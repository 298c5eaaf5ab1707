"""One broken graph per rule of the verifier."""

import pytest
from hypothesis import given, settings

from twill.errors import InputError
from twill.ir.text import parse_graph
from twill.ir.verify import verify

from .graphs import attention
from .random_graphs import valid_graphs

ARGUMENTS = "%n: i32, %w: i64, %f: f32, %half: f16, %b: i1, %p: *f32, %d: descriptor<f32[1, 8]>"
TILES = """
  %v = splat %f : f32[8]
  %h = splat %half : f16[8]
  %m = splat %half : f16[8, 4]
  %k = splat %half : f16[4, 8]
  %c = splat %f : f32[8, 8]
  %i = splat %n : i32[8]
  %pp = splat %p : *f32[8]
  %mask = splat %b : i1[8]"""


def graph(before="", carry="", body="", after="", bounds="[%n, %n) step %n", index="i32", subtiles=1, arguments=""):
    return parse_graph(f"""graph g({ARGUMENTS}{arguments}) subtiles {subtiles} {{{TILES}
  {before}
  for %iter: {index} in {bounds} at "k.py":7:1 {{
    {carry}
    {body}
  }}
  {after}
}}""")


def test_attention_is_valid():
    verify(attention())
    verify(attention(192, 192))


@settings(max_examples=60, deadline=None)
@given(valid_graphs())
def test_random_graphs_are_valid(random):
    verify(random)


GOOD = [
    "%x = constant {value = 1.0} : f32",
    "%x = constant {value = true} : i1",
    "%x = constant {value = -128} : i8",
    "%x = program_id {axis = 2} : i32",
    "%x = arange {start = 4, end = 12} : i32[8]",
    "%x = splat %p : *f32[4]",
    "%x = expand_dims %v {axis = 1} : f32[8, 1]",
    "%x = trans %m {order = [1, 0]} : f16[4, 8]",
    "%x = reshape %m : f16[32]",
    "%x = fma %v, %v, %v : f32[8]",
    "%x = clamp %v, %v, %v {propagate_nan = true} : f32[8]",
    '%x = cmp %i, %i {predicate = "lt", signed = false} : i1[8]',
    "%x = select %b, %v, %v : f32[8]",
    "%x = select %mask, %v, %v : f32[8]",
    "%x = cast %v : f16[8]",
    "%x = bitcast %v : i32[8]",
    '%x = reduce %m {axis = 0, kind = "sum"} : f16[4]',
    "%x = dot %m, %k, %c : f32[8, 8]",
    "%x = descriptor %p, %n, %w {rank = 1} : descriptor<f32[8]>",
    "%x = descriptor_load %d, %n, %n : f32[8]",
    "descriptor_store %d, %n, %n, %v",
    "%x = addptr %pp, %i : *f32[8]",
    "%x = load %pp, %mask, %v : f32[8]",
    "store %pp, %v, %mask",
    "%x = not %i : i32[8]",
]


@pytest.mark.parametrize("op", GOOD)
def test_good_ops(op):
    verify(graph(op))


BAD = [
    # names, SSA, visibility
    ("%x = neg %y : f32", "%y is not defined before this use"),
    ("%x = neg %f : f32\n %x = neg %f : f32", "%x is defined a second time"),
    ("%n = neg %f : f32", "%n is defined a second time"),
    ("%x = neg %x : f32", "%x is not defined before this use"),
    # opcodes, results, attributes
    ("%x = frobnicate %f : f32", "there is no opcode frobnicate"),
    ("store %pp, %v\n neg %f", "has 0 results, neg gives 1"),
    ("%x = store %pp, %v : f32", "has 1 results, store gives 0"),
    ("%x = neg %f {axis = 1} : f32", "neg has no attribute axis (it has none)"),
    ("%x = neg %f : f32 subtile 1", "sub-tile 1 of a graph with 1 sub-tiles"),
    # constants and ranges
    ("%x = constant {value = 1} : f32", "attribute `value` is 1, not of type float"),
    ("%x = constant {value = 1.0} : i32", "attribute `value` is 1.0, not of type int"),
    ("%x = constant {value = 1} : i1", "attribute `value` is 1, not of type bool"),
    ("%x = constant {value = true} : i32", "attribute `value` is True, not of type int"),
    ("%x = constant {value = 128} : i8", "128 does not fit in i8"),
    ("%x = constant : f32", "lacks the attribute `value`"),
    ("%x = constant {value = 1.0} : *f32", "*f32 is not a plain value"),
    ("%x = constant {value = 1.0} : f32[0]", "%x has the empty shape [0]"),
    ("%x = program_id {axis = 3} : i32", "attribute `axis` is 3, not in [0, 3)"),
    ("%x = num_programs {axis = 0} : i64", "i64 and i32 differ"),
    ("%x = arange {start = 0, end = 8} : i32[4]", "i32[4] and i32[8] differ"),
    ("%x = arange {start = 8, end = 8} : i32[4]", "start 8 is not below end 8"),
    # shape ops
    ("%x = splat %v : f32[8]", "the operand is f32[8], not a scalar"),
    ("%x = splat %f : f32", "the result is a scalar"),
    ("%x = splat %f : f16[8]", "f16[8] and f32[8] differ"),
    ("%x = expand_dims %v {axis = 0} : f32[8, 1]", "f32[8, 1] and f32[1, 8] differ"),
    ("%x = expand_dims %v {axis = 2} : f32[8, 1]", "attribute `axis` is 2, not in [0, 2)"),
    ("%x = broadcast %m : f16[8, 8]", "f16[8, 4] does not stretch to f16[8, 8]"),
    ("%x = trans %m {order = [0, 0]} : f16[8, 4]", "order (0, 0) does not permute the axes"),
    ("%x = trans %m {order = [1, 0]} : f16[8, 4]", "f16[8, 4] and f16[4, 8] differ"),
    ("%x = reshape %m : f16[16]", "f16[8, 4] has 32 elements, the result 16"),
    # elementwise
    ("%x = neg %v, %v : f32[8]", "takes 1 operands, has 2"),
    ("%x = neg %v : f32", "f32 and f32[8] differ"),
    ("%x = exp %i : i32[8]", "i32[8] is not a float"),
    ("%x = not %v : f32[8]", "f32[8] is not an integer"),
    ("%x = add %v, %h : f32[8]", "operands: f32[8] and f16[8] differ"),
    ("%x = and %v, %v : f32[8]", "f32[8] is not an integer"),
    ("%x = pow %i, %i : i32[8]", "i32[8] is not a float"),
    ("%x = add %pp, %pp : *f32[8]", "*f32[8] is not a plain value"),
    ("%x = div %i, %i {signed = 1} : i32[8]", "attribute `signed` is 1, not of type bool"),
    ("%x = fma %v, %v, %h : f32[8]", "f32[8] and f16[8] differ"),
    ('%x = cmp %v, %v {predicate = "lt"} : f32[8]', "f32[8] and i1[8] differ"),
    ('%x = cmp %v, %v {predicate = "slt"} : i1[8]', "attribute `predicate` is 'slt', not one of eq, ge"),
    ("%x = cmp %v, %v : i1[8]", "lacks the attribute `predicate`"),
    ("%x = select %i, %v, %v : f32[8]", "the condition is i32[8], not i1"),
    ("%x = select %mask, %f, %f : f32", "the shapes of i1[8] and f32 differ"),
    ("%x = cast %v : f16[4]", "the shapes of f16[4] and f32[8] differ"),
    ("%x = bitcast %v : i16[8]", "32 bits do not become 16 bits"),
    # reduce, dot
    ('%x = reduce %m {axis = 2, kind = "sum"} : f16[8]', "attribute `axis` is 2, not in [0, 2)"),
    ('%x = reduce %m {axis = 1, kind = "mean"} : f16[8]', "attribute `kind` is 'mean'"),
    ('%x = reduce %m {axis = 1, kind = "sum"} : f16[4]', "f16[4] and f16[8] differ"),
    ("%x = dot %v, %k, %c : f32[8, 8]", "operand a is f32[8], not a matrix"),
    ("%x = dot %m, %m, %c : f32[8, 8]", "the inner extents of f16[8, 4] and f16[8, 4] differ"),
    ("%x = dot %k, %m, %c : f32[8, 8]", "f32[8, 8] and f32[4, 4] differ"),
    ("%x = dot %m, %k, %c : f16[8, 8]", "f16[8, 8] and f32[8, 8] differ"),
    ('%x = dot %m, %k, %c {precision = "half"} : f32[8, 8]', "attribute `precision` is 'half'"),
    # memory
    ("%x = descriptor %p, %n {rank = 1} : descriptor<f32[8]>", "takes 3 operands, has 2"),
    ("%x = descriptor %v, %n, %w {rank = 1} : descriptor<f32[8]>", "the base is f32[8], not a pointer"),
    ("%x = descriptor %p, %f, %w {rank = 1} : descriptor<f32[8]>", "a size or stride is f32, not a scalar integer"),
    ("%x = descriptor %p, %n, %w {rank = 1} : descriptor<f16[8]>", "dtypes of base f32 and descriptor f16 differ"),
    ("%x = descriptor %p, %n, %w {rank = 1} : descriptor<f32[8, 8]>", "block shape (8, 8) is not of rank 1"),
    ("%x = descriptor %p, %n, %w {rank = 1} : f32[8]", "the result is f32[8], not a descriptor"),
    ("%x = descriptor_load %p, %n : f32[8]", "*f32 is not a descriptor"),
    ("%x = descriptor_load %d, %n : f32[8]", "1 offsets for descriptor<f32[1, 8]>"),
    ("%x = descriptor_load %d, %n, %f : f32[8]", "an offset is f32, not a scalar integer"),
    ("%x = descriptor_load %d, %n, %n : f32[4]", "descriptor<f32[1, 8]> does not hold tiles of type f32[4]"),
    ("descriptor_store %d, %n, %n, %h", "descriptor<f32[1, 8]> does not hold tiles of type f16[8]"),
    ("%x = addptr %v, %i : f32[8]", "f32[8] is not a pointer"),
    ("%x = addptr %pp, %v : *f32[8]", "the offset is f32[8], not an integer"),
    ("%x = addptr %p, %i : *f32[8]", "the shapes of *f32 and i32[8] differ"),
    ("%x = load %pp : f16[8]", "*f32[8] and *f16[8] differ"),
    ("%x = load %pp, %i : f32[8]", "i32[8] and i1[8] differ"),
    ("%x = load %pp, %mask, %h : f32[8]", "f16[8] and f32[8] differ"),
    ("store %pp, %h", "*f32[8] and *f16[8] differ"),
]


@pytest.mark.parametrize(("op", "expected"), BAD)
def test_bad_ops(op, expected):
    with pytest.raises(InputError) as caught:
        verify(graph(op))
    assert expected in str(caught.value)


CARRY = "carry %a: f32 from %f yields %a gives %r: f32"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"bounds": "[%w, %n) step %n"}, "the loop's lower bound %w is i64, its index %iter i32"),
        ({"bounds": "[%n, %f) step %n"}, "the loop's upper bound %f is f32, its index %iter i32"),
        ({"bounds": "[%n, %n) step %zz"}, "the loop's step: %zz is not defined"),
        ({"index": "f32"}, "the loop's index %iter is f32, not an integer"),
        ({"carry": CARRY.replace("from %f", "from %n")}, "%a is f32 but starts as %n, i32"),
        ({"carry": CARRY.replace("yields %a", "yields %n")}, "%a is f32 but is yielded %n, i32"),
        ({"carry": CARRY.replace("%r: f32", "%r: f64")}, "%a is f32 but results in %r, f64"),
        ({"carry": CARRY + " subtile 3"}, "sub-tile 3 of a graph with 1"),
        ({"carry": CARRY, "body": "%x = neg %r : f32"}, "%r is not defined before this use"),
        ({"body": "%x = neg %f : f32", "after": "%y = neg %x : f32"}, "%x is a value of the loop's body"),
        ({"carry": CARRY, "after": "%y = neg %a : f32"}, "%a is a value of the loop's body"),
        ({"after": "%y = neg %iter : i32"}, "%iter is a value of the loop's body"),
        ({"arguments": ", %tile: f32[8]"}, "argument %tile is f32[8]; kernels take scalars, pointers and"),
        ({"arguments": ", %tile: *f32[8]"}, "argument %tile is *f32[8]; kernels take scalars, pointers and"),
        ({"subtiles": 0}, "subtiles is 0, not at least 1"),
    ],
)
def test_bad_loops(parts, expected):
    with pytest.raises(InputError) as caught:
        verify(graph(**parts))
    assert expected in str(caught.value)


def test_an_error_names_the_op_and_its_place():
    with pytest.raises(InputError) as caught:
        verify(graph('%x = neg %v : f32 at "k.py":3:9'))
    assert str(caught.value).startswith("k.py:3:9: `%x = neg %v : f32`: ")
    with pytest.raises(InputError) as caught:
        verify(graph(bounds="[%w, %n) step %n"))
    assert str(caught.value).startswith("k.py:7:1: ")


def test_results_are_visible_after_the_loop():
    verify(graph(carry=CARRY, after="%y = neg %r : f32"))
