"""The text form round-trips exactly and its errors say where and what."""

import math

import pytest
from hypothesis import given, settings

from twill.errors import InputError, Location
from twill.ir.graph import Graph, Loop, Op, Type, Value
from twill.ir.text import parse_graph, print_graph, print_op, print_type

from .graphs import attention
from .random_graphs import any_graphs


def bits(graph: Graph) -> list:
    """What `==` on graphs does not tell apart: attribute types, the sign of zero."""
    return [[(key, type(value), repr(value)) for key, value in op.attributes.items()] for op in graph.ops()]


@settings(max_examples=60, deadline=None)
@given(any_graphs)
def test_round_trip(graph):
    again = parse_graph(print_graph(graph))
    assert again == graph
    assert bits(again) == bits(graph)


def test_round_trip_of_attention():
    graph = attention()
    text = print_graph(graph)
    assert parse_graph(text) == graph
    assert print_graph(parse_graph(text)) == text


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, -0.0, 5e-324, 0.1 + 0.2, 1e22, 1.7976931348623157e308]
)
def test_floats_are_exact(value):
    op = Op("constant", (), (Value("x", Type("f64")),), {"value": value})
    graph = Graph("g", (), (op,), Loop(Value("i", Type("i32")), "a", "b", "c", (), ()), ())
    again = parse_graph(print_graph(graph))
    assert again == graph
    assert repr(again.before[0].attributes["value"]) == repr(value)


def test_it_reads_like_this():
    op = Op(
        "dot", ("a", "b", "c"), (Value("s", Type("f32", (64, 128))),), {"precision": "tf32"}, Location("k.py", 3, 9), 1
    )
    assert print_op(op) == '%s = dot %a, %b, %c {precision = "tf32"} : f32[64, 128] subtile 1 at "k.py":3:9'
    assert print_type(Type("f16", (8,), "pointer")) == "*f16[8]"
    assert print_type(Type("f16", (8, 8), "descriptor")) == "descriptor<f16[8, 8]>"


HEAD = "graph g(%n: i32) {\n"
LOOP = "  for %i: i32 in [%n, %n) step %n {\n  }\n"


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("", "1:1", "expected `graph`, found the end of the text"),
        ("grph g() {", "1:1", "expected `graph`, found `grph`"),
        (HEAD + "}", "2:1", "expected an op or the loop"),
        (HEAD + "  %x constant : f32\n" + LOOP + "}", "2:6", "expected `=`, found `constant`"),
        (HEAD + "  %x = constant {value = } : f32\n" + LOOP + "}", "2:26", "expected an attribute value"),
        (
            HEAD + "  %x = constant {a = 1, a = 2} : f32\n" + LOOP + "}",
            "2:25",
            "an attribute that was not given before",
        ),
        (HEAD + "  %x = constant : f31\n" + LOOP + "}", "2:19", "expected a type (i1, "),
        (HEAD + "  %x, %y = split %n : f32\n" + LOOP + "}", "2:23", "expected 2 result types"),
        (HEAD + "  %x = constant : f32[8,]\n" + LOOP + "}", "2:25", "expected an integer, found `]`"),
        (HEAD + LOOP, "4:1", "or `}`, found the end of the text"),
        (HEAD + LOOP + "} extra", "4:3", "expected the end of the text"),
        (HEAD + LOOP + LOOP + "}", "4:3", "expected `}`, found `for`"),
        (HEAD + "  $", "2:3", "punctuation, found `$`"),
        (HEAD + '  %x = constant {value = "\\q"} : f32\n' + LOOP + "}", "2:26", "quoted as in JSON"),
    ],
)
def test_errors_say_where_and_what(text, place, expected):
    with pytest.raises(InputError) as caught:
        parse_graph(text, file="g.txt")
    assert str(caught.value).startswith(f"g.txt:{place}: ")
    assert expected in str(caught.value)


def test_comments_and_layout_do_not_matter():
    text = "# a graph\ngraph g(%n:i32){for %i:i32 in[%n,%n)step %n{}}# done"
    assert parse_graph(text).loop.lower == "n"
