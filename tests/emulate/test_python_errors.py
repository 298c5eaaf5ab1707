"""An error in the kernel's or the launcher's own Python: the user's, at its line, with its message."""

import pytest
import torch

from tests.emulate.running import line, module, run
from twill import emulate
from twill.errors import InputError, TwillError, Unsupported


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("y = x + undefined", "NameError: name 'undefined' is not defined"),
        ("y = [1, 2][7]", "IndexError: list index out of range"),
        ("y = 'a' + 1", "TypeError: can only concatenate"),
        ("y = 1 // 0", "ZeroDivisionError"),
        ("a, b = (1, 2, 3)", "ValueError: too many values to unpack"),
        ("y = x + gl.arange(0, 32, ROW)", r"shapes \[64\] and \[32\] do not broadcast"),
        ("y = x[:, None] + x", "different layouts|sliced|SliceLayout"),
        ("tile = gl.allocate_shared_memory(gl.float16, [64], BARRIER)\ntile.store(x)", "store of int32"),
        ("y = x & 1.5", "bitwise"),
        ("y = gl.zeros([64])", "TypeError: zeros"),
    ],
)
def test_an_error_of_the_source_is_exit_code_2_at_its_line(tmp_path, statement, what):
    with pytest.raises(TwillError, match=what) as caught:
        run(tmp_path, f"x = gl.arange(0, 64, ROW)\n{statement}")
    assert caught.value.exit_code == 2
    assert caught.value.location.line == line(2 + statement.count("\n"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("y = gl.hyperexp(x)", "hyperexp"),
        ("y = x.sort()", r"\.sort"),
        ("tma.async_conjure(x)", "async_conjure"),
        ("y = gl.sum(x, 0, colour=3)", "colour"),
        ("gl.allocate_shared_memory(gl.int64, [1], BARRIER).gather(x, 0)", "gather of a shared_memory_descriptor"),
    ],
)
def test_an_unknown_construct_is_exit_code_3_with_name_and_line(tmp_path, statement, what):
    with pytest.raises(Unsupported, match=what) as caught:
        run(tmp_path, f"x = gl.arange(0, 64, ROW)\n{statement}")
    assert caught.value.exit_code == 3
    assert caught.value.location.line == line(2)


def test_an_error_in_a_function_that_the_kernel_calls_is_reported_there(tmp_path):
    text = "@gluon.jit\ndef inner(x):\n    return x + missing\n\n@gluon.jit\ndef k():\n    inner(1)\n"
    with pytest.raises(InputError, match="missing") as caught:
        module(tmp_path, text).k[(1,)](num_warps=4)
    assert caught.value.location.line == line(1)


@pytest.mark.parametrize("loop", ["while True:\n    pass", "i = 0\nwhile i < 1:\n    i = i * 1"])
def test_a_kernel_that_never_ends_is_stopped_by_the_bound(tmp_path, loop):
    with pytest.raises(emulate.NeverEnds, match="2,000 loop turns of k") as caught:
        run(tmp_path, loop, max_steps=2000)
    assert caught.value.exit_code == 1


LAUNCH = """\
@gluon.jit
def k(x, tile: gl.constexpr):
    pass

def launch(x, block):
    desc = TensorDescriptor.from_tensor(x, block, gl.NVMMASharedLayout.get_default_for(block, gl.float16))
    k[(1,)](desc, 1)

def call(*args):
    k[(1,)](*args)
"""


@pytest.mark.parametrize(
    ("run_it", "what", "at"),
    [
        (lambda m: m.launch(torch.zeros(64, 60).half(), [64, 64]), "multiples of 16 bytes", 6),
        (lambda m: m.launch(torch.zeros(64, 64).half(), [64, 48]), "powers of two", 6),
        (lambda m: m.launch(torch.zeros(64).half(), [64, 64]), "one rank", 6),
        (lambda m: m.call(torch.zeros(4)), "launch of k does not match its parameters: missing .* 'tile'", 10),
        (lambda m: m.call(torch.zeros(4), 1, 2), "launch of k does not match its parameters: too many", 10),
        (lambda m: m.call(torch.zeros(4, device="meta"), 1), "lies on meta", 10),
    ],
)
def test_a_launch_that_cannot_be_is_one_paragraph_at_the_launcher_s_line(tmp_path, run_it, what, at):
    loaded = module(tmp_path, LAUNCH)
    with pytest.raises(InputError, match=what) as caught:
        run_it(loaded)
    assert caught.value.exit_code == 2
    assert caught.value.location.line == line(at) - 2
    assert "\n" not in str(caught.value)


def test_a_dtype_that_is_not_known_is_named(tmp_path):
    with pytest.raises(Unsupported, match=r"argument x has dtype torch\.complex64") as caught:
        module(tmp_path, LAUNCH).call(torch.zeros(4, dtype=torch.complex64), 1)
    assert caught.value.location.line == line(10) - 2
