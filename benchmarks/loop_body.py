"""The body of one sub-tile of a random loop as it is drawn: nodes, their operands, and what iterations hand on."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace

from twill.ir.graph import Type
from twill.machine import Machine, cost
from twill.schedule.problem import Op

ROWS_OF_A_WARP = 16  # of a wgmma: 64 rows on four warps


@dataclass(frozen=True)
class Use:
    """An operand of a node, of the same sub-tile or shared. latency: the source's when None."""

    src: str
    distance: int = 0
    latency: int | None = None
    blocking: bool = False
    in_place: bool = False


@dataclass
class Node:
    """An op of every sub-tile, or of all of them together where `shared`."""

    name: str
    op: Op
    uses: list[Use]
    shared: bool = False


@dataclass
class Chain:
    """Values that blocks hand on and the last hands to the next iteration: accumulator, row maximum, row sum."""

    first: dict[str, Node] = field(default_factory=dict)
    last: dict[str, Use] = field(default_factory=dict)

    def follow(self, key: str, node: Node, use: Use) -> None:
        """`node` continues the value `key`; whoever comes next reads it as `use` says."""
        if key in self.last:
            node.uses.append(self.last[key])
        else:
            self.first[key] = node
        self.last[key] = use

    def close(self) -> None:
        """The first of each value takes that of the iteration before."""
        for key, node in self.first.items():
            node.uses.append(replace(self.last[key], distance=1))


@dataclass
class Body:
    """The loop body of one sub-tile as it is drawn.

    columns: of a score tile; depth: of a head or an accumulator. An undivided tile has 128 rows on eight
    warps, as the compiler's has; a sub-tile 64 on four.
    """

    machine: Machine
    rng: random.Random
    subtiles: int
    columns: int
    depth: int
    nodes: list[Node] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)

    @property
    def warps(self) -> int:
        return 8 if self.subtiles == 1 else 4

    @property
    def rows(self) -> int:
        return ROWS_OF_A_WARP * self.warps

    def registers(self, columns: int) -> int:
        """Per thread, of a float32 tile of so many columns."""
        return self.rows * columns // (32 * self.warps)

    @property
    def size(self) -> int:
        return sum(1 if node.shared else self.subtiles for node in self.nodes)

    def add(self, kind: str, op: Op, uses: list[Use], shared: bool = False) -> Node:
        self.used[kind] += 1
        node = Node(f"{kind}{self.used[kind]}", op, uses, shared)
        self.nodes.append(node)
        return node

    def load(self, rows: int, columns: int, shared: bool = True) -> Use:
        """A tile of bf16 by TMA, in a ring."""
        found = cost.tma_load(self.machine, Type("bf16", (rows, columns)))
        node = self.add("tile", _op(found, 1, variable_latency=True), [], shared)
        return Use(node.name, latency=found.latency, blocking=True)

    def product(self, kind: str, columns: int, depth: int, uses: list[Use], in_registers: bool) -> Node:
        """[rows, depth] x [depth, columns] on the tensor core, its result in registers."""
        a, b = Type("bf16", (self.rows, depth)), Type("bf16", (depth, columns))
        found = cost.mma(self.machine, a, b, a_in_registers=in_registers)
        return self.add(kind, replace(_op(found, self.warps), registers=self.registers(columns)), uses)

    def elementwise(self, kind: str, passes: float, uses: list[Use], registers: int | None = None) -> Node:
        """`passes` float instructions for each score; registers: of the result, a score tile's when None."""
        busy = max(1, round(self.rows * self.columns / self.machine.number("float_rate") * passes))
        latency = busy + self.machine.count("alu_latency") + self.machine.count("tile_drain")
        held = self.registers(self.columns) if registers is None else registers
        return self.add(kind, Op("", "ALU", busy, busy, latency, registers=held, min_warps=self.warps), uses)

    def exponential(self, uses: list[Use]) -> Node:
        busy = max(1, round(self.rows * self.columns / self.machine.number("mufu_rate")))
        latency = busy + self.machine.count("mufu_latency") + self.machine.count("tile_drain")
        op = Op("", "SFU", busy, busy, latency, registers=self.registers(self.columns), min_warps=self.warps)
        return self.add("exp", op, uses)

    def reduction(self, kind: str, passes: int, registers: int, uses: list[Use]) -> Node:
        """A row reduction: the pass over the tile, then shuffles among the lanes of a row."""
        busy = max(1, round(self.rows * self.columns / self.machine.number("float_rate") * passes)) + 4
        # 148 and 171 cycles more than the row sum's and maximum's occupancies in schedules/hopper.
        return self.add(kind, Op("", "ALU", busy, busy, busy + 160, registers=registers, min_warps=self.warps), uses)

    def staged(self, uses: list[Use]) -> Node:
        """A tile read from shared memory by the group's threads (a bias, a mask)."""
        tile = Type("bf16", (self.rows, self.columns))
        return self.add("bias", _op(cost.smem_read(self.machine, tile, max(1, self.columns // 4)), self.warps), uses)


def _op(found: cost.Cost, warps: int, variable_latency: bool = False) -> Op:
    return Op(
        "", found.unit, found.occupancy, found.issue, found.latency, registers=found.registers,
        smem_bytes=found.smem_bytes, min_warps=warps, variable_latency=variable_latency,
    )  # fmt: skip
