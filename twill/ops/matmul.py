"""`matmul`: activation(A B + bias) + residual in one kernel; `torch.ops.twill.matmul` is the operator underneath."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from twill.ops import dispatch
from twill.ops.dispatch import FLOATS, KERNEL_DTYPES, LARGEST, aligned

ACTIVATIONS = ("none", "silu", "gelu")
_COMPILED = {
    ("silu", False): ("matmul", "matmul_persistent"),
    ("none", True): ("matmul_residual", "matmul_persistent_residual"),
}
"""What is compiled: (activation, whether there is a residual) to the kernels whose programs compute one tile, and all
tiles one after another."""
_TILE = 128, 256


def matmul(
    a: Tensor, b: Tensor, bias: Tensor | None = None, activation: str | None = None, residual: Tensor | None = None
) -> Tensor:
    """activation(a b + bias) + residual: [M, N], contiguous, in the dtype of a.

    a: [M, K] and b: [K, N], any strides, fp16, bf16, fp32 or fp64, the same for both; bias: [N], of that dtype or
    float32; residual: [M, N], of that dtype. activation: None, "silu", or "gelu" (its tanh form). Products of narrow
    floats are summed in float32, and the epilogue is computed there. Differentiable in every tensor, and so are its
    gradients; the product is computed again for the gradient of an activation.

    On Hopper, generated kernels run for fp16 and bf16, K and N multiples of 8, where there is either silu and no
    residual, or a residual and no activation.
    Raises TypeError for dtypes, ValueError for shapes, devices and an unknown activation.
    """
    given = {"a": a, "b": b, "bias": bias, "residual": residual}
    dispatch.require_tensors("matmul", **{name: x for name, x in given.items() if x is not None})
    a, b = dispatch.autocast(a, b)
    bias, residual = (None if x is None else dispatch.autocast(x)[0] for x in (bias, residual))
    out: Tensor = _matmul(a, b, bias, activation or "none", residual)
    return out


def require(a: Tensor, b: Tensor, bias: Tensor | None, activation: str, residual: Tensor | None) -> None:
    """Raise ValueError or TypeError, in one sentence, for what `matmul` does not take."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    for name, x in (("a", a), ("b", b)):
        if x.dim() != 2:
            raise ValueError(f"{name} must be a matrix, got shape {list(x.shape)}")
        if x.dtype not in FLOATS:
            raise TypeError(f"{name} must be float16, bfloat16, float32 or float64, got {x.dtype}")
    if a.dtype != b.dtype:
        raise TypeError(f"a and b must have one dtype, got {a.dtype} and {b.dtype}")
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"the columns of a must be as many as the rows of b, got {list(a.shape)} and {list(b.shape)}")
    shape = [a.shape[0], b.shape[1]]
    if bias is not None and list(bias.shape) != shape[1:]:
        raise ValueError(f"bias must be {shape[1]} numbers, one a column, got shape {list(bias.shape)}")
    if bias is not None and bias.dtype not in (a.dtype, torch.float32):
        raise TypeError(f"bias must be {a.dtype} or float32, got {bias.dtype}")
    if residual is not None and list(residual.shape) != shape:
        raise ValueError(f"residual must have the product's shape {shape}, got {list(residual.shape)}")
    if residual is not None and residual.dtype != a.dtype:
        raise TypeError(f"residual must be {a.dtype} as the product, got {residual.dtype}")
    for name, other in (("b", b), ("bias", bias), ("residual", residual)):
        if other is not None and other.device != a.device:
            raise ValueError(f"{name} is on {other.device}, a on {a.device}: move them to one device")


@torch.library.custom_op("twill::matmul", mutates_args=())
def _matmul(a: Tensor, b: Tensor, bias: Tensor | None, activation: str, residual: Tensor | None) -> Tensor:
    require(a, b, bias, activation, residual)
    if dispatch.on_hopper(a, b):
        why = uncovered(a, b, activation, residual)
        if not why:
            return _launch(a, b, bias, activation, residual)
        dispatch.decline("matmul", why)
    with dispatch.without_autocast(a):
        x = _epilogue(_product(a, b), bias, activation)
    return (x if residual is None else x + residual).to(a.dtype).contiguous()


@_matmul.register_fake
def _(a: Tensor, b: Tensor, bias: Tensor | None, activation: str, residual: Tensor | None) -> Tensor:
    require(a, b, bias, activation, residual)
    return a.new_empty(a.shape[0], b.shape[1])


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a b in float32 or wider; on a CPU narrow floats are widened first, on a GPU cuBLAS sums them in float32."""
    if a.dtype in KERNEL_DTYPES and not a.is_cuda:
        return a.float() @ b.float()
    product = a @ b
    return product.float() if a.dtype in KERNEL_DTYPES else product


def _epilogue(x: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    """activation(x + bias)."""
    x = x if bias is None else x + bias
    if activation == "silu":
        return functional.silu(x)
    return functional.gelu(x, approximate="tanh") if activation == "gelu" else x


def uncovered(a: Tensor, b: Tensor, activation: str, residual: Tensor | None) -> str:
    """Why there is no generated kernel for this product; "" where there is one."""
    (rows, terms), columns = a.shape, b.shape[1]
    if a.dtype not in KERNEL_DTYPES:
        return f"there is no generated kernel for {a.dtype}, only for float16 and bfloat16"
    if (activation, residual is not None) not in _COMPILED:
        what = "a residual" if residual is not None else "no residual"
        return f"there is no generated kernel for activation {activation!r} with {what}"
    if terms % 8 or columns % 8:
        return f"the generated kernels need rows of a multiple of 8 numbers, not {terms} and {columns}"
    if 0 in (rows, terms, columns):
        return "a product without elements or terms needs no kernel"
    if rows * columns > LARGEST or rows * terms > LARGEST or terms * columns > LARGEST:
        return f"a product of {rows} x {terms} by {terms} x {columns} overflows the generated kernels' 32-bit offsets"
    return ""


def _launch(a: Tensor, b: Tensor, bias: Tensor | None, activation: str, residual: Tensor | None) -> Tensor:
    """The product by a generated kernel, for what is not `uncovered`."""
    (rows, terms), columns = a.shape, b.shape[1]
    single, persistent = _COMPILED[activation, residual is not None]
    c = a.new_empty(rows, columns)
    added = a.new_zeros(columns, dtype=torch.float32) if bias is None else bias.float().contiguous()
    more: dict[str, Any] = {} if residual is None else {"residual": residual.contiguous()}
    kernel = entry = single
    if persists(rows, columns, programs := dispatch.multiprocessors(a.device)):
        kernel, entry = persistent, "matmul_persistent"
        more = {"residual": c, "RESIDUAL": residual is not None, "programs": programs, **more}  # unread without one
    with torch.cuda.device_of(a):
        dispatch.launcher(f"{kernel}_{KERNEL_DTYPES[a.dtype]}", entry)(
            a=aligned(a), b=aligned(b), bias=added, c=c, M=rows, N=columns, K=terms, ACTIVATION=activation, **more
        )
    return c


def persists(rows: int, columns: int, programs: int) -> bool:
    """Whether the product runs by programs that stay: where there are more tiles than multiprocessors.

    With one tile each they gain nothing; with more they do by the simulator's prediction, at any number of terms.
    """
    return -(-rows // _TILE[0]) * -(-columns // _TILE[1]) > programs


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    a, b, bias, ctx.activation, _ = inputs
    # The bias and the whole product are needed for an activation's derivative only.
    ctx.save_for_backward(a, b, bias if ctx.activation != "none" else None)
    ctx.bias_dtype = None if bias is None else bias.dtype


def _gradients(ctx: Any, dc: Tensor) -> tuple[Tensor | None, ...]:
    a, b, bias = ctx.saved_tensors
    dx = dc
    if ctx.activation != "none":
        dx = _slope(_product(a, b) if bias is None else _product(a, b) + bias, ctx.activation).mul(dc).to(a.dtype)
    needs_a, needs_b, needs_bias, _, needs_residual = ctx.needs_input_grad
    return (
        dx @ b.mT if needs_a else None,
        a.mT @ dx if needs_b else None,
        dx.sum(0, dtype=ctx.bias_dtype) if needs_bias else None,
        None,
        dc if needs_residual else None,
    )


def _slope(x: Tensor, activation: str) -> Tensor:
    """The activation's derivative at x."""
    if activation == "silu":
        s = x.sigmoid()
        return s * (1 + x * (1 - s))
    # gelu, tanh form: x s(u) with u = 2 sqrt(2 / pi) (x + 0.044715 x^3) and the logistic function s.
    factor = 1.5957691216057308
    s = (factor * (x + 0.044715 * x**3)).sigmoid()
    return s * (1 + x * (1 - s) * factor * (1 + 3 * 0.044715 * x**2))


_matmul.register_autograd(_gradients, setup_context=_remember)
