"""Loops in sequence that cannot be one are refused, with the place and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from twill.errors import Location, Unsupported

from .several_loops import END, ROW, lowered, written

REFUSED = {
    "a product of one": (
        """
        for n in range(A, B):
            t = xd.load([n * BLOCK, 0])
            acc = tl.dot(t, t.T, acc)
        for n in range(C, D):
            acc += xd.load([n * BLOCK, 0])
        """ + END,
        "acc = tl.dot", "only the first loop has the product at",
    ),
    "other products": (
        """
        for n in range(A, B):
            t = xd.load([n * BLOCK, 0])
            acc = tl.dot(t, t.T, acc)
        for n in range(C, D):
            t = xd.load([n * BLOCK, 0])
            acc = tl.dot(t, zd.load([n * BLOCK, 0]), acc)
        """ + END,
        "acc = tl.dot(t, zd", "the loops multiply different tiles",
    ),
    "bounds from the first": (
        """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        for n in range(C, tl.sum(tl.sum(acc, 1), 0).to(tl.int32)):
            acc += xd.load([n * BLOCK, 0])
        """ + END,
        "for n in range(C", "the bounds of this loop depend on what the loop before it computes",
    ),
    "a gather between": (
        """
        for n in range(A, B):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
        other = tl.load(v + row.to(tl.int32))
        for n in range(C, D):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) * other
        """ + ROW,
        "tl.load(v", "a load between two loops that depends on what the first computes",
    ),
    "a load of what the first stores": (
        """
        for n in range(A, B):
            tl.store(v + n * 16 + offs, tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1))
        other = tl.load(v + offs)
        for n in range(C, D):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) * other
        """ + ROW,
        "tl.load(v", "a load between two loops that reads what was stored since",
    ),
    "a load of what was stored between": (
        """
        for n in range(A, B):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
        tl.store(v + offs, row)
        for n in range(C, D):
            row += tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1) * tl.load(v + n + offs)
        """ + ROW,
        "tl.store(v", "`v` is stored to between two loops, and the second loads from it",
    ),
    "a product between": (
        """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        acc = tl.dot(acc.to(tl.float16), xd.load([0, 0]))
        for n in range(C, D):
            acc += xd.load([n * BLOCK, 0])
        """ + END,
        "tl.dot(acc", "a product between two loops",
    ),
    "indices of two widths": (
        """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        for n in range(C.to(tl.int64), D):
            acc += xd.load([(n * BLOCK).to(tl.int32), 0])
        """ + END,
        "for n in range(C.to", "counts in i64, the loop before it in i32",
    ),
    "pointers that differ": (
        """
        p = w + offs
        for n in range(A, B):
            row += tl.load(p) + tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
            p += 16
        p = v + offs
        for n in range(C, D):
            row += tl.load(p) + tl.sum(xd.load([n * BLOCK, 0]).to(tl.float32), 1)
            p += 8
        tl.store(y + offs, row)
        """,
        "for n in range(C", "a pointer that one of several loops moves",
    ),
    "a loop inside the second": (
        """
        for n in range(A, B):
            acc += xd.load([n * BLOCK, 0])
        for n in range(C, D):
            for m in range(0, n):
                acc += xd.load([m * BLOCK, 0])
        """ + END,
        "for m in", "a loop inside the loop",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_wasted_or_wrong_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    body, at, words = REFUSED[name]
    path = written(tmp_path, body)
    with pytest.raises(Unsupported) as caught:
        lowered(path, monkeypatch)
    error = caught.value
    assert words in str(error)
    assert "\n" not in str(error)
    assert error.hint
    assert isinstance(error.location, Location)
    line = path.read_text().splitlines()[error.location.line - 1]
    assert line.lstrip().startswith(at) or line[error.location.column - 1 :].startswith(at)
