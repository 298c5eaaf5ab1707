"""A machine: named numbers, each with its unit and its source, and what each instruction costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twill.schedule.problem import REGISTER_STEP, Limits

REGISTER_BYTES = 4  # PTX ISA: registers of 32 bits
MBARRIER_BYTES = 8  # PTX ISA: an mbarrier object has 64 bits


@dataclass(frozen=True)
class Quantity:
    """What a fact is: its unit, one line of meaning, and which values it may take."""

    unit: str
    meaning: str
    integer: bool = True
    positive: bool = False


def _rate(unit: str, meaning: str) -> Quantity:
    return Quantity(unit, meaning, integer=False, positive=True)


def _cycles(meaning: str) -> Quantity:
    return Quantity("cycles", meaning)


QUANTITIES: dict[str, Quantity] = {
    "capability": Quantity("", "compute capability, major * 10 + minor", positive=True),
    "sm_count": Quantity("SM", "streaming multiprocessors", positive=True),
    "clock_mhz": _rate("MHz", "SM clock under load"),
    "peak_clock_mhz": _rate("MHz", "clock that the vendor's dense peak stands for"),
    # Tensor core
    "mma_16bit": _rate("FLOP/cycle/SM", "dense multiply-adds of fp16 and bf16, a multiply-add being two"),
    "mma_8bit": _rate("FLOP/cycle/SM", "the same for fp8 and int8"),
    "mma_tf32": _rate("FLOP/cycle/SM", "the same for tf32"),
    "mma_rows": Quantity("rows", "rows of one MMA instruction", positive=True),
    "mma_issue": _cycles("issue of one asynchronous tile product"),
    "mma_pipeline": _cycles("from the last multiply to the result after its wait"),
    # Per-thread arithmetic
    "float_rate": _rate("results/cycle/SM", "fp32 add, multiply, fused multiply-add"),
    "half_rate": _rate("results/cycle/SM", "the same on 16-bit types, two packed in a register"),
    "double_rate": _rate("results/cycle/SM", "the same on fp64"),
    "compare_rate": _rate("results/cycle/SM", "compare, minimum, maximum, select and 32-bit integer arithmetic"),
    "convert_rate": _rate("results/cycle/SM", "type conversions"),
    "narrow_rate": _rate("results/cycle/SM", "fp32 to fp16 or bf16, two results an instruction"),
    "mufu_rate": _rate("results/cycle/SM", "exp2, log2, reciprocal and the like"),
    "mufu_latency": _cycles("first result of the special-function unit"),
    "alu_latency": _cycles("dependent issue: from one instruction to the next that needs its result"),
    "tile_drain": _cycles("from the last instruction of a tile op to the first of a dependent one"),
    "shuffle_rate": _rate("results/cycle/SM", "warp shuffle"),
    "shuffle_latency": _cycles("warp shuffle"),
    # Memories
    "smem_bandwidth": _rate("B/cycle/SM", "shared memory"),
    "smem_latency": _cycles("shared memory load"),
    "global_latency": _cycles("global memory load"),
    "atomic_bandwidth": _rate("B/cycle/SM", "atomics on global memory without a result, sustained with all SMs at it"),
    "hbm_bandwidth": _rate("GB/s", "device memory, of the whole GPU"),
    "l2_bytes": Quantity("B", "level-two cache of the whole GPU", positive=True),
    "load_spread": Quantity("", "standard deviation of the logarithm of a load's latency", integer=False),
    "tma_issue": _cycles("issue of one TMA instruction"),
    "tma_bandwidth": _rate("B/cycle/SM", "TMA loads, sustained with all SMs loading"),
    "tma_latency": _cycles("TMA load of no bytes"),
    "async_copy_issue": _cycles("asynchronous copy of 16 bytes a thread: issue by one warp, with its address"),
    "proxy_fence": _cycles("proxy fence, before TMA or an MMA reads what threads or their copies wrote"),
    "tma_store_latency": _cycles("TMA store of no bytes"),
    "tma_store_per_kib": _rate("cycles/KiB", "TMA store, added for its bytes"),
    "tmem_columns": Quantity("columns", "tensor memory of a CTA; 0: accumulators live in registers"),
    "tmem_load_latency": _cycles("tensor memory to registers, no bytes"),
    "tmem_store_latency": _cycles("registers to tensor memory, no bytes"),
    "tmem_per_kib": Quantity("cycles/KiB", "tensor memory, added for the bytes", integer=False),
    # Communication between warp groups
    "signal_hop": _cycles("mbarrier: from arrive to the end of the other group's wait"),
    "named_barrier": _cycles("barrier among the warps of one group"),
    "value_hop": _cycles("registers to shared memory to another group's registers, no bytes"),
    "value_hop_per_kib": Quantity("cycles/KiB", "the same, added for the bytes", integer=False),
    # Limits
    "smem_bytes": Quantity("B", "shared memory of one CTA", positive=True),
    "smem_alignment": Quantity("B", "alignment of a swizzled TMA or MMA buffer", positive=True),
    "barrier_bytes": Quantity("B", "shared memory kept for mbarriers and scratch"),
    "register_file": Quantity("registers", "32-bit registers of an SM", positive=True),
    "registers_per_thread": Quantity("registers", "most registers a thread may have", positive=True),
    "producer_registers": Quantity("registers", "per thread of a group that only starts TMA loads", positive=True),
    "copy_registers": Quantity("registers", "per thread of a group that copies, for each vector of a tile it copies"),
    "reserved_registers": Quantity("registers", "per thread, kept for addresses, phases and loop control"),
    "max_warps": Quantity("warps", "warps of one CTA", positive=True),
    "named_barriers": Quantity("barriers", "named barriers of one CTA, one a warp group", positive=True),
    "sm_smem_bytes": Quantity("B", "shared memory of an SM", positive=True),
    "block_smem_bytes": Quantity("B", "shared memory that the system takes for each CTA"),
    "sm_warps": Quantity("warps", "warps of an SM", positive=True),
    "sm_blocks": Quantity("blocks", "CTAs of an SM", positive=True),
}

UNITS = {
    "TC": "tensor core",
    "SFU": "special-function unit (MUFU)",
    "ALU": "fp32, integer, compare and conversion pipes",
    "TMA": "bulk and asynchronous copies, global to shared memory",
    "LSU": "loads and stores of shared and global memory by threads",
    "TMEM": "moves between registers and tensor memory",
}

PIPES = ("float", "compare", "convert", "mufu", "int")


@dataclass(frozen=True)
class Fact:
    """One number and where it comes from."""

    name: str
    value: int | float
    unit: str
    source: str


@dataclass(frozen=True)
class Instruction:
    """How many instructions of each pipe one element of an elementwise opcode takes.

    `float` instructions run at the rate of the element type (integers: on the `compare` pipe); `int`,
    where given, replaces all of them for integer types.
    """

    opcode: str
    source: str
    per_element: Mapping[str, float]

    def of(self, pipe: str) -> float:
        """Instructions on `pipe` for one element; 0 when the file does not say."""
        return self.per_element.get(pipe, 0.0)


@dataclass(frozen=True)
class Machine:
    """One architecture: facts by name (the keys of QUANTITIES), unit capacities and instruction costs.

    digest: SHA-256 of the file (and of its base, if any) it was read from, for provenance. file: the path of that,
    as it was given; "" for a machine that ships.
    """

    name: str
    title: str
    facts: Mapping[str, Fact]
    units: Mapping[str, Fact]
    instructions: Mapping[str, Instruction]
    digest: str = ""
    file: str = ""

    def number(self, name: str) -> float:
        """The value of a fact."""
        return float(self.facts[name].value)

    def count(self, name: str) -> int:
        """The value of an integer fact."""
        return int(self.facts[name].value)

    def limits(self) -> Limits:
        """What a thread block may use before a kernel has taken its share; a value crosses groups at least cost."""
        return Limits(
            units={name: int(fact.value) for name, fact in self.units.items() if fact.value},
            smem_bytes=self.count("smem_bytes"),
            tmem_columns=self.count("tmem_columns"),
            max_groups=self.count("named_barriers"),
            max_warps=self.count("max_warps"),
            registers_per_thread=self.count("registers_per_thread") // REGISTER_STEP * REGISTER_STEP,
            register_file=self.count("register_file"),
            producer_registers=self.count("producer_registers"),
            signal_hop=self.count("signal_hop"),
            value_hop=self.count("value_hop"),
            transfer_bytes=REGISTER_BYTES,
            max_mbarriers=self.count("barrier_bytes") // MBARRIER_BYTES,
            name=self.name,
        )

    @property
    def has_tensor_memory(self) -> bool:
        """Accumulators live in tensor memory (tcgen05), not in registers (wgmma)."""
        return self.count("tmem_columns") > 0


def rows(machine: Machine) -> list[tuple[str, str, str, str]]:
    """Every number of the machine as (name, value, unit, source), in the order of its file's sections."""
    table = [(f.name, f"{f.value:g}" if isinstance(f.value, float) else str(f.value), f.unit, f.source)
             for f in machine.facts.values()]  # fmt: skip
    table += [(f"units.{f.name}", str(f.value), "at once", f.source) for f in machine.units.values()]
    for instruction in machine.instructions.values():
        counts = ", ".join(f"{count:g} {pipe}" for pipe, count in instruction.per_element.items())
        table.append((f"instructions.{instruction.opcode}", counts or "0", "per element", instruction.source))
    return table
