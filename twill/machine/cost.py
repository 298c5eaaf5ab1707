"""What one tile op costs on a machine: unit, occupancy, issue, latency, registers.

Cycles come from rates (results, FLOP or bytes per cycle and SM) and latencies of the machine file; no
number of hardware stands here. Every function returns latency >= occupancy. Tiles are what one group of
`warps` warps works on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, prod

from twill.errors import Location, Unsupported
from twill.ir.graph import Op, Type
from twill.ir.vectors import VECTOR_BYTES
from twill.machine.machine import Machine

KIB = 1024
_MMA_RATE = {"f16": "mma_16bit", "bf16": "mma_16bit", "f8e4m3": "mma_8bit", "f8e5m2": "mma_8bit", "i8": "mma_8bit"}
_PRECISIONS = {"": ("mma_tf32", 1), "tf32": ("mma_tf32", 1), "tf32x3": ("mma_tf32", 3),
               "bf16x3": ("mma_16bit", 3), "bf16x6": ("mma_16bit", 6)}  # fmt: skip
"""How f32 operands are multiplied: the rate, and how many products stand for one."""
_MMA_BYTES_OF_K = 32  # every wgmma and tcgen05.mma of dense operands is 32 bytes deep in K


@dataclass(frozen=True)
class Cost:
    """Cycles of one tile op and the buffers of its result; registers are per thread."""

    unit: str
    occupancy: int
    issue: int
    latency: int
    registers: int = 0
    smem_bytes: int = 0
    tmem_columns: int = 0


@dataclass(frozen=True)
class Layout:
    """How a group of `warps` warps holds tiles: `lanes_per_row` lanes of a warp share a row.

    4 in the accumulator layout of an MMA (wgmma: a quad holds a row of a 16 x N fragment), 32 where a
    kernel has no MMA and a warp holds whole rows. A vector over the rows is replicated in the lanes of
    its row; a vector over the columns in all lanes and warps that hold other rows.
    """

    warps: int
    lanes_per_row: int = 4

    @property
    def threads(self) -> int:
        return 32 * self.warps

    def copies(self, type: Type, axis: int | None) -> int:
        """How many threads hold each element; axis: 0 for a vector over the rows, 1 over the columns."""
        shape = type.shape
        if len(shape) == 2 and 1 in shape and shape != (1, 1):
            axis = 0 if shape[1] == 1 else 1
        elif len(shape) != 1:
            axis = None
        if axis is None:
            return 1
        return self.lanes_per_row if axis == 0 else (32 // self.lanes_per_row) * self.warps

    def registers(self, type: Type, axis: int | None = None) -> int:
        """32-bit registers per thread of a value; a scalar takes one."""
        return max(1, ceil(type.size * self.copies(type, axis) * type.bits / 32 / self.threads))


@dataclass(frozen=True)
class Work:
    """Instructions of one graph op as its group's stream sees them.

    alu, mufu: cycles the pipes are busy. extra: cycles from the last instruction to its result.
    """

    alu: float
    mufu: float
    extra: float

    @property
    def cycles(self) -> float:
        return self.alu + self.mufu


def elementwise(machine: Machine, op: Op, source: Type, layout: Layout, axis: int | None = None) -> Work:
    """One elementwise op over its whole result; `source` is the type of its first operand.

    Each element takes the opcode's instructions of the machine file, at the rate of their pipe; elements
    replicated over threads are computed by each of them.
    """
    if op.opcode not in machine.instructions:
        raise Unsupported(f"machine {machine.name!r} has no cost for {op.opcode!r}.",
                          hint=f"Add [instructions.{op.opcode}] to its file.", location=op.location)  # fmt: skip
    instruction = machine.instructions[op.opcode]
    elements = op.result.type.size * layout.copies(op.result.type, axis)
    if op.opcode == "cast":
        narrow = source.dtype == "f32" and op.result.type.dtype in ("f16", "bf16")
        rate = machine.number("narrow_rate" if narrow else "convert_rate")
        return Work(elements * instruction.of("convert") / rate, 0.0, machine.number("alu_latency"))

    compare = machine.number("compare_rate")
    if not source.is_float and instruction.of("int"):
        return Work(elements * instruction.of("int") / compare, 0.0, machine.number("alu_latency"))
    alu = instruction.of("float") / _float_rate(machine, source) + instruction.of("compare") / compare
    alu += instruction.of("convert") / machine.number("convert_rate")
    mufu = instruction.of("mufu") / machine.number("mufu_rate")
    extra = machine.number("mufu_latency") if mufu else machine.number("alu_latency")
    return Work(elements * alu, elements * mufu, extra)


def _float_rate(machine: Machine, type: Type) -> float:
    if not type.is_float:
        return machine.number("compare_rate")
    return machine.number({16: "half_rate", 64: "double_rate"}.get(type.bits, "float_rate"))


def reduction(machine: Machine, source: Type, axis: int, kind: str, layout: Layout) -> Work:
    """A reduction of a tile along `axis` (0: over the rows, last axis: over the columns).

    Issue model. Each thread first folds its own elements: one dependent chain for each result it holds,
    the chains interleaved. Then the lanes that share a result exchange log2 of their number times, and
    warps that share one exchange through shared memory.
    """
    columns = source.shape[axis] if len(source.shape) == 1 or axis == len(source.shape) - 1 else None
    if kind in ("max", "min"):
        rate = machine.number("compare_rate")
    else:
        rate = _float_rate(machine, source)
    alu = source.size / rate
    own = source.size / layout.threads  # elements of one thread
    if len(source.shape) == 1:
        lanes, across_warps = 32, layout.warps > 1
    elif columns is not None:
        lanes, across_warps = layout.lanes_per_row, False
    else:
        lanes, across_warps = 32 // layout.lanes_per_row, layout.warps > 1
    results = max(
        1.0, source.size / source.shape[axis] * lanes * (layout.warps if across_warps else 1) / layout.threads
    )
    chain = own / results * machine.number("alu_latency")
    steps = (lanes - 1).bit_length()
    shuffle = max(machine.number("shuffle_latency"), results * layout.threads / machine.number("shuffle_rate"))
    extra = max(0.0, chain - alu) + steps * shuffle
    if across_warps:
        extra += 2 * machine.number("smem_latency") + machine.number("named_barrier")
    return Work(alu, 0.0, extra)


def mma(machine: Machine, a: Type, b: Type, *, a_in_registers: bool, precision: str = "",
        location: Location | None = None) -> Cost:  # fmt: skip
    """A tile product [M, K] x [K, N] on the tensor core, asynchronous to its group.

    One instruction of R rows (mma_rows) and 32 bytes of K takes its FLOP at the dense rate, or its
    shared-memory reads (B, and A unless that is in registers) at 128 B a cycle, whichever is longer: on
    Hopper A from shared memory costs for N < 64, on Blackwell for N < 128. registers and tmem_columns
    are the caller's to set.
    """
    kind, passes = _PRECISIONS.get(precision, ("", 0)) if a.dtype == "f32" else (_MMA_RATE.get(a.dtype, ""), 1)
    if not kind:
        what = "full-precision f32" if a.dtype == "f32" else a.dtype
        raise Unsupported(
            f"a dot of {what} operands does not run on the tensor core.",
            hint='Cast the operands to fp16 or bf16, or use input_precision="tf32".',
            location=location,
        )
    (m, k), n = a.shape, b.shape[1]
    rows = machine.count("mma_rows")
    bits = 16 if kind == "mma_16bit" else a.bits
    depth = _MMA_BYTES_OF_K * 8 // bits
    flops = 2 * rows * n * depth / machine.number(kind)
    read = (n + (0 if a_in_registers else rows)) * _MMA_BYTES_OF_K / machine.number("smem_bandwidth")
    occupancy = ceil(ceil(m / rows) * ceil(k / depth) * max(flops, read) * passes)
    issue = min(machine.count("mma_issue"), occupancy)
    return Cost("TC", occupancy, issue, occupancy + machine.count("mma_pipeline"))


def tma_load(machine: Machine, tile: Type) -> Cost:
    """A bulk copy from global to shared memory: the last byte lands once all have passed at the sustained rate."""
    occupancy = ceil(tile.nbytes / machine.number("tma_bandwidth"))
    issue = min(machine.count("tma_issue"), occupancy)
    return Cost("TMA", occupancy, issue, occupancy + machine.count("tma_latency"), smem_bytes=tile.nbytes)


def async_copy(machine: Machine, tile: Type) -> Cost:
    """cp.async of a tile by the threads of the loader, 16 bytes each at a time, which come as a load's would.

    They share with TMA what an SM gets from L2, and are modelled as work of its unit. The group's stream computes
    the addresses and is taken until the load and store unit has all. Who reads the tile as TMA or an MMA does
    needs a proxy fence first: part of the latency.
    """
    occupancy = ceil(tile.nbytes / machine.number("tma_bandwidth"))
    vectors = copy_vectors(tile, copy_warps(tile))
    issue = max(tile.nbytes / machine.number("smem_bandwidth"), vectors * machine.number("async_copy_issue"))
    latency = machine.count("global_latency") + machine.count("proxy_fence")
    return Cost("TMA", occupancy, min(ceil(issue), occupancy), occupancy + latency, smem_bytes=tile.nbytes)


def after_indices(machine: Machine, found: Cost, count: int) -> Cost:
    """A copy whose address `count` loads lead to, one after the other: the loader waits for them before it starts."""
    if not count:
        return found
    wait = count * machine.count("global_latency")
    issue = found.issue + wait
    occupancy = max(found.occupancy, issue)
    return replace(found, issue=issue, occupancy=occupancy, latency=max(found.latency + wait, occupancy))


def copy_warps(tile: Type) -> int:
    """Warps that copy a tile asynchronously: a power of two of at most 4, with four vectors or more for each thread."""
    return max(1, min(4, 2 ** (tile.nbytes // VECTOR_BYTES // 32 // 4).bit_length() // 2))


def copy_vectors(tile: Type, warps: int) -> int:
    """Vectors of 16 bytes that each thread copies."""
    return ceil(tile.nbytes / VECTOR_BYTES / 32 / warps)


def tma_store(machine: Machine, tile: Type) -> Cost:
    """Registers to a staging buffer by the group's threads, then a bulk copy to global memory behind its back."""
    write = ceil(tile.nbytes / machine.number("smem_bandwidth"))
    copy = machine.number("tma_store_latency") + machine.number("tma_store_per_kib") * tile.nbytes / KIB
    latency = write + machine.count("named_barrier") + ceil(copy)
    return Cost("LSU", write, write, latency, smem_bytes=tile.nbytes)


def smem_read(machine: Machine, tile: Type, registers: int) -> Cost:
    """A tile from shared memory to a group's registers."""
    occupancy = ceil(tile.nbytes / machine.number("smem_bandwidth"))
    return Cost("LSU", occupancy, occupancy, occupancy + machine.count("smem_latency"), registers)


def smem_stage(machine: Machine, tile: Type) -> Cost:
    """A tile from a group's registers to shared memory, visible to the tensor core: write, fence, group barrier."""
    occupancy = ceil(tile.nbytes / machine.number("smem_bandwidth"))
    visible = machine.count("smem_latency") + machine.count("named_barrier")
    return Cost("LSU", occupancy, occupancy, occupancy + visible)


def global_access(machine: Machine, tile: Type, registers: int) -> Cost:
    """A pointer load (registers > 0) or store (0) of a tile by the group's threads.

    A load is over for the group once it is issued: its registers are waited for by their first use.
    """
    occupancy = ceil(tile.nbytes / machine.number("smem_bandwidth"))
    latency = machine.count("global_latency") if registers else 0
    return Cost("LSU", occupancy, occupancy, occupancy + latency, registers)


def global_atomic(machine: Machine, tile: Type) -> Cost:
    """An atomic of a tile by the group's threads whose result nobody reads: red instructions, done at the L2 cache.

    The group goes on once the values have left it, as after a store; the unit is busy as long as L2 takes.
    """
    occupancy = ceil(tile.nbytes / machine.number("atomic_bandwidth"))
    issue = min(occupancy, ceil(tile.nbytes / machine.number("smem_bandwidth")))
    return Cost("LSU", occupancy, issue, occupancy)


def tmem_load(machine: Machine, tile: Type, registers: int) -> Cost:
    """A tile from tensor memory to a group's registers."""
    occupancy = ceil(machine.number("tmem_per_kib") * tile.nbytes / KIB)
    return Cost("TMEM", occupancy, occupancy, occupancy + machine.count("tmem_load_latency"), registers)


def tmem_store(machine: Machine, tile: Type) -> Cost:
    """A tile from a group's registers to tensor memory."""
    occupancy = ceil(machine.number("tmem_per_kib") * tile.nbytes / KIB)
    return Cost("TMEM", occupancy, occupancy, occupancy + machine.count("tmem_store_latency"))


def tmem_columns(tile: Type) -> int:
    """Tensor-memory columns (128 lanes of 32 bits) of an [M, N] tile."""
    return ceil(tile.shape[0] / 128) * ceil(prod(tile.shape[1:]) * tile.bits / 32)


def value_hop(machine: Machine, nbytes: int) -> int:
    """Cycles to move `nbytes` from the registers of one group to another's, through shared memory."""
    return ceil(machine.number("value_hop") + machine.number("value_hop_per_kib") * nbytes / KIB)
