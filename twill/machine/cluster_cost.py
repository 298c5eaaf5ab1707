"""What a cluster of the loop body costs: a load, a store or a dot alone, or arithmetic that issues in one go."""

from __future__ import annotations

from dataclasses import replace

from twill.errors import Unsupported
from twill.ir.graph import Op as GraphOp
from twill.ir.opcodes import FETCHES
from twill.machine import cost
from twill.machine.cluster import Cluster
from twill.machine.cost import Cost, Layout, Work
from twill.machine.dataflow import Dataflow, is_vector
from twill.machine.machine import Machine
from twill.machine.memory import accumulates, staged_uses

LEAST_MMA_ROWS = 64


class Costs:
    """Costs of clusters. staged: uses (consumer, position) of values that go through shared memory to a dot."""

    def __init__(self, flow: Dataflow, machine: Machine, layouts: dict[int | None, Layout]) -> None:
        self.flow = flow
        self.machine = machine
        self.layouts = layouts
        self.staged = {(use.consumer, use.position) for use in staged_uses(flow, machine)}

    def layout(self, op: GraphOp) -> Layout:
        """Of the group that computes `op` in registers."""
        if op.subtile not in self.layouts:
            raise Unsupported(
                f"the sub-tiles share {_names(op)}, which is computed in registers.",
                hint="Only loads can be shared among sub-tiles; compile with one sub-tile.",
                location=op.location,
            )
        return self.layouts[op.subtile]

    def single(self, index: int) -> Cost:
        """A load, a store or a dot."""
        op = self.flow.body[index]
        machine = self.machine
        if op.opcode in FETCHES:
            if any(True for _ in self.flow.operands(index)):
                raise Unsupported(f"the offsets of load {_names(op)} depend on what the loop computes.",
                                  hint="Loads run ahead of the arithmetic: use the loop index, arguments, and indices "
                                  "that are loaded by pointers for nothing else.",
                                  location=op.location)  # fmt: skip
            fetch = cost.tma_load if op.opcode == "descriptor_load" else cost.async_copy
            found = fetch(machine, op.result.type)
            return cost.after_indices(machine, found, max(map(self.flow.indirections, op.operands)))
        if op.opcode == "dot":
            return self._dot(index)
        if op.opcode == "descriptor_store":
            return cost.tma_store(machine, self.flow.types[op.operands[-1]])
        if op.opcode == "atomic":
            return cost.global_atomic(machine, self.flow.types[op.operands[1]])
        if op.opcode == "load":
            return cost.global_access(machine, op.result.type, self._registers(index))
        return cost.global_access(machine, self.flow.types[op.operands[1]], 0)

    def _dot(self, index: int) -> Cost:
        op = self.flow.body[index]
        layout = self.layout(op)
        a, b, result = self.flow.types[op.operands[0]], self.flow.types[op.operands[1]], op.result.type
        if result.shape[0] < LEAST_MMA_ROWS:
            raise Unsupported(
                f"dot {_names(op)} has {result.shape[0]} rows; the tensor core of {self.machine.name} works on "
                f"{LEAST_MMA_ROWS} or more a warp group.",
                hint="Use a larger block of rows, or fewer sub-tiles.",
                location=op.location,
            )
        in_memory = all(source.op is None or self.flow.body[source.op].opcode in FETCHES
                        for source in self.flow.sources(op.operands[0]))  # fmt: skip
        found = cost.mma(self.machine, a, b, a_in_registers=not in_memory and (index, 0) not in self.staged,
                         precision=str(op.attributes.get("precision", "")), location=op.location)  # fmt: skip
        if not self.machine.has_tensor_memory:
            return replace(found, registers=layout.registers(result))
        return found if accumulates(self.flow, index) else replace(found, tmem_columns=cost.tmem_columns(result))

    def arithmetic(self, cluster: Cluster) -> tuple[Cost, dict[int, int]]:
        """Cost of a cluster, and for each member the cycles until another op may use its result.

        The group's stream issues the members in order. A tile-sized member follows another element by
        element, so only the pipe's latency separates them; anything else waits for the whole result.
        """
        body, drain = self.flow.body, self.machine.number("tile_drain")
        stream, alu, mufu = 0.0, 0.0, 0.0
        started: dict[int, float] = {}
        finished: dict[int, float] = {}
        works: dict[int, Work] = {}
        for i in cluster.members:
            ready = stream
            for use in self.flow.operands(i):
                u = use.producer
                if u in works and use.source.distance == 0:
                    streaming = body[u].opcode != "reduce" and not is_vector(body[u].result.type)
                    ready = max(ready, started[u] + works[u].extra if streaming else finished[u])
            works[i] = work = self._work(body[i])
            started[i], stream = ready, ready + work.cycles
            finished[i] = stream + work.extra
            alu, mufu = alu + work.alu, mufu + work.mufu
        unit, occupancy = ("SFU", _up(mufu)) if mufu > alu else ("ALU", _up(alu))
        latencies = {i: _up(at + drain) for i, at in finished.items()}
        latency = max(occupancy, *latencies.values())
        leaving = [i for i in cluster.members if self._leaves(i, cluster)]
        return Cost(unit, occupancy, occupancy, latency, sum(map(self._registers, leaving))), latencies

    def _work(self, op: GraphOp) -> Work:
        layout, source = self.layout(op), self.flow.types[op.operands[0]]
        if op.opcode == "select":  # the condition comes first, the values' type decides
            source = op.result.type
        if op.opcode == "reduce":
            return cost.reduction(
                self.machine, source, int(str(op.attributes["axis"])), str(op.attributes["kind"]), layout
            )
        return cost.elementwise(self.machine, op, source, layout, self.flow.axis(op.result.name))

    def _leaves(self, index: int, cluster: Cluster) -> bool:
        return any(use.consumer not in cluster.members or use.source.distance for use in self.flow.uses[index])

    def _registers(self, index: int) -> int:
        value = self.flow.body[index].result
        return self.layout(self.flow.body[index]).registers(value.type, self.flow.axis(value.name))


def _names(op: GraphOp) -> str:
    return ", ".join(f"`{value.name}`" for value in op.results) or op.opcode


def _up(cycles: float) -> int:
    """Whole cycles, rounded up, a hair's breadth of floating-point error ignored."""
    return int(-(-(cycles - 1e-9) // 1))
