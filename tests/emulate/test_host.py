"""What Gluon files of others use around their kernels: cp.async, aggregates, autotuning, files beside them."""

import textwrap

import pytest
import torch

from twill import emulate

HEADER = """\
import importlib
import triton
import triton.language as tl
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import async_copy

ROW = gl.constexpr(gl.BlockedLayout([1], [32], [4], [0]))
"""
COPY = """\
SHARED = gl.constexpr(gl.SwizzledSharedLayout(1, 1, 1, [0]))

@gluon.jit
def kernel(x, out, n):
    at = gl.arange(0, 64, ROW)
    buffers = gl.allocate_shared_memory(gl.float32, [2, 64], SHARED)
    async_copy.async_copy_global_to_shared(buffers.index(0), x + at)
    async_copy.commit_group()
    async_copy.async_copy_global_to_shared(buffers.index(1), x + 64 + at, mask=at < n)
    async_copy.commit_group()
    async_copy.wait_group(1)
    gl.store(out + at, buffers.index(0).load(ROW))
    async_copy.wait_group(0)
    gl.store(out + 64 + at, buffers.index(1).load(ROW))
"""


def load(tmp_path, text, **options):
    path = tmp_path / "kernel.py"
    path.write_text(HEADER + textwrap.dedent(text))
    return emulate.load(path, **options)


@pytest.mark.parametrize("seed", range(5))
def test_asynchronous_copies_complete_by_groups(tmp_path, seed):
    x, out = torch.arange(128.0), torch.full((128,), float("nan"))
    load(tmp_path, COPY, seed=seed).kernel[(1,)](x, out, 10)
    assert torch.equal(out, torch.where(torch.arange(128) < 74, x, 0))


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("wait_group(1)", "wait_group(2)", emulate.Race),
        ("    async_copy.wait_group(0)\n", "", emulate.Race),
        ("    async_copy.commit_group()\n    async_copy.wait_group(1)", "    async_copy.wait_group(0)", emulate.Race),
        ("    gl.store(out + 64 + at, buffers.index(1).load(ROW))\n", "", None),
        (
            "    async_copy.wait_group(0)\n    gl.store(out + 64 + at, buffers.index(1).load(ROW))\n",
            "",
            emulate.Unwaited,
        ),
    ],
)
def test_a_copy_must_be_waited_for(tmp_path, old, new, kind):
    assert COPY.count(old) == 1
    kernel = load(tmp_path, COPY.replace(old, new)).kernel
    if kind is None:
        kernel[(1,)](torch.zeros(128), torch.zeros(128), 10)
        return
    with pytest.raises(kind, match="asynchronous copy"):
        kernel[(1,)](torch.zeros(128), torch.zeros(128), 10)


def test_aggregates_autotuning_and_options_that_are_parameters(tmp_path):
    text = """
        @gluon.aggregate
        class Pair:
            first: gl.tensor
            second: gl.constexpr

            @gluon.jit
            def total(self):
                return self.first + self.second.value

        @triton.autotune([triton.Config({"STEP": 3}, num_warps=4), triton.Config({"STEP": 9}, num_warps=4)], key=[])
        @gluon.jit
        def kernel(out, STEP: gl.constexpr, num_warps: gl.constexpr):
            gl.store(out, Pair(gl.load(out), STEP).total() * num_warps)
    """
    out = torch.tensor([2])
    load(tmp_path, text).kernel[(1,)](out)
    assert out.item() == (2 + 3) * 4


def test_a_file_beside_it_is_emulated_too(tmp_path):
    (tmp_path / "0-other.py").write_text(HEADER + "@gluon.jit\ndef twice(x):\n    return x * 2\n")
    text = """
        other = importlib.import_module("0-other")
        floor = importlib.import_module("math").floor

        @gluon.jit
        def kernel(out):
            gl.store(out, other.twice(gl.load(out)))
    """
    out = torch.tensor([21])
    module = load(tmp_path, text)
    module.kernel[(1,)](out)
    assert out.item() == 42
    assert module.floor(1.5) == 1


def test_the_target_is_no_gpu(tmp_path):
    module = load(tmp_path, "TARGET = triton.runtime.driver.active.get_current_target()\n")
    assert module.TARGET.backend not in ("cuda", "hip")
