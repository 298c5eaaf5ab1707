"""Printed expressions, evaluated: what the text means is what the Plan says."""

import itertools
import math
import random

import pytest

from twill.codegen.expressions import Printer, strip
from twill.codegen.host import host
from twill.codegen.iterations import condition_text, iteration_text, phase_text, slot_text
from twill.codegen.layouts import Blocked, Mma, Operand, Slice
from twill.codegen.literals import literal
from twill.codegen.scope import fold, index_of
from twill.codegen.statements import Apply, Condition, Convert, Index, Iteration, Literal, Name, ReadTile, Tile
from twill.errors import Unsupported
from twill.ir.graph import Type

I32, F32, I1 = Type("i32"), Type("f32"), Type("i1")
TILE = Type("f32", (64, 128))
MMA = Mma(128, 4, 16)
BASES = ("first", "index", "end")
ITERATIONS = [Iteration(base, offset) for base in BASES for offset in range(-4, 5)]


def number(at, value):
    """The iteration that `at` means when i (or n) is `value`."""
    return at.offset + (0 if at.base == "first" else value)


def evaluated(text, value):
    return eval(text, {"i": value, "n": value})


@pytest.mark.parametrize("at", ITERATIONS, ids=str)
def test_iterations_slots_and_phases_mean_what_they_count(at):
    for value in range(21):
        true = number(at, value)
        assert evaluated(iteration_text(at), value) == true
        for depth in range(1, 6):
            assert evaluated(slot_text(at, depth), value) == true % depth
            assert evaluated(phase_text(at, depth), value) == true // depth % 2
        assert evaluated(phase_text(at, 0), value) == true % 2  # a single barrier: its phase counts its uses


def test_a_slot_is_never_computed_from_a_negative_number():
    # The device truncates toward zero where Python rounds down; a predicated-off statement still has an address.
    for at, depth, value in itertools.product(ITERATIONS, range(2, 6), range(21)):
        if at.base != "first":
            inside = slot_text(at, depth).rpartition("%")[0]
            assert evaluated(inside, value) >= 0


@pytest.mark.parametrize("relation", ["<", ">="])
def test_conditions(relation):
    for left, right in itertools.product(ITERATIONS[::2], repeat=2):
        text = condition_text(Condition(left, relation, right))
        for i, n in itertools.product(range(0, 21, 4), repeat=2):
            a, b = (number(at, i if at.base == "index" else n) for at in (left, right))
            assert eval(text, {"i": i, "n": n}) is ((a < b) if relation == "<" else (a >= b))


def test_iterations_read_well():
    texts = [iteration_text(Iteration(*at)) for at in (("first", 2), ("index", 0), ("index", -1), ("end", 1))]
    assert texts == ["2", "i", "i - 1", "n + 1"]
    assert slot_text(Iteration("index", -1), 3) == "(i + 2) % 3"
    assert slot_text(Iteration("index", 3), 3) == "i % 3"
    assert phase_text(Iteration("index", -1), 3) == "((i - 1) // 3) & 1"


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.5, 1.44269502, 1e-45, 3.4e38, math.inf, -math.inf, math.nan])
def test_floats_print_exactly(value):
    found = eval(literal(value, F32))
    assert repr(found) == repr(value)


def test_other_literals():
    assert literal(-7, I32) == "-7"
    assert literal(7, F32) == "7.0"  # an integer that stands for a float
    assert literal(True, I1) == "True"
    assert literal(True, I32) == "1"
    assert literal(2**40, Type("i64")) == str(2**40)


@pytest.mark.parametrize(("text", "stripped"), [
    ("(a)", "a"), ("a", "a"), ("((a) + (b))", "(a) + (b)"), ("(a) + (b)", "(a) + (b)"), ("(a)(b)", "(a)(b)"),
    ("f(a)", "f(a)"), ("()", ""),
])  # fmt: skip
def test_strip_takes_off_only_what_encloses_all(text, stripped):
    assert strip(text) == stripped


@pytest.mark.parametrize(("expr", "text"), [
    (Name("x"), "x"),
    (Name("x.base"), "x.base"),
    (Literal(-1, I32), "(-1)"),
    (Literal(math.inf, F32), 'float("inf")'),
    (Apply("add", (Name("a"), Name("b")), {}, I32), "(a + b)"),
    (Apply("exp", (Name("a"),), {}, F32), "gl.exp(a)"),
    (Apply("neg", (Name("a"),), {}, F32), "(-a)"),
    (Tile("ring", 3, Iteration("index"), (("permute", (1, 0)),)), "ring.index(i % 3).permute([1, 0])"),
])  # fmt: skip
def test_atoms_bind_tightly(expr, text):
    if text == 'float("inf")':
        assert eval(Printer().atom(expr)) == math.inf
    else:
        assert Printer().atom(expr) == text


OPERATIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
}
VALUES = {"a": 13, "b": -7, "c": 4}


def tree(source, depth):
    """A random integer expression and its value."""
    if depth == 0:
        name = source.choice([*VALUES, None])
        if name is not None:
            return Name(name), VALUES[name]
        value = source.randrange(-5, 6)
        return Literal(value, I32), value
    opcode = source.choice([*OPERATIONS, "neg", "not"])
    a, x = tree(source, source.randrange(depth))
    if opcode in {"neg", "not"}:
        return Apply(opcode, (a,), {}, I32, None, (I32,)), -x if opcode == "neg" else ~x
    b, y = tree(source, source.randrange(depth))
    return Apply(opcode, (a, b), {}, I32, None, (I32, I32)), OPERATIONS[opcode](x, y)


@pytest.mark.parametrize("seed", range(200))
def test_parentheses_keep_the_meaning(seed):
    expr, value = tree(random.Random(seed), 5)
    assert eval(Printer().expr(expr), dict(VALUES)) == value
    assert eval(Printer().atom(expr), dict(VALUES)) == value
    folded = fold(expr) if isinstance(expr, Apply) else expr
    assert eval(Printer().expr(folded), dict(VALUES)) == value


def test_host_expressions_are_plain_python():
    def binary(opcode, a, b):
        return Apply(opcode, (a, b), {}, I32)

    a, b, c = Name("a"), Name("b"), Name("c")
    total = binary("mul", binary("add", a, b), binary("max", binary("sub", a, b), c))
    assert host(total) == "(a + b) * (max(a - b, c))"
    assert eval(host(total), dict(VALUES)) == (13 - 7) * max(13 + 7, 4)
    assert host(binary("div", a, Literal(2, I32))) == "a // 2"
    assert host(binary("rem", a, Literal(-3, I32))) == "a % -3"
    assert host(Apply("cast", (a,), {}, Type("i64"))) == "a"
    with pytest.raises(Unsupported, match="launcher cannot compute"):
        host(Apply("program_id", (), {"axis": 0}, I32))


@pytest.mark.parametrize("seed", range(50))
def test_host_parentheses_keep_the_meaning(seed):
    source = random.Random(seed)
    while True:
        expr, value = tree(source, 5)
        try:
            text = host(expr)
        except Unsupported:  # neg and not do not occur in a shape
            continue
        assert eval(text, dict(VALUES)) == value
        return


def test_the_loop_index():
    printer = Printer()
    zero, step = Literal(0, I32), Literal(64, I32)
    for lower, by in itertools.product((zero, Literal(8, I32), Name("lo")), (Literal(1, I32), step, Name("by"))):
        for at in ITERATIONS:
            text = printer.expr(index_of(at, lower, by))
            for value in range(5):
                names = {"i": value, "n": value, "lo": 100, "by": 16}
                start = lower.value if isinstance(lower, Literal) else 100
                stride = by.value if isinstance(by, Literal) else 16
                assert eval(text, names) == start + number(at, value) * stride
    assert printer.expr(Index(Iteration("index", -1), zero, step)) == "(i - 1) * 64"


def test_a_tile_of_scalars_is_made_a_tile_once():
    # Two splats multiplied: one must be a tile, or the result is a scalar.
    splat = Apply("splat", (Name("x"),), {}, TILE, MMA, (F32,))
    text = Printer().expr(Apply("mul", (splat, splat), {}, TILE, MMA, (TILE, TILE)))
    assert text == "gl.full([64, 128], x, gl.float32, MMA_128) * x"
    # Beside a tile the scalar is stretched by the context.
    assert Printer().expr(Apply("mul", (Name("t"), splat), {}, TILE, MMA, (TILE, TILE))) == "t * x"
    assert Printer().full(splat) == "gl.full([64, 128], x, gl.float32, MMA_128)"


def test_special_opcodes():
    text = Printer().expr
    a, b = Name("a"), Name("b")
    maximum = Apply("max", (a, b), {"propagate_nan": True}, TILE, MMA)
    assert text(maximum) == "gl.maximum(a, b, propagate_nan=gl.PropagateNan.ALL)"
    assert text(Apply("cmp", (a, b), {"predicate": "le"}, I1)) == "a <= b"
    assert text(Apply("select", (Apply("cmp", (a, b), {"predicate": "lt"}, I1), a, b), {}, F32)) == (
        "gl.where(a < b, a, b)"
    )
    truth = Apply("cast", (Name("flag"),), {}, F32, None, (I1,))
    assert text(truth) == "gl.where(flag, 1.0, 0.0).to(gl.float32)"
    assert text(Apply("cast", (Apply("add", (a, b), {}, I32),), {}, F32, None, (I32,))) == "(a + b).to(gl.float32)"
    assert text(Apply("reduce", (a,), {"axis": 1, "kind": "sum"}, F32)) == "gl.sum(a, 1)"
    assert text(Apply("load", (a, b), {}, F32)) == "gl.load(a, mask=b)"
    assert text(Apply("div", (a, b), {}, I32)) == "a // b"
    assert text(Apply("div", (a, b), {}, F32)) == "a / b"
    assert text(Convert(a, Operand(MMA, 2))) == "gl.convert_layout(a, LEFT_OF_MMA_128)"
    assert text(ReadTile(Tile("q"), MMA)) == "q.load(MMA_128)"


def test_a_comparison_without_a_sign_says_so():
    tile, unsigned = Type("i32", (64, 128)), {"predicate": "lt", "signed": False}
    truth, row = Type("i1", (64, 128)), Apply("splat", (Name("n"),), {}, tile, MMA, (I32,))

    def text(*operands, of=truth, types=(tile, tile)):
        return Printer().expr(Apply("cmp", operands, unsigned, of, MMA if of.shape else None, types))

    # One of the two is enough: beside it the other is read without a sign too.
    assert text(Name("t"), row) == "t.to(gl.uint32, bitcast=True) < n"
    assert text(row, Name("t")) == "n < t.to(gl.uint32, bitcast=True)"
    assert text(row, row) == "gl.full([64, 128], n, gl.int32, MMA_128).to(gl.uint32, bitcast=True) < n"
    minus = Apply("splat", (Literal(-1, I32),), {}, tile, MMA, (I32,))
    assert text(Name("t"), minus) == "t.to(gl.uint32, bitcast=True) < 4294967295"
    scalars = {"of": I1, "types": (I32, I32)}
    assert text(Name("a"), Literal(-2, I32), **scalars) == "gl.to_tensor(a).to(gl.uint32, bitcast=True) < 4294967294"


def test_one_pointer_for_a_tile_of_one_element():
    one = Type("f32", (1,))
    pointers = Apply("splat", (Name("p"),), {}, Type("f32", (1,), "pointer"), MMA, (Type("f32", (), "pointer"),))
    assert Printer().expr(Apply("store", (pointers, Name("x")), {}, one)) == (
        "gl.store(p + gl.full([1], 0, gl.int32, MMA_128), x)"
    )


def test_operators_without_a_sign_say_so():
    tile, unsigned = Type("i8", (64, 128)), {"signed": False}
    four = Apply("splat", (Literal(4, Type("i8")),), {}, tile, MMA, (Type("i8"),))

    def text(opcode, *operands, of=tile, types=(tile, tile)):
        return Printer().expr(Apply(opcode, operands, unsigned, of, MMA, types))

    a, b = "a.to(gl.uint8, bitcast=True)", "b.to(gl.uint8, bitcast=True)"
    assert text("shr", Name("a"), four) == f"({a} >> 4).to(gl.int8, bitcast=True)"
    assert text("div", Name("a"), Name("b")) == f"({a} // {b}).to(gl.int8, bitcast=True)"
    assert text("rem", Name("a"), four) == f"({a} % 4).to(gl.int8, bitcast=True)"
    assert text("max", Name("a"), Name("b")) == f"gl.maximum({a}, {b}).to(gl.int8, bitcast=True)"
    half = Type("f16", (64, 128))
    assert text("cast", Name("a"), of=half, types=(tile,)) == f"{a}.to(gl.float16)"
    assert text("cast", Name("x"), types=(half,)) == "x.to(gl.uint8).to(gl.int8)"


@pytest.mark.parametrize(("opcode", "attributes", "match"), [
    ("pow", {}, "no Gluon for `pow`"),
    ("reduce", {"axis": 0, "kind": "prod"}, "prod reduction"),
])  # fmt: skip
def test_what_has_no_gluon_is_refused(opcode, attributes, match):
    operands = (Name("a"), Name("b"))[: 1 if opcode == "reduce" else 2]
    with pytest.raises(Unsupported, match=match):
        Printer().expr(Apply(opcode, operands, attributes, I32))


def test_layouts_are_named_once_and_defined_in_order():
    layouts = Printer().layouts
    rows = Slice(1, Mma(64, 8, 8))
    assert layouts.name(rows) == "ROWS_OF_MMA_64_K8_W8"
    assert layouts.name(rows) == "ROWS_OF_MMA_64_K8_W8"
    assert layouts.name(Operand(MMA, 4)) == "LEFT_OF_MMA_128_K4"
    assert layouts.name(Blocked((128, 64), 4)) == "BLOCKED_128x64"
    defined = [line.partition(":")[0] for line in layouts.definitions()]
    assert defined == ["MMA_64_K8_W8", "ROWS_OF_MMA_64_K8_W8", "MMA_128", "LEFT_OF_MMA_128_K4", "BLOCKED_128x64"]
    assert layouts.definitions()[-1].endswith(
        # 64 columns: 2 a thread in 32 lanes.
        "gl.BlockedLayout(size_per_thread=[1, 2], threads_per_warp=[1, 32], warps_per_cta=[4, 1], order=[1, 0]))"
    )


@pytest.mark.parametrize("shape", [(8,), (64,), (1024,), (16, 16), (128, 1), (64, 256), (2, 4, 8)])
@pytest.mark.parametrize("warps", [1, 4, 8])
def test_a_blocked_layout_has_32_lanes(shape, warps):
    layouts = Printer().layouts
    layouts.name(Blocked(shape, warps))
    (line,) = layouts.definitions()
    for key, count in (("threads_per_warp", 32), ("warps_per_cta", warps)):
        assert math.prod(eval(line.partition(f"{key}=")[2].partition("]")[0] + "]")) == count
