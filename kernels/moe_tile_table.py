"""The table of tiles: where each expert's rows begin when they are padded to whole tiles, and whose each tile is."""

import torch
import triton
import triton.language as tl

import twill


def inputs(TILES=40, E=16, seed=0):
    """Launch arguments for TILES tiles and E experts, some of them without rows."""
    random = torch.Generator().manual_seed(seed)
    totals = torch.randint(3 * 128, (E,), generator=random, dtype=torch.int32)
    totals[::3] = 0
    return {
        "totals": totals, "offsets": torch.empty(E + 1, dtype=torch.int32),
        "experts": torch.empty(TILES, dtype=torch.int32), "TILES": TILES, "E": E, "ROWS": 128, "BT": 128,
    }  # fmt: skip


def truth(totals, offsets, experts, TILES, E, ROWS, **_):
    """A cumulative sum, and a search in it."""
    ends = ((totals.flatten()[:E].long() + ROWS - 1) // ROWS).cumsum(0)
    found = torch.searchsorted(ends, torch.arange(TILES), right=True)
    return {
        "offsets": torch.cat([ends.new_zeros(1), ends]) * ROWS,
        "experts": torch.where(found < E, found, -1),
    }


@twill.kernel(example=inputs, grid=lambda a: (triton.cdiv(a["TILES"], a["BT"]),), reference=truth)
@triton.jit
def moe_tile_table(totals, offsets, experts, TILES, E, ROWS: tl.constexpr, BT: tl.constexpr):
    """totals: [E] int32, the rows of each expert; offsets: [E + 1] int32; experts: [TILES] int32.

    offsets[e] is ROWS times the tiles of the experts before e; experts[i] is the expert of tile i, or -1 past the last.
    """
    tile = tl.program_id(0) * BT + tl.arange(0, BT)
    ended = tl.zeros([BT], tl.int32)  # how many experts end at a tile or before
    end = tl.zeros([BT], tl.int32)  # the same number for each tile
    for e in range(0, E):
        tl.store(offsets + e + tile, end * ROWS, mask=tile == 0)
        end += (tl.load(totals + e) + ROWS - 1) // ROWS
        ended += (tile >= end).to(tl.int32)
    tl.store(offsets + E + tile, end * ROWS, mask=tile == 0)
    tl.store(experts + tile, tl.where(ended < E, ended, -1), mask=tile < TILES)
