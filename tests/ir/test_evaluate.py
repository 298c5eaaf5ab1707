"""The sequential meaning: every opcode, memory's edges, both precisions, scalar slices."""

import math

import ml_dtypes
import numpy as np
import pytest
import torch

from twill.errors import CheckFailed, InputError
from twill.ir import evaluate
from twill.ir.dtypes import dtype_name, numpy_dtype
from twill.ir.evaluate import DescriptorArgument
from twill.ir.text import parse_graph
from twill.ir.tolerance import tolerance
from twill.ir.verify import verify

from .graphs import attention

BF16 = ml_dtypes.bfloat16


def straight(body, arguments="", given=None, grid=(1,), precision="native", trips=1):
    """Runs ops inside a loop of `trips` iterations; returns what was written."""
    text = f"""graph g({arguments}) {{
  %zero = constant {{value = 0}} : i32
  %one = constant {{value = 1}} : i32
  %trips = constant {{value = {trips}}} : i32
  for %iter: i32 in [%zero, %trips) step %one {{
    {body}
  }}
}}"""
    graph = parse_graph(text)
    verify(graph)
    return evaluate.run(graph, given or {}, grid, precision)


def compute(expression, type, operands, precision="native"):
    """`expression` on operands [(type, array)], each of one axis; %0, %1, ... name them."""
    length = len(operands[0][1])
    lines, arguments, given = [f"%index = arange {{start = 0, end = {length}}} : i32[{length}]"], [], {}
    for i, (dtype, array) in enumerate(operands):
        arguments.append(f"%x{i}: *{dtype}")
        given[f"x{i}"] = array
        lines.append(f"%p{i} = splat %x{i} : *{dtype}[{length}]")
        lines.append(f"%q{i} = addptr %p{i}, %index : *{dtype}[{length}]")
        lines.append(f"%v{i} = load %q{i} : {dtype}[{length}]")
    arguments.append(f"%y: *{type}")
    given["y"] = np.zeros(length, numpy_dtype(type))
    names = ", ".join(f"%v{i}" for i in range(len(operands)))
    opcode, _, attributes = expression.partition(" ")
    lines.append(f"%r = {opcode} {names} {attributes} : {type}[{length}]")
    lines.append(f"%py = splat %y : *{type}[{length}]")
    lines.append(f"%qy = addptr %py, %index : *{type}[{length}]")
    lines.append("store %qy, %r")
    return straight("\n".join(lines), ", ".join(arguments), given, precision=precision)["y"]


I8, I32, F32 = (
    (lambda *x: np.array(x, np.int8)),
    (lambda *x: np.array(x, np.int32)),
    (lambda *x: np.array(x, np.float32)),
)


@pytest.mark.parametrize(
    ("expression", "type", "operands", "expected"),
    [
        ("div", "i32", [I32(7, -7, 7, -7), I32(2, 2, -2, -2)], [3, -3, -3, 3]),
        ("rem", "i32", [I32(7, -7, 7, -7), I32(2, 2, -2, -2)], [1, -1, 1, -1]),
        ("div {signed = false}", "i8", [I8(-2, 7), I8(2, 2)], [127, 3]),
        ("rem {signed = false}", "i8", [I8(-1, 7), I8(16, 2)], [15, 1]),
        ("max {signed = false}", "i8", [I8(-1, 3), I8(5, 2)], [-1, 3]),
        ("min {signed = true}", "i8", [I8(-1, 3), I8(5, 2)], [-1, 2]),
        ("add", "i8", [I8(127, 1), I8(1, 1)], [-128, 2]),
        ("mul", "i32", [I32(2**30, 3), I32(4, 5)], [0, 15]),
        ("shr", "i8", [I8(-128, 64), I8(3, 3)], [-16, 8]),
        ("shr {signed = false}", "i8", [I8(-128, 64), I8(3, 3)], [16, 8]),
        ("shl", "i32", [I32(1, -1), I32(4, 4)], [16, -16]),
        ("xor", "i8", [I8(5, -1), I8(3, 1)], [6, -2]),
        ("not", "i8", [I8(5, -1)], [-6, 0]),
        ("neg", "i8", [I8(5, -128)], [-5, -128]),
        ("sub", "f32", [F32(1, 2), F32(3, 5)], [-2, -3]),
        ("rem", "f32", [F32(7, -7), F32(2, 2)], [1, -1]),
        ("max", "f32", [F32(1, math.nan), F32(math.nan, 2)], [1, 2]),
        ("max {propagate_nan = true}", "f32", [F32(1, 3), F32(math.nan, 2)], [math.nan, 3]),
        ("min {propagate_nan = true}", "f32", [F32(1, 3), F32(math.nan, 2)], [math.nan, 2]),
        ("fma", "f32", [F32(2, 3), F32(4, 5), F32(1, 1)], [9, 16]),
        ("clamp", "f32", [F32(-3, 7), F32(0, 0), F32(5, 5)], [0, 5]),
        ("pow", "f32", [F32(2, 9), F32(3, 0.5)], [8, 3]),
        ("exp2", "f32", [F32(3, -math.inf)], [8, 0]),
        ("rsqrt", "f32", [F32(4, 0.25)], [0.5, 2]),
        ("erf", "f32", [F32(0, math.inf)], [0, 1]),
        ("floor", "f32", [F32(1.5, -1.5)], [1, -2]),
        ("ceil", "f32", [F32(1.5, -1.5)], [2, -1]),
        ('cmp {predicate = "lt"}', "i1", [I8(-1, 2), I8(1, 2)], [True, False]),
        ('cmp {predicate = "lt", signed = false}', "i1", [I8(-1, 1), I8(1, 2)], [False, True]),
        ('cmp {predicate = "ne"}', "i1", [F32(1, math.nan), F32(2, 0)], [True, False]),
        ('cmp {predicate = "ne", unordered = true}', "i1", [F32(1, math.nan), F32(1, 0)], [False, True]),
        ("cast", "i32", [F32(1.9, -1.9)], [1, -1]),
        ("cast", "i8", [F32(1e9, -1e9)], [127, -128]),
        ("cast", "i32", [I8(-1, 1)], [-1, 1]),
        ("cast {signed = false}", "i32", [I8(-1, 1)], [255, 1]),
        ("cast {signed = false}", "f32", [I8(-1, 1)], [255, 1]),
        ("cast {signed = false}", "i32", [np.array([True, False])], [1, 0]),
        ("cast", "i32", [np.array([True, False])], [-1, 0]),
        ("bitcast", "i32", [F32(1, -0.0)], [0x3F800000, -(2**31)]),
    ],
)
@pytest.mark.parametrize("precision", ["native", "float64"])
def test_elementwise(expression, type, operands, expected, precision):
    typed = [(dtype_name(x.dtype), x) for x in operands]
    np.testing.assert_array_equal(compute(expression, type, typed, precision), expected)


@pytest.mark.parametrize("dtype", [BF16, np.float16, ml_dtypes.float8_e4m3fn])
def test_native_rounds_every_op_and_float64_none(dtype):
    name = dtype_name(np.dtype(dtype))
    eps = float(ml_dtypes.finfo(dtype).eps)
    x, y = np.array([1.0, 1.0], dtype), np.array([eps / 4, eps], dtype)
    assert compute("add", name, [(name, x), (name, y)]).astype(float).tolist() == [1.0, 1.0 + eps]
    ideal = compute("add", name, [(name, x), (name, y)], "float64")
    assert ideal.dtype == np.float64
    assert ideal.tolist() == [1.0 + eps / 4, 1.0 + eps]


def test_float64_ignores_casts_and_leaves_the_arguments_alone():
    x = F32(1 + 2**-20, 3.0)
    out = compute("cast", "bf16", [("f32", x)], "float64")
    assert out.tolist() == x.astype(float).tolist()
    y = np.zeros(2, np.float32)
    body = "%v = constant {value = 5.0} : f32\n store %y, %v"
    assert straight(body, "%y: *f32", {"y": y}, precision="float64")["y"].tolist() == [5.0, 0.0]
    assert y.tolist() == [0.0, 0.0]
    assert straight(body, "%y: *f32", {"y": y})["y"] is y
    assert y.tolist() == [5.0, 0.0]


def test_a_constant_is_what_its_dtype_represents():
    y = np.zeros(1, np.float32)
    body = "%v = constant {value = 0.1} : f32\n store %y, %v"
    assert straight(body, "%y: *f32", {"y": y}, precision="float64")["y"].tolist() == [float(np.float32(0.1))]


DOT = """
%index = arange {start = 0, end = 16} : i32[16]
%ia = expand_dims %index {axis = 1} : i32[16, 1]
%ib = expand_dims %index {axis = 0} : i32[1, 16]
%sixteen = constant {value = 16} : i32[16, 1]
%im = mul %ia, %sixteen : i32[16, 1]
%ra = broadcast %im : i32[16, 16]
%rb = broadcast %ib : i32[16, 16]
%at = add %ra, %rb : i32[16, 16]
%pa = splat %a : *T[16, 16]
%qa = addptr %pa, %at : *T[16, 16]
%va = load %qa : T[16, 16]
%pb = splat %b : *T[16, 16]
%qb = addptr %pb, %at : *T[16, 16]
%vb = load %qb : T[16, 16]
%c = constant {value = 1.0} : f32[16, 16]
%r = dot %va, %vb, %c {precision = "PRECISION"} : f32[16, 16]
%py = splat %y : *f32[16, 16]
%qy = addptr %py, %at : *f32[16, 16]
store %qy, %r
"""


@pytest.mark.parametrize(("dtype", "precision"), [("bf16", "ieee"), ("f16", "ieee"), ("f32", "tf32"), ("f32", "ieee")])
def test_dot(dtype, precision):
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((16, 16)).astype(numpy_dtype(dtype)) for _ in range(2))
    given = {"a": a, "b": b, "y": np.zeros((16, 16), np.float32)}
    text = DOT.replace("*T", f"*{dtype}").replace(": T", f": {dtype}").replace("PRECISION", precision)
    arguments = f"%a: *{dtype}, %b: *{dtype}, %y: *f32"
    exact = a.astype(float) @ b.astype(float) + 1
    # Only f32 operands with tf32 are rounded (11 significand bits, as f16); otherwise products are exact.
    error = np.abs(straight(text, arguments, given)["y"] - exact).max()
    narrow = tolerance("f16", 16, np.abs(exact).max())
    fine = tolerance("f32", 16, np.abs(exact).max())
    assert (fine < error <= narrow) if precision == "tf32" else (error <= fine)
    ideal = straight(text, arguments, given, precision="float64")["y"]
    np.testing.assert_allclose(ideal, exact, rtol=0, atol=tolerance("f64", 16, np.abs(exact).max()))


def window(offset, value="%t", size=6, verb="load"):
    """A 4-wide tile at `offset` of a window of `size` elements of x, copied to or from element 0 of y."""
    return f"""
%size = constant {{value = {size}}} : i32
%stride = constant {{value = 1}} : i64
%four = constant {{value = 4}} : i32
%off = constant {{value = {offset}}} : i32
%dx = descriptor %x, %size, %stride {{rank = 1}} : descriptor<f32[4]>
%dy = descriptor %y, %four, %stride {{rank = 1}} : descriptor<f32[4]>
""" + (
        "%t = descriptor_load %dx, %off : f32[4]\n descriptor_store %dy, %zero, %t"
        if verb == "load"
        else "%t = descriptor_load %dy, %zero : f32[4]\n descriptor_store %dx, %off, %t"
    )


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, [1, 2, 3, 4]), (4, [5, 6, 0, 0]), (-2, [0, 0, 1, 2]), (6, [0, 0, 0, 0]), (-9, [0, 0, 0, 0]), (99, [0] * 4)],
)
def test_descriptor_loads_are_zero_outside(offset, expected):
    given = {"x": F32(1, 2, 3, 4, 5, 6, 7, 8), "y": F32(9, 9, 9, 9)}
    assert straight(window(offset), "%x: *f32, %y: *f32", given)["y"].tolist() == expected


@pytest.mark.parametrize(
    ("offset", "expected"), [(4, [0, 0, 0, 0, 1, 2, 0, 0]), (-3, [4, 0, 0, 0, 0, 0, 0, 0]), (8, [0] * 8)]
)
def test_descriptor_stores_are_dropped_outside(offset, expected):
    given = {"x": np.zeros(8, np.float32), "y": F32(1, 2, 3, 4)}
    assert straight(window(offset, verb="store"), "%x: *f32, %y: *f32", given)["x"].tolist() == expected


def test_a_descriptor_larger_than_its_tensor_is_reported():
    given = {"x": np.zeros(8, np.float32), "y": F32(1, 2, 3, 4)}
    with pytest.raises(CheckFailed, match=r"ends at element 8; the tensor has 8"):
        straight(window(0, size=9), "%x: *f32, %y: *f32", given)


MASKED = """
%index = arange {start = 0, end = 4} : i32[4]
%limit = constant {value = 2} : i32[4]
%mask = cmp %index, %limit {predicate = "lt"} : i1[4]
%other = constant {value = 7.0} : f32[4]
%px = splat %x : *f32[4]
%qx = addptr %px, %index : *f32[4]
%t = load %qx MASK : f32[4]
%py = splat %y : *f32[4]
%qy = addptr %py, %index : *f32[4]
store %qy, %t STORE
"""


def test_masks_of_loads_and_stores():
    def run(mask, store, x):
        y = np.full(4, 9, np.float32)
        return straight(MASKED.replace("MASK", mask).replace("STORE", store), "%x: *f32, %y: *f32", {"x": x, "y": y})[
            "y"
        ]

    assert run(", %mask, %other", "", F32(1, 2)).tolist() == [1, 2, 7, 7]
    assert run(", %mask", "", F32(1, 2)).tolist() == [1, 2, 0, 0]
    assert run(", %mask", ", %mask", F32(1, 2)).tolist() == [1, 2, 9, 9]
    with pytest.raises(CheckFailed, match=r"load from elements 0 .. 3 of %x, which has 2"):
        run("", "", F32(1, 2))


def test_the_program_grid():
    y = np.zeros(24, np.int32)
    body = """
%x = program_id {axis = 0} : i32
%yy = program_id {axis = 1} : i32
%z = program_id {axis = 2} : i32
%nx = num_programs {axis = 0} : i32
%ny = num_programs {axis = 1} : i32
%a = mul %z, %ny : i32
%b = add %a, %yy : i32
%c = mul %b, %nx : i32
%d = add %c, %x : i32
%p = addptr %y, %d : *i32
%old = load %p : i32
%e = add %old, %d : i32
store %p, %e
"""
    assert straight(body, "%y: *i32", {"y": y}, grid=(4, 3, 2))["y"].tolist() == list(range(24))


def test_the_loop_runs_its_trip_count_and_carries():
    text = """graph g(%y: *i32, %lower: i32, %upper: i32, %step: i32) {
  %zero = constant {value = 0} : i32
  for %i: i32 in [%lower, %upper) step %step {
    carry %sum: i32 from %zero yields %next gives %total: i32
    carry %last: i32 from %zero yields %i gives %end: i32
    %next = add %sum, %i : i32
  }
  %p = addptr %y, %lower : *i32
  store %y, %total
}"""
    graph = parse_graph(text)
    verify(graph)
    for lower, upper, step in [(0, 5, 1), (0, 5, 2), (3, 3, 1), (5, 0, 1), (-4, 4, 3)]:
        y, given = np.zeros(8, np.int32), {"lower": lower, "upper": upper, "step": step}
        evaluate.run(graph, {"y": y, **given}, (1,))
        assert y[0] == sum(range(lower, upper, step))
    with pytest.raises(InputError, match="step is 0, not positive"):
        evaluate.run(graph, {"y": np.zeros(8, np.int32), "lower": 0, "upper": 1, "step": 0}, (1,))


def causal(q, k, v, scale):
    scores = np.where(np.tril(np.ones((q.shape[1], k.shape[1]), bool)), scale * q @ k.transpose(0, 2, 1), -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_attention(dtype):
    random = np.random.default_rng(0)
    q, k, v = (random.standard_normal((2, 256, 64)).astype(numpy_dtype(dtype)) for _ in range(3))
    given = {"q": q, "k": k, "v": v, "o": np.zeros_like(q), "H": 2, "S": 256, "scale": 0.125}
    graph = attention(dtype=dtype)
    exact = causal(*(x.astype(float) for x in (q, k, v)), 0.125)
    scale = np.abs(exact).max()
    ideal = evaluate.run(graph, given, (2, 2), "float64")["o"]
    # The kernel multiplies by f32's log2(e), so even its ideal meaning is that far off.
    np.testing.assert_allclose(ideal, exact, rtol=0, atol=tolerance("f32", 256, scale))
    native = evaluate.run(graph, given, (2, 2))["o"]
    assert native is given["o"]
    np.testing.assert_allclose(native.astype(float), exact, rtol=0, atol=tolerance(dtype, 256, scale))


def test_one_program_writes_only_its_rows():
    q = np.ones((1, 256, 64), BF16)
    given = {"q": q, "k": q, "v": q, "o": np.zeros_like(q), "H": 1, "S": 256, "scale": 0.125}
    evaluate.run(attention(), given, (2, 1), programs=[(1, 0)])
    assert (given["o"][0, :128] == 0).all()
    assert (given["o"][0, 128:] == 1).all()


HOST = """graph g(%d: descriptor<f32[2, 2]>, %y: *f32) {
  %zero = constant {value = 0} : i32
  %one = constant {value = 1} : i32
  %two = constant {value = 2} : i32
  %wide = constant {value = 2} : i64
  %narrow = constant {value = 1} : i64
  %out = descriptor %y, %two, %two, %wide, %narrow {rank = 2} : descriptor<f32[2, 2]>
  for %i: i32 in [%zero, %one) step %one {
    %t = descriptor_load %d, %one, %two : f32[2, 2]
    descriptor_store %out, %zero, %zero, %t
  }
}"""


def test_host_descriptors_views_and_torch_tensors():
    base = torch.arange(24.0).reshape(4, 6)
    graph = parse_graph(HOST)
    verify(graph)
    out = torch.zeros(2, 2)
    evaluate.run(graph, {"d": DescriptorArgument(base, (4, 6), (6, 1)), "y": out}, (1,))
    assert out.tolist() == [[8, 9], [14, 15]]
    view = np.zeros((2, 4), np.float32)[:, ::2]  # strided: y is the flat memory from its first element
    evaluate.run(graph, {"d": DescriptorArgument(base.T, (6, 4), (1, 6)), "y": view}, (1,))
    assert view.base.ravel()[:4].tolist() == [13, 19, 14, 20]
    with pytest.raises(InputError, match="is a Tensor, not a tensor descriptor"):
        evaluate.run(graph, {"d": base, "y": out}, (1,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": None}, "argument q is a NoneType, not a tensor"),
        ({"q": np.zeros(4, np.float32)}, "argument q holds f32, the kernel wants bf16"),
        ({"H": 1.5}, "argument H is 1.5, which is not an i32"),
        ({"H": 2**40}, "which is not an i32"),
        ({"scale": "x"}, "argument scale is a str, not a number"),
    ],
)
def test_bad_arguments(change, message):
    q = np.ones((1, 256, 64), BF16)
    given = {"q": q, "k": q, "v": q, "o": np.zeros_like(q), "H": 1, "S": 256, "scale": 0.125}
    with pytest.raises(InputError, match=message):
        evaluate.run(attention(), {**given, **change}, (2, 1))
    del given[next(iter(change))]
    with pytest.raises(InputError, match="is missing"):
        evaluate.run(attention(), given, (2, 1))
