"""Every subcommand as a person or a program types it: its words, its one JSON object, its files and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import answer, twill

ROOT = Path(__file__).resolve().parents[1]
SWIGLU = Path(__file__).parent / "kernels_for_tests" / "swiglu.py"
HEAVY = ("torch", "triton", "ortools", "matplotlib", "numpy", "networkx", "jsonschema", "rich", "z3")


# compile


def test_compile_shows_and_checks(tmp_path):
    out = twill("compile", SWIGLU, "-o", tmp_path / "new" / "out").stdout
    parts = [
        "swiglu for NVIDIA H100", "The loop's ops", "Load of each unit", "MII 948 cycles, because of unit TMA",
        "II 948 cycles: optimal", "proof: ResMII of unit TMA", "Numbers of sub-tiles", "Roles", "Shared memory",
        "STEADY STATE", "Files", "Checks",
    ]  # fmt: skip
    places = [out.index(part) for part in parts]
    assert places == sorted(places)
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if line != line.rstrip()] == []
    for check in ("ir        ok", "schedule  ok", "emulate   ok", "ptxas     ok"):
        assert check in out
    written = {"swiglu_hopper.py", "swiglu_hopper.json", "swiglu_hopper.html"}
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == written


def test_compile_json(tmp_path):
    data = answer("compile", SWIGLU, "-o", tmp_path, "--no-verify")
    assert (data["status"], data["ii"], data["kernel"], data["arch"]) == ("optimal", 948, "swiglu", "hopper")
    assert data["subtiles"] == data["candidates"][0]["subtiles"] == 2
    assert data["candidates"][-1]["reason"]
    assert data["passed"] is None
    assert data["stopped"] is False
    assert {role["name"] for role in data["roles"]} == {"consumer0", "consumer1", "loader"}
    assert data["explain"]["units"][0]["unit"] == "TMA"
    assert [Path(path).exists() for path in data["files"]] == [True] * 3


def test_what_the_kernel_file_prints_is_not_on_stdout(tmp_path):
    text = SWIGLU.read_text()
    for old, new in (
        ("import torch\n", "import torch\nprint('from the file')\n"),
        (
            "def inputs(M=128, N=128, K=256, seed=0):\n",
            "def inputs(M=128, N=128, K=256, seed=0):\n    print('example')\n",
        ),
        ("def truth(a, w, v, **_):\n", "def truth(a, w, v, **_):\n    print('from the reference')\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "loud.py").write_text(text)
    data = answer("compile", tmp_path / "loud.py", "-o", tmp_path / "out")
    assert data["passed"] is True
    assert {check["name"]: check["status"] for check in data["checks"]} == dict.fromkeys(
        ("ir", "schedule", "emulate", "ptxas"), "passed"
    )


def test_a_failed_check_is_exit_code_1(tmp_path):
    """A reference that is wrong: everything is written, the check says by how much it is off."""
    text = SWIGLU.read_text()
    (tmp_path / "wrong.py").write_text(text.replace("(a @ v)}", "(a @ v) + 1}"))
    done = twill("compile", tmp_path / "wrong.py", "-o", tmp_path / "out", code=1)
    assert "ir        FAILED" in done.stdout
    assert "error: " in done.stderr
    assert "`c` differs from the reference by 1.0" in done.stderr
    data = answer("compile", tmp_path / "wrong.py", "-o", tmp_path / "out", code=1)
    assert data["passed"] is False
    assert data["checks"][0]["status"] == "failed"


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ("ttir", ["tt.func public @swiglu", "tt.dot"]),
        ("graph", ["graph swiglu", "descriptor_load"]),
        ("problem", ['"format": "twill-graph/1"', '"id": "gate.0"']),
        ("schedule", ['"format": "twill-schedule/1"', '"status": "optimal"', '"ii": 948']),
        ("plan", ["buffers = ", "a_tile_0_ring", "roles = ", "consumer0"]),
        ("source", ["@gluon.jit", "def swiglu(a, w, v, c, M, N, K"]),
    ],
)
def test_emit(tmp_path, monkeypatch, stage, says):
    monkeypatch.chdir(tmp_path)
    text = twill("compile", SWIGLU, "--emit", stage).stdout
    for words in says:
        assert words in text
    data = answer("compile", SWIGLU, "--emit", stage)
    assert data["stage"] == stage
    for words in says:
        assert words in data["text"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_emitted_is_read_again(tmp_path):
    """The problem is a graph file of its own, the schedule a schedule file."""
    (tmp_path / "problem.json").write_text(twill("compile", SWIGLU, "--emit", "problem").stdout)
    assert answer("schedule", tmp_path / "problem.json")["ii"] == 948
    (tmp_path / "schedule.json").write_text(twill("compile", SWIGLU, "--emit", "schedule").stdout)
    assert "II 948 cycles, optimal" in twill("explain", tmp_path / "schedule.json").stdout


def test_emit_for_a_machine_without_code(tmp_path):
    data = json.loads(twill("compile", SWIGLU, "--arch", "blackwell", "--emit", "problem").stdout)
    assert data["machine"]["name"] == "blackwell"


def test_options_reach_the_kernel(tmp_path):
    options = ("--subtiles", "1", "-D", "BLOCK_K=32", "--example", "K=128", "--no-verify")
    data = answer("compile", f"{SWIGLU}::swiglu", *options, "-o", tmp_path)
    assert data["subtiles"] == 1
    assert data["constants"]["BLOCK_K"] == 32
    assert data["explain"]["trip_count"] == 4  # 128 / 32


def test_a_machine_of_the_users_own(tmp_path):
    """TMA at twice the rate: the II halves to 474 and the tensor core binds, at 4 products of 128 cycles."""
    (tmp_path / "twice.toml").write_text('base = "hopper"\nname = "twice"\n[facts]\ntma_bandwidth = 69.2\n')
    data = answer("compile", SWIGLU, "--arch", tmp_path / "twice.toml", "--no-verify", "-o", tmp_path / "out")
    assert data["arch"] == "twice"
    assert data["ii"] == 512
    assert data["reason"].startswith("ResMII of unit TC")
    assert (tmp_path / "out" / "swiglu_twice.py").exists()


def test_a_kernel_without_an_example(tmp_path):
    text = SWIGLU.read_text()
    start, end = text.index("@twill.kernel"), text.index("@triton.jit")
    (tmp_path / "plain.py").write_text(text[:start] + text[end:])
    signature = "*bf16, *bf16, *bf16, *bf16, i32, i32, i32, 128, 64, 64"
    data = answer("compile", tmp_path / "plain.py", "--signature", signature, "-o", tmp_path / "out")
    found = {check["name"]: check for check in data["checks"]}
    assert found["schedule"]["status"] == "passed"
    for name in ("ir", "emulate", "ptxas"):
        assert found[name]["status"] == "skipped"
        assert "no " in found[name]["detail"]
    module = tmp_path / "out" / "swiglu_hopper.py"
    assert "def swiglu(a, w, v, c, M, N, K, BLOCK_M=128, BLOCK_N=64, BLOCK_K=64, *, grid):" in module.read_text()
    assert "skipped" in twill("verify", module).stdout


# schedule


def test_schedule(graph, tmp_path):
    out = twill("schedule", graph, "-o", tmp_path / "answer.json").stdout
    assert "a new iteration every 45 cycles (II, optimal)" in out
    assert "What binds" in out
    assert max(map(len, out.splitlines()[:20])) <= 100
    data = answer("schedule", graph)
    assert (data["status"], data["ii"], data["lower_bound"]) == ("optimal", 45, 45)
    assert set(data["ops"]) == {"load", "dot", "exp"}
    assert data["rings"] == {"load": 2}
    assert "II 45 cycles" in twill("explain", tmp_path / "answer.json").stdout


# show, explain, verify


@pytest.mark.parametrize(
    ("form", "begins"), [("text", "swiglu on hopper"), ("svg", "<?xml"), ("html", "<!DOCTYPE html>"), ("perfetto", "{")]
)
def test_show(compiled_folder, tmp_path, form, begins):
    path = compiled_folder / "swiglu_hopper.json"
    text = twill("show", path, "--format", form).stdout
    assert text.lower().startswith(begins.lower())
    target = tmp_path / "picture"
    assert twill("show", path, "--format", form, "-o", target).stdout.strip() == str(target)
    assert target.read_text().strip() == text.strip()
    assert answer("show", path, "--format", form)["text"].strip() == text.strip()
    assert answer("show", path, "--format", form, "-o", target) == {"format": form, "output": str(target)}


def test_explain(compiled_folder):
    path = compiled_folder / "swiglu_hopper.json"
    out = twill("explain", path).stdout
    for words in (
        "II 948 cycles, optimal",
        "What binds: unit TMA",
        "To go faster",
        "Tightest cycle",
        "Warp groups",
        "Rings",
    ):
        assert words in out
    data = answer("explain", path)
    assert data["mii"] == {"cycles": 948, "res_mii": 948, "rec_mii": 128, "causes": ["unit TMA"]}


def test_verify(compiled_folder):
    out = twill("verify", compiled_folder / "swiglu_hopper.py").stdout
    assert "ptxas     ok" in out
    data = answer("verify", compiled_folder / "swiglu_hopper.py", "--seeds", "1", "--no-machine-code")
    assert data["passed"] is True
    assert [check["name"] for check in data["checks"]] == ["schedule", "emulate"]


def test_verify_says_what_is_wrong(compiled_folder, tmp_path):
    """A wait taken out of the module: exit code 1, and the race with its line."""
    text = (compiled_folder / "swiglu_hopper.py").read_text()
    wait = next(line for line in text.splitlines() if "mbarrier.wait(w_tile_ring_full" in line)
    (tmp_path / "racy.py").write_text(text.replace(wait, wait[: len(wait) - len(wait.lstrip())] + "pass"))
    (tmp_path / "racy.json").write_text((compiled_folder / "swiglu_hopper.json").read_text())
    done = twill("verify", tmp_path / "racy.py", "--no-machine-code", code=1)
    assert "emulate   FAILED" in done.stdout
    assert "race on w_tile_ring" in done.stderr
    assert "racy.py:" in done.stderr
    data = answer("verify", tmp_path / "racy.py", "--no-machine-code", code=1)
    assert data["passed"] is False


# machines


def test_machines():
    out = twill("machines").stdout
    assert "hopper     NVIDIA H100 SXM" in out
    assert [machine["name"] for machine in answer("machines")["machines"]] == ["blackwell", "hopper"]


def test_every_number_of_a_machine(tmp_path):
    out = twill("machines", "hopper").stdout
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    numbers = {number["name"]: number for number in answer("machines", "hopper")["numbers"]}
    assert numbers["mma_16bit"]["value"] == "4096"
    assert all(number["source"] for number in numbers.values())
    assert out.count("source: ") == len([name for name in numbers if not name.startswith("instructions.")])
    (tmp_path / "mine.toml").write_text('base = "hopper"\ntitle = "Mine [x]"\n[facts]\nclock_mhz = 1000\n')
    assert "mine: Mine [x]" in twill("machines", tmp_path / "mine.toml").stdout


# the program


def test_help_names_every_command():
    out = twill("--help").stdout
    for name in ("compile", "explain", "machines", "schedule", "show", "verify"):
        assert f"\n  {name} " in out
        assert "Usage: twill" in twill(name, "--help").stdout
    assert "..." not in out.partition("Commands:")[2]
    assert "twill, version" in twill("--version").stdout


@pytest.mark.parametrize(
    "statement", ["import twill", "from twill.cli import main\nmain(['--help'], standalone_mode=False)"]
)
def test_what_starts_at_once_loads_nothing_heavy(statement):
    code = f"{statement}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.strip() == "[]"


def test_cli_py_in_a_checkout(graph):
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "schedule", str(graph), "--json"],
        capture_output=True, text=True, check=True, cwd=graph.parent,
    )  # fmt: skip
    assert json.loads(done.stdout)["ii"] == 45
