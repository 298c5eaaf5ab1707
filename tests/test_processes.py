"""One process with a time limit: how it ended, in words, and what is killed with it."""

import os
import sys
import time

import pytest

from twill import processes
from twill.processes import Ended, last_line, run


def python(code):
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "ended", "how"),
    [
        ("print('one\\n two ')", Ended(0, "two"), "exit code 0"),
        ("raise SystemExit('no more')", Ended(1, "no more"), "exit code 1"),
        ("import os; os.abort()", Ended(-6, ""), "signal SIGABRT"),
        ("import os; os.kill(os.getpid(), 40)", Ended(-40, ""), "signal 40"),
    ],
)
def test_how_it_ended(code, ended, how):
    found = run(python(code), 30.0)
    assert found == ended
    assert found.how == how


def test_where_it_runs_and_with_what(tmp_path):
    code = "import os; print(os.getcwd(), os.environ['GIVEN'])"
    ended = run(python(code), 30.0, tmp_path, {**os.environ, "GIVEN": "it"})
    assert ended == Ended(0, f"{tmp_path} it")


@pytest.mark.parametrize("own_group", [False, True])
def test_at_its_limit_it_is_killed_and_in_a_group_of_its_own_with_its_children(tmp_path, own_group):
    place = tmp_path / "pid"
    child = f"import os, time; open({str(place)!r}, 'w').write(str(os.getpid())); time.sleep(5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert run(python(parent), 2.0, own_group=own_group).code is None
    end = time.monotonic() + 3
    while alive(int(place.read_text())) == own_group and time.monotonic() < end:
        time.sleep(0.05)
    assert alive(int(place.read_text())) != own_group


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_starts_after_the_end(tmp_path):
    children = processes.Children()
    children.end()
    assert children.run(python(f"open({str(tmp_path / 'made')!r}, 'w')"), 30.0) is None
    assert not (tmp_path / "made").exists()


def test_the_last_line_is_the_last_that_says_something():
    assert last_line("a\n b \n\n") == "b"
    assert last_line(" \n") == ""
    assert last_line("x" * 1000) == "x" * 500
