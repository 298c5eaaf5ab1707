"""Grouped products: rows sorted by expert, times the weights of their expert; forward and backward."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from twill.ops import dispatch
from twill.ops.routing import LARGEST, TILE_ROWS, Routing, accumulator

_KERNEL_DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16"}
_GATHERED_BYTES = 2**28
"""How many bytes of weights the torch implementation gathers at a time."""


def grouped_matmul(
    x: Tensor,
    w: Tensor,
    routing: Routing,
    *,
    transposed: bool = False,
    activation: str | None = None,
    tokens: bool = False,
) -> Tensor:
    """Each row of x times the weights of its expert: [P, N].

    x: [P, K], in the layout of `routing` (rows of one expert together, from a multiple of 128), as `moe_dispatch` makes
    it. w: [E, K, N]; with `transposed` [E, N, K], whose transposes are multiplied. x and w have one floating dtype;
    products are summed in float32 (float64 for float64). Rows past the last expert's are 0.

    activation: None, or "swiglu": w is [E, K, 2 N], the gate's columns first, and silu(x gate) * (x up) is returned
    without keeping the two products; the gradient computes them again.

    tokens: x is [T, K], the tokens themselves, and the rows of `routing` (from `moe_route`) are gathered from it:
    inside the product where w is contiguous, before it otherwise.

    Under autocast x and w are cast to its dtype, as for torch.matmul. Differentiable in x and w as often as wanted.
    Nothing waits for the GPU. On Hopper, generated kernels run for float16 and bfloat16 where K is a multiple of 64 and
    N of 8; their weight gradient asks for K and N to be multiples of 128 and 8.

    Raises TypeError or ValueError for tensors that do not fit, and for rows beyond 32 bits.
    """
    dispatch.require_tensors("grouped_matmul", x=x, w=w)
    x, w = dispatch.autocast(x, w)
    _check(x, w, routing, transposed, activation, tokens)
    if tokens and not transposed and w.is_contiguous():
        name = "grouped_matmul_gather" if activation is None else "grouped_swiglu_gather"
        product: Tensor = getattr(torch.ops.twill, name)(x, w, *routing)
        return product
    if tokens:
        x = torch.ops.twill.moe_gather(x, routing.positions, TILE_ROWS * routing.tile_experts.shape[0])
    if activation is None:
        return _grouped_matmul(x, w, routing.tile_experts, routing.offsets, transposed)
    gated: Tensor = torch.ops.twill.grouped_swiglu(x, w, routing.tile_experts, routing.offsets)
    return gated


def _check(x: Tensor, w: Tensor, routing: Routing, transposed: bool, activation: str | None, tokens: bool) -> None:
    if activation not in (None, "swiglu"):
        raise ValueError(f'grouped_matmul: activation must be None or "swiglu", got {activation!r}.')
    if transposed and activation is not None:
        raise ValueError("grouped_matmul: an activation takes weights that are not transposed: pass w.mT instead.")
    if not isinstance(routing, Routing):
        raise TypeError(
            f"grouped_matmul: routing must be the Routing that moe_dispatch returned, got {type(routing).__name__}."
        )
    if x.dtype not in dispatch.FLOATS or x.dtype != w.dtype:
        raise TypeError(
            f"grouped_matmul: x and w must both be float16, bfloat16, float32 or float64, got {x.dtype} and {w.dtype}."
        )
    if x.dim() != 2 or w.dim() != 3:
        raise ValueError(
            f"grouped_matmul: x must be [rows, K] and w [experts, K, N], "
            f"got shapes {list(x.shape)} and {list(w.shape)}."
        )
    if len({tensor.device for tensor in (x, w, *routing)}) > 1:
        raise ValueError(
            f"grouped_matmul: x is on {x.device}, w on {w.device}, the routing on {routing.offsets.device}: "
            "move them to one device."
        )
    inner = w.shape[2] if transposed else w.shape[1]
    if x.shape[1] != inner:
        raise ValueError(f"grouped_matmul: rows of x have {x.shape[1]} values but the weights take {inner}.")
    rows = TILE_ROWS * routing.tile_experts.shape[0]
    if tokens and x.shape[0] != routing.positions.shape[0]:
        raise ValueError(
            f"grouped_matmul: the routing is of {routing.positions.shape[0]} tokens but x has {x.shape[0]}."
        )
    if not tokens and x.shape[0] != rows:
        raise ValueError(
            f"grouped_matmul: the routing is of {rows} rows but x has {x.shape[0]}: pass what moe_dispatch returned."
        )
    if w.shape[0] + 1 != routing.offsets.shape[0]:
        raise ValueError(
            f"grouped_matmul: w has {w.shape[0]} experts but the routing has {routing.offsets.shape[0] - 1}."
        )
    if activation == "swiglu" and w.shape[2] % 2:
        raise ValueError(f"grouped_matmul: swiglu takes an even number of columns (gate, then up), got {w.shape[2]}.")
    for name, size in (
        ("rows of x", x.shape[0]),
        ("experts times rows of w", w.shape[0] * w.shape[1]),
        ("experts times columns of w", w.shape[0] * w.shape[2]),
    ):
        if size > LARGEST:
            raise ValueError(f"grouped_matmul: {size} {name} overflow the 32-bit offsets of the kernels; split them.")


@torch.library.custom_op("twill::grouped_matmul", mutates_args=())
def _grouped_matmul(x: Tensor, w: Tensor, tile_experts: Tensor, offsets: Tensor, transposed: bool) -> Tensor:
    if not w.is_contiguous() and w.mT.is_contiguous():
        w, transposed = w.mT, not transposed
    rows, inner = x.shape
    columns = w.shape[1] if transposed else w.shape[2]
    if kernel_runs("grouped_matmul", x, w, inner, columns, 64):
        y = x.new_empty(rows, columns)
        variant = f"grouped_matmul{'_transposed' if transposed else ''}_{_KERNEL_DTYPES[x.dtype]}"
        launch = dispatch.launcher(variant, "grouped_matmul")
        with torch.cuda.device_of(x):
            launch(dispatch.aligned(x), dispatch.aligned(w), tile_experts, y, rows, inner, columns, w.shape[0])
        return y
    return products(x, w.mT if transposed else w, tile_experts, offsets).to(x.dtype)


@_grouped_matmul.register_fake
def _(x: Tensor, w: Tensor, tile_experts: Tensor, offsets: Tensor, transposed: bool) -> Tensor:
    return x.new_empty(x.shape[0], w.shape[1] if transposed else w.shape[2])


@torch.library.custom_op("twill::grouped_weight_gradient", mutates_args=())
def _grouped_weight_gradient(x: Tensor, dy: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    (rows, inner), columns = x.shape, dy.shape[1]
    experts = offsets.shape[0] - 1
    if kernel_runs("grouped_weight_gradient", x, dy, inner, columns, TILE_ROWS):
        dw = x.new_empty(experts, inner, columns)
        launch = dispatch.launcher(f"grouped_weight_gradient_{_KERNEL_DTYPES[x.dtype]}", "grouped_weight_gradient")
        with torch.cuda.device_of(x):
            launch(dispatch.aligned(x), dispatch.aligned(dy), offsets, dw, rows, inner, columns, experts)
        return dw
    return _weight_products(x, dy, tile_experts, offsets).to(x.dtype)


@_grouped_weight_gradient.register_fake
def _(x: Tensor, dy: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    return x.new_empty(offsets.shape[0] - 1, x.shape[1], dy.shape[1])


def kernel_runs(operator: str, x: Tensor, w: Tensor, inner: int, columns: int, multiple: int) -> bool:
    """Whether the generated kernel covers these operands; says once why not, on a Hopper GPU."""
    if not dispatch.on_hopper(x, w) or 0 in (x.shape[0], inner, columns):
        return False
    if x.dtype not in _KERNEL_DTYPES:
        dispatch.decline(operator, f"its kernels take float16 and bfloat16, not {x.dtype}")
        return False
    if inner % multiple or columns % 8:
        dispatch.decline(
            operator, f"its kernels take K and N that are multiples of {multiple} and 8, not {inner} and {columns}"
        )
        return False
    return True


def products(x: Tensor, w: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    """The grouped product by torch: summed and returned in float32 or float64 on the CPU, in x's dtype on a GPU."""
    if x.device.type != "cpu":
        return _products_of_tiles(x, w, tile_experts)
    kind = accumulator(x)
    y = x.new_zeros(x.shape[0], w.shape[2], dtype=kind)
    bounds = offsets.tolist()
    for e, (begin, end) in enumerate(pairwise(bounds)):
        if begin < end:
            with dispatch.without_autocast(x):
                torch.mm(x[begin:end].to(kind), w[e].to(kind), out=y[begin:end])
    return y


def _products_of_tiles(x: Tensor, w: Tensor, tile_experts: Tensor) -> Tensor:
    """The same without reading a bound on the host: tiles times gathered weights, some tiles at a time."""
    tiles = x.reshape(-1, TILE_ROWS, x.shape[1])
    y = x.new_empty(tiles.shape[0], TILE_ROWS, w.shape[2])
    step = max(_GATHERED_BYTES // max(w.shape[1] * w.shape[2] * w.element_size(), 1), 1)
    for i in range(0, tiles.shape[0], step):
        experts = tile_experts[i : i + step, None, None]
        with dispatch.without_autocast(x):
            product = torch.bmm(tiles[i : i + step], w[experts.flatten().clamp(min=0)])
        y[i : i + step] = torch.where(experts >= 0, product, 0)
    return y.view(-1, w.shape[2])


def _weight_products(x: Tensor, dy: Tensor, tile_experts: Tensor, offsets: Tensor) -> Tensor:
    """The weight gradient by torch, summed and returned in float32 or float64."""
    if x.device.type != "cpu":
        return _weight_products_of_tiles(x, dy, tile_experts, offsets.shape[0] - 1)
    kind = accumulator(x)
    dw = x.new_zeros(offsets.shape[0] - 1, x.shape[1], dy.shape[1], dtype=kind)
    bounds = offsets.tolist()
    for e, (begin, end) in enumerate(pairwise(bounds)):
        if begin < end:
            with dispatch.without_autocast(x):
                torch.mm(x[begin:end].to(kind).mT, dy[begin:end].to(kind), out=dw[e])
    return dw


def _weight_products_of_tiles(x: Tensor, dy: Tensor, tile_experts: Tensor, experts: int) -> Tensor:
    """The same without reading a bound on the host, tile after tile, so that the order of each sum is fixed."""
    kind = accumulator(x)
    dw = x.new_zeros(experts, x.shape[1], dy.shape[1], dtype=kind)
    for i in range(tile_experts.shape[0]):
        rows = slice(i * TILE_ROWS, (i + 1) * TILE_ROWS)
        with dispatch.without_autocast(x):
            product = x[rows].to(kind).mT @ dy[rows].to(kind)
        e = tile_experts[i : i + 1]
        dw.index_add_(0, e.clamp(min=0), torch.where(e[:, None, None] >= 0, product[None], 0))
    return dw


def _save_operands(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs[:4])
    ctx.transposed = inputs[4]


def _grouped_matmul_backward(ctx, dy):  # type: ignore[no-untyped-def]
    x, w, tile_experts, offsets = ctx.saved_tensors
    dx = dw = None
    if ctx.needs_input_grad[0]:
        dx = _grouped_matmul(dy, w, tile_experts, offsets, not ctx.transposed)
    if ctx.needs_input_grad[1]:
        left, right = (dy, x) if ctx.transposed else (x, dy)
        dw = _grouped_weight_gradient(left, right, tile_experts, offsets)
    return dx, dw, None, None, None


def _save_inputs(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    ctx.save_for_backward(*inputs)


def _grouped_weight_gradient_backward(ctx, gradient):  # type: ignore[no-untyped-def]
    x, dy, tile_experts, offsets = ctx.saved_tensors
    dx = ddy = None
    if ctx.needs_input_grad[0]:
        dx = _grouped_matmul(dy, gradient, tile_experts, offsets, True)
    if ctx.needs_input_grad[1]:
        ddy = _grouped_matmul(x, gradient, tile_experts, offsets, False)
    return dx, ddy, None, None


_grouped_matmul.register_autograd(_grouped_matmul_backward, setup_context=_save_operands)
_grouped_weight_gradient.register_autograd(_grouped_weight_gradient_backward, setup_context=_save_inputs)
