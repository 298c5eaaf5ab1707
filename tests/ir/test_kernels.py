"""The shipped kernels: their sequential meaning is the float64 reference, divided or not."""

from pathlib import Path

import numpy as np
import pytest

from twill import frontend
from twill.ir import evaluate
from twill.ir.dtypes import numpy_view
from twill.ir.simplify import simplify
from twill.ir.subtile import ineligible, split
from twill.ir.text import parse_graph, print_graph
from twill.ir.tolerance import tolerance
from twill.ir.verify import verify

KERNELS = Path(__file__).resolve().parents[2] / "kernels"

ATTENTION = {"H": 1, "M": 256, "N": 256}
CASES = [
    ("attention.py", {**ATTENTION, "D": 64}, {"CAUSAL": False}, 256),
    ("attention.py", {**ATTENTION, "D": 128}, {"CAUSAL": True}, 256),
    ("attention_dq.py", {**ATTENTION, "D": 64}, {"CAUSAL": True}, 256),
    ("attention_dq.py", {**ATTENTION, "D": 128}, {"CAUSAL": False}, 256),
    ("matmul.py", {"M": 200, "N": 264, "K": 168}, {"ACTIVATION": "silu"}, 168),
    ("matmul.py", {"M": 256, "N": 256, "K": 64}, {"ACTIVATION": "gelu"}, 64),
]


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize(("file", "sizes", "constants", "length"), CASES)
def test_the_meaning_is_the_reference(file, sizes, constants, length, dtype):
    source = frontend.load(KERNELS / file)
    options = {**sizes, **constants, "dtype": dtype}
    graph, launch = frontend.lower(source, constants, example_options=options)
    verify(graph)
    assert parse_graph(print_graph(graph)) == graph
    example = source.info.example(**options)
    expected = {name: value.numpy() for name, value in source.info.reference(**example).items()}
    small = simplify(graph)
    verify(small)
    variants = {"source": graph, "simplified": small} | {f"{n} sub-tiles": split(small, n) for n in (1, 2)}
    assert ineligible(small, 3) != ""
    for what, variant in variants.items():
        for precision in ("float64", "native"):
            found = evaluate.run(variant, example, launch.grid, precision)
            assert set(found) == set(expected), what
            for name, exact in expected.items():
                # The ideal meaning still takes its constants and scalar arguments (the scale) in f32.
                narrow = "f32" if precision == "float64" else {"fp16": "f16", "bf16": "bf16"}[dtype]
                atol = tolerance(narrow, length, float(np.abs(exact).max()))
                error = np.abs(found[name].astype(float).reshape(exact.shape) - exact).max()
                assert error <= atol, f"{what}, {precision}: %{name} is off by {error:.3g}, more than {atol:.3g}"
        # The next variant must write its own results.
        for name in expected:
            numpy_view(example[name])[...] = np.nan
