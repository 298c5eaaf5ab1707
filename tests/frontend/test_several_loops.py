"""Loops in sequence become one that means the same: checked against each loop run on its own, at many trip counts."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from .several_loops import END, ROW, given, lowered, same, written

RANGES = [
    (0, 4, 4, 8),
    (0, 0, 0, 3),
    (0, 3, 3, 3),
    (0, 0, 0, 0),
    (1, 5, 0, 2),
    (3, 0, 0, 4),
    (0, 2, 5, 1),
    (2, 5, 5, 9),
]

CASES = {
    "a factor": """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        for n in range(C, D):
            acc += xd.load([n * BLOCK, 0]) * 3
        """ + END,
    "steps that differ": """
        for n in range(A, B, 2):
            acc += xd.load([n * BLOCK, 0])
        for m in range(C, D, 3):
            acc += xd.load([m * BLOCK, 0])
        """ + END,
    "steps of the launch": """
        for n in range(A, B, S):
            acc += xd.load([n * BLOCK, 0])
        for n in range(C, D, S + 1):
            acc -= xd.load([n * BLOCK, 0])
        """ + END,
    "code between": """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        acc = acc * 0.5 + D
        for n in range(C, D):
            acc += xd.load([n * BLOCK, 0])
        """ + END,
    "two passes": """
        m = tl.full([BLOCK], -1000.0, tl.float32)
        for n in range(A, B):
            m = tl.maximum(m, tl.max(xd.load([n * BLOCK, 0]).to(tl.float32), 1))
        tl.store(v + pid * BLOCK + offs, m)
        for n in range(C, D):
            acc += xd.load([n * BLOCK, 0]) - m[:, None] * 2
        """ + END,
    "a value of the first that the second changes and uses": """
        for n in range(A, B):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
        once = row
        for n in range(C, D):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) * once
        tl.store(v + pid * BLOCK + offs, once)
        """ + ROW,
    "begun anew": """
        for n in range(A, B):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
        tl.store(v + pid * BLOCK + offs, row)
        row = tl.zeros([BLOCK], tl.float32)
        for n in range(C, D):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) + 1
        """ + ROW,
    "two heirs of one value": """
        for n in range(A, B):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
        one = row
        two = row
        for n in range(C, D):
            one += 1
            two = two * 2 + one
        tl.store(v + pid * BLOCK + offs, one)
        row = two
        """ + ROW,
    "offsets that go on": """
        at = 0
        by = 0
        for n in range(A, B):
            acc += xd.load([at, 0])
            at += 16
            by += S
        at = at + 16
        for n in range(C, D):
            acc += xd.load([at, 0]) * by
            at += 8
        acc += at + by
        """ + END,
    "tiles stored by the second": """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        for n in range(C, D):
            yd.store([n * 8, 0], xd.load([n * BLOCK, 0]) + acc)
        """,
    "tiles stored by both": """
        for n in range(A, B):
            yd.store([n * 8, 0], xd.load([n * BLOCK, 0]).to(tl.float32))
        for n in range(C, D):
            yd.store([n * 8, 0], xd.load([n * BLOCK, 0]) + 5.0)
        """,
    "stores by pointers in each": """
        for n in range(A, B):
            tl.store(w + n * 16 + offs, tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1))
        for n in range(C, D):
            tl.store(v + n * 16 + offs, tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1), mask=offs < 7)
        """,
    "loads by pointers that stay inside": """
        for n in range(A, B):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) + tl.load(v + n * 32 + offs)
        for n in range(C, D):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) + tl.load(v + 200 - n * 20 + offs)
        """ + ROW,
    "atomics of the second": """
        for n in range(A, B):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
        for n in range(C, D):
            tl.atomic_add(w + n * 8 + offs, row + 1)
        """,
    "other tensors": """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        for n in range(C, D):
            acc += zd.load([n * BLOCK, 0])
        """ + END,
    "masks": """
        for n in range(A, B):
            s = xd.load([n * BLOCK, 0]).to(tl.float32)
            acc += s
        for n in range(C, D):
            s = xd.load([n * BLOCK, 0]).to(tl.float32)
            s = tl.where(offs[:, None] > n + offs[None, :], s, -7.0)
            s = tl.where((offs[:, None] <= 12) & (n * 2 + offs[None, :] < 14), s, 2.0)
            s = tl.where(offs[:, None] * 3 % 5 != 2, s, 4.0)
            acc += s
        """ + END,
    "a mask of the first": """
        for n in range(A, B):
            s = xd.load([n * BLOCK, 0]).to(tl.float32) * 2
            s = s + tl.where(n + offs[None, :] >= offs[:, None], 0.0, -100.0)
            acc += s
        for n in range(C, D):
            acc += xd.load([n * BLOCK, 0]).to(tl.float32) * 2
        """ + END,
    "masks of both": """
        for n in range(A, B):
            s = tl.where(offs[:, None] > n, xd.load([n * BLOCK, 0]).to(tl.float32), 1.0)
            acc += s
        for n in range(C, D):
            s = tl.where(offs[None, :] < n, xd.load([n * BLOCK, 0]).to(tl.float32), 2.0)
            acc += s
        """ + END,
    "a condition that each computes": """
        seen = offs < 100
        for n in range(A, B):
            seen = seen & (tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) < 20)
        for n in range(C, D):
            seen = seen | (tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) > 30)
        row = tl.where(seen, 1.0, 0.0)
        """ + ROW,
    "products": """
        for n in range(A, B):
            t = xd.load([n * BLOCK, 0])
            acc = tl.dot(t, t.T, acc)
        for n in range(C, D):
            t = xd.load([n * BLOCK, 0])
            acc = tl.dot((t * 2).to(tl.float16), t.T, acc)
        """ + END,
    "branches": """
        for n in range(A, B):
            if n > pid:
                acc += xd.load([n * BLOCK, 0])
        for n in range(C, D):
            if n > 2:
                acc += xd.load([n * BLOCK, 0])
                tl.store(v + n * 8 + offs, tl.sum(acc, 1))
        """ + END,
    "three": """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        acc = acc * 2
        for n in range(B, C):
            acc += xd.load([n * BLOCK, 0]) + 1
        tl.store(v + pid * BLOCK + offs, tl.sum(acc, 1))
        for n in range(C, D, 2):
            acc += tl.where(offs[:, None] >= n, xd.load([n * BLOCK, 0]).to(tl.float32), 0.0)
        """ + END,
    "three with values kept": """
        for n in range(A, B):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
        one = row
        other = row * 3
        for n in range(C, D):
            other += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) * one
        for n in range(A, D):
            row += one - other
        tl.store(v + pid * BLOCK + offs, other)
        """ + ROW,
    "a value that one loop has twice, for two purposes": """
        other = acc + 1
        total = row + 2
        for n in range(A, B):
            total = tl.minimum(total, 40.0) + tl.sum(tl.minimum(row[:, None] * 0.5, 3.0) + acc * 0, 0) * 0.125
            row = tl.minimum(row, 40.0) + tl.max(acc + acc * 0, 0) * 0.125
        acc = zd.load([0, 0]).to(tl.float32) + (total[:, None] - (xd.load([0, 0]).to(tl.float32) - other))
        for n in range(C, D):
            yd.store([n * 4 + 16, 0], xd.load([n * BLOCK, 0]).to(tl.float32) + acc * 0)
        for n in range(A, D, 2):
            total = tl.minimum(total, 40.0) + tl.sum(tl.minimum(row[:, None] * 0.5, 3.0) + acc * 0, 0) * 0.125
        yd.store([64 + pid * 16, 0], acc + total[:, None])
        """,
    "loads paired otherwise than by their values": """
        other = acc + 1
        for n in range(A, B, S):
            other = other * 0.5 + xd.load([0, 0]).to(tl.float32)
            other = other + xd.load([n * BLOCK, 0]).to(tl.float32) * 0.25
        for n in range(C, D, 2):
            acc = acc + xd.load([n * BLOCK, 0]).to(tl.float32)
            acc = acc + tl.where(offs[None, :] >= n, xd.load([n * 8 + 8, 0]).to(tl.float32), 0.0) * 0.25
        yd.store([64 + pid * 16, 0], acc + other * 2)
        """,
    "indices of 64 bits": """
        for n in range(A.to(tl.int64), B.to(tl.int64)):
            acc += xd.load([(n * BLOCK).to(tl.int32), 0])
        for n in range(C.to(tl.int64), D.to(tl.int64), 3):
            acc += tl.where(offs[:, None] > n, xd.load([(n * BLOCK).to(tl.int32), 0]).to(tl.float32), 0.0)
        """ + END,
    "the diagonal": """
        for n in range(0, pid * 3):
            acc += xd.load([n * BLOCK, 0])
        for n in range(pid * 3, pid * 3 + S):
            acc += tl.where(offs[:, None] >= n, xd.load([n * BLOCK, 0]).to(tl.float32), -1.0)
        """ + END,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_loop_of_both_means_what_they_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    both = lowered(written(tmp_path, CASES[name]), monkeypatch)
    assert len(both.passages) > 1
    for bounds, step in itertools.product(RANGES, (1, 2)):
        same(both, given(bounds, step))
