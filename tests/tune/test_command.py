"""`twill tune` as typed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import answer, twill

from tune.conftest import InProcess
from twill.tune import executors, sweep, timing

TUNED = Path(__file__).resolve().parents[1] / "kernels_for_tests" / "tuned.py"
ROOT = Path(__file__).resolve().parents[2]
FIXED = ("-D", "BLOCK_K=64", "--best", "1", "--margin", "9")


@pytest.fixture
def one_subtile(monkeypatch):
    """One sub-tile a tile size, as the filled cache has them."""
    request_of = sweep.request_of
    monkeypatch.setattr(sweep, "request_of", lambda *arguments: request_of(*arguments, subtiles=1))


@pytest.fixture
def faked(monkeypatch, times):
    """The fake timer in place of the GPU's, in this process."""
    monkeypatch.setattr(timing, "GPU", "fake_timer")
    monkeypatch.setattr(executors, "executor", lambda name, workers: InProcess())
    return times


def test_without_a_gpu(filled, one_subtile, tmp_path):
    done = twill("tune", TUNED, *FIXED, "--cache", filled.folder, "-o", tmp_path / "out")
    assert "There is no CUDA device here" in done.stdout
    assert "BLOCK_N=64 BLOCK_K=64 subtiles=1: 1.0 us (predicted, not measured)" in done.stdout
    assert (tmp_path / "out" / "tuned_hopper.py").is_file()
    assert (tmp_path / "out" / "tuned_hopper.json").is_file()


def test_json(filled, one_subtile):
    data = answer("tune", TUNED, *FIXED, "--cache", filled.folder)
    assert data["status"] == "done"
    assert data["label"] == "predicted, not measured"
    assert data["no_gpu"].startswith("There is no CUDA device here")
    assert data["winner"]["tile"] == {"BLOCK_N": 64, "BLOCK_K": 64}
    assert [each["status"] for each in data["candidates"]] == ["predicted"] * 3


def test_measured(filled, one_subtile, faked):
    faked({32: 3e-6, 64: "illegal", 128: 2e-6})
    data = answer("tune", TUNED, *FIXED, "--cache", filled.folder)
    assert data["label"] == "measured on Fake GPU"
    assert data["winner"]["seconds"] == 2e-6
    assert [each["status"] for each in data["candidates"]] == ["measured", "measured", "failed"]
    listed = twill("tune", "--list", "--cache", filled.folder).stdout
    assert "tuned on hopper" in listed
    assert "Fake GPU" in listed
    assert "illegal memory access" in listed
    (problem,) = answer("tune", "--list", "--cache", filled.folder)["problems"]
    assert [each["status"] for each in problem["candidates"]] == ["measured", "measured", "failed"]


def test_every_candidate_fails(filled, one_subtile, faked):
    faked(dict.fromkeys((32, 64, 128), "illegal"))
    done = twill("tune", TUNED, *FIXED, "--cache", filled.folder, code=1)
    assert "None: every candidate failed." in done.stdout
    assert "illegal memory access" in done.stderr


def test_export_and_import(filled, tmp_path):
    path = tmp_path / "tuned.json"
    assert "1 problems, 3 builds, 0 times" in twill("tune", "--export", path, "--cache", filled.folder).stdout
    assert answer("tune", "--import", path, "--cache", tmp_path / "other")["builds"] == 3
    (problem,) = answer("tune", "--list", "--cache", tmp_path / "other")["problems"]
    assert problem["candidates"][0]["label"] == "predicted, not measured"


def test_an_empty_cache_is_listed(tmp_path):
    assert "Nothing was tuned yet." in twill("tune", "--list", "--cache", tmp_path / "none").stdout


@pytest.mark.slow
def test_a_kernel_with_one_candidate_compiled_from_nothing(tmp_path):
    """No tune=, 64 rows: one sub-tile. The child compiles it; the second run takes it from the cache."""
    path = tmp_path / "single.py"
    text = TUNED.read_text().replace('    tune={"BLOCK_N": [32, 64, 96, 128], "BLOCK_K": [64, 1024]},\n', "")
    path.write_text(text.replace('"BLOCK_M": 128', '"BLOCK_M": 64'))
    done = twill("tune", path, "--best", "1", "--time-limit", "20")
    assert "It is the only candidate: tune= in @twill.kernel gives tile sizes to choose from." in done.stdout
    assert "predicted, not measured" in done.stdout
    began = time.monotonic()
    again = twill("tune", path, "--best", "1", "--time-limit", "20")
    assert again.stdout == done.stdout
    assert time.monotonic() - began < 30


def test_a_real_ctrl_c_keeps_what_was_measured(filled, times):
    log = times({32: "hang", 64: 1e-6, 128: "hang"})
    code = (
        "import sys, twill.tune.timing as timing, twill.tune.sweep as sweep\n"
        "timing.GPU = 'fake_timer'\n"
        "made = sweep.request_of\n"
        "sweep.request_of = lambda *arguments: made(*arguments, subtiles=1)\n"
        "from twill.cli import main\n"
        f"main(['tune', {str(TUNED)!r}, *{FIXED!r}, '--cache', {str(filled.folder)!r}, '--workers', '1', '--json'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])},
        start_new_session=True,
    )  # fmt: skip
    (key,) = filled.problems()
    end = time.monotonic() + 120
    while not filled.times(key):
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the children too
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    data = json.loads(out)
    assert data["status"] == "interrupted"
    assert data["winner"]["seconds"] == 1e-6
    assert [each["status"] for each in data["candidates"]].count("measured") == 1
    assert log.read_text().startswith("64 ")


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (["give a kernel to tune, or one of --list, --export and --import"], []),
        (["give a kernel to tune"], ["--list", TUNED]),
        (["there is no file `none.py`"], ["none.py"]),
        (["there is no kernel `other`", "it has `tuned`"], [f"{TUNED}::other"]),
        (["`NO` is no parameter of kernel `tuned`"], [TUNED, "-D", "NO=1"]),
        (["the example of kernel `tuned` has no option `H`"], [TUNED, "--example", "H=1"]),
        (["launches no program, its grid is 0 x 2 x 1", "fill at least one tile"], [TUNED, "--example", "M=0"]),
    ],
)
def test_bad_usage(refused, says, words):
    refused(2, says, "tune", *words)


def test_a_cache_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").write_text("")
    refused(2, ["the cache cannot be opened or written"], "tune", TUNED, "--cache", tmp_path / "file" / "cache")


def test_a_damaged_cache(refused, filled):
    filled.path.write_bytes(b"nonsense" * 100)
    refused(2, ["the cache is damaged"], "tune", "--list", "--cache", filled.folder)
    refused(2, ["the cache is damaged"], "tune", TUNED, "--cache", filled.folder)


def test_a_kernel_without_an_example(refused, tmp_path):
    path = tmp_path / "bare.py"
    path.write_text("import triton\n\n\n@triton.jit\ndef bare(x):\n    pass\n")
    refused(2, ["kernel `bare` has no example"], "tune", path)


def test_ray_that_is_not_installed(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    refused(3, ["Ray is not installed", "twill[ray]"], "tune", TUNED, "--executor", "ray")


def test_a_machine_without_code_is_refused_before_anything_is_compiled(refused, tmp_path):
    says = ["no code is generated for `blackwell`", "--emit schedule"]
    refused(3, says, "tune", TUNED, "--arch", "blackwell", "--cache", tmp_path / "cache")


@pytest.mark.parametrize("option", ["--margin", "--seconds", "--time-limit"])
def test_nan_is_no_limit(option, tmp_path):
    done = twill("tune", TUNED, option, "nan", "--cache", tmp_path / "cache", code=2)
    assert f"'{option}': nan is not in the range x>=" in done.stderr
