"""Scheduling ops and deps of a loop body, made one cluster and one use at a time."""

from __future__ import annotations

from dataclasses import dataclass

from twill.ir.graph import Op as GraphOp
from twill.ir.opcodes import ELEMENTWISE, FETCHES, LOADS, MEMORY
from twill.machine import cost
from twill.machine.cluster import Cluster, member_name
from twill.machine.cluster_cost import Costs
from twill.machine.cost import Cost, Layout
from twill.machine.dataflow import Dataflow, Use
from twill.machine.machine import Machine
from twill.machine.memory import aligned
from twill.schedule.problem import Dep, Op


@dataclass(frozen=True)
class _Timing:
    """When, after its cluster starts, a value may be used by another op."""

    latency: int
    waits: bool  # the user executes a blocking wait


class Assembly:
    """Ops and deps under construction, keyed so that each is made once."""

    def __init__(self, flow: Dataflow, machine: Machine, layouts: dict[int | None, Layout]) -> None:
        self.flow = flow
        self.machine = machine
        self.layouts = layouts
        self.costs = Costs(flow, machine, layouts)
        self.ops: dict[str, Op] = {}
        self.deps: dict[tuple[str, str, int], Dep] = {}
        self._op_of: dict[int, str] = {}
        self._timing: dict[int, _Timing] = {}
        self._moves: dict[tuple[str, int, int | None, str], str] = {}

    def order(self, id: str) -> int:
        return list(self.ops).index(id)

    # Ops

    def add_cluster(self, cluster: Cluster) -> None:
        body = self.flow.body
        first = body[cluster.members[0]]
        if first.opcode in MEMORY | {"dot"}:
            found = self.costs.single(cluster.members[0])
            timing = {cluster.members[0]: found.latency}
        else:
            found, timing = self.costs.arithmetic(cluster)
        for i in cluster.members:
            self._op_of[i] = cluster.id
            waits = first.opcode in LOADS | {"dot"}
            self._timing[i] = _Timing(timing[i], waits)
        load = first.opcode in FETCHES
        warps = cost.copy_warps(first.result.type) if first.opcode == "async_load" else 1
        self.ops[cluster.id] = self._op(
            cluster.id,
            found,
            first,
            label=", ".join(_describe(body[i], self.flow) for i in cluster.members),
            members=tuple(member_name(body, i) for i in cluster.members),
            min_warps=warps if load or (found.unit == "TC" and self.machine.has_tensor_memory) else 0,
            variable_latency=load,
        )

    def _op(
        self,
        id: str,
        found: Cost,
        about: GraphOp,
        *,
        label: str,
        members: tuple[str, ...] = (),
        min_warps: int = 0,
        variable_latency: bool = False,
        subtile: int | None = None,
    ) -> Op:
        subtile = about.subtile if subtile is None else subtile
        return Op(
            id=id,
            unit=found.unit,
            occupancy=found.occupancy,
            issue=found.issue,
            latency=found.latency,
            registers=found.registers,
            smem_bytes=aligned(found.smem_bytes, self.machine),
            tmem_columns=found.tmem_columns,
            min_warps=min_warps or self.layouts[subtile].warps,
            variable_latency=variable_latency,
            label=label,
            location=str(about.location or ""),
            subtile=subtile,
            members=members,
        )

    # Dependences

    def add_use(self, use: Use) -> None:
        """The dep of one use, with the move of the data in between where the machine needs one."""
        producer, consumer = self.flow.body[use.producer], self.flow.body[use.consumer]
        src, dst, timing = self._op_of[use.producer], self._op_of[use.consumer], self._timing[use.producer]
        distance = use.source.distance
        multiplied = consumer.opcode == "dot" and use.position < 2
        accumulated = consumer.opcode == "dot" and use.position == 2

        if producer.opcode in FETCHES:
            if not multiplied:
                src, distance, timing = self._move(use, "read"), 0, _Timing(0, False)
            return self._dep(src, dst, distance, timing)
        if (use.consumer, use.position) in self.costs.staged:
            return self._staged_operand(use)
        if accumulated:
            return self._accumulator(use)
        if producer.opcode == "dot" and self.machine.has_tensor_memory:
            return self._dep(self._move(use, "read"), dst, 0, _Timing(0, False))
        updated = producer.opcode == "dot" and self._sole(use) and _same_type(producer, consumer)
        self._dep(src, dst, distance, timing, in_place=updated)

    def _staged_operand(self, use: Use) -> None:
        """Registers to a buffer of one slot, which the next iteration may overwrite once the dot has read it."""
        stage = self._move(use, "stage")
        dot = self._op_of[use.consumer]
        self._dep(stage, dot, 0, _Timing(0, False))
        self._dep(dot, stage, 1, _Timing(self.ops[dot].latency, True))

    def _accumulator(self, use: Use) -> None:
        """A dot adds to what another op left in its accumulator: in place once everybody else has read that."""
        producer, in_place = self.flow.body[use.producer], self._overwritable(use)
        src, dst, timing = self._op_of[use.producer], self._op_of[use.consumer], self._timing[use.producer]
        if producer.opcode == "dot" and in_place:
            # The tensor core runs a group's products in order, each on the sums of the last: no wait.
            self._dep(src, dst, use.source.distance, _Timing(self.ops[src].occupancy, False), in_place=True)
        elif self.machine.has_tensor_memory:
            self._dep(self._move(use, "write"), dst, 0, _Timing(0, False), in_place=True)
        else:
            self._dep(src, dst, use.source.distance, timing, in_place=in_place)

    def _overwritable(self, use: Use) -> bool:
        """Every other reader of the value has it before the user starts: the user depends on it, iterations aside."""
        others = [other for other in self.flow.uses[use.producer] if other != use]
        return all(
            other.source.distance == use.source.distance and self.flow.precedes(other.consumer, use.consumer)
            for other in others
        )

    def _sole(self, use: Use) -> bool:
        """Nobody else in the body reads the value."""
        return self.flow.uses[use.producer] == [use]

    def _move(self, use: Use, kind: str) -> str:
        """The op "VALUE.kind" that moves a value for the group of its user; made once."""
        producer, consumer = self.flow.body[use.producer], self.flow.body[use.consumer]
        value, distance = use.source.value, use.source.distance
        key = (value, distance, consumer.subtile, kind)
        if key in self._moves:
            return self._moves[key]
        layout, type = self.costs.layout(consumer), producer.result.type
        registers = layout.registers(type, self.flow.axis(producer.result.name))
        in_smem = producer.opcode in FETCHES if kind == "read" else kind == "stage"
        if kind == "read":
            found = (cost.smem_read if in_smem else cost.tmem_load)(self.machine, type, registers)
        else:
            found = (cost.smem_stage if in_smem else cost.tmem_store)(self.machine, type)
        id = f"{value}.{kind}"
        if self.flow.graph.subtiles > 1 and producer.subtile != consumer.subtile:
            id = f"{value}.{kind}.{consumer.subtile}"
        if id in self.ops:
            id = f"{id}.{distance}"
        memory = "shared" if in_smem else "tensor"
        label = f"{value} from {memory} memory" if kind == "read" else f"{value} to {memory} memory"
        self.ops[id] = self._op(id, found, producer, label=label, subtile=consumer.subtile)
        self._moves[key] = id
        src = self._op_of[use.producer]
        if kind != "read" and producer.opcode == "dot" and self.machine.has_tensor_memory:
            src = self._move(use, "read")  # tensor memory to registers first
            self._dep(src, id, 0, _Timing(0, False))
        else:
            self._dep(src, id, distance, self._timing[use.producer])
        return id

    def _dep(self, src: str, dst: str, distance: int, timing: _Timing, in_place: bool = False) -> None:
        """Add a dep, or strengthen the one there is. A latency of 0 stands for the source's own."""
        if src == dst and distance == 0:
            return  # inside one cluster
        latency = timing.latency or self.ops[src].latency
        key = (src, dst, distance)
        old = self.deps.get(key)
        if old is not None:
            latency, in_place = max(latency, old.latency), in_place and old.in_place
        blocking = timing.waits or (old is not None and old.blocking)
        self.deps[key] = Dep(src, dst, distance, latency, blocking, in_place)


def _describe(op: GraphOp, flow: Dataflow) -> str:
    if op.opcode == "dot":
        (m, k), n = flow.types[op.operands[0]].shape, op.result.type.shape[1]
        return f"dot {m}x{n}x{k}"
    if op.opcode == "reduce":
        return f"reduce {op.attributes['kind']}"
    return op.opcode


def _same_type(producer: GraphOp, consumer: GraphOp) -> bool:
    return consumer.opcode in ELEMENTWISE and producer.result.type == consumer.result.type
