"""Pairs of fp32 and inline PTX: right to the last bit, and anything else refused by name."""

import textwrap

import ml_dtypes
import numpy as np
import pytest
import torch

from tests.emulate.running import line, module, run
from twill.emulate import LayoutMismatch
from twill.errors import Unsupported

TWO = "from triton.experimental.gluon.language.nvidia.blackwell import float2\n"
AT = """\
@gluon.jit
def at(rows: gl.constexpr, columns: gl.constexpr):
    row = gl.arange(0, rows, gl.SliceLayout(1, WIDE))[:, None]
    return row * columns + gl.arange(0, columns, gl.SliceLayout(0, WIDE))[None, :]

"""


@pytest.fixture
def x():
    return torch.randn(64, 64, generator=torch.Generator().manual_seed(3))


def packed(tmp_path, x, body, shape=(64, 64)):
    """`body` computes `value` from the [64, 64] block `from_ptr`; it comes back in `shape`."""
    rows, columns = shape
    body = f"from_ptr = gl.load(x + at(64, 64))\n{body}\n"
    body += f"gl.store(out + at({rows}, {columns}), gl.convert_layout(value, WIDE))\n"
    out = torch.full(shape, float("nan"))
    text = TWO + AT + "@gluon.jit\ndef k(x, out):\n" + textwrap.indent(body, "    ")
    module(tmp_path, text).k[(1,)](x, out, num_warps=4)
    return out


def test_pack_and_unpack_are_inverse(tmp_path, x):
    assert torch.equal(packed(tmp_path, x, "value = float2.unpack(float2.pack(from_ptr, axis=1), axis=1)"), x)
    assert torch.equal(packed(tmp_path, x, "value = float2.unpack(float2.pack(from_ptr, axis=0), axis=0)"), x)


def test_arithmetic_rounds_once_in_each_lane(tmp_path, x):
    body = """p = float2.pack(from_ptr, axis=1)
q = float2.fma(p, p, float2.full_like(p, gl.to_tensor(-0.5)))
value = float2.unpack((q + p) * p - q, axis=1)"""
    fused = (x.double() * x.double() - 0.5).float()
    assert torch.equal(packed(tmp_path, x, body), (fused + x) * x - fused)


def test_sum_keeps_the_lanes_apart(tmp_path, x):
    body = """low, high = float2.unpack2(float2.pack(from_ptr, axis=1).sum(axis=1))
value = gl.join(low, high)"""
    out = packed(tmp_path, x, body, (64, 2))
    expected = torch.stack([x[:, ::2].double().sum(1), x[:, 1::2].double().sum(1)], dim=1)
    assert torch.allclose(out.double(), expected, atol=1e-5)


def test_only_fp32_is_packed(tmp_path, x):
    with pytest.raises(LayoutMismatch, match="it packs fp32"):
        packed(tmp_path, x, "value = float2.pack(from_ptr.to(gl.float16), axis=1)")


def assembled(tmp_path, text, constraints, dtype="gl.float32", arguments="x", out=torch.float32, pack=1):
    """`text` over x = 0..63 and y = x / 7 in fp32 (or what `arguments` makes of them)."""
    result = torch.zeros(64, dtype=out)
    body = f"""
n = gl.arange(0, 64, ROW)
x = n.to(gl.float32)
y = x / 7.0
value = gl.inline_asm_elementwise({text!r}, {constraints!r}, [{arguments}], dtype={dtype}, is_pure=True, pack={pack})
gl.store(out + n, value)
"""
    run(tmp_path, body, result, parameters="out")
    return result


X = torch.arange(64.0)
Y = X / 7


def test_instructions_on_registers(tmp_path):
    assert torch.equal(assembled(tmp_path, "add.f32 $0, $1, $2;", "=f,f,f", arguments="x, y"), X + Y)
    exponent = assembled(tmp_path, "ex2.approx.ftz.f32 $0, $1; // a comment", "=f,f", arguments="y")
    assert torch.allclose(exponent, torch.exp2(Y), rtol=1e-6)
    text = "{ .reg .b32 t<2>; shl.b32 t0, $1, 3; or.b32 t1, t0, 0x1; mov.b32 $0, t1; }"
    got = assembled(tmp_path, text, "=r,r", "gl.int32", "n", torch.int32)
    assert torch.equal(got, torch.arange(64, dtype=torch.int32) * 8 + 1)
    text = "max.f32 $0, $1, $2, 0f41200000;"
    assert torch.equal(assembled(tmp_path, text, "=f,f,f", arguments="x, y"), torch.clamp(X, min=10))


def test_conversions_put_the_first_operand_into_the_upper_half(tmp_path):
    text = "{ .reg .b16 low, high; cvt.rn.satfinite.e4m3x2.f32 $0, $2, $1; }"
    got = assembled(tmp_path, text, "=h,f,f", "gl.int16", "x * 20.0, y", torch.int16)
    low = np.clip(X.numpy() * 20, -448, 448).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    high = Y.numpy().astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    assert np.array_equal(got.numpy().view(np.uint16), low | high.astype(np.uint16) << 8)


def test_packed_elements_share_a_register(tmp_path):
    got = assembled(tmp_path, "xor.b32 $0, $1, 0x00010001;", "=r,r", "gl.int16", "n.to(gl.int16)", torch.int16, pack=2)
    assert torch.equal(got, (torch.arange(64) ^ 1).short())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("madc.hi.cc.u32 $0, $1, $1, $1;", "madc.hi.cc.u32"),
        ("@p mov.b32 $0, $1;", "@p mov"),
        ("add.f32 $0, $1, t;", "operand t"),
        ("ld.global.f32 $0, [$1];", "ld.global.f32|PTX"),
    ],
)
def test_what_is_not_in_the_table_is_refused_by_name_and_line(tmp_path, text, what):
    with pytest.raises(Unsupported, match=what) as caught:
        assembled(tmp_path, text, "=r,r")
    assert caught.value.location.line == line(4)


def test_constraints_and_results_agree(tmp_path):
    with pytest.raises(LayoutMismatch, match="2 constraints for 1 results and 2 operands"):
        assembled(tmp_path, "add.f32 $0, $1, $2;", "=f,f", arguments="x, y")
