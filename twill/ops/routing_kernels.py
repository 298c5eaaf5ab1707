"""Routing by the generated kernels for Hopper: a counting sort of expert ids, and rows moved and summed by it."""

from __future__ import annotations

import torch
from torch import Tensor

from twill.ops import dispatch
from twill.ops.routing import LARGEST, TILE_ROWS, Routing, padded_rows

DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16"}
_BLOCK = 256  # choices that are counted together


def sorts(expert_ids: Tensor, num_experts: int) -> bool:
    """Whether the generated kernels sort these ids; says once why not, on a Hopper GPU."""
    if not dispatch.on_hopper(expert_ids) or not expert_ids.numel():
        return False
    if _blocks(expert_ids.numel()) * num_experts > LARGEST:
        dispatch.decline("moe_dispatch", "the counts of its blocks of ids overflow the kernels' 32-bit offsets")
        return False
    return True


def moves(operator: str, values: Tensor, positions: Tensor) -> bool:
    """Whether the generated kernels move rows of these values to or from these positions; says once why not."""
    if not dispatch.on_hopper(values, positions) or 0 in (*values.shape, *positions.shape):
        return False
    if values.dtype not in DTYPES:
        dispatch.decline(operator, f"its kernels take float16 and bfloat16, not {values.dtype}")
        return False
    return True


def route(expert_ids: Tensor, num_experts: int) -> Routing:
    """The same as `twill.ops.routing.route` in four launches: histogram of blocks, scan, table of tiles, positions.

    Integers are added, so that the order of atomics does not matter.
    """
    ids = expert_ids.reshape(-1).long().contiguous()
    choices = ids.numel()
    blocks = _blocks(choices)
    counts = _integers(ids, blocks * num_experts).zero_()
    before, totals = _integers(ids, blocks * num_experts), _integers(ids, num_experts)
    offsets = _integers(ids, num_experts + 1)
    tile_experts = _integers(ids, padded_rows(choices, num_experts) // TILE_ROWS)
    positions = torch.empty_like(ids)
    with torch.cuda.device_of(ids):
        _launcher("moe_histogram")(ids, counts, choices, num_experts)
        _launcher("moe_scan")(counts, before, totals, blocks, num_experts)
        _launcher("moe_tile_table")(totals, offsets, tile_experts, len(tile_experts), num_experts)
        _launcher("moe_positions")(ids, before, offsets, positions, choices, num_experts)
    return Routing(positions.view(expert_ids.shape), tile_experts, offsets)


def spread(values: Tensor, positions: Tensor, rows: int) -> Tensor:
    """[rows, N]: each token's values in the rows of its choices; 0 in rows without a choice."""
    tokens = tokens_of(positions, rows)
    spread_values = values.new_empty(rows, values.shape[1])
    with torch.cuda.device_of(values):
        _launcher("moe_gather", values)(values.contiguous(), tokens, spread_values, rows, values.shape[1])
    return spread_values


def tokens_of(positions: Tensor, rows: int, dtype: torch.dtype = torch.int64) -> Tensor:
    """[rows], int64 or int32: the token in each row, -1 where there is none."""
    return _inverted(positions, rows, positions.shape[1], dtype)


def choices_of(positions: Tensor, rows: int) -> Tensor:
    """[rows] int64: which of the flattened choices lies in each row, as `twill.ops.routing.sources`."""
    return _inverted(positions, rows, 1, torch.int64)


def _inverted(positions: Tensor, rows: int, divisor: int, dtype: torch.dtype) -> Tensor:
    """[rows]: the flattened choice in each row, divided and rounded down; -1 where there is none."""
    found = torch.full((rows,), -1, dtype=dtype, device=positions.device)
    with torch.cuda.device_of(positions):
        launch = dispatch.launcher(f"moe_sources_{str(dtype).removeprefix('torch.')}", "moe_sources")
        launch(dispatch.aligned(positions), found, positions.numel(), divisor)
    return found


def weighted_sum(y: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """[T, N]: the sum over each token's choices of their rows, times their weights."""
    (tokens, choices), columns = positions.shape, y.shape[1]
    out = y.new_empty(tokens, columns)
    flat = positions.contiguous(), weights.float().contiguous()
    with torch.cuda.device_of(y):
        _launcher("moe_combine", y)(y.contiguous(), *flat, out, tokens, choices, columns)
    return out


def gradients(y: Tensor, dout: Tensor, positions: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the weighted sum in y and, in float32, in the weights. y: [P, N], N a multiple of 8."""
    rows, columns = y.shape
    dy = y.new_empty(rows, columns)
    dweights = torch.zeros(weights.shape, dtype=torch.float32, device=weights.device)
    operands = dispatch.aligned(y), dout.contiguous(), choices_of(positions, rows), weights.float().contiguous()
    with torch.cuda.device_of(y):
        launch = _launcher("moe_combine_gradient", y)
        launch(*operands, dy, dweights, rows, positions.shape[1], columns)
    return dy, dweights


def _launcher(kernel: str, values: Tensor | None = None):  # type: ignore[no-untyped-def]
    return dispatch.launcher(kernel if values is None else f"{kernel}_{DTYPES[values.dtype]}", kernel)


def _blocks(choices: int) -> int:
    return -(-choices // _BLOCK)


def _integers(like: Tensor, count: int) -> Tensor:
    return torch.empty(count, dtype=torch.int32, device=like.device)
