"""Attention and its gradients by the generated kernels for Hopper: what they cover, and how they are launched."""

from __future__ import annotations

import torch
from torch import Tensor

from twill.ops import dispatch
from twill.ops.attention_torch import delta
from twill.shipped import VARIANTS

BLOCK = 128  # sequences are in whole tiles of it
DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16"}
MOST_HEADS = 65535  # the grid's second dimension
SHIPPED = frozenset(variant.name for variant in VARIANTS)


def uncovered(q: Tensor, k: Tensor, causal: bool, window: int | None) -> str:
    """Why there is no generated forward kernel for these tensors; "" where there is one."""
    return _uncovered(("fwd",), q, k, causal, window)


def uncovered_backward(q: Tensor, k: Tensor, causal: bool, window: int | None) -> str:
    """Why there is no generated backward kernel for these tensors; "" where there is one."""
    return _uncovered(("dkdv", "dq"), q, k, causal, window)


def _uncovered(passes: tuple[str, ...], q: Tensor, k: Tensor, causal: bool, window: int | None) -> str:
    (batch, heads, queries, size), keys = q.shape, k.shape[2]
    if not all(variant(each, q, causal, window is not None) in SHIPPED for each in passes):
        mask = "causal " if causal else ""
        span = " with a sliding window" if window is not None else ""
        return f"there is no generated kernel for {mask}attention of head size {size} in {q.dtype}{span}"
    if queries % BLOCK or keys % BLOCK:
        return f"the generated kernels need sequences of a multiple of {BLOCK}, not {queries} queries and {keys} keys"
    if batch * heads > MOST_HEADS or batch * heads * max(queries, keys) >= 2**31:
        return f"{batch * heads} heads in the batch are more than one launch of a generated kernel takes"
    return ""


def forward(q: Tensor, k: Tensor, v: Tensor, causal: bool, window: int | None, scale: float) -> tuple[Tensor, Tensor]:
    """(o, lse) as `attention_torch.forward` gives them, for what is not `uncovered`."""
    batch, heads, queries, size = q.shape
    o = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    lse = torch.empty(q.shape[:3], dtype=torch.float32, device=q.device)
    launch = dispatch.launcher(variant("fwd", q, causal, window is not None), "attention_fwd")
    with torch.cuda.device_of(q):
        launch(
            q=_dense(q), k=_dense(k), v=_dense(v), o=o, lse=lse,
            H=batch * heads, G=heads // k.shape[1], M=queries, N=k.shape[2], window=window or 0, scale=scale,
            D=size, CAUSAL=causal, WINDOWED=window is not None,
        )  # fmt: skip
    return o, lse


def backward(
    do: Tensor, dlse: Tensor | None, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, causal: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v as `attention_torch.backward` gives them, for what is not `uncovered_backward`.

    In a single pass where there is a kernel for it, which the model says is faster than two: it adds up dq by atomics,
    in an order of its own each time, so that where torch is asked for deterministic algorithms two kernels run.
    """
    batch, heads, queries, size = q.shape
    kv_heads, keys = k.shape[1:3]
    group = heads // kv_heads
    less = delta(do, dlse, o)
    q, k, v, do, lse = (_dense(x) for x in (q, k, v, do, lse))
    dq, dk, dv = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
    if variant("backward", q, causal) in SHIPPED and not torch.are_deterministic_algorithms_enabled():
        summed = torch.zeros(q.shape, dtype=torch.float32, device=q.device)
        with torch.cuda.device_of(q):
            dispatch.launcher(variant("backward", q, causal), "attention_backward")(
                q=q, k=k, v=v, do=do, lse=lse, delta=less, dq=summed, dk=dk, dv=dv,
                H=batch * kv_heads, G=group, M=queries, N=keys, scale=scale, D=size, CAUSAL=causal,
            )  # fmt: skip
        return torch.mul(summed, scale, out=dq), dk, dv
    shared = {"q": q, "do": do, "lse": lse, "delta": less, "scale": scale, "D": size, "CAUSAL": causal}
    with torch.cuda.device_of(q):
        dispatch.launcher(variant("dkdv", q, causal), "attention_dkdv")(
            k=k, v=v, dk=dk, dv=dv, H=batch * kv_heads, G=group, M=queries, N=keys, **shared
        )
        launch = dispatch.launcher(variant("dq", q, causal), "attn_bwd_dq")
        if causal and group > 1:
            k, v = (x.repeat_interleave(group, 1) for x in (k, v))
            launch(k=k, v=v, dq=dq, H=batch * heads, M=queries, N=keys, **shared)
        else:
            # Without a mask the heads of a group are so many more queries of one head.
            launch(k=k, v=v, dq=dq, H=batch * kv_heads, M=group * queries, N=keys, **shared)
    return dq, dk, dv


def uncovered_varlen(q: Tensor, k: Tensor, starts: Tensor, causal: bool) -> str:
    """Why there is no generated kernel for these packed sequences, q [TQ, H, D]; "" where there is one."""
    (queries, heads, size), sequences = q.shape, starts.shape[0] - 1
    if _named("varlen", size, q.dtype, causal) not in SHIPPED:
        mask = "causal " if causal else ""
        return f"there is no generated kernel for packed {mask}attention of head size {size} in {q.dtype}"
    if not (queries and k.shape[0] and sequences):
        return "there are no queries, keys or sequences"
    if heads > MOST_HEADS or sequences > MOST_HEADS or q.numel() >= 2**31:
        return f"{queries} queries of {heads} heads in {sequences} sequences are more than one launch takes"
    return ""


def forward_varlen(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, longest: int, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """(o [TQ, H, D], lse [H, TQ]) of packed sequences of at most `longest` queries, if not `uncovered_varlen`."""
    queries, heads, size = q.shape
    o = torch.zeros(q.shape, dtype=q.dtype, device=q.device)
    lse = torch.full((heads, queries), float("-inf"), dtype=torch.float32, device=q.device)
    launch = dispatch.launcher(_named("varlen", size, q.dtype, causal), "attention_varlen")
    with torch.cuda.device_of(q):
        launch(
            q=_dense(q), k=_dense(k), v=_dense(v),
            starts_q=starts_q.int().contiguous(), starts_k=starts_k.int().contiguous(), o=o, lse=lse,
            TQ=queries, TK=k.shape[0], B=starts_q.shape[0] - 1, H=heads, G=heads // k.shape[1], LONGEST=longest,
            scale=scale, D=size, CAUSAL=causal,
        )  # fmt: skip
    return o, lse


def variant(pass_: str, q: Tensor, causal: bool, windowed: bool = False) -> str:
    """The name, as in `twill.shipped`, of the kernel for "fwd", "dq" or "dkdv"; whether there is one is not said."""
    return _named(pass_, q.shape[3], q.dtype, causal, windowed)


def _named(pass_: str, size: int, dtype: torch.dtype, causal: bool, windowed: bool = False) -> str:
    form = f"{'_causal' if causal else ''}{'_windowed' if windowed else ''}"
    return f"attention_{pass_}_d{size}{form}_{DTYPES.get(dtype, dtype)}"


def _dense(x: Tensor) -> Tensor:
    """The tensor, contiguous and at an address that TMA takes: a multiple of 16 bytes."""
    dense = x.contiguous()
    return dense.clone() if dense.data_ptr() % 16 else dense
