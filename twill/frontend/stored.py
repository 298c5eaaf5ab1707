"""The kernel that a schedule file holds beside its schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twill.errors import InputError
from twill.frontend.launch import Launch, from_json
from twill.ir.graph import Graph
from twill.ir.parser import parse_graph

if TYPE_CHECKING:
    from twill.schedule.files import ScheduleFile


def stored_kernel(stored: ScheduleFile, location: str = "") -> tuple[Graph, Launch] | None:
    """The graph, already divided into sub-tiles, and the launch of a schedule file; None for a schedule alone.

    Raises InputError, naming the file at `location`, when one of both cannot be read or is not the schedule's.
    """
    if stored.graph is None or stored.launch is None:
        return None
    try:
        graph, launch = parse_graph(stored.graph), from_json(stored.launch)
    except InputError as error:
        place = f", {error.location}" if error.location else ""
        raise InputError(
            f"holds a kernel that cannot be read{place}: {error.message}",
            hint=error.hint or "Compile the kernel again.",
            location=location,
        ) from None
    strange = _stranger(stored, graph, launch)
    if strange:
        hint = "Was the file edited? Compile the kernel again."
        raise InputError(
            f"holds a schedule, a graph and a launch that differ: {strange}.", hint=hint, location=location
        )
    return graph, launch


def _stranger(stored: ScheduleFile, graph: Graph, launch: Launch) -> str:
    """What the graph has and the schedule or the launch has not, or the other way round; "" for nothing."""
    arguments = {spec.name for spec in launch.arguments}
    members = {name for op in stored.schedule.problem.ops for name in op.members}
    scheduled = {name for name in members if not name.startswith("store@")}  # an op without a result
    loop = {op.result.name: op for op in graph.loop.body if op.opcode in ("descriptor_load", "dot")}
    unknown = next((value.name for value in graph.arguments if value.name not in arguments), None)
    if unknown is not None:
        return f"the launch has no argument `{unknown}`"
    if missing := sorted(scheduled - graph.values().keys()):
        return f"the graph has no `{missing[0]}`, which is scheduled"
    unplaced = sorted(loop.keys() - scheduled)
    if scheduled and unplaced:  # a problem without members was not made from a kernel
        return f"`{unplaced[0]}` is in the loop and not scheduled"
    return ""
