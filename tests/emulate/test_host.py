"""What Gluon files of others use around their kernels: cp.async, aggregates, autotuning, files beside them."""

import textwrap

import pytest
import torch

from twill import emulate
from twill.emulate.on_cpu import on_cpu

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


def test_a_file_loaded_by_its_path_is_emulated_too(tmp_path):
    (tmp_path / "0-other.py").write_text(HEADER + "@gluon.jit\ndef twice(x):\n    return x * 2\n")
    text = """
        import importlib.util
        from pathlib import Path

        spec = importlib.util.spec_from_file_location("other", Path(__file__).with_name("0-other.py"))
        other = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(other)

        @gluon.jit
        def kernel(out):
            gl.store(out, other.twice(gl.load(out)))
    """
    out = torch.tensor([21])
    load(tmp_path, text).kernel[(1,)](out)
    assert out.item() == 42


def test_host_code_for_a_gpu_runs_on_the_cpu(tmp_path):
    text = """
        import torch

        def made():
            target = triton.runtime.driver.active.get_current_target()
            x = torch.ones(2, device="cuda")
            return target.backend, torch.cuda.get_device_capability(), x.device.type, x.to("cuda").cuda().device.type
    """
    module = load(tmp_path, text)
    before = torch.cuda.get_device_capability
    with on_cpu(capability=(9, 0), multiprocessors=3):
        assert module.made() == ("cuda", (9, 0), "cpu", "cpu")
        assert torch.cuda.get_device_properties("cuda").multi_processor_count == 3
    assert torch.cuda.get_device_capability is before


def test_a_convolution_of_half_types_accumulates_in_float32():
    x, w = torch.randn(1, 64, 8, 8).bfloat16(), torch.randn(8, 64, 3, 3).bfloat16()
    with on_cpu():
        got = torch.nn.functional.conv2d(x, w)
    assert torch.equal(got, torch.nn.functional.conv2d(x.float(), w.float()).bfloat16())


def test_pure_host_modules_of_triton_are_the_installed_ones(tmp_path):
    module = load(tmp_path, "from triton.tools.mxfp import MXFP4Tensor\nknobs = triton.knobs\nknobs.a.b = 1\n")
    packed = module.MXFP4Tensor(data=torch.tensor([[1.0, -6.0]])).to_packed_tensor(dim=1)
    assert packed.tolist() == [[0xF2]]
    assert module.knobs.a.b == 1


def test_a_scalar_function_is_mapped_over_blocks(tmp_path):
    text = """
        @gluon.jit
        def clip(x, low):
            if x < low:
                return low
            return x * 2

        @gluon.jit
        def kernel(out):
            at = gl.arange(0, 64, ROW)
            gl.store(out + at, gl.map_elementwise(clip, at, gl.full([64], 10, gl.int32, ROW)))
    """
    out = torch.zeros(64, dtype=torch.int32)
    load(tmp_path, text).kernel[(1,)](out)
    numbers = torch.arange(64, dtype=torch.int32)
    assert torch.equal(out, torch.where(numbers < 10, 10, numbers * 2))
