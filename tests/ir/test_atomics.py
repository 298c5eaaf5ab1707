"""The opcode `atomic`: its rule, its text, its sequential meaning, and kernels whose result would depend on order."""

import numpy as np
import pytest

from twill.errors import CheckFailed, InputError, Unsupported
from twill.ir import evaluate
from twill.ir.hazards import refuse_loads_of_stored_memory, refuse_updates_whose_order_matters
from twill.ir.simplify import simplify
from twill.ir.text import parse_graph, print_graph
from twill.ir.verify import verify

GRAPH = """\
graph g(%x: *f32, %y: *{dtype}, %n: i32) subtiles 1 {{
  %c0 = constant {{value = 0}} : i32
  %c1 = constant {{value = 1}} : i32
  %pid = program_id {{axis = 0}} : i32
  %four = constant {{value = 4}} : i32
  %offs = arange {{start = 0, end = 8}} : i32[8]
  %fours = splat %four : i32[8]
  %half = div %offs, %fours : i32[8]
  %py = splat %y : *{dtype}[8]
  %p = addptr %py, %half : *{dtype}[8]
  %true = constant {{value = true}} : i1[8]
  %limit = constant {{value = 6}} : i32
  %limits = splat %limit : i32[8]
  %first = cmp %offs, %limits {{predicate = "lt", signed = true}} : i1[8]
  for %i: i32 in [%c0, %n) step %c1 {{
    %step = add %i, %pid : i32
    %steps = splat %step : i32[8]
    %sum = add %steps, %offs : i32[8]
    %v = cast %sum {{signed = true}} : {dtype}[8]
    {atomic} at "k.py":9:5
  }}
{after}
}}
"""


def graph(atomic='atomic %p, %v {kind = "add"}', dtype="f32", after=""):
    return parse_graph(GRAPH.format(atomic=atomic, dtype=dtype, after=after))


def test_text_form_round_trips():
    made = graph('atomic %p, %v, %first {kind = "add"}')
    verify(made)
    assert 'atomic %p, %v, %first {kind = "add"} at "k.py":9:5' in print_graph(made)
    assert parse_graph(print_graph(made)) == made


@pytest.mark.parametrize(("kind", "expected"), [("add", [86, 150]), ("max", [5, 9]), ("min", [-3, -2])])
def test_elements_at_one_address_all_count_over_iterations_and_programs(kind, expected):
    """x = i + pid + offs for 2 iterations of 2 programs; elements 0..3 go to y[0], 4..7 to y[1].

    add: each of the 4 pairs (i, pid) adds 4 (i + pid) and 0+1+2+3 = 6, or 4+5+6+7 = 22; i + pid sums up to 0+1+1+2 = 4.
    So 4*4 + 4*6 = 40 and 4*4 + 4*22 = 104 are added to 46. max: 2 + 3 and 2 + 7. min: what was there.
    """
    start = {"add": [46, 46], "max": [0, 0], "min": [-3, -2]}[kind]
    y = np.asarray(start, np.int32)
    found = evaluate.run(
        graph(f'atomic %p, %v {{kind = "{kind}"}}', "i32"), {"x": np.zeros(1, np.float32), "y": y, "n": 2}, (2,)
    )
    assert found["y"].tolist() == expected


def test_masked_elements_do_not_count_and_updates_are_counted():
    made = graph('atomic %p, %v, %first {kind = "add"}')
    arguments = {"x": np.zeros(1, np.float32), "y": np.zeros(2, np.float32), "n": 1}
    assert evaluate.run(made, arguments, (1,), "float64")["y"].tolist() == [6.0, 9.0]
    assert evaluate.updates(made, arguments, (3,))["y"].tolist() == [12, 6]
    assert arguments["y"].tolist() == [0.0, 0.0]


def test_an_address_outside_the_tensor_is_named():
    with pytest.raises(CheckFailed, match=r"k\.py:9:5: atomic from elements 0 \.\. 1 of %y, which has 1"):
        evaluate.run(graph(), {"x": np.zeros(1, np.float32), "y": np.zeros(1, np.float32), "n": 1}, (1,))


def test_a_mask_that_holds_goes():
    made = simplify(graph('atomic %p, %v, %true {kind = "add"}'))
    (atomic,) = (op for op in made.loop.body if op.opcode == "atomic")
    assert len(atomic.operands) == 2


@pytest.mark.parametrize(
    ("atomic", "dtype", "message"),
    [
        ('atomic %p, %v {kind = "xor"}', "i32", "attribute `kind` is 'xor', not one of add, max, min"),
        ("atomic %p, %v", "i32", "lacks the attribute `kind`"),
        ('atomic %p, %v {kind = "max"}', "f32", "an atomic max takes i32, i64, not f32"),
        ('atomic %p, %offs {kind = "add"}', "f32", "pointer and what it is to point at"),
        ('atomic %p, %v, %offs {kind = "add"}', "f32", "mask and one i1 an element"),
    ],
)
def test_rule(atomic, dtype, message):
    with pytest.raises(InputError, match=message):
        verify(graph(atomic, dtype))


def test_a_load_of_what_the_loop_updates_is_refused():
    made = graph(after='  %seen = load %p : f32[8] at "k.py":11:5')
    with pytest.raises(Unsupported, match=r"k\.py:11:5: the loop stores to `y`"):
        refuse_loads_of_stored_memory(made)


@pytest.mark.parametrize(
    ("atomic", "after", "message"),
    [
        ('atomic %p, %v {kind = "add"}', '  store %py, %offs at "k.py":11:5', "an atomic add and by a store"),
        (
            'atomic %p, %v {kind = "add"}',
            '  atomic %py, %offs {kind = "max"} at "k.py":11:5',
            "add and by an atomic max",
        ),
    ],
)
def test_updates_of_two_kinds_are_refused(atomic, after, message):
    with pytest.raises(Unsupported, match=message):
        refuse_updates_whose_order_matters(graph(atomic, "i32", after))


def test_updates_of_one_kind_are_accepted():
    refuse_updates_whose_order_matters(graph(after='  atomic %y, %one {kind = "add"}'.replace("%one", "%v")))
