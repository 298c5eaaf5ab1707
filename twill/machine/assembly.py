"""Scheduling ops and deps of a loop body, made one cluster and one use at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from twill.errors import Unsupported
from twill.ir.graph import Op as GraphOp
from twill.ir.opcodes import ELEMENTWISE, FETCHES, LOADS, MEMORY
from twill.machine import cost
from twill.machine.cluster import Cluster, member_name
from twill.machine.cost import Cost, Layout, Work
from twill.machine.dataflow import Dataflow, Use, is_vector
from twill.machine.machine import Machine
from twill.machine.memory import accumulates, aligned, staged_uses
from twill.schedule.problem import Dep, Op

LEAST_MMA_ROWS = 64


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
        self.ops: dict[str, Op] = {}
        self.deps: dict[tuple[str, str, int], Dep] = {}
        self._op_of: dict[int, str] = {}
        self._timing: dict[int, _Timing] = {}
        self._staged = {(use.consumer, use.position) for use in staged_uses(flow, machine)}
        self._moves: dict[tuple[str, int, int | None, str], str] = {}

    def order(self, id: str) -> int:
        return list(self.ops).index(id)

    # Ops

    def add_cluster(self, cluster: Cluster) -> None:
        body = self.flow.body
        first = body[cluster.members[0]]
        if first.opcode in MEMORY | {"dot"}:
            found = self._single(cluster.members[0])
            timing = {cluster.members[0]: found.latency}
        else:
            found, timing = self._arithmetic(cluster)
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

    def layout(self, op: GraphOp) -> Layout:
        """Of the group that computes `op` in registers."""
        if op.subtile not in self.layouts:
            raise Unsupported(
                f"the sub-tiles share {_names(op)}, which is computed in registers.",
                hint="Only loads can be shared among sub-tiles; compile with one sub-tile.",
                location=op.location,
            )
        return self.layouts[op.subtile]

    def _single(self, index: int) -> Cost:
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
        found = cost.mma(self.machine, a, b, a_in_registers=not in_memory and (index, 0) not in self._staged,
                         precision=str(op.attributes.get("precision", "")), location=op.location)  # fmt: skip
        if not self.machine.has_tensor_memory:
            return replace(found, registers=layout.registers(result))
        return found if accumulates(self.flow, index) else replace(found, tmem_columns=cost.tmem_columns(result))

    def _arithmetic(self, cluster: Cluster) -> tuple[Cost, dict[int, int]]:
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
        if (use.consumer, use.position) in self._staged:
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
        layout, type = self.layout(consumer), producer.result.type
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


def _names(op: GraphOp) -> str:
    return ", ".join(f"`{value.name}`" for value in op.results) or op.opcode


def _same_type(producer: GraphOp, consumer: GraphOp) -> bool:
    return consumer.opcode in ELEMENTWISE and producer.result.type == consumer.result.type


def _up(cycles: float) -> int:
    """Whole cycles, rounded up, a hair's breadth of floating-point error ignored."""
    return int(-(-(cycles - 1e-9) // 1))
