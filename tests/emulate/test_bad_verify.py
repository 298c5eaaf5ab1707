"""`twill verify` on what it cannot use, and on what never ends: one clear paragraph and the right exit code."""

import json

import pytest

from tests.commands import answer, twill
from tests.emulate.test_replay import copied

QUICK = ("--no-machine-code", "--seeds", "1", "--trips", "1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('hello')\n", "has no launcher matmul. Its schedule file is of a kernel of that name"),
        ("x = (\n", "kernel.py:1:5: syntax error"),
        ("import nowhere_to_be_found\n", "nowhere_to_be_found"),
        ("def matmul(**arguments):\n    raise KeyError('a_ptr')\n", "the launcher raises KeyError"),
    ],
)
def test_a_file_that_is_no_such_module(tmp_path, text, words):
    path = copied(tmp_path, lambda _: text).rename(tmp_path / "kernel.py")
    (tmp_path / "matmul_bf16.json").rename(tmp_path / "kernel.json")
    done = twill("verify", path, *QUICK, code=2)
    assert words in done.stderr
    assert done.stderr.count("\n") <= 2
    assert done.stdout == ""


def test_what_a_module_prints_is_no_part_of_the_answer(tmp_path):
    path = copied(tmp_path, lambda text: text + "\nprint('hello')\n")
    assert json.loads(twill("verify", path, *QUICK, "--json").stdout)["checks"]


def test_a_trip_count_that_cannot_be_reached(tmp_path):
    path = copied(tmp_path, lambda text: text)
    done = twill("verify", path, "--no-machine-code", "--seeds", "1", "--trips", "999999", code=2)
    assert "none of the trip counts 999999 can be reached" in done.stderr


def test_a_role_that_spins_is_reported_with_the_command_to_see_it(tmp_path):
    def spinning(text):
        head, tail = text.split("def consumer1", 1)
        signature, body = tail.split("):\n", 1)
        return f"{head}def consumer1{signature}):\n    while True:\n        pass\n{body}"

    path = copied(tmp_path, spinning)
    done = twill("verify", path, *QUICK, "--max-steps", "3000", code=1)
    assert "has not ended after 3,000 loop turns of consumer1" in done.stderr
    assert "matmul_bf16.py:0" not in done.stderr
    assert f"`twill verify {path} --replay 0@1 --max-steps 3000`" in done.stderr
    again = twill("verify", path, "--replay", "0@1", "--max-steps", "3000", code=1)
    assert "has not ended after 3,000 loop turns of consumer1" in again.stderr
    checks = answer("verify", path, *QUICK, "--max-steps", "3000", "--explore", "0", code=1)["checks"]
    explored = next(check for check in checks if check["name"] == "explore")
    assert f"`twill verify {path} --replay late/0.0.0@1 --max-steps 3000`" in json.dumps(explored)
