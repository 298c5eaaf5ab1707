"""Batched products of which half suffices because they are symmetric, and the product that follows them.

`symmetric_matmul`, `symmetric_polynomial` and `scaled_add_matmul` are the three steps of every method of
`twill.ops.orthogonalize`. float16 and bfloat16 on a Hopper GPU run as generated kernels where the sizes are worth it
(`FEWEST_WAVES`, `SMALLEST_ROWS`); everything else is torch's own product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from twill.ops import dispatch
from twill.ops.dispatch import FLOATS, KERNEL_DTYPES, LARGEST, aligned

MULTIPLE = 16
"""Rows and columns that a kernel is given: TMA takes multiples of 8; of 16, its pointers read 16 bytes at a time."""

TILE = (128, 256)
"""Rows and columns of a kernel's tile."""

# Where a kernel runs instead of torch. Predicted, not measured: in one wave of tiles half of the processors' time is
# saved but none of the launch's, and below two tiles a side there is no half to save.
FEWEST_WAVES = {"symmetric_matmul": 2, "symmetric_polynomial": 2, "scaled_add_matmul": 2}
"""Waves of tiles on the GPU's processors that the whole product must have for its kernel to run."""
SMALLEST_ROWS = {"symmetric_matmul": 512, "symmetric_polynomial": 512, "scaled_add_matmul": 256}
"""Rows that a matrix must have for its kernel to run."""

LARGEST_BATCH = 65535
"""Of a grid's second and third dimension."""


def symmetric_matmul(x: Tensor) -> Tensor:
    """x xᵀ [..., m, m], contiguous, in the dtype of x [..., m, n]: fp16, bf16, fp32 or fp64, any strides.

    Products are summed in fp32 (fp64 for fp64). Differentiable, as often as wanted. Raises ValueError, TypeError.
    """
    result: Tensor = torch.ops.twill.symmetric_matmul(x)
    return result


def symmetric_polynomial(a: Tensor, left: Tensor, right: Tensor, b: float, c: float) -> Tensor:
    """b a + c left rightᵀ [..., m, m], which the caller knows to be symmetric; contiguous, in the dtype of a.

    a, left, right: [..., m, m] of one shape, dtype and device, any strides. With one matrix for all three it is
    b A + c A²; with symmetric matrices that commute, any product of them. Where a kernel runs, the lower half is the
    mirror image of the upper one whatever the operands are. Differentiable. Raises ValueError, TypeError.
    """
    result: Tensor = torch.ops.twill.symmetric_polynomial(a, left, right, b, c)
    return result


def scaled_add_matmul(b: Tensor, x: Tensor, a: float) -> Tensor:
    """a x + b x [..., m, n], contiguous: the number a times x plus the matrix product of b [..., m, m] with x.

    b and x have one dtype, device and batch; any strides. Differentiable. Raises ValueError, TypeError.
    """
    result: Tensor = torch.ops.twill.scaled_add_matmul(b, x, a)
    return result


def require(operator: str, **matrices: Tensor) -> None:
    """Raise ValueError or TypeError, in one sentence, for tensors that the operators do not take."""
    dispatch.require_tensors(operator, **matrices)
    first, own = next(iter(matrices.items()))
    for name, x in matrices.items():
        if x.dim() < 2:
            raise ValueError(f"{operator}: {name} must be [..., rows, columns], got shape {list(x.shape)}.")
        if x.dtype not in FLOATS:
            raise TypeError(f"{operator}: {name} must be float16, bfloat16, float32 or float64, got {x.dtype}.")
        if x.dtype != own.dtype:
            raise TypeError(f"{operator}: {first} and {name} must have one dtype, got {own.dtype} and {x.dtype}.")
        if x.device != own.device:
            raise ValueError(f"{operator}: {first} is on {own.device} but {name} on {x.device}: move them to one.")


def _require_square(operator: str, batch_of: Tensor, **matrices: Tensor) -> None:
    shape = [*batch_of.shape[:-1], batch_of.shape[-2]]
    for name, x in matrices.items():
        if list(x.shape) != shape:
            raise ValueError(f"{operator}: {name} must have shape {shape}, got {list(x.shape)}.")


def kernel_runs(operator: str, x: Tensor, columns: int) -> bool:
    """Whether the generated kernel runs for an operand x [..., m, n] and a result of m rows and so many columns.

    Says once why not, where the reason is not the size.
    """
    rows, elements = x.shape[-2], x.numel()
    if not dispatch.on_hopper(x) or elements == 0:
        return False
    batch = elements // (rows * x.shape[-1])
    tiles = batch * -(-rows // TILE[0]) * -(-columns // TILE[1])
    processors = torch.cuda.get_device_properties(x.device).multi_processor_count
    if rows < SMALLEST_ROWS[operator] or -(-tiles // processors) < FEWEST_WAVES[operator]:
        return False
    if x.dtype not in KERNEL_DTYPES:
        dispatch.decline(operator, f"its kernels take float16 and bfloat16, not {x.dtype}")
        return False
    if batch > LARGEST_BATCH or max(rows, columns, x.shape[-1]) > LARGEST - MULTIPLE:
        dispatch.decline(operator, f"its kernels take up to {LARGEST_BATCH} matrices of up to 2**31 - 17 rows, columns")
        return False
    return True


def ready(x: Tensor) -> Tensor:
    """[B, M, N]: x as the kernels take it: contiguous, on 16 bytes, padded by zeros to multiples of 16."""
    rows, columns = x.shape[-2:]
    x = x.reshape(-1, rows, columns)
    if rows % MULTIPLE or columns % MULTIPLE:
        return torch.nn.functional.pad(x, (0, -columns % MULTIPLE, 0, -rows % MULTIPLE))
    return aligned(x)


def launch(operator: str, out: Tensor, operands: tuple[Tensor, ...], scalars: tuple[float, ...]) -> None:
    """Run the generated kernel of an operator: operands and out are as `ready` makes them.

    The arguments of each kernel are its operands, out, the sizes of the last operand and out, and the scalars.
    """
    batch, rows, columns = operands[-1].shape
    sizes = (batch, rows) if operator == "symmetric_polynomial" else (batch, rows, columns)
    run = dispatch.launcher(f"{operator}_{KERNEL_DTYPES[out.dtype]}", operator)
    with torch.cuda.device_of(out):
        run(*operands, out, *sizes, *scalars)


def by_kernel(
    operator: str, like: Tensor, columns: int, operands: tuple[Tensor, ...], scalars: tuple[float, ...] = ()
) -> Tensor:
    """The operator's result [..., m, columns] by its generated kernel; m and the batch are those of `like`."""
    made = tuple(ready(x) for x in operands)
    out = made[0].new_empty(made[0].shape[0], made[0].shape[1], columns + -columns % MULTIPLE)
    launch(operator, out, made, scalars)
    rows = like.shape[-2]
    return out[:, :rows, :columns].reshape(*like.shape[:-1], columns).contiguous()


def _flat(x: Tensor) -> Tensor:
    return x.reshape(-1, *x.shape[-2:]) if x.numel() else x.new_empty(x.shape[:-2].numel(), *x.shape[-2:])


def _added(addend: Tensor, left: Tensor, right: Tensor, beta: float, alpha: float) -> Tensor:
    """beta addend + alpha left right by torch, rounded once; contiguous, in its own memory, whatever autocast says."""
    with torch.autocast(addend.device.type, enabled=False):
        out = torch.baddbmm(_flat(addend), _flat(left), _flat(right), beta=beta, alpha=alpha)
    return out.contiguous().view(addend.shape)


@torch.library.custom_op("twill::symmetric_matmul", mutates_args=(), schema="(Tensor x) -> Tensor")
def _symmetric_matmul(x: Tensor) -> Tensor:
    require("symmetric_matmul", x=x)
    if kernel_runs("symmetric_matmul", x, x.shape[-2]):
        return by_kernel("symmetric_matmul", x, x.shape[-2], (x,))
    with torch.autocast(x.device.type, enabled=False):
        return torch.matmul(x, x.mT).contiguous()


@_symmetric_matmul.register_fake
def _(x: Tensor) -> Tensor:
    require("symmetric_matmul", x=x)
    return x.new_empty(*x.shape[:-1], x.shape[-2])


@torch.library.custom_op(
    "twill::symmetric_polynomial",
    mutates_args=(),
    schema="(Tensor a, Tensor left, Tensor right, float b, float c) -> Tensor",
)
def _symmetric_polynomial(a: Tensor, left: Tensor, right: Tensor, b: float, c: float) -> Tensor:
    require("symmetric_polynomial", a=a, left=left, right=right)
    _require_square("symmetric_polynomial", a, a=a, left=left, right=right)
    if kernel_runs("symmetric_polynomial", a, a.shape[-2]):
        return by_kernel("symmetric_polynomial", a, a.shape[-2], (a, left, right), (b, c))
    return _added(a, left, right.mT, b, c)


@_symmetric_polynomial.register_fake
def _(a: Tensor, left: Tensor, right: Tensor, b: float, c: float) -> Tensor:
    require("symmetric_polynomial", a=a, left=left, right=right)
    _require_square("symmetric_polynomial", a, a=a, left=left, right=right)
    return a.new_empty(a.shape)


@torch.library.custom_op(
    "twill::scaled_add_matmul", mutates_args=(), schema="(Tensor b, Tensor x, float a) -> Tensor"
)  # fmt: skip
def _scaled_add_matmul(b: Tensor, x: Tensor, a: float) -> Tensor:
    require("scaled_add_matmul", b=b, x=x)
    _require_square("scaled_add_matmul", x, b=b)
    if kernel_runs("scaled_add_matmul", x, x.shape[-1]):
        return by_kernel("scaled_add_matmul", x, x.shape[-1], (b, x), (a,))
    return _added(x, b, x, a, 1.0)


@_scaled_add_matmul.register_fake
def _(b: Tensor, x: Tensor, a: float) -> Tensor:
    require("scaled_add_matmul", b=b, x=x)
    _require_square("scaled_add_matmul", x, b=b)
    return x.new_empty(x.shape)


def _keep(tensors: int) -> Any:
    """A setup_context that saves the first so many inputs for backward, and the others as `ctx.scalars`."""

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs[:tensors])
        ctx.scalars = inputs[tensors:]

    return setup


def _symmetric_matmul_backward(ctx: Any, g: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return (g + g.mT) @ x


def _symmetric_polynomial_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    _, left, right = ctx.saved_tensors
    b, c = ctx.scalars
    da, dleft, dright = ctx.needs_input_grad[:3]
    return (
        b * g if da else None,
        c * (g @ right) if dleft else None,
        c * (g.mT @ left) if dright else None,
        None,
        None,
    )


def _scaled_add_matmul_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    b, x = ctx.saved_tensors
    (a,) = ctx.scalars
    return g @ x.mT if ctx.needs_input_grad[0] else None, a * g + b.mT @ g if ctx.needs_input_grad[1] else None, None


_symmetric_matmul.register_autograd(_symmetric_matmul_backward, setup_context=_keep(1))
_symmetric_polynomial.register_autograd(_symmetric_polynomial_backward, setup_context=_keep(3))
_scaled_add_matmul.register_autograd(_scaled_add_matmul_backward, setup_context=_keep(2))
