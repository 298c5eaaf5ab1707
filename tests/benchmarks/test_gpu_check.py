"""The judge of the GPU benchmark, on the CPU with launchers that are right or wrong in a known way."""

import pytest
import torch

from benchmarks.gpu import cases, check
from twill import frontend

SIZES = {"H": 1, "M": 1024, "N": 1024}


@pytest.fixture(scope="module")
def attention():
    variant = cases.variant_named("attention_d64_causal_bf16")
    return variant, frontend.load(cases.KERNELS / variant.source)


def judge(attention, launch, sizes=SIZES):
    variant, source = attention

    def launcher(**arguments):
        launch(source, arguments)

    return check.check_shape(cases.Kernel(variant, source, launcher, cases.FAMILIES[variant.source]), sizes, "cpu")


def right(source, arguments):
    arguments["o"].copy_(source.info.reference(**arguments)["o"])


def test_rounded_truth_passes(attention):
    outcome = judge(attention, right)
    assert outcome.passed
    assert 0 < outcome.error_over_tolerance < 1


def test_a_tile_of_keys_lost_in_the_last_rows_is_seen(attention):
    def lost(source, arguments):
        # The last 128 queries, seeing 1024 keys, lose the first 128: the smallest change a lost tile makes.
        right(source, arguments)
        q, k, v = (arguments[name][0].double() for name in "qkv")
        scores = (arguments["scale"] * q[-128:] @ k.mT).masked_fill(~torch.ones(128, 1024).bool().tril(896), -torch.inf)
        arguments["o"][0, -128:] = (scores[:, 128:].softmax(-1) @ v[128:]).to(torch.bfloat16)

    outcome = judge(attention, lost)
    assert "times what rounding explains" in outcome.failure


def test_an_element_that_is_not_written_is_seen(attention):
    def forgets(source, arguments):
        right(source, arguments)
        arguments["o"][0, 700, 3] = float("nan")

    assert judge(attention, forgets).error_over_tolerance == float("inf")


def test_a_store_behind_the_output_is_seen(attention):
    def strays(source, arguments):
        right(source, arguments)
        out = arguments["o"]
        torch.as_strided(out, (1,), (1,), out.storage_offset() + out.numel()).fill_(1.0)

    assert judge(attention, strays).failure == "launch 1 writes outside `o`"


def test_launches_that_differ_are_seen_however_little(attention):
    launches = []

    def wavers(source, arguments):
        right(source, arguments)
        launches.append(1)
        if len(launches) == 3:
            arguments["o"][0, 0, 0] *= 1 + 2**-7

    assert judge(attention, wavers).failure == "launch 3 writes another `o` than the first"


def test_a_size_of_zero_launches_with_memory_behind_it():
    variant = cases.variant_named("matmul_fp16")
    source = frontend.load(cases.KERNELS / variant.source)
    seen = {}

    def launcher(**arguments):
        seen.update(arguments)
        arguments["c"].copy_(torch.nn.functional.silu(arguments["bias"]).expand_as(arguments["c"]))

    kernel = cases.Kernel(variant, source, launcher, cases.FAMILIES[variant.source])
    assert check.check_shape(kernel, {"M": 128, "N": 256, "K": 0}, "cpu").passed
    assert seen["K"] == 0
    assert seen["a"].numel() > 0


def test_masked_pairs_are_not_counted_as_work():
    family = cases.FAMILIES["attention.py"]
    sizes = {"H": 2, "M": 4, "N": 3, "D": 8}
    # Queries 0 1 2 3 see 1 2 3 3 of three keys.
    assert family.flops({**sizes, "CAUSAL": True}) == 2 * 9 * 4 * 8
    assert family.flops({**sizes, "CAUSAL": False}) == 2 * 12 * 4 * 8
    windowed = {**sizes, "window": 2, "WINDOWED": True}
    # Queries 0 1 2 3 see 1 2 2 1 keys of a causal window of 2, and 2 3 2 1 of one to both sides.
    family = cases.FAMILIES["attention_fwd.py"]
    assert family.flops({**windowed, "CAUSAL": True}) == 2 * 6 * 4 * 8
    assert family.flops({**windowed, "CAUSAL": False}) == 2 * 8 * 4 * 8


def test_outputs_that_keep_some_of_what_they_hold_begin_as_in_the_example():
    variant = cases.variant_named("moe_sources_int32")
    source = frontend.load(cases.KERNELS / variant.source)

    def judged(launch):
        kernel = cases.Kernel(variant, source, launch, cases.FAMILIES[variant.source])
        return check.check_shape(kernel, {"C": 50, "K": 2}, "cpu")

    def scatters(**arguments):
        assert (arguments["sources"] == -1).all()
        arguments["sources"].copy_(source.info.reference(**arguments)["sources"])

    assert judged(scatters).passed
    assert not judged(lambda **_: None).passed


def test_outputs_that_are_added_to_begin_at_zero_and_integers_must_be_equal():
    variant = cases.variant_named("moe_histogram")
    source = frontend.load(cases.KERNELS / variant.source)
    sizes = {"C": 700, "E": 5}

    def judged(launch):
        family = cases.FAMILIES[variant.source]
        return check.check_shape(cases.Kernel(variant, source, launch, family), sizes, "cpu")

    def adds(**arguments):
        arguments["counts"] += source.info.reference(**arguments)["counts"].int()

    def miscounts(**arguments):
        adds(**arguments)
        arguments["counts"][3] += 1

    def strays(**arguments):
        adds(**arguments)
        out = arguments["counts"]
        torch.as_strided(out, (1,), (1,), out.storage_offset() + out.numel()).fill_(1)

    assert judged(adds).passed
    assert judged(adds).error_over_tolerance == 0
    assert "times what rounding explains" in judged(miscounts).failure
    assert judged(strays).failure == "launch 1 writes outside `counts`"


def test_an_infinity_is_right_only_where_it_is_expected():
    exact = torch.tensor([1.0, float("-inf"), 3.0], dtype=torch.float64)
    assert check.error_over_tolerance(exact.float(), exact, 64) == 0
    for wrong in ([1.0, float("inf"), 3.0], [1.0, 0.0, 3.0], [float("-inf"), float("-inf"), 3.0]):
        assert check.error_over_tolerance(torch.tensor(wrong), exact, 64) == float("inf")
