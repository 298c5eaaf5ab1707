"""The solve-time benchmark: both sides on one problem, ratios that are bounds, targets said honestly."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from dataclasses import replace
from io import StringIO

from click.testing import CliRunner
from rich.console import Console

from benchmarks import solve_time
from benchmarks.solve_pair import Pair, Side, measure
from tests.solve.instances import problem
from twill.schedule.problem import Dep, Op

OURS = Side(100, "optimal", True, (), (0.5, 1.0, 2.0), {})
PEER = Side(110, "feasible", True, (), (40.0,), {"interval": 7})
PAIR = Pair("hopper_attention_forward", 20, OURS, OURS, PEER, 104)


def test_a_ratio_is_of_medians_and_a_bound_where_the_peer_was_cut_short():
    late = replace(PAIR, name="gemm", peer=replace(PEER, finished=False, ii_cycles=0, status="unknown"))
    assert PAIR.ratio == 40.0
    assert late.json()["ratio_is_lower_bound"]
    assert late.never_worse is None
    assert solve_time.median_ratio([PAIR]) == (40.0, False)
    assert solve_time.median_ratio([PAIR, late]) == (40.0, True)


def test_without_a_proof_of_ours_there_is_no_ratio():
    open_ = replace(PAIR, ours=replace(OURS, status="feasible", finished=False))
    assert open_.ratio is None
    assert solve_time.median_ratio([open_]) == (None, False)
    assert any(line.startswith("NOT MET: hopper_attention_forward") for line in solve_time.targets([open_]))


def test_an_invalid_answer_of_the_peer_is_not_compared():
    assert PAIR.never_worse
    assert replace(PAIR, peer=replace(PEER, violations=("rings: too deep",))).never_worse is None
    assert replace(PAIR, peer=replace(PEER, ii_cycles=90)).never_worse is False


def test_targets_say_what_was_measured():
    met = solve_time.targets([PAIR])
    assert met == [
        "met: hopper_attention_forward proved in at most 5 s: optimal, 1.00 s (0.50 to 2.00)",
        "met: at least 20 times faster in the median: 40.0, over the 1 of 1 problems that ours proves",
        "met: II never worse in real cycles: 1 of 1 compared",
    ]
    worse = solve_time.targets([replace(PAIR, peer=replace(PEER, ii_cycles=90, seconds=(2.0,)))])
    assert worse[1:] == [
        "NOT MET: at least 20 times faster in the median: 2.0, over the 1 of 1 problems that ours proves",
        "NOT MET: II never worse in real cycles: worse on hopper_attention_forward",
    ]


def test_table_and_plot_show_every_problem():
    late = replace(
        PAIR, name="gemm", peer=replace(PEER, finished=False, ii_cycles=0, violations=("rings: a", "rings: b"))
    )
    console = Console(file=StringIO(), width=200)
    console.print(solve_time.table([PAIR, late]))
    shown = console.file.getvalue()
    assert "≥ 40.0" in shown
    assert "> 40.0" in shown
    assert shown.count("breaks rings") == 1
    drawn = solve_time.picture([PAIR, late], 40)
    assert xml.fromstring(drawn).tag.endswith("svg")
    assert "hopper attention forward" in drawn


def test_measuring_a_small_problem():
    given = problem([Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)], [Dep("a", "b", 0, 3)])
    pair = measure("tiny", given, 2, 20, lambda: False)
    assert pair is not None
    assert (pair.ours.ii_cycles, pair.tiers.ii_cycles, pair.peer.ii_cycles, pair.rounded_cycles) == (4, 4, 4, 4)
    assert len(pair.ours.seconds) == 2
    assert pair.peer.finished
    assert measure("tiny", given, 1, 20, lambda: True) is None


def test_the_command_writes_results_and_plot(tmp_path):
    out, plot = tmp_path / "r.json", tmp_path / "r.svg"
    options = ["--runs", "1", "--time-limit", "0.1", "--problems", "grouped_gemm"]
    done = CliRunner().invoke(solve_time.main, [*options, "--output", str(out), "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert list(found["results"]["problems"]) == ["grouped_gemm"]
    assert found["provenance"]["complete"] is False
    assert plot.read_text().lstrip().startswith("<?xml")
