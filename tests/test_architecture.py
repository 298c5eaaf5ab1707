"""The rules that keep the rooms apart: who imports whom, and what loads when."""

import ast
import subprocess
import sys
import tomllib
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


@pytest.mark.parametrize("room", ["solve", "schedule", "codegen", "emulate", "ir", "machine", "frontend"])
def test_no_stage_knows_the_search_around_the_stages(room):
    assert offenders(room, ("twill.candidates", "twill.compiler", "twill.ties", "twill.alternatives")) == []


def test_explanations_know_nothing_of_kernels():
    later = ("twill.ir", "twill.frontend", "twill.codegen", "twill.emulate", "torch", "triton", *SOLVERS)
    assert offenders("explain", later) == []
    assert offenders("schedule", ("twill.explain",)) == []
    assert offenders("solve", ("twill.explain",)) == []


def test_schedules_know_nothing_of_kernels():
    later = ("twill.ir", "twill.frontend", "twill.codegen", "twill.emulate", "torch", "triton")
    assert offenders("schedule", later) == []


def test_baselines_know_problems_and_schedules_only():
    others = ("solve", "ir", "frontend", "machine", "codegen", "emulate", "candidates", "comparison", "problems")
    assert offenders("baselines", (*(f"twill.{room}" for room in others), *SOLVERS, "torch", "triton")) == []


def test_the_problem_library_is_read_without_a_solver():
    assert offenders("../problems", ("twill.solve", "twill.baselines", "twill.ir", *SOLVERS, "torch", "triton")) == []


def test_the_ir_knows_nothing_after_it():
    assert offenders("ir", ("twill.machine", "twill.schedule", "twill.codegen", "twill.emulate", "triton")) == []


def test_the_solver_knows_nothing_of_kernels():
    assert offenders("solve", ("twill.ir", "twill.frontend", "twill.codegen", "twill.emulate", "torch", "triton")) == []


def test_only_certificates_and_the_paper_peer_know_z3():
    knowing = {name.split()[0].split("/")[0] for name in offenders(".", ("z3",))}
    assert knowing <= {"certify", "paper"}


def test_the_encoding_for_z3_shares_the_problem_only_with_the_solver():
    """Only `examination` asks the solver; what builds the encoding sees problems and nothing else of twill."""
    assert [
        line for line in offenders("certify", ("twill.solve", "twill.paper", "ortools")) if "examination" not in line
    ] == []
    for part in ("logic", "times", "places", "registers", "memory", "encoding"):
        others = {name for name in imports(ROOT / "certify" / f"{part}.py") if name.startswith("twill.")}
        assert {name for name in others if not name.startswith("twill.certify.")} <= {"twill.schedule.problem"}


@pytest.mark.parametrize(
    "statement",
    ["import twill", "import twill.cli", "import twill.schedule.checker", "import twill.explain", "import twill.paper"],
)
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


def test_every_room_is_packaged():
    """A folder left out of pyproject.toml works in a checkout only."""
    settings = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())
    rooms = {"twill", *(f"twill.{path.parent.name}" for path in ROOT.glob("*/__init__.py"))}
    assert rooms <= set(settings["tool"]["setuptools"]["packages"])
