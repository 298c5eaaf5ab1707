"""What the compiler infers for register layouts that are given by bases, and the ones tensor memory has.

A basis is the coordinate that a bit of the register, lane or warp number adds. Reshapes, permutations, joins and
splits act on each basis alone; of a layout that is not given by bases (blocked, of an MMA) nothing is inferred here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from twill.emulate.layouts import ANY, DistributedLinearLayout, reshaped_place

Basis = list[int]


def _mapped(layout: DistributedLinearLayout, change: Callable[[Basis], Basis], shape: Sequence[int]) -> Any:
    lists = (layout.reg_bases, layout.lane_bases, layout.warp_bases, layout.block_bases)
    registers, lanes, warps, blocks = ([change(basis) for basis in bases] for bases in lists)
    return DistributedLinearLayout(registers, lanes, warps, blocks, list(shape))


def reshaped(layout: Any, before: Sequence[int], after: Sequence[int]) -> Any:
    """The layout of a block of shape `before` reshaped, in row-major order, to `after`."""
    if not isinstance(layout, DistributedLinearLayout):
        return ANY

    return _mapped(layout, lambda basis: reshaped_place(basis, before, after), after)


def permuted(layout: Any, order: Sequence[int]) -> Any:
    """The layout of a block whose axes are permuted."""
    if not isinstance(layout, DistributedLinearLayout):
        return ANY
    return _mapped(layout, lambda basis: [basis[axis] for axis in order], [layout.shape[axis] for axis in order])


def joined(layout: Any) -> Any:
    """The layout of two blocks joined along a new last axis: the first register bit tells them apart."""
    if not isinstance(layout, DistributedLinearLayout):
        return ANY
    wide = _mapped(layout, lambda basis: [*basis, 0], [*layout.shape, 2])
    wide.reg_bases.insert(0, [*(0 for _ in layout.shape), 1])
    return wide


def halved(layout: Any) -> Any:
    """The layout of either half of a split along the last axis, which must be a bit of the register number."""
    if not isinstance(layout, DistributedLinearLayout):
        return ANY
    bit = [*(0 for _ in layout.shape[1:]), 1]
    if bit not in layout.reg_bases:
        return ANY
    narrow = _mapped(layout, lambda basis: basis[:-1], layout.shape[:-1])
    del narrow.reg_bases[layout.reg_bases.index(bit)]
    return narrow


def of_tensor_memory(shape: Sequence[int], rows: int, warps: int, split_columns: bool) -> Any:
    """The registers of a 32x32b load of [rows of blocks of `rows` lanes, columns]; None for other forms.

    split_columns: the last register bit is the half of the columns (32x32b_splitn).
    """
    height, columns = shape
    if rows not in (64, 128) or (rows == 64 and height != 64) or height % rows:
        return None
    inside = [[0, 1 << bit] for bit in range(int(math.log2(columns)))]
    registers = inside + [[rows << bit, 0] for bit in range(int(math.log2(height // rows)))]
    lanes = [[1 << bit, 0] for bit in range(5 if rows == 128 else 4)]
    warp_bits = [[32, 0], [64, 0]] if rows == 128 else [[16, 0], [32, 0]]
    warp_bits += [registers.pop() if registers else [0, 0] for _ in range(int(math.log2(warps)) - 2)]
    if rows == 64:
        lanes.append(registers.pop() if registers else [0, 0])
    half = [0, columns // 2]
    if split_columns and registers and registers[-1] != half:
        for bases in (lanes, warp_bits):
            if half in bases:
                bases[bases.index(half)], registers[-1] = registers[-1], half
                break
        else:
            return None
    return DistributedLinearLayout(registers, lanes, warp_bits, [], list(shape))


def of_scales(shape: Sequence[int], warps: int) -> Any:
    """The registers that hold block scales [rows, columns] on their way to tensor memory: every warp has them all."""
    rows, columns = shape
    row_bits = [[1 << bit, 0] for bit in range(int(math.log2(rows)))]
    column_bits = [[0, 1 << bit] for bit in range(int(math.log2(columns)))]
    registers = column_bits[:2] + row_bits[5:] + column_bits[2:]
    registers += [[0, 0]] * (3 - len(registers))
    lanes = (row_bits + [[0, 0]] * 5)[:5]
    warp_bits = [[0, 0], [0, 0]] + [registers.pop() for _ in range(int(math.log2(warps)) - 2)]
    return DistributedLinearLayout(registers, lanes, warp_bits, [], list(shape))
