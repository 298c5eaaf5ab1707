"""The shipped kernels, from Triton source to problem, with the figures the schedules are judged by."""

from collections import Counter
from pathlib import Path

import pytest

from twill.machine import load, lower

KERNELS = Path(__file__).parents[2] / "kernels"


def problem(kernel, subtiles, **constants):
    from twill.frontend import load as load_source
    from twill.frontend import lower as lower_source
    from twill.ir.simplify import simplify
    from twill.ir.subtile import split

    graph, _ = lower_source(load_source(KERNELS / f"{kernel}.py"), constants)
    return lower(split(simplify(graph), subtiles), load("hopper"), 16)


def unit_loads(problem):
    loads = Counter()
    for op in problem.ops:
        loads[op.unit] += op.occupancy
    return dict(loads)


def test_attention_in_two_subtiles():
    found = problem("attention", 2)
    # TC: 4 products of 64 x 128 x 128 at 512 cycles. TMA: K and V, 32 KiB each at 34.6 B a cycle.
    # SFU: 2 * 64 * 128 / 16. ALU, a sub-tile: scale 64, maximum 134, subtract 64, sum 68, rescale 64, cast 64.
    assert unit_loads(found) == {"TC": 2048, "TMA": 2 * 948, "SFU": 1024, "ALU": 2 * 458}
    assert max(unit_loads(found).values()) == 2048
    labels = Counter(op.label for op in found.ops)
    assert labels == {
        "descriptor_load": 2, "dot 64x128x128": 4, "mul": 4, "reduce max, max, sub, exp2": 2, "sub": 2, "exp2": 2,
        "mul, reduce sum, add": 2, "cast": 2,
    }  # fmt: skip
    first, second = (set(group) for group in found.colocate)
    assert len(first) == len(second) == 9
    assert not first & second
    (apart,) = found.separate
    assert {len({*apart} & group) for group in (first, second)} == {1}
    assert found.limits.smem_bytes == 232448 - 1024 - 32768 - 32768  # barriers, Q, O
    assert not any(dep.distance > 1 for dep in found.deps)
    crossing = [d for d in found.deps if (d.src in first and d.dst in second) or (d.src in second and d.dst in first)]
    assert crossing == []


def test_causal_attention_masks_with_a_compare_and_a_select():
    # a compare and a select of 64 x 128 at 64 a cycle: 256 more a sub-tile
    assert unit_loads(problem("attention", 2, CAUSAL=True))["ALU"] == 2 * (458 + 256)


def test_undivided_attention_runs_on_eight_warps():
    found = problem("attention", 1)
    assert {op.min_warps for op in found.ops if not op.variable_latency} == {8}
    assert unit_loads(found)["TC"] == 2048
    assert len(found.colocate) == 1
    assert found.separate == ()


@pytest.mark.parametrize(("kernel", "tensor_core"), [("matmul", 1024), ("attention_dq", 1536)])
def test_other_kernels(kernel, tensor_core):
    # matmul: 128 x 256 x 64; dq: three products of 128 x 64 x 128
    found = problem(kernel, 2)
    assert unit_loads(found)["TC"] == tensor_core
    assert all(op.latency >= op.occupancy for op in found.ops)
