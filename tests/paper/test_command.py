"""`twill schedule --formulation paper`: the answer, and what is said when it breaks a rule the paper lacks."""

from __future__ import annotations

import json

from click.testing import CliRunner

from tests.solve.instances import problem
from twill.cli import main
from twill.schedule import files
from twill.schedule.graph_file import write_problem
from twill.schedule.problem import Dep, Op

CHAIN = problem([Op("a", "A", 3, 1, 3), Op("b", "B", 4, 1, 4)], [Dep("a", "b", 0, 3)])


def invoked(tmp_path, given, *options):
    graph = tmp_path / "graph.json"
    write_problem(graph, given)
    return CliRunner().invoke(main, ["schedule", str(graph), "--formulation", "paper", *options])


def test_the_answer_is_a_schedule_like_any_other(tmp_path):
    out = tmp_path / "schedule.json"
    done = invoked(tmp_path, CHAIN, "--json", "-o", str(out))
    assert done.exit_code == 0, done.output
    assert (json.loads(done.stdout)["status"], json.loads(done.stdout)["ii"]) == ("optimal", 4)
    facts = files.read(out).schedule.provenance["paper"]
    assert (facts["interval"], facts["deviation"], facts["finished"]) == (4, 0, True)


def test_a_rule_that_the_paper_lacks_is_named_with_exit_code_1(tmp_path):
    # At II = 3 the two buffers, of 5 and 4 cycles, together fill 9 of 10 byte-cycles a slot at most; but a ring has
    # whole slots: 2 + 2 of them, 12 bytes of 9.
    a, b = Op("a", "A", 3, 1, 3, smem_bytes=3), Op("b", "B", 2, 1, 2)
    c, d = Op("c", "C", 2, 1, 2, smem_bytes=3), Op("d", "D", 2, 1, 2)
    given = problem([a, b, c, d], [Dep("a", "b", 0, 3), Dep("c", "d", 0, 2)], smem_bytes=9)
    done = invoked(tmp_path, given)
    assert done.exit_code == 1, done.output
    assert "its model lacks a rule" in done.stderr
    assert "rings: shared memory holds a 2 * 3 + c 2 * 3 = 12 bytes > 9" in done.stderr


def test_nothing_found_is_exit_code_4(tmp_path):
    given = problem([Op("a", "A", 1, 1, 1, registers=10)], registers_per_thread=8)
    done = invoked(tmp_path, given, "--json")
    assert done.exit_code == 4, done.output
    assert json.loads(done.stdout)["status"] == "unknown"
