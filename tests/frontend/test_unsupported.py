"""What is not supported is refused with exit code 3, the place, the construct and advice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from twill import frontend
from twill.errors import Location, Unsupported

from .conftest import BODY_LINE, HEAD

LOOP = "for n in range(0, N, BLOCK):\n    "
END = "\nyd.store([0, 0], acc.to(tl.float16))"

# name: (body, text at the place reported, words of the message)
CASES = {
    "nested loop": (f"{LOOP}for m in range(0, n, BLOCK):\n        acc += xd.load([m, 0]){END}",
                    "for m in", "a loop inside the loop"),
    "while": (f"n = 0\nwhile n < N:\n    acc += xd.load([n, 0])\n    n += BLOCK{END}", "while n", "a `while` loop"),
    "descriptor store under an if": (
        f"{LOOP}t = xd.load([n, 0])\n    if n > pid:\n        yd.store([n, 0], t)",
        "if n > pid", "a store of a tensor descriptor under an `if`",
    ),
    "pointer from an if": (
        f"if pid > 1:\n    acc += tl.load(w)\n    z = x\nelse:\n    z = y\n"
        f"{LOOP}acc += xd.load([n, 0]){END}\ntl.store(z, 0.0)",
        "pid > 1", "a pointer that a condition chooses",
    ),
    "loop under an if in the loop": (
        f"{LOOP}t = xd.load([n, 0])\n    if n > pid:\n        for m in range(0, n, BLOCK):\n            acc += t{END}",
        "if n > pid", "an `if` on a run-time value around a loop",
    ),
    "if around the loop": (f"if pid > 1:\n    for n in range(0, N, BLOCK):\n        acc += xd.load([n, 0]){END}",
                           "if pid > 1", "an `if` on a run-time value around a loop"),
    "large gather": (
        f"many = tl.arange(0, 8192)\n{LOOP}t = tl.load(w + n + many)\n    acc += tl.sum(t, 0){END}",
        "tl.load(", "a load of 32 KiB through pointers in the loop",
    ),
    "result of an atomic": (f"{LOOP}acc += tl.atomic_add(w + offs, 1.0)[None, :]{END}",
                            "tl.atomic_add(", "the value that an atomic returns"),
    "atomic exchange": (f"{LOOP}tl.atomic_xchg(w + offs, 1.0)\n    acc += xd.load([n, 0]){END}",
                        "tl.atomic_xchg(", "an atomic of kind exch"),
    "atomic that signals": (f"{LOOP}tl.atomic_add(w + offs, 1.0, sem='release')\n    acc += xd.load([n, 0]){END}",
                            "tl.atomic_add(", "an atomic of order release"),
    "atomic of a block": (f"{LOOP}tl.atomic_add(w + offs, 1.0, scope='cta')\n    acc += xd.load([n, 0]){END}",
                          "tl.atomic_add(", "an atomic of scope cta"),
    "atomic maximum of floats": (f"{LOOP}tl.atomic_max(w + offs, 1.0)\n    acc += xd.load([n, 0]){END}",
                                 None, "a cast of a pointer"),
    "atomic cas": (f"{LOOP}acc += tl.atomic_cas(w + n, 0.0, 1.0){END}", "tl.atomic_cas(", "tl.atomic_cas"),
    "descriptor atomic": (f"{LOOP}yd.atomic_add([n, 0], xd.load([n, 0]))", "yd.atomic_add(", "atomic descriptor"),
    "scan": (f"{LOOP}acc += tl.cumsum(xd.load([n, 0]).to(tl.float32), 1){END}", "tl.cumsum(", "a scan"),
    "argmax": (f"{LOOP}acc += tl.argmax(xd.load([n, 0]), 1)[:, None]{END}", "tl.argmax(", "tl.argmax"),
    "own combiner": (f"{LOOP}acc += tl.reduce(xd.load([n, 0]), 1, combine)[:, None]{END}",
                     "tl.reduce(", "a reduction by a function of its own"),
    "inline assembly": (
        f'{LOOP}acc += tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [acc], tl.float32, True, 1){END}',
        "tl.inline_asm_elementwise(", "inline assembly",
    ),
    "noinline call": (f"{LOOP}acc += xd.load([outlined(n), 0]){END}", "outlined(n)", "a noinline function"),
    "extern": (f"{LOOP}acc = libdevice.acos(acc){END}", "libdevice.acos(", "the extern function `__nv_acosf`"),
    "histogram": (f"{LOOP}acc += tl.histogram(tl.sum(xd.load([n, 0]).to(tl.int32), 1), 64)[:, None]{END}",
                  "tl.histogram(", "tl.histogram"),
    "sort": (f"{LOOP}acc += tl.sort(xd.load([n, 0])){END}", None, "tl.sort(xd.load([n, 0]))"),
    "device_print": (f'{LOOP}tl.device_print("n", n)\n    acc += xd.load([n, 0]){END}',
                     "tl.device_print(", "tl.device_print"),
    "random numbers": (f"{LOOP}acc += tl.rand(n, offs)[None, :]{END}", "tl.rand(", "tl.rand"),
    "computed base": (
        f"zd = tl.make_tensor_descriptor(x + pid * BLOCK, [N, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])\n"
        f"{LOOP}acc += zd.load([n, 0]){END}",
        "tl.make_tensor_descriptor(", "base is a computed pointer",
    ),
    "shape from program": (
        f"zd = tl.make_tensor_descriptor(x, [N - pid, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])\n"
        f"{LOOP}acc += zd.load([n, 0]){END}",
        "tl.make_tensor_descriptor(", "shape or strides depend on the program",
    ),
    "descriptor in the loop": (
        f"{LOOP}zd = tl.make_tensor_descriptor(x, [n + 1, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])\n"
        f"    acc += zd.load([n, 0]){END}",
        "tl.make_tensor_descriptor(", "a tensor descriptor made in the loop",
    ),
    "break": (f"{LOOP}if n > 3:\n        break{END}", "break", "Break"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refused_with_place_construct_and_advice(kernel_file: Callable[[str], Path], name: str) -> None:
    body, at, words = CASES[name]
    path = kernel_file(body)
    with pytest.raises(Unsupported) as caught:
        frontend.lower(frontend.load(f"{path}::kern"))
    error = caught.value
    assert error.exit_code == 3
    assert words in str(error)
    assert "\n" not in str(error)
    assert error.hint
    assert isinstance(error.location, Location)
    assert error.location.line >= BODY_LINE
    assert error.location.column > 0
    if at is not None:
        line = path.read_text().splitlines()[error.location.line - 1]
        assert line[error.location.column - 1 :].startswith(at)


def test_early_return_names_its_condition(kernel_file: Callable[[str], Path]) -> None:
    path = kernel_file(f"if pid > 1:\n    return\n{LOOP}acc += xd.load([n, 0]){END}")
    with pytest.raises(Unsupported, match="an early `return`") as caught:
        frontend.lower(frontend.load(f"{path}::kern"))
    assert isinstance(caught.value.location, Location)
    assert caught.value.location.line == BODY_LINE


@pytest.mark.parametrize("body", ["pass", "for n in tl.static_range(0, 4):\n    acc += xd.load([n * BLOCK, 0])"])
def test_no_loop_is_said_of_the_kernel(kernel_file: Callable[[str], Path], body: str) -> None:
    path = kernel_file(body + END)
    with pytest.raises(Unsupported, match="kernel `kern` has no loop") as caught:
        frontend.lower(frontend.load(f"{path}::kern"))
    assert isinstance(caught.value.location, Location)
    assert HEAD.splitlines()[caught.value.location.line - 1].startswith("def kern")


def test_shape_of_a_host_descriptor(tmp_path: Path) -> None:
    from .test_supported import HOST

    path = tmp_path / "host.py"
    path.write_text(HOST.replace("# SHAPE", "\n    x_0.store([x.shape[0], 0], acc.to(DT))"))
    with pytest.raises(Unsupported, match="shape or strides of a host tensor descriptor"):
        frontend.lower(frontend.load(path))


def test_gluon_kernels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.py"
    path.write_text("from triton.experimental import gluon\n\n@gluon.jit\ndef g(x):\n    pass\n")
    with pytest.raises(Unsupported, match="`g` is a Gluon kernel"):
        frontend.load(path)
