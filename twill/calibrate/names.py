"""Names of the probes, known without Triton."""

from __future__ import annotations

from twill.calibrate.derive import HOP_KIB, TMA_KIB, WGMMA_DEPTHS, WGMMA_WIDTHS

INSTRUCTIONS = ("float", "half", "double", "compare", "convert", "narrow", "mufu", "shuffle")
LATENCIES = ("float", "mufu", "shuffle")
PIECES = ("multiply", "max", "sum", "exp2")

NAMES: tuple[str, ...] = (
    *(f"{name}_rate" for name in INSTRUCTIONS),
    *(f"{name}_latency" for name in LATENCIES),
    "named_barrier",
    *(f"softmax_{piece}" for piece in PIECES),
    *(f"wgmma_m64n{n}k{k}" for n in WGMMA_WIDTHS for k in WGMMA_DEPTHS),
    *(f"wgmma_rate_{kind}" for kind in ("16bit", "8bit", "tf32")),
    *(f"tma_load_{kib}k" for kib in TMA_KIB),
    *(f"tma_store_{kib}k" for kib in TMA_KIB),
    "tma_stream",
    "signal_hop",
    *(f"value_hop_{kib}k" for kib in HOP_KIB),
)
