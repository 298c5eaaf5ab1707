"""The columns of tensor memory that live together: 512 at a time, whatever has died before."""

import textwrap

import pytest
import torch

from twill import emulate

HEADER = """\
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.blackwell import TensorMemoryLayout, allocate_tensor_memory, mbarrier

WIDE = gl.constexpr(TensorMemoryLayout((128, 256), col_stride=1))

@gluon.jit
def wide():
    return allocate_tensor_memory(gl.float32, [128, 256], WIDE)

@gluon.jit
def touch(memory):
    memory.store(gl.zeros([128, 256], gl.float32, memory.get_reg_layout()))

@gluon.jit
def stage():
    touch(wide())

@gluon.jit
def use(memory):
    touch(memory)

@gluon.jit
def both(memory, out):
    touch(memory)
    touch(wide())

@gluon.jit
def idle(memory, out):
    gl.store(out, 1.0)

@gluon.jit
def kernel(out):
"""


def run(tmp_path, body):
    path = tmp_path / "kernel.py"
    path.write_text(HEADER + textwrap.indent(textwrap.dedent(body), "    "))
    emulate.load(path, seed=1).kernel[(1,)](torch.zeros(1), num_warps=4)


def test_one_after_the_other_may_be_any_number(tmp_path):
    run(tmp_path, "for i in range(5):\n    stage()\na = wide()\ntouch(a)\nb = wide()\ntouch(b)\nc = wide()\ntouch(c)")


def test_two_that_fill_it_live_together(tmp_path):
    run(tmp_path, "a = wide()\nb = wide()\ntouch(a)\ntouch(b)")


@pytest.mark.parametrize(
    "body",
    [
        "a = wide()\nb = wide()\nc = wide()\ntouch(c)\ntouch(b)\ntouch(a)",
        "a = wide()\ntouch(a)\nb = wide()\ntouch(b)\nstage()\ntouch(a)\ntouch(b)",
        "a = wide()\nb = wide()\nfor i in range(2):\n    stage()\n    touch(a)\n    touch(b)",
    ],
)
def test_three_that_live_together_are_too_many(tmp_path, body):
    with pytest.raises(emulate.OutOfColumns, match="768 columns of tensor memory are in use together") as caught:
        run(tmp_path, body)
    assert "256 (line" in str(caught.value)


def test_what_another_role_uses_lives_until_the_roles_join(tmp_path):
    body = """
        a = wide()
        b = wide()
        gl.warp_specialize([(idle, (a, out)), (use, (a,)), (both, (b, out))], [4, 4])
    """
    with pytest.raises(emulate.OutOfColumns, match="768"):
        run(tmp_path, body)
    run(tmp_path, body.replace("(both, (b, out))", "(use, (b,))") + "    stage()\n        stage()\n")
