"""How the tests of this room run kernels: the fixtures' launches, and one-role kernels given as text."""

import textwrap
from pathlib import Path

import torch

from twill import emulate

FIXTURES = Path(__file__).parent / "fixtures"
ATTENTION = FIXTURES / "attention_ring.py"
MATMUL = FIXTURES / "matmul_ring.py"

HEADER = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared, mbarrier, tma, warpgroup_mma, warpgroup_mma_wait)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

WIDE = gl.constexpr(gl.BlockedLayout([1, 4], [4, 8], [4, 1], [1, 0]))
ROW = gl.constexpr(gl.BlockedLayout([1], [32], [4], [0]))
MMA = gl.constexpr(gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16]))
TILE = gl.constexpr(gl.NVMMASharedLayout(128, 16, 2))
BARRIER = gl.constexpr(mbarrier.MBarrierLayout())

"""


def attention(n, *, seed=0, text=None, max_steps=100_000):
    """Run the attention fixture on one head of n tiles of 64 keys; (o, float64 truth), both [128, 64]."""
    module = emulate.load(ATTENTION, text=text, seed=seed, max_steps=max_steps)
    random = torch.Generator().manual_seed(n)
    q, k, v = (torch.randn(1, 384, 64, generator=random).half() for _ in range(3))
    o = torch.full_like(q, float("nan"))
    module.emulator.programs = [(0, 0, 0)]
    module.launch(q, k, v, o, n, 0.25, BLOCK_N=64)
    s = q[0, :128].double() @ k[0, : n * 64].double().T * 0.25
    weights = torch.softmax(s * torch.log(torch.tensor(2.0, dtype=torch.float64)), dim=1)
    return o[0, :128].double().numpy(), (weights @ v[0, : n * 64].double()).numpy()


def matmul(n, *, seed=0, text=None, max_steps=100_000):
    """Run the matmul fixture over n tiles of 64; (c, float64 truth), both [128, 128]."""
    module = emulate.load(MATMUL, text=text, seed=seed, max_steps=max_steps)
    random = torch.Generator().manual_seed(n)
    a, b = (torch.randn(*shape, generator=random).bfloat16() for shape in ((128, 512), (512, 128)))
    c = torch.full((128, 128), float("nan")).bfloat16()
    module.launch(a, b, c, n)
    return c.double().numpy(), (a[:, : n * 64].double() @ b[: n * 64].double()).clamp(min=0).numpy()


def module(tmp_path, text, **options):
    """The Gluon module HEADER + text; its first line of `text` is line HEADER_LINES + 1."""
    path = tmp_path / "kernel.py"
    path.write_text(HEADER + textwrap.dedent(text))
    return emulate.load(path, **options)


def run(tmp_path, body, *arguments, parameters="", seed=0, max_steps=100_000, grid=(1,), num_warps=4, **constants):
    """Run `body` as a kernel `k(parameters)`; line 1 of the body is `line(1)` of the file."""
    text = f"@gluon.jit\ndef k({parameters}):\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"
    loaded = module(tmp_path, text, seed=seed, max_steps=max_steps)
    loaded.k[grid](*arguments, **constants, num_warps=num_warps)
    return loaded


def line(number):
    """File line of line `number` of a body given to `run`."""
    return HEADER.count("\n") + 2 + number


def evaluate(tmp_path, expression, shape=(), dtype=torch.float32, *arguments, parameters="", setup=""):
    """The value of a Gluon expression over a [64] block `x` = 0..63 (int32), as a tensor of `shape`."""
    out = torch.zeros(64 if shape else 1, dtype=dtype)
    body = f"x = gl.arange(0, 64, ROW)\n{setup}\nvalue = {expression}\n"
    body += "gl.store(out + x, value)" if shape else "gl.store(out, value)"
    names = ", ".join(filter(None, ("out", parameters)))
    run(tmp_path, body, out, *arguments, parameters=names)
    return out if shape else out[0]
