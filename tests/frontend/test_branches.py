"""Branches on run-time values, made straight: masks, selects, names that siblings share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from twill import frontend
from twill.ir import evaluate
from twill.ir.graph import Graph, Op
from twill.ir.parser import parse_graph
from twill.ir.simplify import simplify
from twill.ir.text import print_graph

File = Callable[[str], Path]
STORE = "yd.store([0, 0], acc.to(tl.float16))"


def lower(path: Path) -> Graph:
    graph, _ = frontend.lower(frontend.load(f"{path}::kern"))
    assert parse_graph(print_graph(graph)) == graph
    return graph


def only(graph: Graph, opcode: str) -> Op:
    (found,) = (op for op in graph.ops() if op.opcode == opcode)
    return found


def mask_of(graph: Graph, op: Op, at: int) -> Op:
    """What fills the mask of a load or store."""
    splat = graph.producers()[op.operands[at]]
    assert splat.opcode == "splat"
    return graph.producers()[splat.operands[0]]


def run(graph: Graph, programs: int = 1, **changed: object) -> dict[str, np.ndarray]:
    x = (np.arange(512 * 64) % 7).astype(np.float16).reshape(512, 64)
    given = {"x": x, "y": np.zeros_like(x), "w": np.arange(512, dtype=np.float32), "N": 512, **changed}
    return evaluate.run(simplify(graph), given, (programs, 1, 1), "float64")


def test_a_value_of_each_branch_is_selected(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        for n in range(0, N, BLOCK):
            t = xd.load([n, 0]).to(tl.float32)
            if n > 128:
                acc += t
            else:
                acc = acc - t
        {STORE}
        """
    )
    graph = lower(path)
    select = only(graph, "select")
    assert select.result.type.shape == (64, 64)
    assert graph.producers()[select.operands[0]].attributes["predicate"] == "gt"
    x = np.arange(512 * 64).reshape(8, 64, 64) % 7
    assert np.array_equal(run(graph)["y"][:64], x[3:].sum(0) - x[:3].sum(0))


def test_what_a_branch_loads_is_masked_and_zero_elsewhere(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        if pid > 1:
            acc += tl.load(w + 500 + offs)[None, :]
        for n in range(0, N, BLOCK):
            acc += xd.load([n, 0])
        {STORE}
        """
    )
    graph = lower(path)
    load = only(graph, "load")
    assert mask_of(graph, load, 1).opcode == "cmp"
    assert graph.producers()[load.operands[2]].attributes["value"] == 0.0
    run(graph)  # w has 512 elements: without the mask it reads outside


@pytest.mark.parametrize(("own", "mask"), [("", "splat"), (", mask=offs < 32", "and")])
def test_a_store_of_a_branch_is_masked(kernel_file: File, own: str, mask: str) -> None:
    path = kernel_file(
        f"""
        for n in range(0, N, BLOCK):
            acc += xd.load([n, 0])
            if n > 300:
                tl.store(w + n - 320 + offs, tl.sum(acc, 1){own})
        {STORE}
        """
    )
    graph = lower(path)
    assert graph.producers()[only(graph, "store").operands[2]].opcode == mask
    run(graph)  # below 320 the addresses lie before the tensor


def test_an_else_is_masked_by_what_does_not_hold(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        for n in range(0, N, BLOCK):
            acc += xd.load([n, 0])
        if pid == 0:
            acc *= 2
        else:
            tl.store(w + offs, -1.0)
        {STORE}
        """
    )
    graph = lower(path)
    assert mask_of(graph, only(graph, "store"), 2).opcode == "xor"
    w = np.arange(512, dtype=np.float32)
    assert "w" not in run(graph) or np.array_equal(run(graph)["w"], w)
    assert (run(graph, 2)["w"][:64] == -1).all()


def test_branches_in_branches_mask_by_both_conditions(kernel_file: File) -> None:
    path = kernel_file(
        f"""
        for n in range(0, N, BLOCK):
            acc += xd.load([n, 0])
            if n > 100:
                if n < 200:
                    tl.store(w + offs, n.to(tl.float32))
        {STORE}
        """
    )
    graph = lower(path)
    w = run(graph)["w"]
    assert (w[:64] == 192).all()
    assert w[64] == 64


def test_values_of_siblings_keep_apart(kernel_file: File) -> None:
    """MLIR numbers the values of two branches alike."""
    path = kernel_file(
        f"""
        for n in range(0, N, BLOCK):
            t = xd.load([n, 0]).to(tl.float32)
            if n % 128 == 0:
                t = t * 3
            else:
                t = t * 5
            if n > 200:
                t = t + 1
            else:
                t = t + 2
            acc += t
        {STORE}
        """
    )
    x = np.arange(512 * 64).reshape(8, 64, 64) % 7
    expected = sum(x[i] * (3 if i % 2 == 0 else 5) + (1 if 64 * i > 200 else 2) for i in range(8))
    assert np.array_equal(run(lower(path))["y"][:64], expected)
