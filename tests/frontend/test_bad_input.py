"""Files, options and examples that cannot be used: exit code 2, the place, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twill import frontend
from twill.errors import InputError, Location

from .conftest import BODY_LINE

LOOP = "for n in range(0, N, BLOCK):\n    acc += xd.load([n, 0])\nyd.store([0, 0], acc.to(tl.float16))"
KERNEL = "@triton.jit\ndef {name}(x, N, BLOCK: tl.constexpr):\n    pass\n\n"
IMPORTS = "import torch, triton, twill\nimport triton.language as tl\n\n"


def refused(path: object, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        frontend.lower(frontend.load(path), **options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return caught.value


def line_of(error: InputError) -> int:
    assert isinstance(error.location, Location)
    return error.location.line


def test_no_such_file() -> None:
    assert "there is no file `nowhere.py`" in str(refused("nowhere.py"))


def test_not_a_python_file(tmp_path: Path) -> None:
    assert "is not a Python file" in str(refused(tmp_path))


def test_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    assert "no Triton kernel" in str(refused(path))


def test_two_kernels_and_no_name(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(IMPORTS + KERNEL.format(name="one") + KERNEL.format(name="two"))
    message = str(refused(path))
    assert "there are 2 kernels in this file: `one`, `two`" in message
    assert "a.py::one" in message
    assert frontend.load(f"{path}::two").name == "two"


def test_helpers_are_not_kernels(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    calling = "@triton.jit\ndef two(x, N, BLOCK: tl.constexpr):\n    one(x, N, BLOCK)\n"
    path.write_text(IMPORTS + KERNEL.format(name="one") + calling)
    assert frontend.load(path).name == "two"


def test_unknown_kernel_name(kernel_file: Callable[[str], Path]) -> None:
    message = str(refused(f"{kernel_file(LOOP)}::nothing"))
    assert "there is no kernel `nothing`" in message
    assert "`kern`" in message


def test_syntax_error(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\ndef f(:\n    pass\n")
    error = refused(path)
    assert "syntax error" in str(error)
    assert line_of(error) == 2


def test_file_that_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("import os\n\ndef f():\n    raise KeyError('lost')\n\nf()\n")
    error = refused(path)
    assert "KeyError: 'lost'" in str(error)
    assert line_of(error) == 4


def test_missing_module(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("import no_such_module_anywhere\n")
    error = refused(path)
    assert "No module named 'no_such_module_anywhere'" in str(error)
    assert line_of(error) == 1


def test_file_that_exits(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("raise SystemExit(3)\n")
    assert "SystemExit: 3" in str(refused(path))


def test_siblings_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "sibling_of_a.py").write_text("BLOCK = 16\n")
    path = tmp_path / "a.py"
    path.write_text("from sibling_of_a import BLOCK\n" + IMPORTS + KERNEL.format(name="one"))
    assert frontend.load(path).name == "one"


def test_example_that_raises(kernel_file: Callable[[str], Path]) -> None:
    path = kernel_file(LOOP)
    path.write_text(path.read_text().replace("    x = torch.zeros(512", "    x = torch.zeros(-1"))
    error = refused(path)
    assert "the example of kernel `kern` raised RuntimeError" in str(error)
    assert path.read_text().splitlines()[line_of(error) - 1].lstrip().startswith("x = torch.zeros(-1")


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("3", "returned an int, not a dict"),
        ("dict(x=1)", "the argument `y` of kernel `kern` has no value"),
        ("dict(x=1, zzz=2)", "returned `zzz`, which is no parameter"),
        ("dict(x=x, y=x, w=x, N=512)", "the constexpr `BLOCK` of kernel `kern` has no value"),
        ("dict(x=x, y=x, w=x, N='many', BLOCK=64)", "argument `N` of kernel `kern` is a string"),
        ("dict(x=x.to(torch.complex64), y=x, w=x, N=512, BLOCK=64)", "complex64"),
        ("dict(x=x, y=x, w=x, N=512, BLOCK=[64])", "constexpr `BLOCK` of kernel `kern` is a list"),
    ],
)
def test_example_that_returns_the_wrong_thing(kernel_file: Callable[[str], Path], returned: str, words: str) -> None:
    path = kernel_file(LOOP)
    text = path.read_text()
    old = next(line for line in text.splitlines() if line.startswith("    return dict("))
    path.write_text(text.replace(old, f"    return {returned}"))
    assert words in str(refused(path))


@pytest.mark.parametrize(
    ("constants", "words"),
    [
        ({"BLOCK": "big"}, "constexpr `BLOCK` is 'big', but it takes an int, such as 64"),
        ({"BLOCK": 2.5}, "constexpr `BLOCK` is 2.5, but it takes an int"),
        ({"BLOKC": 64}, "`BLOKC` is no parameter of kernel `kern`. Its constexprs are BLOCK."),
        ({"N": 64}, "`N` is an argument, not a tl.constexpr"),
        ({"BLOCK": 48}, "power of 2"),
    ],
)
def test_bad_constants(kernel_file: Callable[[str], Path], constants: dict[str, object], words: str) -> None:
    assert words in str(refused(kernel_file(LOOP), constants=constants))


def test_unknown_example_option(kernel_file: Callable[[str], Path]) -> None:
    message = str(refused(kernel_file(LOOP), example_options={"dtype": "bf16"}))
    assert "has no option `dtype`" in message
    assert "BLOCK" in message


def test_sizes_that_break_multiple_of(kernel_file: Callable[[str], Path]) -> None:
    path = kernel_file(LOOP)
    path.write_text(
        path.read_text()
        .replace("grid=(2,))", 'grid=(2,), multiple_of={"N": "BLOCK"})')
        .replace("N=512, BLOCK", "N=500, BLOCK")
    )
    assert "`N` is 500, which is not a multiple of BLOCK (64)" in str(refused(path))


def test_grid_that_raises(kernel_file: Callable[[str], Path]) -> None:
    path = kernel_file(LOOP)
    path.write_text(path.read_text().replace("grid=(2,)", 'grid=lambda a: (a["Q"],)'))
    assert "the launch grid cannot be computed: KeyError: 'Q'" in str(refused(path))


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("for n in range(0, N, BLOCK):\n    acc += zzz", 1, "zzz is not defined"),
        ("for n in range(0, N, BLOCK):\n    acc += tl.sum(acc, 5)", 1, "invalid axis 5"),
        ("for n in range(0, N, BLOCK):\n    acc = xd.load([n, 0])", 0, "Loop-carried variable acc"),
        ('tl.static_assert(BLOCK == 3, "must be three")', 0, "must be three"),
    ],
)
def test_what_triton_rejects(kernel_file: Callable[[str], Path], body: str, line: int, words: str) -> None:
    error = refused(kernel_file(body))
    assert "Triton rejects kernel `kern`" in str(error)
    assert words in str(error)
    assert line_of(error) == BODY_LINE + line


def test_an_assertion_of_tritons_own_says_what_it_asserts(kernel_file: Callable[[str], Path]) -> None:
    tiles = "a = tl.zeros([32, 32], tl.int8)\nb = tl.zeros([32, 32], tl.int32)\nfor n in range(0, N, BLOCK):\n    "
    error = refused(kernel_file(tiles + "b = tl.dot(a, a, b)"))
    assert "acc.type.element_ty == out_dtype" in str(error)


def test_no_decorator_and_no_signature(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(IMPORTS + KERNEL.format(name="one"))
    error = refused(path)
    assert "does not say how it is launched" in str(error)
    assert "--signature" in str(error)
