"""A loop written down by hand: ops priced by the cost model of a machine, and the dependences between them.

What a front end does for a Triton source, for loops that it does not read (atomics, more than one row block in
flight). Every cycle comes from `twill.machine.cost` and the machine's file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from twill.ir.graph import Type
from twill.machine import Machine, cost
from twill.machine.cost import Cost, Layout
from twill.machine.memory import aligned
from twill.schedule.problem import Dep, Limits, Op, Problem

TRIPS = 64  # sequence 8192 in blocks of 128
COMPUTE_WARPS = 4  # one warp group of 128 threads
LAYOUT = Layout(COMPUTE_WARPS)  # rows held by quads: the accumulator of wgmma, tcgen05.ld.16x256b


@dataclass
class Draft:
    """Ops and deps in the order they are added. Sizes in elements, registers per thread."""

    machine: Machine
    ops: dict[str, Op] = field(default_factory=dict)
    deps: list[Dep] = field(default_factory=list)

    def add(self, id: str, found: Cost, warps: int, label: str, subtile: int | None = None,
            variable: bool = False) -> str:  # fmt: skip
        """An op with the cost found; shared-memory buffers are aligned as the machine aligns them."""
        self.ops[id] = Op(
            id, found.unit, occupancy=found.occupancy, issue=found.issue, latency=found.latency,
            registers=found.registers, smem_bytes=aligned(found.smem_bytes, self.machine),
            tmem_columns=found.tmem_columns, min_warps=warps, variable_latency=variable, label=label, subtile=subtile,
        )  # fmt: skip
        return id

    def load(self, id: str, shape: tuple[int, int], label: str) -> str:
        """A 16-bit tile by TMA into a ring of shared memory, on a producer group."""
        return self.add(id, cost.tma_load(self.machine, Type("f16", shape)), 1, label, variable=True)

    def dot(self, id: str, m: int, n: int, k: int, label: str, subtile: int | None = None, *,
            registers: int = 0, tmem_columns: int = 0, a_in_registers: bool = False) -> str:  # fmt: skip
        """[m, k] x [k, n] of 16-bit operands; one warp issues it into tensor memory, a whole group into registers."""
        found = cost.mma(self.machine, Type("f16", (m, k)), Type("f16", (k, n)), a_in_registers=a_in_registers)
        warps = 1 if self.machine.has_tensor_memory else COMPUTE_WARPS
        return self.add(id, replace(found, registers=registers, tmem_columns=tmem_columns), warps, label, subtile)

    def arithmetic(self, id: str, elements: int, rate: str, label: str, subtile: int, registers: int,
                   passes: int = 1) -> str:  # fmt: skip
        """`passes` instructions on each element of a tile, at a rate of the machine's file."""
        busy = -(-passes * elements // self.machine.count(rate))
        pipe, unit = ("mufu_latency", "SFU") if rate == "mufu_rate" else ("alu_latency", "ALU")
        latency = busy + passes * self.machine.count(pipe) + self.machine.count("tile_drain")
        return self.add(id, Cost(unit, busy, busy, latency, registers), COMPUTE_WARPS, label, subtile)

    def reduce(self, id: str, shape: tuple[int, int], kind: str, label: str, subtile: int, registers: int) -> str:
        """A row-wise reduction of an f32 tile."""
        work = cost.reduction(self.machine, Type("f32", shape), 1, kind, LAYOUT)
        busy = -(-int(work.alu * 16) // 16)
        latency = int(work.cycles + work.extra + 0.999) + self.machine.count("tile_drain")
        return self.add(id, Cost("ALU", busy, busy, latency, registers), COMPUTE_WARPS, label, subtile)

    def tmem_load(self, id: str, shape: tuple[int, int], label: str, subtile: int, registers: int) -> str:
        found = cost.tmem_load(self.machine, Type("f32", shape), registers)
        return self.add(id, found, COMPUTE_WARPS, label, subtile)

    def tmem_store(self, id: str, dtype: str, shape: tuple[int, int], label: str, subtile: int) -> str:
        return self.add(id, cost.tmem_store(self.machine, Type(dtype, shape)), COMPUTE_WARPS, label, subtile)

    def rescale(self, id: str, shape: tuple[int, int], label: str, subtile: int) -> str:
        """A tile in tensor memory times a vector, piece by piece: read and written once, the rest hides behind.

        The first piece's way to the registers and through the ALU and the last piece's way back are the latency.
        """
        tile = Type("f32", shape)
        read, write = cost.tmem_load(self.machine, tile, 0), cost.tmem_store(self.machine, tile)
        busy = read.occupancy + write.occupancy
        way = sum(self.machine.count(name) for name in ("tmem_load_latency", "alu_latency", "tmem_store_latency"))
        return self.add(id, Cost("TMEM", busy, busy, busy + way), COMPUTE_WARPS, label, subtile)

    def stage(self, id: str, dtype: str, shape: tuple[int, ...], label: str, subtile: int) -> str:
        """Registers to a ring of shared memory, for the tensor core or another group."""
        tile = Type(dtype, shape)
        found = replace(cost.smem_stage(self.machine, tile), smem_bytes=tile.nbytes)
        return self.add(id, found, COMPUTE_WARPS, label, subtile)

    def reduce_to_global(self, id: str, shape: tuple[int, int], label: str, subtile: int, pieces: int = 1) -> str:
        """An f32 tile added to global memory: registers to a ring of shared memory, then a bulk copy that reduces.

        pieces: the tile goes through the ring's slot piece by piece.
        """
        found = cost.tma_store(self.machine, Type("f32", shape))
        found = replace(found, smem_bytes=found.smem_bytes // pieces)
        return self.add(id, found, COMPUTE_WARPS, label, subtile)

    def use(self, src: str, dst: str, distance: int = 0, latency: int | None = None, *, in_place: bool = False) -> None:
        """dst uses what src made. Results of asynchronous units are awaited."""
        source = self.ops[src]
        waits = source.asynchronous and source.unit in ("TC", "TMA")
        self.deps.append(Dep(src, dst, distance, source.latency if latency is None else latency, waits, in_place))

    def after(self, src: str, dst: str, distance: int) -> None:
        """dst may overwrite what src has read: nothing waits in a warp group but for the slot."""
        self.deps.append(Dep(src, dst, distance, self.ops[src].latency))

    def accumulate(self, id: str) -> None:
        """The dot adds to its own sums of the iteration before: in order on the tensor core, without a wait."""
        self.deps.append(Dep(id, id, 1, self.ops[id].occupancy, False, True))

    def keep_out_of_memory(self, *loads: str) -> None:
        """The loads write slots of a ring that the caller has reserved; its deps say when a slot is free again."""
        for id in loads:
            self.ops[id] = replace(self.ops[id], smem_bytes=0)

    def problem(
        self, name: str, limits: Limits, trip_count: int = TRIPS, **sets: tuple[tuple[str, ...], ...]
    ) -> Problem:
        return Problem(name, limits, tuple(self.ops.values()), tuple(self.deps), trip_count, **sets)
