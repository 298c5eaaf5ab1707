"""`attention`: softmax(scale * Q K^T) V with grouped queries, a causal mask and a sliding window.

`torch.ops.twill.attention` and `torch.ops.twill.attention_backward` are the operators underneath.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from twill.ops import attention_kernels, attention_torch, dispatch

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    window: int | None = None,
    scale: float | None = None,
    return_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Attention of q [B, H, M, D] over k, v [B, HK, N, D]: o [B, H, M, D], contiguous, in the dtype of q.

    H is a multiple of HK: query head h reads key head h // (H // HK). Any strides; fp16, bf16, fp32 or fp64, the same
    for all three; differentiable once in q, k and v.
    causal: query i sees the keys 0 .. i, counted from the first key also where M and N differ. window: query i sees
    only keys less than `window` away from i. A query that sees no key has the output 0.
    scale: 1 / sqrt(D) when None. return_lse: (o, lse), lse [B, H, M] the natural logarithm of the sum of the
    exponentials of a query's scaled scores, fp32 (fp64 for fp64), -inf without keys; differentiable too.
    On a GPU without a generated kernel for it, or for its gradient where one is wanted, torch's own attention runs
    (`scaled_dot_product_attention`), but not with a window, in fp64, for return_lse or in a graph of torch.compile.
    Raises ValueError for wrong shapes, devices or options, TypeError for a dtype.
    """
    if not return_lse and _left_to_torch(q, k, v, causal, window, scale):
        if q.dtype == torch.float32 and q.shape[1] != k.shape[1]:  # whose fused kernels take no groups
            k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
        o = functional.scaled_dot_product_attention(
            q, k, v, is_causal=causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )
        return o.contiguous()
    o, lse = _attention(q, k, v, causal, window, scale)
    return (o, lse) if return_lse else o


def _left_to_torch(
    q: Tensor, k: Tensor, v: Tensor, causal: bool, window: int | None, scale: float | None
) -> bool:  # fmt: skip
    """Whether torch's own attention is to run: on a GPU, where no generated kernel does, and it can."""
    if torch.compiler.is_compiling() or not dispatch.on_gpu(q) or q.dtype == torch.float64:
        return False
    require(q, k, v, window, scale)
    window, _ = _resolved(window, scale, q, k)
    if window is not None:
        return False
    if not dispatch.on_hopper(q, k, v):
        return True
    why, name = attention_kernels.uncovered(q, k, causal, window), "attention"
    if not why and torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v)):
        why, name = attention_kernels.uncovered_backward(q, k, causal, window), "attention's backward"
    if why:
        dispatch.decline(name, why)
    return bool(why)


def require(q: Tensor, k: Tensor, v: Tensor, window: int | None, scale: float | None) -> None:
    """Raise ValueError or TypeError, in one sentence, for what `attention` does not take."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.dim() != 4:
            raise ValueError(f"{name} must be [batch, heads, length, head size], got shape {list(x.shape)}")
        if x.dtype not in DTYPES:
            raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {x.dtype}")
        if x.dtype != q.dtype:
            raise TypeError(f"q, k and v must have one dtype, got {q.dtype} for q and {x.dtype} for {name}")
        if x.device != q.device:
            raise ValueError(f"q, k and v must be on one device, got {q.device} for q and {x.device} for {name}")
        if 0 in x.shape:
            raise ValueError(f"{name} must have elements, got shape {list(x.shape)}")
    if k.shape != v.shape:
        raise ValueError(f"k and v must have one shape, got {list(k.shape)} and {list(v.shape)}")
    if (q.shape[0], q.shape[3]) != (k.shape[0], k.shape[3]):
        raise ValueError(f"q and k must agree in batch and head size, got {list(q.shape)} and {list(k.shape)}")
    if q.shape[1] % k.shape[1]:
        raise ValueError(
            f"the query heads must be a multiple of the key heads, got {q.shape[1]} and {k.shape[1]} of them"
        )
    if window is not None and window < 1:
        raise ValueError(f"window must be 1 or more, or None, got {window}")
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"scale must be finite, got {scale}")


@torch.library.custom_op(
    "twill::attention",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, bool causal, int? window, float? scale) -> (Tensor, Tensor)",
)
def _attention(
    q: Tensor, k: Tensor, v: Tensor, causal: bool, window: int | None, scale: float | None
) -> tuple[Tensor, Tensor]:  # fmt: skip
    require(q, k, v, window, scale)
    window, scale = _resolved(window, scale, q, k)
    if dispatch.on_hopper(q, k, v):
        why = attention_kernels.uncovered(q, k, causal, window)
        if not why:
            return attention_kernels.forward(q, k, v, causal, window, scale)
        dispatch.decline("attention", why)
    return attention_torch.forward(q, k, v, causal, window, scale)


@_attention.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, causal: bool, window: int | None, scale: float | None
) -> tuple[Tensor, Tensor]:  # fmt: skip
    require(q, k, v, window, scale)
    return q.new_empty(q.shape), q.new_empty(q.shape[:3], dtype=attention_torch.computed_in(q))


@torch.library.custom_op(
    "twill::attention_backward",
    mutates_args=(),
    schema="(Tensor do, Tensor? dlse, Tensor q, Tensor k, Tensor v, Tensor o, Tensor lse, "
    "bool causal, int? window, float? scale) -> (Tensor, Tensor, Tensor)",
)
def _attention_backward(
    do: Tensor,
    dlse: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    causal: bool,
    window: int | None,
    scale: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    require(q, k, v, window, scale)
    window, scale = _resolved(window, scale, q, k)
    if dispatch.on_hopper(do, q, k, v):
        why = attention_kernels.uncovered_backward(q, k, causal, window)
        if not why:
            return attention_kernels.backward(do, dlse, q, k, v, o, lse, causal, scale)
        dispatch.decline("attention's backward", why)
    return attention_torch.backward(do, dlse, q, k, v, o, lse, causal, window, scale)


@_attention_backward.register_fake
def _(
    do: Tensor,
    dlse: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    lse: Tensor,
    causal: bool,
    window: int | None,
    scale: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, *ctx.options = inputs
    ctx.save_for_backward(q, k, v, *output)


def _gradients(ctx: Any, do: Tensor, dlse: Tensor | None) -> tuple[Tensor | None, ...]:
    q, k, v, o, lse = ctx.saved_tensors
    return *_attention_backward(do, dlse, q, k, v, o, lse, *ctx.options), None, None, None


_attention.register_autograd(_gradients, setup_context=_remember)


def _resolved(window: int | None, scale: float | None, q: Tensor, k: Tensor) -> tuple[int | None, float]:
    """No window where it would hide nothing, and the scale that None stands for."""
    hides = window is not None and window < max(q.shape[2], k.shape[2])
    return window if hides else None, q.shape[3] ** -0.5 if scale is None else scale
