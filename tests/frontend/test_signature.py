"""Kernels without a decorator, specialized by a signature and constants."""

from __future__ import annotations

from pathlib import Path

import pytest

from twill import frontend
from twill.errors import InputError
from twill.frontend.specialize import specialize

BARE = """
import triton
import triton.language as tl

@triton.jit
def bare(x, y, N, scale, BLOCK: tl.constexpr, FLAG: tl.constexpr = False):
    xd = tl.make_tensor_descriptor(x, [N, 64], [64, 1], [BLOCK, 64])
    yd = tl.make_tensor_descriptor(y, [N, 64], [64, 1], [BLOCK, 64])
    acc = tl.zeros([BLOCK, 64], tl.float32)
    for n in range(0, N, BLOCK):
        acc += xd.load([n, 0]) * scale
    yd.store([0, 0], acc.to(y.dtype.element_ty))
"""


@pytest.fixture
def source(tmp_path: Path):
    path = tmp_path / "bare.py"
    path.write_text(BARE)
    return frontend.load(path)


@pytest.mark.parametrize(
    ("signature", "constants"),
    [
        ("*bf16:16, *bf16:16, i32, fp32", {"BLOCK": "64"}),
        ("*bf16:16, *bf16:16, i32, fp32, 64, False", {}),
        ("*bf16:16, *bf16:16, i32, fp32, 64, constexpr", {"FLAG": 0}),
    ],
)
def test_signature_and_constants_are_enough(source, signature: str, constants: dict[str, object]) -> None:
    if "False" in signature:
        constants = {**constants, "FLAG": False}
    graph, launch = frontend.lower(source, constants, signature)
    assert [(value.name, value.type.dtype) for value in graph.arguments] == [
        ("x", "bf16"),
        ("y", "bf16"),
        ("N", "i32"),
        ("scale", "f32"),
    ]
    assert launch.constants == {"BLOCK": 64, "FLAG": False}
    assert launch.argument("x").alignment == 16
    assert launch.argument("x").shape is None
    assert launch.grid is None


@pytest.mark.parametrize(
    ("signature", "constants", "words"),
    [
        ("*bf16, i32", {"BLOCK": 64}, "the signature has 2 entries; kernel `bare` has 6 parameters, 4 of them"),
        ("*bf17, *bf16, i32, fp32", {"BLOCK": 64}, "entry `*bf17` for `x` is not a type"),
        ("*bf16, *bf16, i32, fp32", {}, "the constexpr `BLOCK` of kernel `bare` has no value"),
        ("*bf16, *bf16, i32, fp32", {"BLOCK": 64, "FLAG": "maybe"}, "constexpr `FLAG` is 'maybe', but it takes a bool"),
        ("*bf16, *bf16, i32, fp32, i32, 0", {}, "`BLOCK`, which is a tl.constexpr"),
    ],
)
def test_bad_signatures(source, signature: str, constants: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        specialize(source, constants, signature)
    assert words in str(caught.value)
