"""A kernel file made of a fixed head and a body of the test's own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = """\
import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice

import twill


def example(BLOCK=64):
    x = torch.zeros(512, 64, dtype=torch.float16)
    return dict(x=x, y=torch.zeros_like(x), w=torch.zeros(512), N=512, BLOCK=BLOCK)


@triton.jit
def helper(a):
    return a * 2 + 1


@triton.jit(noinline=True)
def outlined(a):
    return a + 1


@triton.jit
def combine(a, b):
    return a * b + a


@twill.kernel(example=example, grid=(2,))
@triton.jit
def kern(x, y, w, N, BLOCK: tl.constexpr):
    pid = tl.program_id(0)
    xd = tl.make_tensor_descriptor(x, [N, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])
    yd = tl.make_tensor_descriptor(y, [N, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])
    acc = tl.zeros([BLOCK, BLOCK], tl.float32)
    offs = tl.arange(0, BLOCK)
"""


@pytest.fixture
def kernel_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes HEAD and an indented body to a file; the body's first line is line BODY_LINE."""

    def write(body: str) -> Path:
        path = tmp_path / "user_kernel.py"
        path.write_text(HEAD + textwrap.indent(textwrap.dedent(body).strip() + "\n", "    "))
        return path

    return write


BODY_LINE = HEAD.count("\n") + 1
