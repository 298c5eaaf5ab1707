"""`attention_varlen`: attention of sequences of several lengths, packed one after the other without padding.

`torch.ops.twill.attention_varlen` and `torch.ops.twill.attention_varlen_backward` are the operators underneath.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from twill.ops import attention_kernels, attention_torch, dispatch

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def attention_varlen(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor | None = None,
    max_seqlen_q: int | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Attention of each sequence's queries over its own keys: o [TQ, H, D], contiguous, in the dtype of q.

    q: [TQ, H, D]; k, v: [TK, HK, D], H a multiple of HK, any strides; fp16, bf16, fp32 or fp64, the same for all three;
    differentiable once. cu_seqlens_q, cu_seqlens_k: [B + 1] int32 or int64 on the same device: sequence b has the rows
    cu_seqlens_q[b] up to cu_seqlens_q[b + 1] of q and likewise of k and v; those of q when None. They begin with 0 and
    never fall; sequences may be empty. Rows behind the last one have o = 0, lse = -inf and no gradient.
    max_seqlen_q: queries of the longest sequence or more, for the size of the launch; TQ when None.
    causal: query i of a sequence sees its keys 0 .. i, as for `attention`. scale: 1 / sqrt(D) when None.
    return_lse: (o, lse), lse [H, TQ] as for `attention`; a query without keys has o = 0 and lse = -inf.

    Raises ValueError for wrong shapes, devices or options, TypeError for a dtype. What stands in cu_seqlens is examined
    on the CPU only: on a GPU that would wait for it.
    """
    if cu_seqlens_k is None:
        cu_seqlens_k = cu_seqlens_q
    o, lse = _attention_varlen(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, causal, scale)
    return (o, lse) if return_lse else o


def require(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, longest: int | None, scale: float | None
) -> None:
    """Raise ValueError or TypeError, in one sentence, for what `attention_varlen` does not take."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.dim() != 3:
            raise ValueError(f"{name} must be [tokens, heads, head size], got shape {list(x.shape)}")
        if x.dtype not in DTYPES:
            raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {x.dtype}")
        if x.dtype != q.dtype:
            raise TypeError(f"q, k and v must have one dtype, got {q.dtype} for q and {x.dtype} for {name}")
        if 0 in x.shape[1:]:
            raise ValueError(f"{name} must have heads of some size, got shape {list(x.shape)}")
    if k.shape != v.shape:
        raise ValueError(f"k and v must have one shape, got {list(k.shape)} and {list(v.shape)}")
    if q.shape[2] != k.shape[2]:
        raise ValueError(f"q and k must have one head size, got {q.shape[2]} and {k.shape[2]}")
    if q.shape[1] % k.shape[1]:
        raise ValueError(
            f"the query heads must be a multiple of the key heads, got {q.shape[1]} and {k.shape[1]} of them"
        )
    for name, x in (("cu_seqlens_q", starts_q), ("cu_seqlens_k", starts_k)):
        if x.dtype not in (torch.int32, torch.int64):
            raise TypeError(f"{name} must be int32 or int64, got {x.dtype}")
        if x.dim() != 1 or not x.shape[0]:
            raise ValueError(f"{name} must be [sequences + 1], got shape {list(x.shape)}")
    if starts_q.shape != starts_k.shape:
        raise ValueError(
            f"cu_seqlens_q and cu_seqlens_k must be of one length, got {starts_q.shape[0]} and {starts_k.shape[0]}"
        )
    for name, x in (("k", k), ("v", v), ("cu_seqlens_q", starts_q), ("cu_seqlens_k", starts_k)):
        if x.device != q.device:
            raise ValueError(f"all tensors must be on one device, got {q.device} for q and {x.device} for {name}")
    if longest is not None and longest < 0:
        raise ValueError(f"max_seqlen_q must be 0 or more, or None, got {longest}")
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale must be finite, got {scale}")


@torch.library.custom_op(
    "twill::attention_varlen",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor cu_seqlens_q, Tensor cu_seqlens_k, int? max_seqlen_q, "
    "bool causal, float? scale) -> (Tensor, Tensor)",
)
def _attention_varlen(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int | None,
    causal: bool,
    scale: float | None,
) -> tuple[Tensor, Tensor]:
    require(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, scale)
    scale = q.shape[2] ** -0.5 if scale is None else scale
    if dispatch.on_hopper(q, k, v):
        why = attention_kernels.uncovered_varlen(q, k, cu_seqlens_q, causal)
        if not why:
            longest = q.shape[0] if max_seqlen_q is None else min(max_seqlen_q, q.shape[0])
            return attention_kernels.forward_varlen(q, k, v, cu_seqlens_q, cu_seqlens_k, longest, causal, scale)
        dispatch.decline("attention_varlen", why)
    o = torch.zeros(q.shape, dtype=q.dtype, device=q.device)
    lse = q.new_full((q.shape[1], q.shape[0]), float("-inf"), dtype=attention_torch.computed_in(q))
    for rows, columns in _sequences(q, k, cu_seqlens_q, cu_seqlens_k, max_seqlen_q):
        if rows.stop > rows.start and columns.stop > columns.start:
            mine, theirs, values = (_dense(x) for x in (q[rows], k[columns], v[columns]))
            part, total = attention_torch.forward(mine, theirs, values, causal, None, scale)
            o[rows], lse[:, rows] = part[0].transpose(0, 1), total[0]
    return o, lse


@_attention_varlen.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int | None,
    causal: bool,
    scale: float | None,
) -> tuple[Tensor, Tensor]:
    require(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, scale)
    return q.new_empty(q.shape), q.new_empty((q.shape[1], q.shape[0]), dtype=attention_torch.computed_in(q))


@torch.library.custom_op(
    "twill::attention_varlen_backward",
    mutates_args=(),
    schema="(Tensor do, Tensor? dlse, Tensor q, Tensor k, Tensor v, Tensor o, Tensor lse, Tensor cu_seqlens_q, "
    "Tensor cu_seqlens_k, int? max_seqlen_q, bool causal, float? scale) -> (Tensor, Tensor, Tensor)",
)
def _attention_varlen_backward(
    do: Tensor,
    dlse: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int | None,
    causal: bool,
    scale: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    require(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, scale)
    scale = q.shape[2] ** -0.5 if scale is None else scale
    if dispatch.on_hopper(do, q, k, v):
        dispatch.decline("attention_varlen's backward", "there is no generated kernel for it, and it waits for the GPU")
    dq, dk, dv = (torch.zeros(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
    for rows, columns in _sequences(q, k, cu_seqlens_q, cu_seqlens_k, max_seqlen_q):
        if rows.stop > rows.start and columns.stop > columns.start:
            upstream, mine, theirs, values, result = (
                _dense(x) for x in (do[rows], q[rows], k[columns], v[columns], o[rows])
            )
            less = None if dlse is None else dlse[None, :, rows]
            found = attention_torch.backward(
                upstream, less, mine, theirs, values, result, lse[None, :, rows], causal, None, scale
            )
            dq[rows], dk[columns], dv[columns] = (each[0].transpose(0, 1) for each in found)
    return dq, dk, dv


@_attention_varlen_backward.register_fake
def _(
    do: Tensor,
    dlse: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int | None,
    causal: bool,
    scale: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.longest, ctx.causal, ctx.scale = inputs
    ctx.save_for_backward(*tensors, *output)


def _gradients(ctx: Any, do: Tensor, dlse: Tensor | None) -> tuple[Tensor | None, ...]:
    q, k, v, starts_q, starts_k, o, lse = ctx.saved_tensors
    options = (starts_q, starts_k, ctx.longest, ctx.causal, ctx.scale)
    return *_attention_varlen_backward(do, dlse, q, k, v, o, lse, *options), None, None, None, None, None


_attention_varlen.register_autograd(_gradients, setup_context=_remember)


def _sequences(
    q: Tensor, k: Tensor, starts_q: Tensor, starts_k: Tensor, longest: int | None
) -> Iterator[tuple[slice, slice]]:
    """The rows of each sequence in q and in k. Raises ValueError for starts that say something else."""
    found = []
    for name, x, starts in (("cu_seqlens_q", q, starts_q.tolist()), ("cu_seqlens_k", k, starts_k.tolist())):
        slices = [slice(*pair) for pair in pairwise(starts)]
        if starts[0] != 0 or any(each.stop < each.start for each in slices) or starts[-1] > x.shape[0]:
            raise ValueError(f"{name} must begin with 0, never fall and end with at most {x.shape[0]}, got {starts}")
        found.append(slices)
    most = max((each.stop - each.start for each in found[0]), default=0)
    if longest is not None and longest < most:
        raise ValueError(f"max_seqlen_q must be at least the {most} queries of the longest sequence, got {longest}")
    return zip(*found, strict=True)


def _dense(x: Tensor) -> Tensor:
    """[rows, heads, head size] as [1, heads, rows, head size]."""
    return x.transpose(0, 1)[None]
