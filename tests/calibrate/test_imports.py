"""Calibration runs where there is a GPU and Triton, and no solver."""

import subprocess
import sys


def test_neither_command_nor_kernels_need_a_solver_or_what_draws():
    absent = ("ortools", "z3", "jsonschema", "networkx", "greenlet", "matplotlib", "ml_dtypes")
    code = (
        "import sys\n"
        f"for name in {absent!r}: sys.modules[name] = None\n"
        "import twill.cli, twill.calibrate.command, twill.calibrate.child, twill.calibrate.probes\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_loads_neither_torch_nor_triton():
    code = "import sys, twill.calibrate.command\n"
    code += "print([name for name in ('torch', 'triton', 'rich') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
