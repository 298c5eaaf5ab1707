"""The unit of work by which candidates are compared: one launch of the kernel, in cycles of an SM."""

from __future__ import annotations

from dataclasses import dataclass

from twill.frontend.launch import Launch
from twill.ir.graph import Graph
from twill.ir.opcodes import POINTER_STORES

TRIPS_UNKNOWN = 64
"""Iterations a loop is judged at when the launch has no grid and perhaps no values."""


@dataclass(frozen=True)
class Work:
    """What one launch asks of the loop at given tile sizes.

    programs: of the grid. active: those whose loop runs at all. iterations: of all programs together.
    longest: iterations of the program that runs longest. Loop bounds may depend on program ids; of a
    grid of more than 512 programs an even sample is looked at and scaled. With an outer loop its tiles are what is
    called programs here.
    """

    programs: int
    active: int
    iterations: int
    longest: int

    @classmethod
    def single(cls, trip_count: int) -> Work:
        """One program with that many iterations."""
        return cls(1, 1, trip_count, trip_count)

    def sm_cycles(self, ii: int, length: int) -> int:
        """Predicted cycles of an SM for the whole launch: (trips - 1) * II + length, summed over its programs.

        A program has an SM to itself while it runs, as its schedule takes for granted (one program per
        SM). So a launch that fills `sm_count` SMs evenly takes `sm_cycles / sm_count` cycles. Whole waves
        are not counted: an example is smaller than the launches it stands for, and would fill less than
        one. What a program does before and after its loop is not modelled.
        """
        return (self.iterations - self.active) * ii + self.active * length


def work_of(graph: Graph, launch: Launch) -> Work:
    """The work of a launch; one program of TRIPS_UNKNOWN iterations when it has no grid.

    Raises Unsupported when the loop's bounds come from memory, InputError when they cannot be known.
    """
    from twill.frontend.trips import programs as programs_of
    from twill.frontend.trips import tile_trips

    if launch.grid is None:
        return Work.single(TRIPS_UNKNOWN)
    x, y, z = launch.grid
    programs = x * y * z
    counts = [tile_trips(graph, launch, program) for program in programs_of(launch)] if programs > 0 else []
    trips = [trips for tiles in counts for trips in tiles if trips > 0]
    if not trips:
        return Work.single(1)
    turns = _scaled(sum(map(len, counts)), programs, len(counts))
    active, iterations = _scaled(len(trips), programs, len(counts)), _scaled(sum(trips), programs, len(counts))
    return Work(turns, max(1, active), max(1, iterations), max(trips))


def _scaled(sampled: int, programs: int, looked_at: int) -> int:
    """A sum over `looked_at` programs, for all of them, rounded."""
    return (2 * sampled * programs + looked_at) // (2 * looked_at)


def written_elements(graph: Graph, launch: Launch, work: Work) -> int:
    """Elements that the stores of one launch cover, masks and bounds not counted."""
    types = {name: value.type for name, value in graph.values().items()}
    total = 0
    for ops, times in ((graph.before, work.programs), (graph.loop.body, work.iterations), (graph.after, work.programs)):
        for op in ops:
            if op.opcode in POINTER_STORES:
                total += times * types[op.operands[0]].size
            elif op.opcode == "descriptor_store":
                total += times * types[op.operands[-1]].size
    return total


def output_elements(launch: Launch) -> int:
    """Elements of the tensors that the launch writes; 0 when their shapes are not known."""
    total = 0
    for name in launch.outputs:
        size = 1 if launch.argument(name).shape is not None else 0
        for extent in launch.argument(name).shape or ():
            size *= extent
        total += size
    return total
