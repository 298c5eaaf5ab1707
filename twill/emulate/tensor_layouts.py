"""How tensor memory holds a block, and the register layouts that its loads and stores take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twill.emulate import cga, layouts, linear_layouts
from twill.emulate.constants import constexpr_function, unwrap
from twill.emulate.dtypes import DType
from twill.emulate.values import unsupported

VARIANTS = ("32x32b", "16x64b", "16x128b", "16x256b", "16x32bx2", "32x32b_splitn")


@dataclass(frozen=True)
class TensorMemoryLayout(layouts._Frozen):
    """Blocks of (rows, columns) elements; `col_stride` 32/bitwidth leaves half types unpacked, 1 packs them."""

    block: Any
    col_stride: int
    cga_layout: Any = ()
    two_ctas: bool = False
    cta_split_num: Any = None  # up to Triton 3.7

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.block) != 2 or self.block[0] not in (64, 128):
            raise ValueError(f"a block of tensor memory has 64 or 128 rows and some columns, not {self.block}")
        if self.col_stride < 1 or self.col_stride & (self.col_stride - 1):
            raise ValueError(f"col_stride {self.col_stride} of tensor memory must be a power of two")
        if self.cta_split_num not in (None, (1, 1)) or any(not isinstance(b, tuple) for b in self.cga_layout or ()):
            unsupported("cta_split_num of tensor memory; give a cga_layout")


@dataclass(frozen=True)
class TensorMemoryScalesLayout(layouts._Frozen):
    """Scales of a block-scaled MMA, [rows, columns] bytes: 32 rows by 4 of them in a column, for all four warps."""

    cga_layout: Any = ()
    col_stride = 1


@dataclass(frozen=True)
class TensorMemoryRegisters(layouts.DistributedLayout):
    """The register layout an access other than 32x32b gives a block of `shape` on `num_warps` warps."""

    shape: Any
    rows: int
    num_warps: int
    variant: str

    @property
    def rank(self) -> int:
        return 2

    @property
    def warps(self) -> int:
        return self.num_warps


@constexpr_function
def get_tmem_reg_layout(
    element_ty: DType,
    shape: Any,
    layout: Any,
    num_warps: int,
    instr_variant: str = "32x32b",
    cga_layout: Any = (),
) -> layouts.DistributedLayout:
    """The register layout of a load or store of [rows, columns] tensor memory, as the compiler computes it."""
    if instr_variant not in VARIANTS:
        raise ValueError(f"unknown instr_variant: {instr_variant}")
    if num_warps < 4 or num_warps & (num_warps - 1):
        raise ValueError(f"num_warps {num_warps} of a tensor memory access must be a power of two from 4")
    if len(shape) != 2:
        raise ValueError(f"expected two extents, not {list(shape)}")
    if isinstance(layout, TensorMemoryScalesLayout):
        return linear_layouts.of_scales(shape, num_warps)
    found = None
    if instr_variant.startswith("32x32b"):
        bases = layout.cga_layout or cga_layout or ()
        piece = [extent // count for extent, count in zip(shape, cga.splits(bases, 2), strict=True)]
        found = linear_layouts.of_tensor_memory(piece, layout.block[0], num_warps, instr_variant == "32x32b_splitn")
        if found is not None and bases:
            blocks = [[at * extent for at, extent in zip(basis, piece, strict=True)] for basis in bases]
            lists = (found.reg_bases, found.lane_bases, found.warp_bases)
            found = layouts.DistributedLinearLayout(*lists, blocks, list(shape))
    return found or TensorMemoryRegisters(tuple(shape), layout.block[0], num_warps, instr_variant)


class TensorMemoryType:
    """Gluon's tensor_memory_descriptor_type: asked at compile time for the registers of an access."""

    def __init__(self, element_ty: Any, shape: Any, layout: Any, alloc_shape: Any) -> None:
        self.element_ty = unwrap(element_ty)
        self.shape = unwrap(list(unwrap(shape)))
        self.layout = unwrap(layout)
        self.alloc_shape = unwrap(list(unwrap(alloc_shape)))

    def get_reg_layout(self, num_warps: Any = None, instr_variant: Any = "32x32b", **others: Any) -> Any:
        """The register layout of a load or store of memory of this type."""
        return get_tmem_reg_layout(self.element_ty, self.shape, self.layout, unwrap(num_warps), unwrap(instr_variant))
