"""Readings as a Hopper GPU could give them, for the arithmetic that follows the measurement."""

from twill.calibrate.derive import HOP_KIB, TMA_KIB, WGMMA_DEPTHS, WGMMA_WIDTHS
from twill.calibrate.reading import Device, Reading

DEVICE = Device("NVIDIA H100 80GB HBM3", 132, 1980, "580.1", "2.11.0", "3.6.0", "2026-01-02")


def plausible() -> dict[str, Reading]:
    """One reading of each probe, chosen so that the facts are round numbers."""
    rates = {
        "float": 128,
        "half": 128,
        "double": 64,
        "compare": 64,
        "convert": 64,
        "narrow": 64,
        "mufu": 16,
        "shuffle": 32,
    }
    found = {f"{name}_rate": Reading(16384 / rate) for name, rate in rates.items()}
    for name, cycles in (("float", 4), ("mufu", 30), ("shuffle", 24)):
        found[f"{name}_latency"] = Reading(32.0 * cycles)
    found["named_barrier"] = Reading(8 * 25.0)
    found |= {"softmax_multiply": Reading(140), "softmax_sum": Reading(700), "softmax_exp2": Reading(1200)}
    found["softmax_max"] = Reading(16384 / 128 + 16384 / 64 + 2 * 24 + 2 * 15)
    for n in WGMMA_WIDTHS:
        for k in WGMMA_DEPTHS:
            found[f"wgmma_m64n{n}k{k}"] = Reading(0, issue=30.0, completion=n * k / 32 + 70)
    # 64 x 256 x K at 4096, 8192 and 2048 FLOP a cycle; 1024 cycles are 600 ns at 1707 MHz
    found |= {"wgmma_rate_16bit": Reading(1024, ns=600.0), "wgmma_rate_8bit": Reading(1024)}
    found["wgmma_rate_tf32"] = Reading(1024)
    for kib in TMA_KIB:
        found[f"tma_load_{kib}k"] = Reading(0, issue=40.0, completion=600 + 12 * kib)
        found[f"tma_store_{kib}k"] = Reading(0, issue=35.0, completion=150 + 10 * kib)
    found["tma_stream"] = Reading(512)
    found["signal_hop"] = Reading(2 * 80.0)
    for kib in HOP_KIB:
        found[f"value_hop_{kib}k"] = Reading(2 * (100.0 + 18 * kib))
    return found
