"""The text form of a Graph: `parse_graph(print_graph(g)) == g`, every location and float included.

    graph     ::= "graph" name "(" [argument {"," argument}] ")" ["subtiles" INT] "{" (op* loop op* | op* outer) "}"
    argument  ::= VALUE ":" type
    op        ::= [VALUE {"," VALUE} "="] OPCODE [VALUE {"," VALUE}] [attributes] [":" type {"," type}]
                  ["subtile" INT] [location]
    outer     ::= "for" VALUE ":" type "in" "[" VALUE "," VALUE ")" "step" VALUE [location] "{" op* loop op* "}"
    loop      ::= "for" VALUE ":" type "in" "[" VALUE "," VALUE ")" "step" VALUE [location] "{" carry* op* "}"
    carry     ::= "carry" VALUE ":" type "from" VALUE "yields" VALUE "gives" VALUE ":" type ["subtile" INT]
    attributes::= "{" [KEY "=" attribute {"," KEY "=" attribute}] "}"
    attribute ::= "true" | "false" | INT | FLOAT | STRING | "[" [INT {"," INT}] "]"
    type      ::= DTYPE [shape] | "*" DTYPE [shape] | "descriptor" "<" DTYPE [shape] ">"
    shape     ::= "[" INT {"," INT} "]"
    location  ::= "at" STRING ":" INT ":" INT
    name      ::= IDENTIFIER | STRING

VALUE is "%" and a name, FLOAT has a point, an exponent, or is inf or nan; STRING is quoted as in
JSON; "#" starts a comment that ends with the line. `*f32[128]` is a tensor of 128 pointers to f32.
The types after ":" are those of the results, in order. Before an outer loop stand the ops that do not depend on its
index, which a graph has first (twill.ir.outer).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from twill.errors import Location
from twill.ir.graph import Attribute, Graph, Loop, Op, Outer, Type
from twill.ir.outer import depends_on_tile
from twill.ir.parser import parse_graph

__all__ = ["parse_graph", "print_graph", "print_op", "print_type"]

_IDENTIFIER = re.compile(r"(?!(inf|nan)(?![A-Za-z0-9_]))[A-Za-z_][A-Za-z0-9_.]*")


def print_type(type: Type) -> str:
    """`f32`, `f32[128, 64]`, `*f16`, `descriptor<bf16[64, 128]>`."""
    shape = f"[{', '.join(map(str, type.shape))}]" if type.shape else ""
    text = f"{type.dtype}{shape}"
    return {"value": text, "pointer": f"*{text}", "descriptor": f"descriptor<{text}>"}[type.kind]


def print_op(op: Op) -> str:
    """One line, without indentation or newline."""
    text = ""
    if op.results:
        text += ", ".join(f"%{value.name}" for value in op.results) + " = "
    text += op.opcode
    if op.operands:
        text += " " + ", ".join(f"%{name}" for name in op.operands)
    if op.attributes:
        text += " {" + ", ".join(f"{key} = {_print_attribute(value)}" for key, value in op.attributes.items()) + "}"
    if op.results:
        text += " : " + ", ".join(print_type(value.type) for value in op.results)
    return text + _print_subtile(op.subtile) + _print_location(op.location)


def print_graph(graph: Graph) -> str:
    """The whole graph, one op a line, ending in a newline."""
    name = graph.name if _IDENTIFIER.fullmatch(graph.name) else json.dumps(graph.name)
    arguments = ", ".join(f"%{value.name}: {print_type(value.type)}" for value in graph.arguments)
    lines = [f"graph {name}({arguments}) subtiles {graph.subtiles} {{"]
    if graph.outer is None:
        lines += _print_parts(graph, graph.before, "  ")
    else:
        of_tile = depends_on_tile(graph)
        inside = [op for op in graph.before if not op.results or op.result.name in of_tile]
        lines += [f"  {print_op(op)}" for op in graph.before if op.results and op.result.name not in of_tile]
        lines.append(f"  {_print_range(graph.outer)} {{")
        lines += _print_parts(graph, inside, "    ")
        lines.append("  }")
    lines.append("}")
    return "\n".join(lines) + "\n"


def _print_parts(graph: Graph, before: Iterable[Op], indent: str) -> list[str]:
    loop = graph.loop
    lines = [f"{indent}{print_op(op)}" for op in before]
    lines.append(f"{indent}{_print_range(loop)} {{")
    for carried in loop.carried:
        lines.append(
            f"{indent}  carry %{carried.argument.name}: {print_type(carried.argument.type)} from %{carried.initial} "
            f"yields %{carried.yielded} gives %{carried.result.name}: {print_type(carried.result.type)}"
            f"{_print_subtile(carried.subtile)}"
        )
    lines += [f"{indent}  {print_op(op)}" for op in loop.body]
    lines.append(f"{indent}}}")
    return [*lines, *(f"{indent}{print_op(op)}" for op in graph.after)]


def _print_range(loop: Loop | Outer) -> str:
    return (
        f"for %{loop.index.name}: {print_type(loop.index.type)} in [%{loop.lower}, %{loop.upper}) "
        f"step %{loop.step}{_print_location(loop.location)}"
    )


def _print_attribute(value: Attribute) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # the shortest decimal that reads back as the same double; inf and nan by name
    if isinstance(value, str):
        return json.dumps(value)
    return "[" + ", ".join(map(str, value)) + "]"


def _print_subtile(subtile: int | None) -> str:
    return "" if subtile is None else f" subtile {subtile}"


def _print_location(location: Location | None) -> str:
    return "" if location is None else f" at {json.dumps(location.file)}:{location.line}:{location.column}"
