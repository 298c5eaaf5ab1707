"""Where kernels are timed there is torch and triton, and none of the compiler's other dependencies."""

import subprocess
import sys

from benchmarks.record import ROOT

MISSING = ("ortools", "z3", "jsonschema", "greenlet", "ml_dtypes", "matplotlib", "click", "rich", "hypothesis")

PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({MISSING!r}))  # None makes an import fail
import twill.measure.child, twill.measure.device
from twill.measure.arguments import launch_arguments
from twill.measure.comparison import compare
from twill.measure.page import page
from twill.measure.predicted import expected_of, predicted
from twill.measure.twin import clean_twin
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path
(path,) = [schedule_path(variant) for variant in VARIANTS if variant.name == "matmul_fp16"]
stored = files.read(path)
arguments = launch_arguments(stored, path, {{"K": "1024"}}, "cpu")
assert arguments["a"].shape == (256, 1024)
made = clean_twin(stored, arguments)
same = predicted(stored, made.stamps.probes, 64)
found = compare(stored.schedule, same, expected_of(stored, same, "made up"))
assert "<svg" in page(stored.schedule, same, same, found)
print("done")
"""


def test_a_kernel_is_timed_and_compared_without_them():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
