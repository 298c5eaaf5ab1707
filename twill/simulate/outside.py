"""What the statements before and after a loop cost: the loads, arithmetic and stores of a role."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from twill.codegen.layouts import Slice
from twill.codegen.plan import Plan
from twill.codegen.statements import (
    Apply,
    Call,
    Convert,
    Expr,
    Index,
    Let,
    ReadTile,
    Stmt,
    StoreTile,
    TmaLoad,
    TmaStore,
)
from twill.ir.graph import Op, Type, Value
from twill.machine import Machine, cost
from twill.schedule import problem


@dataclass(frozen=True)
class Cost:
    """Of one statement: its unit ("" for none), cycles of that, of the stream, and until it is complete."""

    unit: str
    busy: int
    issue: int
    completion: int


NOTHING = Cost("", 0, 0, 0)


class Outside:
    """Costs on a machine of statements that no op of the loop stands for."""

    def __init__(self, plan: Plan, machine: Machine) -> None:
        self.machine = machine
        self.buffers = {buffer.name: buffer for buffer in plan.buffers}

    def load(self, statement: TmaLoad) -> problem.Op:
        """A tile loaded before the loop, as an op of variable latency."""
        found = cost.tma_load(self.machine, Type("i8", (statement.nbytes,)))
        return problem.Op(
            statement.tile.buffer, found.unit, found.occupancy, found.issue, found.latency, variable_latency=True
        )

    def of(self, statement: Stmt, warps: int) -> Cost:
        """What a statement of a role of `warps` warps takes: arithmetic on tiles, a tile stored, a TMA store."""
        machine = self.machine
        if isinstance(statement, StoreTile):
            found = cost.smem_stage(machine, self._tile(statement.tile.buffer))
            return Cost(found.unit, found.occupancy, found.issue, found.latency)
        if isinstance(statement, TmaStore):
            copied = self._tile(statement.tile.buffer).nbytes * machine.number("tma_store_per_kib") / cost.KIB
            return Cost("", 0, machine.count("tma_issue"), ceil(machine.number("tma_store_latency") + copied))
        if isinstance(statement, Call):
            moved = max((type.nbytes for type in statement.value.operand_types), default=0)
            found = cost.global_access(machine, Type("i8", (moved,)), 0)
            return Cost(found.unit, found.occupancy, found.issue, found.latency)
        if isinstance(statement, Let):
            return self._arithmetic(statement.value, cost.Layout(warps))
        return NOTHING

    def _tile(self, buffer: str) -> Type:
        held = self.buffers[buffer]
        return Type(held.dtype, held.shape)

    def _arithmetic(self, value: Expr, layout: cost.Layout) -> Cost:
        """One expression: its instructions one after the other, on the pipe that most of them take."""
        works: list[cost.Work] = []
        reads: list[cost.Cost] = []
        self._walk(value, layout, works, reads)
        alu, mufu = sum(work.alu for work in works), sum(work.mufu for work in works)
        read = sum(each.latency for each in reads)
        if not works:
            busy = sum(each.occupancy for each in reads)
            return Cost("LSU", busy, busy, read) if reads else NOTHING
        busy = ceil(max(alu, mufu))
        extra = max(work.extra for work in works) + self.machine.number("tile_drain")
        return Cost("SFU" if mufu > alu else "ALU", busy, busy, ceil(alu + mufu + extra + read))

    def _walk(self, value: Expr, layout: cost.Layout, works: list[cost.Work], reads: list[cost.Cost]) -> None:
        machine = self.machine
        if isinstance(value, Convert):
            self._walk(value.operand, layout, works, reads)
        elif isinstance(value, Index):
            return  # a scalar
        elif isinstance(value, ReadTile):
            reads.append(cost.smem_read(machine, self._tile(value.tile.buffer), 0))
        elif isinstance(value, Apply):
            for operand in value.operands:
                self._walk(operand, layout, works, reads)
            if value.opcode == "constant" and value.type.shape:
                moves = value.type.size * layout.copies(value.type, _axis(value)) / machine.number("float_rate")
                works.append(cost.Work(moves, 0.0, machine.number("alu_latency")))
            elif value.opcode == "load":
                reads.append(cost.global_access(machine, value.type, 1))
            elif value.opcode == "reduce":
                axis, kind = int(str(value.attributes["axis"])), str(value.attributes["kind"])
                works.append(cost.reduction(machine, value.operand_types[0], axis, kind, layout))
            elif value.type.shape and value.opcode in machine.instructions:
                source = value.type if value.opcode == "select" else value.operand_types[0]
                op = Op(value.opcode, results=(Value("", value.type),), attributes=value.attributes)
                works.append(cost.elementwise(machine, op, source, layout, _axis(value)))


def _axis(value: Apply) -> int | None:
    """0 for a vector over the rows of its parent layout, 1 over the columns, None for anything else."""
    return 1 - value.layout.axis if isinstance(value.layout, Slice) else None
