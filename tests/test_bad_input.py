"""Bad input at the command line: the exit code, one clear paragraph, nothing on stdout, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from twill.cli import main
from twill.solve.result import nothing

ROOT = Path(__file__).resolve().parents[1]
MATMUL = ROOT / "kernels" / "matmul.py"
ATTENTION = ROOT / "kernels" / "attention.py"
GRAPH = (
    '{"format": "twill-graph/1", "machine": {"units": {"TC": 1}}, "ops": [{"id": "dot", "unit": "TC", "occupancy": 7}]}'
)


@pytest.fixture
def uncompiled(tmp_path: Path, refused: Callable[..., str]) -> Callable[..., str]:
    """`twill compile` refuses a kernel, and leaves no output folder behind."""

    def run(code: int, says: list[str], kernel: object, *args: str) -> str:
        folder = tmp_path / "out"
        message = refused(code, says, "compile", kernel, *args, "-o", folder)
        assert not folder.exists()
        return message

    return run


def changed(path: Path, old: str, new: str, to: Path) -> Path:
    """The file at `path` with `old` replaced, in a file of its own."""
    text = path.read_text()
    assert old in text
    to.write_text(text.replace(old, new))
    return to


# Kernel files.


def test_no_such_file(uncompiled, tmp_path):
    uncompiled(2, ["there is no file", "nowhere.py", "path::kernel_name"], tmp_path / "nowhere.py")


def test_a_file_without_a_kernel(uncompiled, tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    uncompiled(2, ["empty.py", "no Triton kernel", "@triton.jit"], tmp_path / "empty.py")


def test_two_kernels_and_no_name(uncompiled, tmp_path):
    path = tmp_path / "two.py"
    path.write_text("import triton\n\n@triton.jit\ndef one(x):\n    pass\n\n@triton.jit\ndef two(x):\n    pass\n")
    uncompiled(2, ["2 kernels", "`one`, `two`", "two.py::one"], path)
    uncompiled(2, ["no kernel `three`", "`one`"], f"{path}::three")


def test_a_syntax_error(uncompiled, tmp_path):
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n    pass\n")
    uncompiled(2, ["broken.py:2:7", "syntax error"], tmp_path / "broken.py")


def test_an_example_that_raises(uncompiled, tmp_path):
    old = "    bias = torch.randn(N, generator=random)\n"
    path = changed(MATMUL, old, "    raise RuntimeError('no data here')\n", tmp_path / "raising.py")
    line = path.read_text().splitlines().index("    raise RuntimeError('no data here')") + 1
    uncompiled(2, [f"raising.py:{line}", "example of kernel `matmul` raised RuntimeError: no data here"], path)


def test_a_constexpr_missing(uncompiled, tmp_path):
    path = changed(MATMUL, ', "ACTIVATION": ACTIVATION', "", tmp_path / "missing.py")
    uncompiled(2, ["missing.py:43:1", "constexpr `ACTIVATION`", "no value", "-D ACTIVATION=VALUE"], path)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("BLOCK_K=big", ["`BLOCK_K` is 'big'", "takes an int", "-D BLOCK_K=64"]),
        ("BLOCK_K=2.5", ["`BLOCK_K` is 2.5", "takes an int"]),
        ("ACTIVATION=3", ["`ACTIVATION` is 3", "takes a string", "'silu'"]),
        ("BLOK_K=64", ["`BLOK_K` is no parameter", "BLOCK_M, BLOCK_N, BLOCK_K"]),
        ("M=64", ["`M` is an argument, not a tl.constexpr"]),
        ("BLOCK_K=48", ["matmul.py:51:14", "power of 2"]),
        ("BLOCK_K=-64", ["matmul.py:51:14", "Triton rejects"]),
    ],
)
def test_a_constexpr_of_the_wrong_kind(uncompiled, given, says):
    uncompiled(2, says, MATMUL, "-D", given)


def test_an_example_option_that_is_not_one(uncompiled):
    uncompiled(2, ["no option `size`", "dtype"], MATMUL, "--example", "size=3")


@pytest.mark.parametrize(
    ("kernel", "constants", "says"),
    [
        # A [128, 512] and B [512, 256] of 2 bytes, beside the staging buffer of C [128, 256] and the barriers
        (MATMUL, ["BLOCK_K=512"], ["a_tile 131072", "b_tile 262144", "459776 B", "fits with tiles of 1/2"]),
        (ATTENTION, ["BLOCK_N=512"], ["q_tile 32768", "k_tile 131072", "232448 B", "blocks of 256 instead of 512"]),
        (ATTENTION, ["D=1024"], ["k_tile 262144", "attention.py:63:5", "It fits"]),
    ],
)  # fmt: skip
def test_a_tile_that_exceeds_shared_memory(uncompiled, kernel, constants, says):
    options = [word for constant in constants for word in ("-D", constant)]
    uncompiled(2, [*says, "shared memory"], kernel, *options, "--no-tune")


def test_what_fits_is_true(tmp_path):
    """The advice for BLOCK_N=512 is followed: with 256 the tiles are accepted."""
    done = CliRunner().invoke(main, ["compile", str(ATTENTION), "-D", "BLOCK_N=256", "--emit", "graph"])
    assert done.exit_code == 0
    from twill.candidates import Work, enumerate_candidates
    from twill.ir.text import parse_graph
    from twill.machine import load

    assert any(each.problem for each in enumerate_candidates(parse_graph(done.stdout), load("hopper"), Work.single(4)))


def test_tiles_that_exceed_the_registers(uncompiled):
    says = ["matmul.py:58:5", "`matmul` has no schedule", "with 1 sub-tile, registers:", "for acc 256", "-D"]
    uncompiled(4, says, MATMUL, "-D", "BLOCK_M=256", "-D", "BLOCK_N=256", "--no-tune")


def test_a_number_of_sub_tiles_that_does_not_divide(uncompiled):
    uncompiled(3, ["matmul.py:61:15", "128 rows", "3 sub-tiles", "64"], MATMUL, "--subtiles", "3")


def test_an_unsupported_construct(uncompiled, tmp_path):
    old = "    for k in range(0, K, BLOCK_K):\n"
    path = changed(
        MATMUL, old, "    for again in range(2):\n     for k in range(0, K, BLOCK_K):\n", tmp_path / "nested.py"
    )
    message = uncompiled(3, ["nested.py:", "loop"], path)
    place = message.removeprefix("error: ").split(": ")[0].split(":")
    assert len(place) == 3
    assert all(number.isdigit() for number in place[1:])


def test_too_short_a_time_limit(uncompiled, monkeypatch):
    """The solver answers `unknown` for both numbers of sub-tiles, as it does when time runs out."""
    answers = lambda problem, **options: nothing(problem, "unknown", 2048, "no schedule found")  # noqa: E731
    monkeypatch.setattr("twill.solve.solve", answers)
    says = [
        "attention.py:63:5",
        "no schedule of `attn_fwd` was found in 5 s",
        "II is at least 2048 with 1 sub-tile, 2048 with 2 sub-tiles",
        "--time-limit",
    ]
    # whichever is solved first, the bounds are named in the order of sub-tiles
    uncompiled(4, says, ATTENTION, "--time-limit", "5", "--no-tune")


# Machines.


def test_an_unknown_architecture(uncompiled, refused, tmp_path):
    uncompiled(2, ["unknown machine 'volta'", "blackwell, hopper", ".toml"], MATMUL, "--arch", "volta")
    refused(2, ["unknown machine 'volta'", "blackwell, hopper"], "machines", "volta")
    uncompiled(2, ["none.toml", "cannot read"], MATMUL, "--arch", str(tmp_path / "none.toml"))


def test_a_machine_file_with_a_mistake(uncompiled, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "hopper"\n[facts]\nmax_warps = -1\n')
    uncompiled(2, ["mine.toml", "facts.max_warps.value", "-1"], MATMUL, "--arch", str(path))


def test_a_machine_without_a_code_generator(uncompiled):
    uncompiled(3, ["no code is generated for `blackwell`", "hopper", "--emit schedule"], MATMUL, "--arch", "blackwell")


# Places that cannot be written. Permissions do not stop root, so these are no folders or cannot be made.


@pytest.mark.parametrize("folder", ["file", "file/below", "file/below/it"])
def test_an_unwritable_output_folder(refused, tmp_path, folder):
    (tmp_path / "file").write_text("kept")
    place = tmp_path / folder
    refused(2, [str(place), "nothing can be written", "-o"], "compile", MATMUL, "-o", place)
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no files")
def test_a_folder_that_takes_no_files(refused):
    refused(2, ["/proc/out", "nothing can be written to /proc"], "compile", MATMUL, "-o", "/proc/out")


def test_unwritable_output_files(refused, compiled_folder, tmp_path):
    path = tmp_path / "graph.json"
    path.write_text(GRAPH)
    for place in (path / "answer.json", tmp_path / "none" / "answer.json"):
        refused(2, [str(place), "nothing can be written", "-o"], "schedule", path, "-o", place)
        refused(2, [str(place), "cannot be written"], "show", compiled_folder / "swiglu_hopper.json", "-o", place)


# The command line itself.


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["compil"], ["No such command", "compile"]),
        (["compile"], ["Missing argument"]),
        (["compile", str(MATMUL), "-D", "BLOCK_K"], ["'BLOCK_K' is not NAME=VALUE"]),
        (["compile", str(MATMUL), "--subtiles", "0"], ["0 is not in the range"]),
        (["compile", str(MATMUL), "--emit", "ptx"], ["'ptx' is not one of", "schedule"]),
        (["show", "schedule.json", "--format", "png"], ["'png' is not one of", "perfetto"]),
        (["verify", "kernel.py", "--seeds", "0"], ["0 is not in the range"]),
    ],
)
def test_bad_usage(args, says):
    plain = CliRunner().invoke(main, args)
    assert plain.exit_code == 2
    assert plain.stdout == ""
    assert "Usage: twill" in plain.stderr
    for word in says:
        assert word in plain.stderr
    answer = CliRunner().invoke(main, [*args, "--json"])
    assert answer.exit_code == 2
    assert json.loads(answer.stdout)["exit_code"] == 2


def test_the_real_command(tmp_path):
    """The same as a process: exit code, stderr, silence on stdout."""
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")
    for args, code, says in (
        (["compile", str(tmp_path / "broken.py")], 2, "broken.py:2:7: syntax error"),
        (["machines", "volta"], 2, "Known: blackwell, hopper"),
    ):
        done = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *args], capture_output=True, text=True, cwd=tmp_path
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert says in done.stderr
        assert "Traceback" not in done.stderr
