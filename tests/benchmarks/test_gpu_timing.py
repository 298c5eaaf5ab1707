"""Timing side by side, on the CPU with a clock that is given: who takes part, and the arithmetic."""

import pytest
import torch

from benchmarks.gpu import cases, contenders, timing
from twill import frontend

SIZES = {"H": 2, "M": 128, "N": 128}


class GivenTimer:
    """A clock on which the generated kernel takes 1 ms and everything else 2 ms."""

    def __init__(self):
        self.calls = 0
        self.generated = 0

    def samples(self, call, count):
        before = self.generated
        call()
        self.calls += 1
        return [1e-3 if self.generated > before else 2e-3] * count

    def host_seconds(self, call):
        return 1e-5


def timed(name, sizes):
    variant = cases.variant_named(name)
    source = frontend.load(cases.KERNELS / variant.source)
    timer = GivenTimer()

    def launcher(**arguments):
        timer.generated += 1

    kernel = cases.Kernel(variant, source, launcher, cases.FAMILIES[variant.source])
    clocks = {"clocks.sm": 1000.0, "sm_count": 100}
    return kernel, timing.time_shape(kernel, sizes, timer, lambda call: clocks, "cpu")


@pytest.fixture
def no_stock(monkeypatch):
    def refuse(*_):
        raise RuntimeError("no launch option runs")

    monkeypatch.setattr(contenders, "stock", refuse)


@pytest.mark.usefixtures("no_stock")
def test_ratios_and_shares_follow_from_the_times():
    _, result = timed("attention_d64_fp16", SIZES)
    rows = {row["name"]: row for row in result["contenders"]}
    flops = 4 * 64 * 2 * 128 * 128
    assert rows["generated"]["tflops"] == pytest.approx(flops / 1e-3 / 1e12)
    assert rows["generated"]["ratio"] == 1
    assert rows["generated"]["share_of_peak"] == pytest.approx(flops / 1e-3 / 1e12 / 409.6)
    assert rows["SDPA flash"]["ratio"] == pytest.approx(2)
    assert rows["SDPA flash"]["seconds"]["count"] == timing.ROUNDS * timing.REPEATS


@pytest.mark.usefixtures("no_stock")
def test_who_does_not_run_here_is_named_with_the_reason():
    _, result = timed("attention_d64_fp16", SIZES)
    absent = {one["name"]: one["reason"] for one in result["unavailable"]}
    assert absent["stock Triton"] == "RuntimeError: no launch option runs"
    assert "SDPA cuDNN" in absent


@pytest.mark.usefixtures("no_stock")
def test_work_that_differs_is_counted_and_said():
    kernel, result = timed("attention_dq_d128_fp16", SIZES)
    rows = {row["name"]: row for row in result["contenders"]}
    assert rows["SDPA backward flash"]["flops"] == pytest.approx(5 / 3 * rows["generated"]["flops"])
    assert rows["SDPA backward flash"]["note"] == "computes dQ, dK and dV"
    _, result = timed("matmul_bf16", {"M": 128, "N": 256, "K": 64})
    rows = {row["name"]: row for row in result["contenders"]}
    assert rows["torch.matmul"]["note"] == "no bias, no activation"
    assert rows["torch addmm + activation"]["flops"] == 2 * 128 * 256 * 64
    assert kernel.variant.name == "attention_dq_d128_fp16"


def test_a_generated_kernel_that_does_not_run_is_an_error():
    variant = cases.variant_named("matmul_bf16")
    source = frontend.load(cases.KERNELS / variant.source)

    def launcher(**arguments):
        raise ValueError("M must be a multiple of 128")

    kernel = cases.Kernel(variant, source, launcher, cases.FAMILIES[variant.source])
    with pytest.raises(ValueError, match="multiple"):
        timing.time_shape(kernel, {"M": 1, "N": 8, "K": 8}, GivenTimer(), lambda call: None, "cpu")


def test_stock_triton_takes_the_fastest_of_its_choices(monkeypatch):
    variant = cases.variant_named("attention_d64_fp16")
    source = frontend.load(cases.KERNELS / variant.source)
    kernel = cases.Kernel(variant, source, print, cases.FAMILIES[variant.source])
    tried = []

    def attempt(kernel, arguments, options, tiles, timer):
        tried.append({**options, **tiles})
        if options["num_warps"] == 4:
            return float("inf"), print, RuntimeError("out of resource: shared memory")
        return options["num_stages"] * 1e-3 / tiles.get("BLOCK_M", 128), print, None

    monkeypatch.setattr(contenders, "_give_triton_memory", lambda: None)
    monkeypatch.setattr(contenders, "_try", attempt)
    found = contenders.stock(kernel, cases.arguments(kernel, {"H": 1, "M": 256, "N": 256}, "cpu"), GivenTimer())
    assert "num_warps=8" in found.note
    assert "num_stages=2" in found.note
    assert "BLOCK_M=256" in found.note
    # Four launch options, then the five other tile sizes with the best of them.
    assert len(tried) == 4 + 5
    assert {"num_warps": 8, "num_stages": 2, "BLOCK_M": 128, "BLOCK_N": 128} not in tried


def test_timed_heads_are_copies_in_memory_of_their_own():
    kernel, _ = timed_kernel()
    arguments = cases.timed_arguments(kernel, {"H": 4, "M": 128, "N": 128}, "cpu")
    assert arguments["q"].shape == (4, 128, 64)
    assert arguments["q"].is_contiguous()
    assert torch.equal(arguments["q"][0], arguments["q"][3])
    assert arguments["H"] == 4


def timed_kernel():
    variant = cases.variant_named("attention_d64_fp16")
    source = frontend.load(cases.KERNELS / variant.source)
    return cases.Kernel(variant, source, print, cases.FAMILIES[variant.source]), source


def test_without_a_clock_there_is_no_share_of_peak():
    assert timing.peak_tflops(None) is None
    assert timing.peak_tflops({"clocks.sm": "[N/A]", "sm_count": 132}) is None
