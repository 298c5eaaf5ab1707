"""The list of micro-benchmarks: which kernel, with which constants, and which instruction must be in its code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triton.experimental.gluon import language as gl

from twill.calibrate import arithmetic, copies, hops, tensor_core
from twill.calibrate.derive import HOP_KIB, STREAM_KIB, TMA_KIB, WGMMA_DEPTHS, WGMMA_WIDTHS
from twill.calibrate.names import LATENCIES

SHORT, LONG = 128, 640  # trip counts; what a kernel costs once cancels in the difference
STREAM_DEPTH = 4


@dataclass(frozen=True)
class Probe:
    """One kernel and how it is launched.

    instruction: regular expression of the machine instruction that is measured, and `at_least` how many
    of them the code must have between its first and last clock read. sink: values of the buffer that keeps
    results in use, 0 for none.
    tile: (rows, columns) of the fp16 tile its descriptor copies. every_sm: one program on each SM.
    timed_inside: the clock is also read around the instruction in every iteration.
    """

    name: str
    kernel: Any
    constants: Mapping[str, Any]
    instruction: str
    at_least: int = 1
    warps: int = 4
    sink: int = 0
    sink_type: str = "fp32"
    tile: tuple[int, int] | None = None
    tiles: int = 1
    every_sm: bool = False
    timed_inside: bool = False
    trips: tuple[int, int] = field(default=(SHORT, LONG))


def probes() -> tuple[Probe, ...]:
    """Every micro-benchmark; `names.NAMES` lists the same."""
    return (*_arithmetic(), *_softmax(), *_tensor_core(), *_copies(), *_hops())


# name: (PTX, constraint letter, type, machine instruction)
INSTRUCTIONS = {
    "float": ("fma.rn.f32 $0, $1, $1, $1;", "f", "fp32", "FFMA"),
    "half": ("fma.rn.f16x2 $0, $1, $1, $1;", "r", "i32", "HFMA2"),
    "double": ("fma.rn.f64 $0, $1, $1, $1;", "d", "fp64", "DFMA"),
    "compare": ("{ .reg .f32 t; neg.f32 t, $1; max.f32 $0, $1, t; }", "f", "fp32", "FMNMX"),
    "convert": ("cvt.rn.f32.s32 $0, $1;", "r", "i32", "I2F"),
    "narrow": ("cvt.rn.bf16x2.f32 $0, $1, $1;", "f", "fp32", "F2FP"),
    "mufu": ("ex2.approx.ftz.f32 $0, $1;", "f", "fp32", "MUFU.EX2"),
    "shuffle": ("shfl.sync.bfly.b32 $0, $1, 1, 31, -1;", "r", "i32", "SHFL.BFLY"),
}


def _arithmetic() -> list[Probe]:
    found = []
    for name, (asm, letter, kind, machine) in INSTRUCTIONS.items():
        source = asm if name != "narrow" else "{ .reg .b32 t; cvt.rn.bf16x2.f32 t, $1, $1; mov.b32 $0, t; }"
        for suffix, values, warps in (("rate", 16, 8), ("latency", 1, 1)):
            if suffix == "latency" and name not in LATENCIES:
                continue
            unroll = 4 if suffix == "rate" else 32
            found.append(
                Probe(
                    f"{name}_{suffix}",
                    arithmetic.instruction_kernel,
                    {"ASM": source, "CONSTRAINTS": f"={letter},{letter}", "VALUES": values, "UNROLL": unroll,
                     "WARPS": warps},
                    rf"\b{machine}\b" if machine != "I2F" else r"\bI2FP?\b",
                    at_least=values * unroll,
                    warps=warps,
                    sink=values * 32 * warps,
                    sink_type=kind,
                )
            )  # fmt: skip
    found.append(Probe("named_barrier", arithmetic.thread_barrier_kernel, {"UNROLL": 8}, r"\bBAR\.SYNC\b", at_least=8))
    return found


def _softmax() -> list[Probe]:
    wanted = {"multiply": (r"\bFMUL\b", 128), "max": (r"\bFMNMX\b", 124), "sum": (r"\bFADD\b", 124),
              "exp2": (r"\bMUFU\.EX2\b", 128)}  # fmt: skip
    return [
        Probe(f"softmax_{piece}", arithmetic.softmax_piece_kernel, {"PIECE": piece}, pattern, count, sink=128 * 128)
        for piece, (pattern, count) in wanted.items()
    ]


def _tensor_core() -> list[Probe]:
    found = []
    for n in WGMMA_WIDTHS:
        for k in WGMMA_DEPTHS:
            constants = {"N": n, "K": k, "DTYPE": gl.float16, "WIDTH": 16, "BACK_TO_BACK": False}
            found.append(
                Probe(f"wgmma_m64n{n}k{k}", tensor_core.wgmma_kernel, constants, r"\bHGMMA\b", k // 16, sink=64 * n,
                      timed_inside=True)
            )  # fmt: skip
    for name, dtype, width, machine in (
        ("16bit", gl.float16, 16, "HGMMA"), ("8bit", gl.float8e4nv, 32, "QGMMA"), ("tf32", gl.float32, 8, "HGMMA"),
    ):  # fmt: skip
        k = 8 * width
        constants = {"N": 256, "K": k, "DTYPE": dtype, "WIDTH": width, "BACK_TO_BACK": True}
        found.append(
            Probe(f"wgmma_rate_{name}", tensor_core.wgmma_kernel, constants, rf"\b{machine}\b", k // width,
                  sink=64 * 256, every_sm=True, trips=(1024, 5120))
        )  # fmt: skip
    return found


def _copies() -> list[Probe]:
    found = []
    for kib in TMA_KIB:
        tile = (kib * 8, 64)  # rows of 128 bytes
        found.append(
            Probe(f"tma_load_{kib}k", copies.tma_load_kernel, {}, r"\bUTMALDG\b", warps=1, tile=tile, timed_inside=True)
        )
        found.append(
            Probe(f"tma_store_{kib}k", copies.tma_store_kernel, {}, r"\bUTMASTG\b", warps=1, tile=tile,
                  timed_inside=True)
        )  # fmt: skip
    found.append(
        Probe("tma_stream", copies.tma_stream_kernel, {"DEPTH": STREAM_DEPTH}, r"\bUTMALDG\b", warps=1,
              tile=(STREAM_KIB * 8, 64), tiles=STREAM_DEPTH, every_sm=True)
    )  # fmt: skip
    return found


def _hops() -> list[Probe]:
    arrive = r"\bSYNCS\.ARRIVE\b"
    found = [Probe("signal_hop", hops.signal_kernel, {}, arrive)]
    for kib in HOP_KIB:
        columns = kib * 4
        found.append(Probe(f"value_hop_{kib}k", hops.value_kernel, {"COLUMNS": columns}, arrive, sink=64 * columns))
    return found
