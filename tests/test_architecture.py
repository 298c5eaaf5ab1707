"""The rules that keep the rooms apart: who imports whom, and what loads when."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "twill"
SOLVERS = ("ortools", "z3")


def imports(path: Path) -> set[str]:
    """Every module a file imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def offenders(room: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for name in sorted(imports(path))
        if any(name == prefix or name.startswith(prefix + ".") for prefix in forbidden)
    ]


@pytest.mark.parametrize("room", ["schedule", "codegen", "emulate", "ir", "machine", "frontend"])
def test_only_the_solver_room_knows_the_solvers(room):
    assert offenders(room, ("twill.solve", *SOLVERS)) == []


def test_schedules_know_nothing_of_kernels():
    later = ("twill.ir", "twill.frontend", "twill.codegen", "twill.emulate", "torch", "triton")
    assert offenders("schedule", later) == []


def test_the_ir_knows_nothing_after_it():
    assert offenders("ir", ("twill.machine", "twill.schedule", "twill.codegen", "twill.emulate", "triton")) == []


def test_the_solver_knows_nothing_of_kernels():
    assert offenders("solve", ("twill.ir", "twill.frontend", "twill.codegen", "twill.emulate", "torch", "triton")) == []


@pytest.mark.parametrize("statement", ["import twill", "import twill.cli", "import twill.schedule.checker"])
def test_light_imports_load_nothing_heavy(statement):
    heavy = ("torch", "triton", "ortools", "matplotlib", "numpy", "networkx", "z3")
    code = f"{statement}\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scheduling_a_graph_needs_neither_torch_nor_triton(tmp_path):
    graph = tmp_path / "g.json"
    graph.write_text(
        '{"format": "twill-graph/1", "name": "g", "machine": {"units": {"TC": 1}}, "ops": [{"id": "a", "unit": "TC",'
        ' "occupancy": 7}], "deps": []}'
    )
    code = (
        "import sys\n"
        "for name in ('torch', 'triton'): sys.modules[name] = None\n"
        f"sys.argv = ['twill', 'schedule', {str(graph)!r}, '--json']\n"
        "from twill.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"ii": 7' in done.stdout
