"""The GPU benchmark needs none of the compiler's dependencies beyond torch, triton, numpy, click and rich."""

import subprocess
import sys

from benchmarks.record import ROOT

MISSING = (
    "ortools",
    "z3",
    "networkx",
    "jsonschema",
    "greenlet",
    "ml_dtypes",
    "matplotlib",
    "platformdirs",
    "hypothesis",
)

PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({MISSING!r}))  # None makes an import fail
import benchmarks.gpu.__main__, benchmarks.gpu.child, benchmarks.gpu.timing
from benchmarks.gpu import cases, check, timing
from twill import frontend
from twill.shipped import VARIANTS
for file in sorted({{variant.source for variant in VARIANTS}}):
    source = frontend.load(cases.KERNELS / file)
    variant = next(variant for variant in VARIANTS if variant.source == file)
    kernel = cases.Kernel(variant, source, print, cases.FAMILIES[file])
    arguments = cases.arguments(kernel, kernel.family.checks[1], "cpu")
    exact = source.info.reference(**arguments)
    worst = max(check.error_over_tolerance(t.to(arguments[n].dtype), t, 64) for n, t in exact.items())
    assert 0 <= worst <= 1, worst
assert timing.peak_tflops({{"clocks.sm": 1000.0, "sm_count": 100}}) == 409.6
print("done")
"""


def test_it_works_where_the_compilers_dependencies_are_missing():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
