"""The shipped kernels are ordinary Triton: stock Triton compiles them unchanged, decorator and all."""

import pytest

from twill import frontend
from twill.frontend.specialize import specialize
from twill.frontend.triton_ttir import ast_source
from twill.shipped import kernels_folder

CASES = [
    ("attention.py", {}, {}),
    ("attention.py", {"D": 64, "CAUSAL": True}, {"dtype": "bf16"}),
    ("attention_dq.py", {}, {}),
    ("matmul.py", {}, {"dtype": "bf16"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "constants", "example"), CASES)
def test_stock_triton_compiles_it(file, constants, example):
    import triton
    from triton.backends.compiler import GPUTarget

    source = frontend.load(kernels_folder() / file)
    launch = specialize(source, constants, None, example)
    built = triton.compile(ast_source(source, launch), target=GPUTarget("cuda", 90, 32), options={"num_warps": 8})
    assert "wgmma" in built.asm["ptx"]
    assert built.asm["cubin"]


@pytest.mark.parametrize("file", ["attention.py", "attention_dq.py", "matmul.py"])
def test_the_decorator_returns_tritons_own_kernel(file):
    from triton.runtime.jit import JITFunction

    assert isinstance(frontend.load(kernels_folder() / file).function, JITFunction)
