"""Attention and its gradients as torch operations, on any device, for every shape and floating dtype.

The queries go in blocks: the scores of one block are in memory, never the whole [M, N]. Arithmetic is float32, and
float64 for float64 tensors. A query that sees no key has the output 0, the log-sum-exp -inf and no gradient.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

SCORES = 2**24  # elements of the scores of one block: 64 MiB in float32


def forward(q: Tensor, k: Tensor, v: Tensor, causal: bool, window: int | None, scale: float) -> tuple[Tensor, Tensor]:
    """(o [B, H, M, D] in q's dtype, lse [B, H, M]) for q [B, H, M, D] and k, v [B, HK, N, D]."""
    kind = computed_in(q)
    keys, values = k.to(kind), v.to(kind)
    o = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    lse = torch.empty(q.shape[:3], dtype=kind, device=q.device)
    for rows, columns in _blocks(q, k, causal, window):
        scores = _scores(q, keys, rows, columns, causal, window, scale)
        highest = scores.amax(-1, keepdim=True)
        highest = highest.masked_fill(highest == float("-inf"), 0.0)
        weights = (scores - highest).exp_()
        total = weights.sum(-1, keepdim=True)
        summed = _per_head(weights @ values[:, :, columns], q)
        o[:, :, rows] = summed / _per_head(total.masked_fill(total == 0.0, 1.0), q)
        lse[:, :, rows] = _per_head(highest + total.log(), q).squeeze(-1)
    return o, lse


def backward(
    do: Tensor, dlse: Tensor | None, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor,
    causal: bool, window: int | None, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, k and v, each of its tensor's shape and dtype, from those of o and of lse."""
    kind = computed_in(q)
    keys, values = k.to(kind), v.to(kind)
    dq = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    dk, dv = torch.zeros(k.shape, dtype=kind, device=k.device), torch.zeros(v.shape, dtype=kind, device=v.device)
    less = delta(do, dlse, o)
    shift = lse.masked_fill(lse == float("-inf"), 0.0)
    for rows, columns in _blocks(q, k, causal, window):
        scores = _scores(q, keys, rows, columns, causal, window, scale)
        p = (scores - _per_group(shift[:, :, rows, None], k)).exp_()
        upstream = _per_group(do[:, :, rows].to(kind), k)
        dv[:, :, columns] += p.mT @ upstream
        ds = p * (upstream @ values[:, :, columns].mT - _per_group(less[:, :, rows, None], k))
        dq[:, :, rows] = _per_head(ds @ keys[:, :, columns], q) * scale
        dk[:, :, columns] += ds.mT @ _per_group(q[:, :, rows].to(kind), k) * scale
    return dq, dk.to(k.dtype), dv.to(v.dtype)


def delta(do: Tensor, dlse: Tensor | None, o: Tensor) -> Tensor:
    """[B, H, M], in dS = P (dP - delta): the sum of o * do over the head size, less the gradient of the lse."""
    kind = computed_in(o)
    summed = (o.to(kind) * do.to(kind)).sum(-1)
    return summed if dlse is None else summed - dlse.to(kind)


def computed_in(x: Tensor) -> torch.dtype:
    """The dtype of the arithmetic and of the log-sum-exp."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _blocks(q: Tensor, k: Tensor, causal: bool, window: int | None) -> Iterator[tuple[slice, slice]]:
    """Blocks of queries, each with the keys that any of its queries sees."""
    (batch, heads, queries, _), keys = q.shape, k.shape[2]
    size = max(1, SCORES // (batch * heads * keys))
    for first in range(0, queries, size):
        last = min(first + size, queries)
        begin, end = 0, keys
        if window is not None:
            begin, end = min(keys, max(0, first - window + 1)), min(end, last + window - 1)
        if causal:
            end = min(end, last)
        # At least one key, be it masked, so that no reduction is over nothing.
        yield slice(first, last), slice(min(begin, keys - 1), max(end, min(begin, keys - 1) + 1))


def _scores(
    q: Tensor, keys: Tensor, rows: slice, columns: slice, causal: bool, window: int | None, scale: float
) -> Tensor:
    """scale * Q K^T of a block, [B, HK, G * rows, columns], -inf where a query does not see a key."""
    scores = _per_group(q[:, :, rows].to(keys.dtype) * scale, keys) @ keys[:, :, columns].mT
    if not causal and window is None:
        return scores
    ahead = (
        torch.arange(rows.start, rows.stop, device=q.device)[:, None]
        - torch.arange(columns.start, columns.stop, device=q.device)
    )  # fmt: skip
    hidden = ahead < 0 if causal else torch.zeros_like(ahead, dtype=torch.bool)
    if window is not None:
        hidden |= ahead.abs() >= window
    return scores.unflatten(2, (-1, rows.stop - rows.start)).masked_fill_(hidden, float("-inf")).flatten(2, 3)


def _per_group(x: Tensor, k: Tensor) -> Tensor:
    """[B, H, rows, D] as [B, HK, G * rows, D]: the rows of all query heads that share a head of the keys."""
    return x.unflatten(1, (k.shape[1], -1)).flatten(2, 3)


def _per_head(x: Tensor, q: Tensor) -> Tensor:
    """The inverse of `_per_group`: [B, HK, G * rows, D] as [B, H, rows, D]."""
    return x.unflatten(2, (q.shape[1] // x.shape[1], -1)).flatten(1, 2)
