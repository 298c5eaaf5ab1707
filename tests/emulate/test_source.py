"""Reading sources: names, lines, and Gluon's meaning of loops."""

import pytest
import torch

from tests.emulate.running import HEADER, line, module, run
from twill import emulate
from twill.emulate import source

NAMED = """\
a = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
b: object = gl.allocate_shared_memory(
    gl.float16,
    [64, 64], TILE)
c = [gl.allocate_shared_memory(gl.float16, [64, 64], TILE)]
"""


def test_allocations_are_named_after_their_variables():
    assert source.read(NAMED, "k.py").names == {1: "a", 2: "b", 3: "b", 4: "b", 5: "c"}


def test_an_allocation_without_a_name_is_named_by_its_line(tmp_path):
    with pytest.raises(emulate.Poison) as caught:
        run(tmp_path, "gl.allocate_shared_memory(gl.float16, [64, 64], TILE).load(WIDE)")
    assert caught.value.buffer == f"buffer@{line(1)}"


def test_rewriting_keeps_every_line(tmp_path):
    body = """
    n = 0
    for i in range(3):
        n = n + i

        while n > 100:

            n = n - 1
        if i == 2:
            gl.device_assert(n < 0)
    """
    with pytest.raises(emulate.AssertionFailed, match=r"iteration 2\)") as caught:
        run(tmp_path, body)
    assert caught.value.location.line == line(9)
    assert caught.value.location.file.endswith("kernel.py")


def test_numbers_carried_around_a_loop_are_the_machine_s(tmp_path):
    out = torch.zeros(4, dtype=torch.int32)
    body = """
    down = 0
    big = 1
    for i in range(0, 6, 2):
        down -= i
        big = big * 65536
    gl.store(out, down % 4)
    gl.store(out + 1, down // 4)
    gl.store(out + 2, big)
    static = 0
    for i in gl.static_range(3):
        static = static - i
    gl.store(out + 3, static % 4)
    """
    run(tmp_path, body, out, parameters="out")
    # -6 divides toward zero on the machine, downwards at compile time; 2**48 wraps to 0.
    assert out.tolist() == [-2, -1, 0, 1]


@pytest.mark.parametrize(("bounds", "turns"), [("3", [0, 1, 2]), ("2, 7, 2", [2, 4, 6]), ("2, -1, -1", [2, 1, 0]),
                                               ("0", []), ("5, 2", [])])  # fmt: skip
def test_ranges(tmp_path, bounds, turns):
    out = torch.full((8,), -1, dtype=torch.int32)
    body = f"at = 0\nfor i in range({bounds}):\n    gl.store(out + at, i)\n    at += 1"
    run(tmp_path, body, out, parameters="out")
    assert out.tolist() == turns + [-1] * (8 - len(turns))


def test_leaving_a_loop_early(tmp_path):
    out = torch.zeros(1, dtype=torch.int32)
    body = "at = 0\nfor i in range(10):\n    at = i\n    if i == 4:\n        break\ngl.store(out, at)"
    run(tmp_path, body, out, parameters="out")
    assert out.item() == 4


def test_the_launcher_is_plain_python(tmp_path):
    loaded = module(tmp_path, """
        @gluon.jit
        def k(out, N: gl.constexpr = 3):
            gl.store(out, N // 2)


        def go(out):
            for i in range(2):
                assert type(i) is int
                k[(1,)](out, N=min(9, 5 + i))
            return max([1, 2])
        """)  # fmt: skip
    out = torch.zeros(1, dtype=torch.int32)
    assert loaded.go(out) == 2
    assert out.item() == 3


def test_the_file_is_left_as_it_is(tmp_path):
    module(tmp_path, "x = 1\n")
    assert (tmp_path / "kernel.py").read_text() == HEADER + "x = 1\n"
