"""`twill bench-problems`: the table, the JSON, and which answers are failures."""

import signal
from dataclasses import replace

import pytest
from commands import answer, twill

from twill import problems
from twill.comparison import compare


def compared(name):
    (found,) = compare([name], 60, lambda message: None, lambda: False)
    return found


@pytest.fixture(scope="module")
def missed():
    """II 3 is the least."""
    return compared("mii_missed")


@pytest.fixture(scope="module")
def impossible():
    return compared("one_group_gemm")


def test_the_right_answers_are_as_known(missed, impossible):
    assert (missed.mismatch, missed.verdict) == ("", "as known")
    assert (impossible.mismatch, impossible.verdict) == ("", "as known")


def knowing(found, **known):
    return replace(found, known=replace(found.known, **known))


def solved(found, **schedule):
    return replace(found, ours=replace(found.ours, schedule=replace(found.ours.schedule, **schedule)))


def test_every_other_answer_is_a_mismatch(missed, impossible):
    assert knowing(missed, ii=4).mismatch == "II 3 found, but 4 is known to be the least"
    assert knowing(missed, ii=2).mismatch == "every II below 3 called impossible, but 2 is known"
    assert "known to be infeasible" in knowing(missed, status="infeasible", ii=0).mismatch
    assert "called infeasible" in knowing(impossible, status="optimal", ii=9, conflict=()).mismatch
    assert "says nothing of warps" in knowing(impossible, conflict=("registers", "warps")).mismatch
    late = replace(missed.ours.schedule.placements["b"], slot=0)
    wrong = solved(missed, placements={**missed.ours.schedule.placements, "b": late})
    assert wrong.mismatch.startswith("a schedule does not hold: ")
    assert wrong.verdict == "mismatch"


def test_a_list_schedule_may_not_beat_an_optimum(missed):
    slow = solved(missed, ii=8, lower_bound=8)
    slow = knowing(replace(slow, ours=replace(slow.ours, schedule=replace(slow.ours.schedule, placements={}))), ii=8)
    assert slow.mismatch == "II 8 is called optimal, but the list schedule has 3"


def test_out_of_time_is_no_mismatch(missed):
    open_ = solved(missed, status="feasible", lower_bound=2)
    assert (open_.mismatch, open_.verdict) == ("", "not proved in time")
    nothing = solved(missed, status="unknown", ii=0, lower_bound=2, placements={})
    assert (nothing.mismatch, nothing.verdict) == ("", "not proved in time")


def test_ratios_are_of_whole_loops(missed):
    # ours: 63 * 3 + 3 cycles
    assert missed.ours.cycles == 192
    assert missed.ratio(missed.listed) == missed.listed.cycles / 192
    assert solved(missed, placements={}).ratio(missed.listed) is None


def test_the_table():
    out = twill("bench-problems", "horner", "long_life", "one_group_gemm").stdout
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    rows = {line.split()[0]: line.split() for line in lines[1:4]}
    assert rows["horner"][1:3] == ["7", "proved"]
    assert rows["horner"][-2:] == ["7", "ok"]
    assert rows["long_life"][1] == "3"
    assert rows["one_group_gemm"][1:3] == ["none", "proved"]
    assert "3 as known" in out
    assert "registers are not counted" in out


def test_json():
    data = answer("bench-problems", "horner")
    (found,) = data["problems"]
    assert found["verdict"] == "as known"
    assert (found["ours"]["ii"], found["ours"]["status"]) == (7, "optimal")
    assert found["list"]["ii"] == found["modulo"]["ii"] == 7
    assert found["known"]["ii"] == 7


def test_a_mismatch_is_a_failure(monkeypatch):
    known = problems.answer
    monkeypatch.setattr("twill.problems.answer", lambda name: replace(known(name), ii=6))
    done = twill("bench-problems", "horner", code=1)
    assert "horner: every II below 7 called impossible, but 6 is known" in done.stderr
    assert "WRONG" in done.stdout
    data = answer("bench-problems", "horner", code=1)
    assert data["problems"][0]["verdict"] == "mismatch"


def test_names_that_do_not_exist_are_said_before_anything_is_solved():
    assert "no problem 'hornet'. Did you mean \"horner\"" in twill("bench-problems", "gemm", "hornet", code=2).stderr


def test_ctrl_c_keeps_the_problems_that_were_done(monkeypatch):
    from twill.solve import solve

    def interrupted(problem, **options):
        if problem.name == "mii_missed":
            signal.raise_signal(signal.SIGINT)
        return solve(problem, **options)

    monkeypatch.setattr("twill.solve.solve", interrupted)
    done = twill("bench-problems", "horner", "mii_missed", "two_ports")
    assert "stopped by Ctrl-C" in done.stderr
    assert "1 as known" in done.stdout
    assert "mii_missed" not in done.stdout


def test_help():
    assert "\n  bench-problems " in twill("--help").stdout
    assert "Usage: twill" in twill("bench-problems", "--help").stdout
