"""Constructs of ordinary kernels, one at a time, to the opcodes they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from twill import frontend
from twill.errors import Location
from twill.ir.graph import Graph

from .conftest import BODY_LINE

File = Callable[[str], Path]

STORE = "yd.store([0, 0], acc.to(tl.float16))"


def lower(path: Path) -> Graph:
    graph, _ = frontend.lower(frontend.load(f"{path}::kern"))
    return graph


def body(path: Path) -> list[str]:
    return [op.opcode for op in lower(path).loop.body]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("tl.exp(t)", "exp"),
        ("tl.exp2(t)", "exp2"),
        ("tl.log(t)", "log"),
        ("tl.log2(t)", "log2"),
        ("tl.sqrt(t)", "sqrt"),
        ("tl.sqrt_rn(t)", "sqrt"),
        ("tl.rsqrt(t)", "rsqrt"),
        ("tl.sin(t)", "sin"),
        ("tl.cos(t)", "cos"),
        ("tl.erf(t)", "erf"),
        ("tl.abs(t)", "abs"),
        ("tl.floor(t)", "floor"),
        ("tl.ceil(t)", "ceil"),
        ("libdevice.tanh(t)", "tanh"),
        ("t - acc", "sub"),
        ("t / acc", "div"),
        ("t * acc", "mul"),
        ("tl.minimum(t, acc)", "min"),
        ("tl.fma(t, acc, t)", "fma"),
        ("tl.clamp(t, -1.0, 1.0)", "clamp"),
        ("tl.where(t > acc, t, acc)", "select"),
        ("tl.math.div_rn(t, acc)", "div"),
        ("t.T", "trans"),
        ("tl.reshape(tl.reshape(t, (32, 128)).T, (64, 64))", "reshape"),
        ("tl.sum(t, 1)[:, None]", "reduce"),
        ("tl.min(t, 0)[None, :]", "reduce"),
        ("tl.dot(t.to(tl.bfloat16), t.to(tl.bfloat16))", "dot"),
        ("t.to(tl.int32, bitcast=True)", "bitcast"),
        ("(n + tl.num_programs(0))", "num_programs"),
        ("(n // 3 % 2)", "rem"),
    ],
)
def test_one_operation(kernel_file: File, expression: str, expected: str) -> None:
    path = kernel_file(
        f"for n in range(0, N, BLOCK):\n    t = xd.load([n, 0]).to(tl.float32)\n    acc += {expression}\n{STORE}"
    )
    assert expected in body(path)


def test_maximum_that_propagates_nan_says_so(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        for n in range(0, N, BLOCK):
            acc = tl.maximum(acc, xd.load([n, 0]).to(tl.float32), propagate_nan=tl.PropagateNan.ALL)
        {STORE}
        """
    )
    (maximum,) = (op for op in lower(path).loop.body if op.opcode == "max")
    assert maximum.attributes["propagate_nan"] is True


def test_signedness_is_kept(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        for n in range(0, N, BLOCK):
            a = n.to(tl.uint32)
            acc += xd.load([n, 0]) * (a // 3 < a % 5) + n // 7
        {STORE}
        """
    )
    ops = lower(path).loop.body
    assert sorted(op.attributes["signed"] for op in ops if op.opcode == "div") == [False, True]
    assert [op.attributes["signed"] for op in ops if op.opcode in ("cmp", "rem")] == [False, False]


def test_infinities_and_fractions_are_exact(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        acc += float("-inf")
        for n in range(0, N, BLOCK):
            acc = tl.maximum(acc, xd.load([n, 0]) * 0.3)
        {STORE}
        """
    )
    import numpy as np

    values = {float(op.attributes["value"]) for op in lower(path).before if op.opcode == "constant"}
    assert float("-inf") in values
    assert any(np.float16(value) == np.float16(0.3) for value in values)


def test_stores_inside_the_loop(kernel_file: File) -> None:
    path = kernel_file(
        """
        for n in range(0, N, BLOCK):
            t = xd.load([n, 0])
            yd.store([n, 0], t * 2)
            tl.store(w + n + offs, tl.sum(t.to(tl.float32), 1), mask=n + offs < N)
        """
    )
    graph, launch = frontend.lower(frontend.load(f"{path}::kern"))
    assert graph.loop.carried == ()
    stores = [op for op in graph.loop.body if not op.results]
    assert [(op.opcode, len(op.operands)) for op in stores] == [("descriptor_store", 4), ("store", 3)]
    assert launch.outputs == ("y", "w")


def test_atomics_in_and_after_the_loop(kernel_file: File) -> None:
    path = kernel_file(
        """
        for n in range(0, N, BLOCK):
            t = tl.sum(xd.load([n, 0]).to(tl.float32), 1)
            tl.atomic_add(w + n + offs, t, mask=n + offs < N)
        tl.atomic_add(w + offs, 1.0)
        """
    )
    graph, launch = frontend.lower(frontend.load(f"{path}::kern"))
    inside, after = ([op for op in ops if op.opcode == "atomic"] for ops in (graph.loop.body, graph.after))
    assert [(len(op.operands), op.attributes["kind"], op.results) for op in inside] == [(3, "add", ())]
    assert [op.attributes["kind"] for op in after] == ["add"]
    assert inside[0].location is not None
    assert launch.argument("w").access == "rw"  # it starts as the example has it


def test_pointers_may_be_carried(kernel_file: File) -> None:
    path = kernel_file(
        """
        p = w + offs
        for n in range(0, N, BLOCK):
            tl.store(p, tl.sum(xd.load([n, 0]).to(tl.float32), 1))
            p += BLOCK
        """
    )
    graph, launch = frontend.lower(frontend.load(f"{path}::kern"))
    (carried,) = graph.loop.carried
    assert carried.argument.type.kind == "pointer"
    assert launch.outputs == ("w",)


def test_inlined_functions_keep_their_own_lines_and_the_library_its_callers(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        for n in range(0, N, BLOCK):
            t = helper(xd.load([n, 0])).to(tl.float32)
            u = tl.sigmoid(t)
            acc += u
        {STORE}
        """
    )
    lines = path.read_text().splitlines()
    ops = lower(path).loop.body
    doubled = next(op for op in ops if op.opcode == "mul")
    sigmoid = next(op for op in ops if op.opcode == "exp")
    assert lines[doubled.location.line - 1].strip() == "return a * 2 + 1"
    assert lines[sigmoid.location.line - 1].strip() == "u = tl.sigmoid(t)"
    assert {op.location.file for op in ops if op.location} == {frontend.load(f"{path}::kern").path}


def test_the_loop_is_where_the_for_is(kernel_file: File) -> None:
    path = kernel_file(f"for n in range(0, N, BLOCK):\n    acc += xd.load([n, 0])\n{STORE}")
    location = lower(path).loop.location
    assert location is not None
    assert location == Location(location.file, BODY_LINE, 5)


def test_hints_to_the_compiler_change_nothing(kernel_file: File) -> None:
    plain = body(kernel_file(f"for n in range(0, N, BLOCK):\n    acc += xd.load([n, 0])\n{STORE}"))
    hinted = kernel_file(
        f"""
        tl.assume(N > 0)
        for n in tl.range(0, N, BLOCK, num_stages=3, warp_specialize=True):
            n = tl.multiple_of(n, 16)
            acc += xd.load([n, 0])
        {STORE}
        """
    )
    assert body(hinted) == plain


def test_output_of_static_print_stays_off_stdout(kernel_file: File, capsys: pytest.CaptureFixture[str]) -> None:
    lower(
        kernel_file(
            f'tl.static_print("seen", BLOCK)\nfor n in range(0, N, BLOCK):\n    acc += xd.load([n, 0])\n{STORE}'
        )
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "seen" in captured.err


HOST = """
import torch, triton, twill
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

def example():
    make = lambda: TensorDescriptor.from_tensor(torch.zeros(512, 64).half(), [64, 64])
    return dict(x=make(), x_0=make(), N=512, flag=True, nothing=None, DT=tl.float16)

@twill.kernel(example=example, grid=lambda META: (2,))
@triton.autotune(configs=[triton.Config({"BLOCK": 64}), triton.Config({"BLOCK": 32})], key=["N"])
@triton.heuristics({"EVEN": lambda a: a["N"] % 64 == 0})
@triton.jit
def host(x, x_0, N, flag, nothing, EVEN: tl.constexpr, BLOCK: tl.constexpr, DT: tl.constexpr):
    acc = tl.zeros([64, 64], tl.float32)
    for n in range(0, N, BLOCK):
        acc += x.load([n, 0])
    if EVEN:
        acc += 1
    acc = tl.where(flag, acc, 0.0)
    x_0.store([0, 0], acc.to(DT)) # SHAPE
"""


def test_host_descriptors_autotune_and_heuristics(tmp_path: Path) -> None:
    path = tmp_path / "host.py"
    path.write_text(HOST)
    graph, launch = frontend.lower(frontend.load(path))
    assert [(value.name, value.type.kind) for value in graph.arguments] == [
        ("x", "descriptor"),
        ("x_0", "descriptor"),
        ("N", "value"),
        ("flag", "value"),
    ]
    assert launch.argument("x").block_shape == (64, 64)
    assert launch.constants == {"nothing": None, "EVEN": True, "BLOCK": 64, "DT": "tl.float16"}
    assert launch.outputs == ("x_0",)
    assert launch.grid_text == "lambda META: (2,)"


def test_names_are_unique_and_legal(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        u = pid * 2
        t_1 = u + 1
        for n in range(0, N, BLOCK):
            t = xd.load([n + t_1, 0]) * t_1
            acc = acc * 2 + t
            acc_1 = acc * acc
            acc = acc_1 + 1
        {STORE}
        """
    )
    graph = lower(path)
    names = [value.name for op in graph.ops() for value in op.results]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in graph.values())
