"""What the one loop of several looks like: what it shares, its index, its trip counts."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from twill import frontend
from twill.frontend.merge.forms import Form, Forms
from twill.frontend.trips import reachable_trips, trip_counts
from twill.ir import evaluate
from twill.ir.graph import Graph, Op, Type, Value
from twill.ir.simplify import simplify
from twill.ir.verify import verify

from .several_loops import END, given, lowered, same, written

KERNELS = Path(__file__).parents[1] / "kernels_for_tests"


def only(graph: Graph, opcode: str) -> Op:
    (found,) = (op for op in graph.loop.body if op.opcode == opcode)
    return found


def test_loops_that_differ_in_a_mask_share_everything_else() -> None:
    """Two products, two loads, no choice between tiles: one vector is chosen, for the mask."""
    graph, launch = frontend.lower(frontend.load(KERNELS / "causal_two_loops.py"))
    graph = simplify(graph)
    assert [op.opcode for op in graph.loop.body if op.opcode in ("dot", "descriptor_load", "cmp", "exp2")] == [
        "cmp", "descriptor_load", "dot", "cmp", "exp2", "exp2", "descriptor_load", "dot",
    ]  # fmt: skip
    chosen = [op for op in graph.loop.body if op.opcode == "select"]
    assert [op.result.type.shape for op in chosen] == [(128,), (128, 64)]
    producers = graph.producers()
    assert producers[graph.loop.lower].attributes["value"] == 0
    assert producers[graph.loop.step].attributes["value"] == 64
    assert len(graph.loop.carried) == 3
    assert trip_counts(graph, launch) == {(i, h, 0): 2 * i + 2 for h in range(2) for i in range(4)}


def test_a_launch_of_fewer_programs_makes_fewer_iterations() -> None:
    graph, launch = frontend.lower(frontend.load(KERNELS / "causal_two_loops.py"))
    trips = reachable_trips(simplify(graph), launch, range(7))
    assert [(trip.trip_count, trip.overrides) for trip in trips] == [(2, {"N": 128}), (4, {"N": 256}), (6, {"N": 384})]


def test_each_loop_is_left_out_once(tmp_path: Path) -> None:
    body = f"""
        for n in range(0, B):
            acc += xd.load([n * BLOCK, 0])
        for n in range(0, D):
            acc += xd.load([n * BLOCK, 0]) * 3
        {END}
        """
    graph, launch = frontend.lower(frontend.load(written(tmp_path, body)))  # B = 4, D = 8
    trips = {trip.trip_count: trip.overrides for trip in reachable_trips(simplify(graph), launch, range(13))}
    assert sorted(trips) == list(range(13))
    assert trips[11] == {"B": 3}
    assert trips[5] == {"D": 1}
    assert trips[3] == {"D": 0, "B": 3}
    assert trips[0] == {"D": 0, "B": 0}


def test_both_passes_of_a_softmax_share_the_load_and_the_exponential() -> None:
    graph, _ = frontend.lower(frontend.load(KERNELS / "row_softmax.py"))
    graph = simplify(graph)
    only(graph, "descriptor_load")
    assert len([op for op in graph.loop.body if op.opcode == "exp" and len(op.result.type.shape) == 2]) == 1
    where = graph.producers()[only(graph, "descriptor_store").operands[1]]
    outside = graph.producers()[where.operands[1]]
    assert (where.opcode, outside.attributes["value"]) == ("select", -64)


@pytest.mark.parametrize(
    ("border", "counts_turns"),
    [("B // 16 * 16", False), ("tl.multiple_of(B * 2, 16)", False), ("pid * 48", False), ("B", True), ("B * 8", True)],
)
def test_one_index_where_the_ranges_are_known_to_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, border: str, counts_turns: bool
) -> None:
    body = f"""
        border = {border}
        for n in range(0, border, 16):
            acc += xd.load([n, 0])
        for n in range(border, D * 8, 16):
            acc += xd.load([n, 0]) * 3
        {END}
        """
    both = lowered(written(tmp_path, body), monkeypatch)
    graph = simplify(both.graph)
    step = graph.producers()[graph.loop.step].attributes["value"]
    assert step == (1 if counts_turns else 16)
    for b, d in itertools.product((0, 8, 16, 40), (0, 5, 9)):
        if border != "tl.multiple_of(B * 2, 16)" or b % 8 == 0:
            same(both, given((0, b, 0, d)))


def test_loops_in_a_persistent_loop(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        for tile in range(pid, D, 2):
            total = tl.zeros([BLOCK], tl.float32)
            for n in range(0, tile):
                total += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
            for n in range(tile, tile + 2):
                total += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) * 3
            tl.store(w + tile * 16 + offs, total)
        """,
    )
    graph, _ = frontend.lower(frontend.load(path))
    verify(simplify(graph))
    assert graph.outer is not None
    arguments = given((0, 0, 0, 4))
    x = np.asarray(arguments["x"], np.float64).reshape(6, 16, 16).sum(2)
    found = evaluate.run(simplify(graph), arguments, (2, 1, 1), "float64")["w"]
    for tile in range(4):
        assert np.array_equal(found[tile * 16 : tile * 16 + 16], x[:tile].sum(0) + 3 * x[tile : tile + 2].sum(0))


def test_what_is_known_of_scalars() -> None:
    forms = Forms({"N": 64})
    for text in (
        ("constant", (), "c128", {"value": 128}), ("constant", (), "c64", {"value": 64}),
        ("constant", (), "c1", {"value": 1}), ("program_id", (), "pid", {"axis": 0}),
        ("mul", ("pid", "c128"), "lo", {}),
        ("add", ("pid", "c1"), "next", {}), ("mul", ("next", "c128"), "hi", {}), ("div", ("hi", "c64"), "count", {}),
        ("div", ("N", "c128"), "blocks", {}), ("max", ("N", "lo"), "most", {}), ("rem", ("pid", "c64"), "at", {}),
        ("sub", ("lo", "N"), "left", {}), ("mul", ("N", "M"), "area", {}), ("mul", ("N", "M"), "same", {}),
    ):  # fmt: skip
        opcode, operands, name, attributes = text
        forms.define(Op(opcode, operands, (Value(name, Type("i32")),), attributes))
    assert forms["hi"] - forms["lo"] == Form(128)
    assert forms["count"] == forms["next"] * 2
    assert forms["area"] == forms["same"]
    assert forms.low(forms["lo"]) == 0
    assert forms.high(forms["lo"]) is None
    assert forms.low(forms["most"]) == 0
    assert (forms.low(forms["at"]), forms.high(forms["at"])) == (0, 63)
    assert forms.low(forms["left"]) is None
    assert forms.not_negative(forms["hi"] - forms["lo"])
    assert not forms.not_negative(forms["lo"] - forms["hi"])
    assert forms.divisible(forms["left"], 64)
    assert not forms.divisible(forms["left"], 128)
    assert not forms.divisible(forms["blocks"], 2)
    assert forms.divisible(forms["area"] + forms["lo"], 64)
