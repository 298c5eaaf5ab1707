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
    """Gradients of q, k and v as `attention_torch.backward` gives them, for what is not `uncovered_backward`."""
    batch, heads, queries, size = q.shape
    kv_heads, keys = k.shape[1:3]
    group = heads // kv_heads
    less = delta(do, dlse, o)
    q, k, v, do, lse = (_dense(x) for x in (q, k, v, do, lse))
    dq, dk, dv = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
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


def variant(pass_: str, q: Tensor, causal: bool, windowed: bool = False) -> str:
    """The name, as in `twill.shipped`, of the kernel for "fwd", "dq" or "dkdv"; whether there is one is not said."""
    form = f"{'_causal' if causal else ''}{'_windowed' if windowed else ''}"
    return f"attention_{pass_}_d{q.shape[3]}{form}_{DTYPES.get(q.dtype, q.dtype)}"


def _dense(x: Tensor) -> Tensor:
    """The tensor, contiguous and at an address that TMA takes: a multiple of 16 bytes."""
    dense = x.contiguous()
    return dense.clone() if dense.data_ptr() % 16 else dense
