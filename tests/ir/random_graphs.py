"""Hypothesis strategies: graphs of any content for the text form, and valid ones for transformations."""

from hypothesis import strategies as st

from twill.errors import Location
from twill.ir.graph import DTYPE_BITS, Carried, Graph, Loop, Op, Type, Value

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,6}", fullmatch=True)
types = st.builds(
    Type,
    st.sampled_from(sorted(DTYPE_BITS)),
    st.lists(st.integers(1, 256), max_size=3).map(tuple),
    st.sampled_from(["value", "pointer", "descriptor"]),
)
values = st.builds(Value, names, types)
attributes = st.dictionaries(
    st.from_regex(r"[a-z_]{1,6}", fullmatch=True),
    st.one_of(
        st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=3).map(tuple)
    ),
    max_size=3,
)
locations = st.none() | st.builds(Location, st.text(max_size=8), st.integers(0, 999), st.integers(0, 99))
subtiles = st.none() | st.integers(0, 3)
ops = st.builds(
    Op,
    st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(
        lambda word: word not in ("for", "carry", "inf", "nan", "at", "subtile")
    ),
    st.lists(names, max_size=3).map(tuple),
    st.lists(values, max_size=2).map(tuple),
    attributes,
    locations,
    subtiles,
)
op_lists = st.lists(ops, max_size=3).map(tuple)
loops = st.builds(
    Loop,
    values,
    names,
    names,
    names,
    st.lists(st.builds(Carried, values, names, names, values, subtiles), max_size=2).map(tuple),
    op_lists,
    locations,
)
any_graphs = st.builds(
    Graph, names | st.text(max_size=6), st.lists(values, max_size=3).map(tuple), op_lists, loops, op_lists,
    st.integers(1, 4),
)  # fmt: skip
"""Graphs that need not make sense, for the text form."""


@st.composite
def valid_graphs(draw):
    """A kernel on an [8, 4] tile: random arithmetic on constants, scalars, vectors and tiles, all of it stored.

    Arguments: x (input, 8 x 4), y (output, n x 8 x 4), n (trip count), a (f32). With loops of 0 to 3 iterations.
    """
    tile, row, scalar, integer = Type("f32", (8, 4)), Type("f32", (8,)), Type("f32"), Type("i32")
    counter = 0

    def fresh():
        nonlocal counter
        counter += 1
        return f"v{counter}"

    def arithmetic(visible, count):
        made = []
        for _ in range(count):
            kind = draw(st.sampled_from(["constant", "unary", "binary", "splat", "reduce", "expand", "integer"]))
            type = draw(st.sampled_from([tile, row, scalar]))

            def pick(type):
                return draw(st.sampled_from([v for v in visible if v.type == type])).name

            name = fresh()
            if kind == "constant":
                op = Op("constant", (), (Value(name, type),), {"value": draw(st.sampled_from([0.0, -0.0, 1.5, -2.0]))})
            elif kind == "unary":
                op = Op(draw(st.sampled_from(["neg", "abs", "tanh"])), (pick(type),), (Value(name, type),))
            elif kind == "binary":
                code = draw(st.sampled_from(["add", "sub", "mul", "max", "min"]))
                op = Op(code, (pick(type), pick(type)), (Value(name, type),))
            elif kind == "splat":
                op = Op("splat", (pick(scalar),), (Value(name, draw(st.sampled_from([tile, row]))),))
            elif kind == "reduce":
                op = Op("reduce", (pick(tile),), (Value(name, row),), {"axis": 1, "kind": "max"})
            elif kind == "expand":
                column = Value(name, Type("f32", (8, 1)))
                made.append(Op("expand_dims", (pick(row),), (column,), {"axis": 1}))
                visible.append(column)
                op = Op("broadcast", (name,), (Value(fresh(), tile),))
            else:
                code = draw(st.sampled_from(["add", "mul", "div", "rem", "min"]))
                op = Op(code, (pick(integer), pick(integer)), (Value(name, integer),))
            made.append(op)
            visible.append(op.result)
        return made

    def number(name, value, dtype):
        return Op("constant", (), (Value(name, Type(dtype)),), {"value": value})

    def access(name, dtype, rows):
        made = Value(f"{name}_desc", Type(dtype, (8, 4), "descriptor"))
        return Op("descriptor", (name, rows, "four", "wide", "narrow"), (made,), {"rank": 2})

    arguments = (
        Value("x", Type("f32", (), "pointer")),
        Value("y", Type("f32", (), "pointer")),
        Value("n", integer),
        Value("a", scalar),
    )
    before = [
        number("zero", 0, "i32"), number("one", 1, "i32"), number("four", 4, "i32"), number("eight", 8, "i32"),
        number("wide", 4, "i64"), number("narrow", 1, "i64"), number("half", 0.5, "f32"),
        Op("constant", (), (Value("start", tile),), {"value": 1.0}),
        Op("constant", (), (Value("vector", row),), {"value": 2.0}),
        Op("add", ("n", "one"), (Value("blocks", integer),)),
        Op("mul", ("blocks", "eight"), (Value("rows", integer),)),
        access("x", "f32", "eight"), access("y", "f32", "rows"),
        Op("descriptor_load", ("x_desc", "zero", "zero"), (Value("x_tile", tile),)),
    ]  # fmt: skip
    visible = [
        arguments[2],
        arguments[3],
        *(op.result for op in before if op.result.type in (tile, row, scalar, integer)),
    ]
    before += arithmetic(visible, draw(st.integers(0, 4)))
    initial = draw(st.sampled_from([v for v in visible if v.type == tile])).name
    inside = [*visible, Value("i", integer), Value("acc", tile)]
    body = arithmetic(inside, draw(st.integers(0, 8)))
    yielded = draw(st.sampled_from([v for v in inside if v.type == tile])).name
    stored = draw(st.sampled_from([v for v in inside if v.type == tile])).name
    body += [
        Op("mul", ("i", "eight"), (Value("at_row", integer),)),
        Op("descriptor_store", ("y_desc", "at_row", "zero", stored)),
    ]
    outside = [*visible, Value("out", tile)]
    after = arithmetic(outside, draw(st.integers(0, 4)))
    last = draw(st.sampled_from([v for v in outside if v.type == tile])).name
    after += [
        Op("mul", ("n", "eight"), (Value("last_row", integer),)),
        Op("descriptor_store", ("y_desc", "last_row", "zero", last)),
    ]
    carried = Carried(Value("acc", tile), initial, yielded, Value("out", tile))
    loop = Loop(Value("i", integer), "zero", "n", "one", (carried,), tuple(body))
    return Graph("random", arguments, tuple(before), loop, tuple(after))
