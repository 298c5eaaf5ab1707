"""The layout of rows that go to experts: sorted by expert, each expert's rows padded to whole tiles."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TILE_ROWS = 128
"""Rows of one tile of the kernels: the rows of an expert begin at a multiple of it."""

LARGEST = 2**31 - 1
"""The kernels index rows with 32 bits."""


class Routing(NamedTuple):
    """Where the rows of a padded, sorted layout of P rows come from; on the device, of static shape.

    positions: [T, k] int64, the row of each token's choices; -1 for an expert id out of range on a GPU.
    tile_experts: [P / 128] int32, the expert of each tile of 128 rows; -1 past the last expert's.
    offsets: [E + 1] int32, where each expert's rows begin, multiples of 128; offsets[E] ends the last one's.
    """

    positions: Tensor
    tile_experts: Tensor
    offsets: Tensor


def padded_rows(choices: int, num_experts: int) -> int:
    """The most rows that `choices` rows of `num_experts` experts take when each expert's are padded to tiles.

    Every expert with a row wastes at most 127, and no more experts than choices have one.
    """
    busy = torch.sym_min(choices, num_experts)
    rows: int = (choices + busy * (TILE_ROWS - 1)) // TILE_ROWS * TILE_ROWS
    return rows


def route(expert_ids: Tensor, num_experts: int) -> Routing:
    """Histogram and scan of the choices, by operations whose shapes do not depend on data; no host synchronization.

    expert_ids: [T, k], any integer dtype. Choices of one expert keep their order (the sort is stable), so the layout is
    deterministic. Ids out of range get no row.
    """
    flat = expert_ids.reshape(-1).long()
    valid = (flat >= 0) & (flat < num_experts)
    # One expert more collects what is out of range; it lies last and is left out of the rows.
    keys, order = torch.sort(torch.where(valid, flat, num_experts), stable=True)
    experts = torch.arange(num_experts + 1, device=flat.device)
    starts = torch.searchsorted(keys, experts)
    tiles = (starts.diff() + TILE_ROWS - 1) // TILE_ROWS
    offsets = torch.cat([tiles.new_zeros(1), tiles.cumsum(0) * TILE_ROWS])
    # The r-th row of an expert lies r rows after the expert's offset.
    sorted_positions = offsets[keys] + torch.arange(flat.numel(), device=flat.device) - starts[keys]
    sorted_positions = torch.where(keys < num_experts, sorted_positions, -1)
    positions = torch.empty_like(flat).scatter_(0, order, sorted_positions)
    begins = torch.arange(padded_rows(flat.numel(), num_experts) // TILE_ROWS, device=flat.device) * TILE_ROWS
    found = torch.searchsorted(offsets[1:].contiguous(), begins, right=True)
    tile_experts = torch.where(found < num_experts, found, -1)
    return Routing(positions.view(expert_ids.shape), tile_experts.int(), offsets.int())


def sources(positions: Tensor, rows: int) -> Tensor:
    """[rows] int64: which of the flattened choices [T * k] lies in each row, -1 where none does."""
    flat = positions.reshape(-1)
    choice = torch.arange(flat.numel(), device=flat.device)
    # Choices without a row meet in one row past the end; which of them wins does not matter.
    found = torch.full((rows + 1,), -1, dtype=torch.int64, device=flat.device)
    return found.scatter_(0, torch.where(flat >= 0, flat, rows), choice)[:rows]


def spread(values: Tensor, positions: Tensor, rows: int, weights: Tensor | None = None) -> Tensor:
    """[rows, N]: each token's values, times the choice's weight if there are weights, in the rows of its choices.

    values: [T, N]; positions and weights: [T, k]. Rows without a choice are 0. Differentiable torch operations, so that
    gradients have gradients.
    """
    source = sources(positions, rows)
    choice = source.clamp(min=0)
    spread_values = values[choice // max(positions.shape[1], 1)]
    if weights is not None:
        kind = accumulator(values)
        spread_values = (spread_values.to(kind) * weights.reshape(-1)[choice, None].to(kind)).to(values.dtype)
    return torch.where(source[:, None] >= 0, spread_values, 0)


def accumulator(values: Tensor) -> torch.dtype:
    """What sums over `values` are kept in: float64 for float64, else float32."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32
