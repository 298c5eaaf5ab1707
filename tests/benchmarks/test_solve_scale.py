"""The scale benchmark: what it measures, how targets are judged, and that Ctrl-C keeps what was done."""

import json
import signal
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

from benchmarks import solve_scale
from benchmarks.scale_plot import draw
from benchmarks.solve_scale import TARGETS, Instance, Target, judged, main, measure, results, table

PROVED = Instance(
    40,
    0,
    "free",
    "optimal",
    1000,
    1000,
    0.0,
    8.0,
    8.0,
    2.0,
    ((2.0, 1100, 900), (5.0, 1000, 990), (8.0, 1000, 1000)),
    "",
)
OPEN = Instance(
    200, 0, "colocated", "feasible", 1010, 1000, 0.01, 60.0, None, 9.0, ((9.0, 1100, 1000), (50.0, 1010, 1000)), ""
)
NOTHING = Instance(200, 1, "free", "unknown", 0, 1000, None, 60.0, None, None, ((1.0, 0, 1000),), "")


def test_a_solve_is_measured_and_checked():
    found = measure(7, 0, "colocated", 60)
    assert (found.status, found.gap, found.violation) == ("optimal", 0, "")
    assert found.first_seconds <= found.proof_seconds == found.seconds
    assert found.trace[-1][1:] == (found.ii, found.lower_bound)


def test_targets_look_at_their_own_time():
    assert Target(40, 8, 0).met(PROVED)
    assert not Target(40, 7.9, 0).met(PROVED)
    assert Target(40, 5, 0.02).met(PROVED)  # 1000 against 990
    assert not Target(40, 4.9, 0.02).met(PROVED)  # 1100 against 900
    assert Target(200, 60, 0.02).met(OPEN)
    assert not Target(200, 49, 0.02).met(OPEN)
    assert not Target(200, 60, 0).met(OPEN)
    assert not Target(200, 60, 0.02).met(NOTHING)


def test_targets_that_were_not_measured_are_not_judged():
    assert [(str(target), met, of) for target, met, of in judged([PROVED, OPEN, NOTHING])] == [
        ("40 ops: proved in 10 s", 1, 1),
        ("200 ops: gap at most 2% in 60 s", 1, 2),
    ]


def test_a_loop_called_infeasible_is_an_error(monkeypatch):
    def refuse(problem, **options):
        from twill.schedule.schedule import Schedule

        return Schedule(problem, "infeasible", 0, 1, "", 0, {}, {}, ())

    monkeypatch.setattr(solve_scale, "solve", refuse)
    assert "its witness is valid" in measure(7, 0, "free", 1).violation


def test_the_plot_is_a_picture_and_repeats(tmp_path):
    instances = [asdict(one) for one in (PROVED, OPEN, NOTHING)]
    for name in ("a.svg", "b.svg"):
        draw(instances, [asdict(target) for target in TARGETS], 60, tmp_path / name)
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_table_and_results():
    assert table([PROVED, OPEN, NOTHING], 60).row_count == 3
    assert results([PROVED])["instances"][0]["proof_seconds"] == 8.0


@pytest.fixture
def run(tmp_path):
    def run(*arguments, code=0):
        output = tmp_path / "scale.json"
        done = CliRunner().invoke(main, [*map(str, arguments), "--output", str(output)])
        assert done.exit_code == code, done.output
        assert output.with_suffix(".svg").is_file()
        return json.loads(output.read_text())["results"], done.output

    return run


def test_the_command(run):
    found, out = run("--sizes", 5, "--sizes", 7, "--seeds", 1, "--time-limit", 60)
    cases = [(one["ops"], one["variant"]) for one in found["instances"]]
    assert cases == [(5, "free"), (5, "colocated"), (7, "free"), (7, "colocated")]
    assert "1 of 1" in out


def test_ctrl_c_keeps_what_was_measured(run, monkeypatch):
    seen = []

    def interrupted(ops, seed, variant, *rest):
        seen.append(ops)
        if len(seen) == 3:
            signal.raise_signal(signal.SIGINT)
        return replace(PROVED, ops=ops, seed=seed, variant=variant)

    monkeypatch.setattr(solve_scale, "measure", interrupted)
    found, out = run("--sizes", 40, "--seeds", 5)
    assert len(found["instances"]) == 2
    assert "stopped after 2 of 10 solves" in out


def test_a_broken_rule_fails(run, monkeypatch):
    monkeypatch.setattr(solve_scale, "measure", lambda *rest: replace(PROVED, violation="units: [too many]"))
    _, out = run("--sizes", 40, "--seeds", 1, code=1)
    assert "failed: 40 ops, seed 0, free: units: [too many]" in out
