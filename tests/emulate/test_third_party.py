"""The benchmark over other people's files: how each outcome comes about, on files made here."""

import json
import textwrap

import pytest
from click.testing import CliRunner

from benchmarks import third_party
from benchmarks.third_party_calls import CALLS

HEADER = """\
import pytest
import torch
import triton
from triton.experimental import gluon
from triton.experimental.gluon import language as gl

ROW = gl.constexpr(gl.BlockedLayout([1], [32], [4], [0]))

def is_blackwell():
    target = triton.runtime.driver.active.get_current_target()
    return target.backend == "cuda" and torch.cuda.get_device_capability()[0] == 10

@gluon.jit
def double(x, out, factor):
    at = gl.arange(0, 64, ROW)
    gl.store(out + at, gl.load(x + at) * factor)

@pytest.mark.parametrize("n", [64, 1 << 30])
@pytest.mark.parametrize("factor", [2, 3])
def test_double(n, factor):
    if not is_blackwell():
        pytest.skip("a GPU")
    x = torch.randn(n, device="cuda")
    out = torch.empty_like(x, device="cuda")
    double[(1,)](x, out, factor)
    torch.testing.assert_close(out, x * 2)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the benchmark over one file; its result and the command's answer."""
    monkeypatch.setitem(CALLS, "kernel", third_party.Calls(sizes={"test_double": {"n": 64, "factor": 2}}))

    def go(text, *options):
        (tmp_path / "kernel.py").write_text(text)
        output = tmp_path / "results.json"
        done = CliRunner().invoke(third_party.main, [str(tmp_path), "--seeds", "1", "--output", str(output), *options])
        assert done.exit_code == 0, done.output
        return json.loads(output.read_text())["results"]["kernel.py"]

    return go


def test_a_file_that_equals_its_own_reference(run):
    result = run(HEADER)
    assert result["outcome"] == "equal"
    assert [call["parameters"] for call in result["calls"]] == [{"n": "64", "factor": "2"}]


@pytest.mark.parametrize(
    ("old", "new", "outcome", "what"),
    [
        ("* factor)", "* factor + 1)", "differs", "not close"),
        ("gl.load(x + at)", "gl.load(x + at + 1)", "defect", "kernel.py:16: load of double"),
        ("gl.load(x + at)", "gl.conjure(x + at)", "refused", "kernel.py:16: the emulator does not know"),
        (
            "import triton\n",
            "import triton\nimport no_such_package\n",
            "refused",
            "kernel.py:4: needs the module no_such",
        ),
        ("gl.load(x + at)", "gl.load(x + to)", "input", "kernel.py:16: NameError"),
        ("out = torch.empty_like(x", "out = torch.empty_lik(x", "input", "AttributeError"),
    ],
)
def test_every_other_outcome(run, old, new, outcome, what):
    assert HEADER.count(old) == 1
    result = run(HEADER.replace(old, new))
    assert result["outcome"] == outcome
    assert what in result["what"]


def test_a_call_over_the_limit(run):
    result = run(HEADER.replace("    at = gl", "    while True:\n        pass\n    at = gl"), "--limit", "0.2")
    assert result["outcome"] == "out of time"


def test_a_skipped_test_is_no_result(run):
    assert run(HEADER.replace("if not is_blackwell()", "if is_blackwell()"))["outcome"] == "skipped"


def test_a_folder_without_gluon_is_bad_usage(tmp_path):
    done = CliRunner().invoke(third_party.main, [str(tmp_path)])
    assert done.exit_code == 2
    assert "has no Gluon files" in done.output


def test_calls_are_spread_over_the_parameters():
    text = textwrap.dedent(HEADER)
    names = {}
    exec(compile(text[text.index("@pytest.mark") :], "t", "exec"), {"pytest": pytest}, names)
    made = third_party.combinations(names["test_double"], {"n": 64})
    assert made == [{"factor": 2, "n": 64}, {"factor": 3, "n": 64}]
    assert third_party.spread(list(range(9)), 3) == [0, 4, 8]
    assert third_party.spread([1, 2], 3) == [1, 2]
