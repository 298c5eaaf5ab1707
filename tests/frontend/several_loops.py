"""What kernels with loops in sequence mean before they are merged: each loop run on its own, one after the other."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twill import frontend
from twill.frontend import lowering, merge
from twill.ir import evaluate
from twill.ir.dtypes import numpy_dtype
from twill.ir.evaluate import _Evaluator, bind
from twill.ir.graph import Graph, Op
from twill.ir.simplify import simplify
from twill.ir.verify import verify

HEAD = """\
import torch
import triton
import triton.language as tl

import twill


def example(BLOCK=16):
    x = torch.zeros(96, 16, dtype=torch.float16)
    return dict(x=x, z=x.clone(), y=torch.zeros(96, 16), w=torch.zeros(256), v=torch.zeros(256),
                A=2, B=4, C=4, D=8, S=3, BLOCK=BLOCK)


@twill.kernel(example=example, grid=(2,))
@triton.jit
def kern(x, z, y, w, v, A, B, C, D, S, BLOCK: tl.constexpr):
    pid = tl.program_id(0)
    xd = tl.make_tensor_descriptor(x, [96, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])
    zd = tl.make_tensor_descriptor(z, [96, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])
    yd = tl.make_tensor_descriptor(y, [96, BLOCK], [BLOCK, 1], [BLOCK, BLOCK])
    acc = tl.zeros([BLOCK, BLOCK], tl.float32)
    row = tl.zeros([BLOCK], tl.float32)
    offs = tl.arange(0, BLOCK)
"""
END = "yd.store([pid * BLOCK, 0], acc)"
ROW = "tl.store(w + pid * BLOCK + offs, row)"


def written(tmp_path: Path, body: str) -> Path:
    """A file with a kernel of that body after HEAD."""
    path = tmp_path / "user_kernel.py"
    path.write_text(HEAD + textwrap.indent(textwrap.dedent(body).strip() + "\n", "    "))
    return path


@dataclass(frozen=True)
class Both:
    """A kernel's merged graph, and its loops as they were."""

    graph: Graph
    before: tuple[Op, ...]
    passages: Sequence[merge.Passage]

    def merged(self, arguments: Mapping[str, Any], programs: int = 1) -> dict[str, np.ndarray]:
        """What the one loop writes."""
        given = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in arguments.items()}
        return evaluate.run(simplify(self.graph), given, (programs, 1, 1))

    def sequential(self, arguments: Mapping[str, Any], programs: int = 1) -> dict[str, np.ndarray]:
        """What the loops write, one after the other."""
        given = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in arguments.items()}
        environment = bind(self.graph, given, "native")
        for program in range(programs):
            evaluator = _Evaluator(self.graph, dict(environment), (program, 0, 0), (programs, 1, 1), "native")
            evaluator.types |= {value.name: value.type for op in self._ops() for value in op.results}
            with np.errstate(all="ignore"):
                self._run(evaluator)
        return {name: bound.memory.array for name, bound in environment.items() if hasattr(bound, "memory")}

    def _ops(self) -> list[Op]:
        inside = [op for each in self.passages for op in (*each.loop.body, *each.then)]
        return [*self.before, *inside]

    def _run(self, evaluator: _Evaluator) -> None:
        for op in self.before:
            evaluator.execute(op)
        for passage in self.passages:
            loop = passage.loop
            evaluator.types[loop.index.name] = loop.index.type
            for carried in loop.carried:
                evaluator.types |= {value.name: value.type for value in (carried.argument, carried.result)}
            values = evaluator.values
            now = [values[carried.initial] for carried in loop.carried]
            for index in range(*(int(values[name]) for name in (loop.lower, loop.upper, loop.step))):
                values[loop.index.name] = np.asarray(index, numpy_dtype(loop.index.type.dtype))
                values.update({c.argument.name: value for c, value in zip(loop.carried, now, strict=True)})
                for op in loop.body:
                    evaluator.execute(op)
                now = [values[carried.yielded] for carried in loop.carried]
            values.update({c.result.name: value for c, value in zip(loop.carried, now, strict=True)})
            for op in passage.then:
                evaluator.execute(op)


def lowered(path: Path | str, monkeypatch: pytest.MonkeyPatch, **constants: Any) -> Both:
    """The kernel of a file, its graph verified before and after it is simplified."""
    seen: list[tuple[tuple[Op, ...], Sequence[merge.Passage]]] = []

    def recorded(visible, before, passages, *rest):  # type: ignore[no-untyped-def]
        seen.append((before, passages))
        return merge.merge(visible, before, passages, *rest)

    monkeypatch.setattr(lowering, "merge", recorded)
    graph, _ = frontend.lower(frontend.load(path), constants)
    verify(graph)
    verify(simplify(graph))
    return Both(graph, *seen[0])


def given(bounds: tuple[int, int, int, int], step: int = 1) -> dict[str, object]:
    random = np.random.default_rng(0)
    x, z = ((random.integers(-4, 5, (96, 16)) / 2).astype(np.float16) for _ in range(2))
    lines = {name: random.integers(-9, 9, 256).astype(np.float32) for name in "wv"}
    return {
        "x": x,
        "z": z,
        "y": np.zeros((96, 16), np.float32),
        **lines,
        **dict(zip("ABCD", bounds, strict=True)),
        "S": step,
    }


def same(both: Both, arguments: dict[str, object]) -> None:
    expected, found = both.sequential(arguments, 2), both.merged(arguments, 2)
    for name, array in found.items():
        assert np.array_equal(array, expected[name]), name
    for name in set(expected) - set(found):  # not written by the merged kernel: then not by the other either
        assert np.array_equal(expected[name], arguments[name]), name
