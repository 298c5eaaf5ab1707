"""The Plan: every decision about the kernel to emit, taken once; printing decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twill.codegen import pipeline
from twill.codegen.consumer import consumer_statements
from twill.codegen.producer import producer_statements
from twill.codegen.scope import Kernel
from twill.codegen.statements import Expr, Stmt
from twill.codegen.turns import TURNS_OVER
from twill.codegen.worker import Worker
from twill.errors import Unsupported
from twill.frontend.launch import Launch
from twill.ir.graph import Graph, Op
from twill.ir.opcodes import STORES
from twill.schedule.problem import in_register_steps
from twill.schedule.schedule import Schedule

if TYPE_CHECKING:
    from twill.codegen.stamps import Stamps


@dataclass(frozen=True)
class Buffer:
    """Shared memory of a kernel: a ring of `depth` tiles filled by a loader, or a single tile (depth 0).

    barrier counts: `full` completes with `arrivals`, one and the tile's bytes where TMA fills it (through
    `descriptor`), one of each thread of the loader where those copy; `empty` with one arrival of each of
    the `readers`; a buffer that is filled once has no `empty`, one without `filled` (a staging buffer) has
    no barrier at all.
    """

    name: str
    source: str  # the value it holds
    descriptor: str | None
    dtype: str
    shape: tuple[int, ...]
    depth: int
    readers: int
    filled: bool
    arrivals: int = 1

    @property
    def slots(self) -> int:
        return max(1, self.depth)

    @property
    def reused(self) -> bool:
        """It is filled more than once."""
        return self.readers > 0


@dataclass(frozen=True)
class HostDescriptor:
    """A tensor descriptor the launcher makes: of argument `base`, or passed in (`sizes` empty)."""

    name: str
    base: str
    sizes: tuple[Expr, ...]
    strides: tuple[Expr, ...]
    dtype: str
    block_shape: tuple[int, ...]


@dataclass(frozen=True)
class Role:
    """One warp group's program. `parameters` are the names it takes from the kernel."""

    name: str
    group: int
    warps: int
    registers: int
    producer: bool
    stages: int
    parameters: tuple[str, ...]
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Plan:
    """All of a generated kernel: memory, barriers, descriptors, roles, and what it was made from."""

    name: str
    graph: Graph
    schedule: Schedule
    launch: Launch
    buffers: tuple[Buffer, ...]
    tokens: tuple[tuple[str, pipeline.Token], ...]
    descriptors: tuple[HostDescriptor, ...]
    roles: tuple[Role, ...]
    isolation: int
    scalars: tuple[tuple[str, str], ...]  # plain scalars and pointers, in order: (kernel parameter, argument)
    stamps: Stamps | None = None  # of the twin that keeps the time of each op

    @property
    def turning(self) -> int:
        """How many roles meet at the end of each tile, since they take turns; 0 without an outer loop."""
        return sum(TURNS_OVER in role.parameters for role in self.roles)

    @property
    def threshold(self) -> int:
        """Trip count from which on the pipelined path runs."""
        return max(role.stages for role in self.roles if not role.producer) - 1


ISOLATION = (
    "MMAs overlap as scheduled",
    "an MMA that reads registers overlaps no other MMA of its group",
    "an MMA that reads registers overlaps nothing of its group",
    "every MMA is waited for at once",
)
"""How far a plan departs from the schedule for ptxas' sake: each level gives up more overlap."""


def plan(
    graph: Graph, schedule: Schedule, launch: Launch, *, isolation: int | None = None, form: pipeline.Form | None = None
) -> Plan:
    """Decide the kernel that runs `schedule` on `graph` (already divided into sub-tiles).

    isolation: a level of ISOLATION. Of it and of the form, what the schedule's provenance records when None.

    Raises Unsupported when the schedule needs what this code generator does not emit (a value that
    moves between groups in registers, no group with registers at all).
    """
    for op in graph.before:
        if op.opcode in STORES:
            raise Unsupported(
                "a store or an atomic before the loop is not emitted yet.",
                hint="Move it behind the loop, or into a kernel of its own.",
                location=op.location,
            )
    members = {name: op.id for op in schedule.problem.ops for name in op.members}
    kernel = Kernel(graph, schedule, members)
    order = {op.id: position for position, op in enumerate(schedule.problem.ops)}
    form = form or pipeline.recorded(schedule)
    level = int(str(schedule.provenance.get("isolation", 0))) if isolation is None else isolation
    streams = pipeline.streams(schedule, order, form.cuts)
    loaders = [stream for stream in streams if schedule.groups[stream.group].producer]
    workers = [stream for stream in streams if not schedule.groups[stream.group].producer]
    if not workers:
        raise Unsupported("the loop only loads: no group computes anything.", location=graph.loop.location)
    turns = pipeline.tokens(schedule, "TC") if form.turns else ()
    tokens = tuple((f"turn_{position}", token) for position, token in enumerate(turns))
    threshold = max(stream.stages for stream in workers) - 1
    roles = []
    for number, stream in enumerate(workers):
        worker = Worker(kernel, stream, first=number == 0)
        body = consumer_statements(worker, tokens, threshold, level)
        roles.append(_role(schedule, stream, f"consumer{number}", worker.parameters, body))
    preloads = kernel.preloads()
    if not loaders and preloads:
        # Nothing is loaded in the loop: a loader group still fetches what is loaded before it.
        raise Unsupported(
            "a loop without tensor-descriptor loads whose kernel loads tiles before the loop is not emitted yet.",
            hint="Load at least one tile through a tensor descriptor inside the loop.",
            location=graph.loop.location,
        )
    for number, stream in enumerate(loaders):
        body, parameters = producer_statements(kernel, stream, preloads if number == 0 else ())
        name = "loader" if len(loaders) == 1 else f"loader{number}"
        roles.append(_role(schedule, stream, name, parameters, body))
    return Plan(
        name=graph.name,
        graph=graph,
        schedule=schedule,
        launch=launch,
        buffers=tuple(_buffers(kernel, roles)),
        tokens=tokens,
        descriptors=tuple(_descriptor(kernel, name) for name in kernel.used_descriptors),
        roles=tuple(roles),
        isolation=level,
        scalars=tuple(
            (kernel.identifier(value.name), value.name)
            for value in graph.arguments
            if value.type.kind != "descriptor"
            and any(kernel.identifier(value.name) in role.parameters for role in roles)
        ),
    )


def _role(schedule: Schedule, stream: pipeline.Stream, name: str, parameters: set[str], body: tuple[Stmt, ...]) -> Role:
    group = schedule.groups[stream.group]
    registers = group.registers
    if not group.producer:
        # What setmaxnreg takes: what the values may use plus what is set aside for addresses.
        registers = in_register_steps(registers + schedule.problem.limits.reserved_registers)
    return Role(
        name, stream.group, group.warps, registers, group.producer, stream.stages,
        tuple(sorted(parameters)), body,
    )  # fmt: skip


def _buffers(kernel: Kernel, roles: list[Role]) -> list[Buffer]:
    found = []
    for load in kernel.ring_loads():
        groups = kernel.reader_groups(load.result.name)
        found.append(_buffer(kernel, load, kernel.depth(load), len(groups)))
    for load in kernel.preloads():
        empty = f"{kernel.buffer_name(load)}_empty"
        readers = sum(empty in role.parameters for role in roles if not role.producer)
        found.append(_buffer(kernel, load, 0, readers))
    for name, type in kernel.staging.items():
        found.append(Buffer(name, name, None, type.dtype, type.shape, 0, 0, filled=False))
    return found


def _buffer(kernel: Kernel, load: Op, depth: int, readers: int) -> Buffer:
    type = load.result.type
    if load.opcode == "async_load":
        (group,) = kernel.groups_of(kernel.members[load.result.name])
        threads = 32 * kernel.schedule.groups[group].warps
        return Buffer(
            kernel.buffer_name(load), load.result.name, None, type.dtype, type.shape, depth, readers, True, threads
        )
    shape = kernel.types[load.operands[0]].shape
    return Buffer(
        kernel.buffer_name(load), load.result.name, kernel.identifier(load.operands[0]),
        type.dtype, shape, depth, readers, filled=True,
    )  # fmt: skip


def _descriptor(kernel: Kernel, name: str) -> HostDescriptor:
    op = kernel.producers.get(name)
    type = kernel.types[name]
    if op is None:
        return HostDescriptor(kernel.identifier(name), name, (), (), type.dtype, type.shape)
    rank = len(type.shape)
    base = op.operands[0]
    if base not in kernel.arguments:
        raise Unsupported(
            "the base of a tensor descriptor must be a kernel argument.",
            hint="Pass the tensor itself and put the offset into the load's coordinates.",
            location=op.location,
        )
    sizes = tuple(kernel.host(operand, op) for operand in op.operands[1 : 1 + rank])
    strides = tuple(kernel.host(operand, op) for operand in op.operands[1 + rank : 1 + 2 * rank])
    return HostDescriptor(kernel.identifier(name), base, sizes, strides, type.dtype, type.shape)
